#!/usr/bin/env -S python3 -B
"""The page that `valetkey open` leads to, and the sign-in pages, in a real browser.

browser.py BINARY. Needs Chromium and its driver (Debian: chromium, chromium-driver); installs axe-core
from npm into a cache outside of the tree, where npm is at hand. Pictures are left in
$VALETKEY_TEST_ARTIFACTS, or in the cache.
"""

import json
import shutil
import socket
import time
import urllib.request

from room import (
    DAEMON_CONFIG, TURN_TIMEOUT, Failed, Sandbox, address_of, cache, check, installed, run, running, skip, until)
from webdriver import ENTER, ESCAPE, SHIFT, SPACE, TAB, artifacts, browser

AXE = "4.14.1"
# A client may call itself anything; nothing of it may become markup.
INJECTED = "<img src=x onerror=document.title='owned'>"
# Tokens on so many days before today, so that the chart has something to show.
PAST_DAYS = 12
AGENTS = ("codex", "openhands", "opencode", "aider", "litellm")

# Elements that a keyboard has to reach, in the order of the document.
REACHABLE = """
return [...document.querySelectorAll('a[href], button, input, select, summary, [tabindex="0"]')]
  .filter((node) => node.checkVisibility() && !node.closest('dialog'))
  .map((node) => node.id || node.textContent.trim() || node.getAttribute('aria-label'))
"""
# What has the focus, and whether it shows.
FOCUSED = """
const node = document.activeElement, style = getComputedStyle(node), box = node.getBoundingClientRect();
return {name: node.id || node.textContent.trim() || node.getAttribute('aria-label'),
  outline: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
  inside: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth}
"""


def keep_some_past(room):
    """Counts of earlier days, as an earlier run of the daemon would have left them."""
    days, now = {}, time.time()
    for back in range(1, PAST_DAYS + 1):
        used = {}
        for place, agent in enumerate(AGENTS):
            if (back + place) % 3:
                tokens = (place + 1) * (PAST_DAYS - back + 3) * 900
                used[agent] = {"requests": place + back, "input": tokens, "cached": tokens // 2, "output": tokens // 9}
        days[time.strftime("%Y-%m-%d", time.gmtime(now - back * 86400))] = used
    (room.path / "state" / "usage.json").write_text(json.dumps({"version": 1, "days": days}))


def completion(room, client):
    """One completion through the relay, by a client of this name."""
    lease = json.loads(room.said("rpc", "lease", json.dumps({"client": client})))
    body = {"model": "gpt-6.1-sol", "input": "hi", "stream": False}
    request = urllib.request.Request(
        f"{room.base_url}/responses", json.dumps(body).encode(),
        {"content-type": "application/json", "authorization": f"Bearer {lease['key']}"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=TURN_TIMEOUT) as answer:
        check(answer.status == 200, f"a completion was carried for {client}")


def opened(room):
    """A link, as a script gets it."""
    return json.loads(room.said("open", "--json"))["url"]


def contents(page, name, axe):
    """Pictures of a page in light and dark, and what axe has to say of either."""
    for scheme in ("light", "dark"):
        page.colours(scheme)
        page.whole_picture(f"{name}-{scheme}")
        if axe:
            page.js(axe)
            violations = page.js_async(
                "const done = arguments[0]; axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa',"
                " 'best-practice']}).then((found) => done(found.violations.map((v) => [v.impact, v.id, v.help,"
                " v.nodes.map((n) => n.html + ' ' + n.failureSummary).slice(0, 3)])))")
            check(not violations, f"{name}, {scheme}: axe finds nothing to complain of", json.dumps(violations, indent=1))
    page.colours("light")


def unsigned(room, page, axe):
    link = opened(room)
    page.go(link)
    page.wait_for_text("Signed out", "#logins")
    check(page.address().endswith("/") and "enter" not in page.address(), "the link does not stay in the address")
    check(page.js("return history.length") <= 2, "nor in the history")
    cookies = page.ask("GET", "/cookie")
    check(len(cookies) == 1 and cookies[0]["httpOnly"] and cookies[0]["sameSite"] == "Strict",
          "there is one cookie, for HTTP only and strictly for this site", cookies)
    check("Nobody is signed in" in page.text("#limits"), "without a login it says so")
    contents(page, "page-unsigned", axe)
    return link


def used_up(page, link, axe):
    """The same link in another tab of the same browser."""
    with page.new_tab(lambda: page.js("window.open('/nothing-there', '_blank', 'noopener')")):
        page.wait_for_text("Nothing here")
        page.go(link)
        page.wait_for_text("This link does not work")
        contents(page, "link-used", axe)
        page.go(link.split("/enter/")[0] + "/")
        page.wait_for_text("This tab has no session")
        contents(page, "page-no-session", axe)


def device_login(page, sandbox, axe):
    """Signs in with a code, the notice first, in the same browser."""
    page.click("#in-sandbox-default")
    page.wait_for_text("Sign in", "#dialog-title")
    page.click("input[value=device]")
    page.click("#dialog-form .primary")
    page.wait_for_text("Before you sign in", "#dialog-title")
    contents(page, "sign-in-notice", axe)
    notice = page.text("#dialog-form")
    check("Terms" in notice and len(notice) > 100, "the notice is shown before the first sign-in", notice)
    page.click("#dialog-form .primary")
    check(page.js("return document.querySelector('#dialog-form input').validity.valueMissing"), "it has to be accepted")
    page.click("#dialog-form input[type=checkbox]")
    page.click("#dialog-form .primary")
    page.wait("a code", "return document.querySelector('#user-code')")
    check("Never share this code" in page.text("#dialog-form"), "the code comes with its warning")
    contents(page, "sign-in-code", axe)
    with page.new_tab(lambda: page.click("#sign-in-link")):
        page.wait("the page for codes", "return document.querySelector('#user_code')?.value")
        contents(page, "sandbox-device", axe)
        page.click("button.primary")
        page.wait_for_text("Is this you?")
        contents(page, "sandbox-device-question", axe)
        page.click("button[value=approve]")
        page.wait_for_text("You can close this page")
        contents(page, "sandbox-device-done", axe)
    page.wait_for_text("✓ Signed in", "#logins")
    page.wait("the dialog closes", "return !document.querySelector('#dialog').open")
    check("Signed in as pat@example.test" in page.text("#news"), "the page tells who is signed in", page.text("#news"))
    page.wait("the focus goes on", "return document.activeElement.id === 'out-sandbox-default'")
    check(sandbox.stats()["polls_too_fast"] == 0, "the issuer was not hurried")


def browser_login(page, axe):
    """Signs in through the authorize page and the way back."""
    page.click("#in-sandbox-default")
    page.wait_for_text("Sign in", "#dialog-title")
    page.click("#dialog-form .primary")
    page.wait_for_text("on the vendor’s page", "#dialog-title")
    with page.new_tab(lambda: page.click("#sign-in-link")):
        page.wait_for_text("asks to use your account")
        contents(page, "sandbox-authorize", axe)
        page.size(360, 740)
        page.picture("sandbox-authorize-360")
        page.cdp("Emulation.clearDeviceMetricsOverride")
        page.click("button[value=approve]")
        page.wait("the way back", "return location.pathname === '/auth/callback'")
        page.wait_for_text("You are signed in")
        contents(page, "callback", axe)
    page.wait_for_text("✓ Signed in", "#logins")


def declined_login(page, axe):
    """Somebody who says no on the authorize page."""
    page.click("#in-sandbox-default")
    page.click("#dialog-form .primary")
    page.wait_for_text("on the vendor’s page", "#dialog-title")
    with page.new_tab(lambda: page.click("#sign-in-link")):
        page.wait_for_text("asks to use your account")
        page.click("button[value=deny]")
        page.wait("the way back", "return location.pathname === '/auth/callback'")
        contents(page, "callback-denied", axe)
    page.wait_for_text("That did not work", "#dialog-title")
    contents(page, "sign-in-failed", axe)
    page.press(ESCAPE)
    page.wait("the dialog closes", "return !document.querySelector('#dialog').open")


def sign_out(page, room, axe):
    page.click("#out-sandbox-default")
    page.wait_for_text("Sign out of sandbox / default?", "#dialog-title")
    contents(page, "sign-out", axe)
    page.press(ESCAPE)
    page.wait("the dialog closes", "return !document.querySelector('#dialog').open")
    check("✓ Signed in" in page.text("#logins"), "a sign-out has to be confirmed")
    page.click("#out-sandbox-default")
    page.click("#dialog-form .danger")
    page.wait_for_text("Signed out", "#logins")
    page.wait_for_text("Signed out of sandbox / default. The vendor has confirmed it.", "#news")
    check(room.valetkey("status").returncode == 3, "and the daemon is signed out")
    names = [(entry["client"].get("name"), entry["method"]) for entry in entries(room)]
    check(("page", "logout") in names and ("page", "login.start") in names, "the trail names the page", names)


def entries(room):
    return json.loads(room.said("rpc", "audit.tail", '{"limit": 200}'))["entries"]


def numbers(page):
    """The limits, the chart, its table, and a name that would like to be markup."""
    page.wait_for_text("% used", "#limits")
    page.wait_for_text("resets", "#limits")
    page.wait_for_text(INJECTED, "#legend")
    bars = page.js("return document.querySelectorAll('#chart rect').length")
    check(bars > PAST_DAYS, "the chart has bars for days and agents", bars)
    label = page.js("return document.querySelector('#chart svg').getAttribute('aria-label')")
    check("codex" in label and "tokens" in label, "the chart says in words what it shows", label)
    page.js("document.querySelector('details').open = true")
    table = page.text("#days")
    check(all(agent in table for agent in AGENTS) and INJECTED in table, "the table has every agent", table[:500])
    page.js("const m = document.querySelector('#measure'); m.value = 'requests'; m.dispatchEvent(new Event('change', {bubbles: true}))")
    page.wait("the chart follows the choice", "return document.querySelector('#chart svg').getAttribute('aria-label').startsWith('requests')")
    page.js("const m = document.querySelector('#measure'); m.value = 'tokens'; m.dispatchEvent(new Event('change', {bubbles: true}))")
    page.wait_for_text(INJECTED, "#trail")
    check(page.js("return document.title") == "valetkey" and not page.js("return document.querySelector('main img')"),
          "a client's name stays text")


def filtered(page):
    everything = page.js("return document.querySelectorAll('#trail tbody tr').length")
    page.write("#words", "page login")
    page.wait("fewer rows", "return document.querySelectorAll('#trail tbody tr').length < arguments[0]", everything)
    rows = page.js("return [...document.querySelectorAll('#trail tbody tr')].map((row) => row.innerText)")
    check(rows and all("page" in row and "login" in row for row in rows), "the filter shows what it was asked for", rows)
    check("entries found" in page.js("return document.querySelector('#found').textContent"), "and tells how much, aloud")
    page.write("#words", "no such thing")
    page.wait_for_text("Nothing like that is in the trail.", "#trail")
    page.write("#words", "x")
    page.press("\ue003")
    page.wait("all of it again", "return document.querySelectorAll('#trail tbody tr').length >= arguments[0]", everything)


def keyboard(page):
    """From the top to the end with the Tab key alone, and back into a dialog and out of it."""
    page.js("document.activeElement.blur(); scrollTo(0, 0)")
    page.js("getSelection().removeAllRanges(); document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex')")
    expected, walked = page.js(REACHABLE), []
    for _ in expected:
        page.press(TAB)
        focused = page.js(FOCUSED)
        walked.append(focused["name"])
        check(focused["outline"] and focused["inside"], f"the focus shows: {focused['name'][:40]!r}", focused)
    check(walked == expected, "everything is reached, in order", f"{walked}\n{expected}")
    page.press((SHIFT, TAB))
    check(page.js(FOCUSED)["name"] == expected[-2], "and back")
    page.js("document.querySelector('#add').focus()")
    page.press(ENTER)
    page.wait("the dialog", "return document.querySelector('#dialog').open")
    inside = "return document.querySelector('#dialog').contains(document.activeElement)"
    for _ in range(3):
        check(page.js(inside), "the focus is in the dialog")
        page.press(TAB)
    page.press(ESCAPE)
    page.wait("it closes", "return !document.querySelector('#dialog').open")
    check(page.js("return document.activeElement.id") == "add", "and the focus is where it was")
    page.js("document.querySelector('summary').focus()")
    was = page.js("return document.querySelector('details').open")
    page.press(SPACE)
    check(page.js("return document.querySelector('details').open") != was, "the table opens and closes by the keyboard")


def narrow(page, axe):
    page.size(360, 740)
    page.wait("the chart fits", "return document.querySelector('#chart svg').viewBox.baseVal.width < 360")
    fits = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    check(page.js(fits), "nothing is wider than 360 pixels")
    contents(page, "page-360", axe)
    page.size(640, 900)
    page.js("document.documentElement.style.fontSize = '200%'")
    check(page.js(fits), "nor than the window where text is twice as large")
    page.whole_picture("page-large-text")
    page.js("document.documentElement.style.fontSize = ''")
    page.cdp("Emulation.clearDeviceMetricsOverride")


def away_and_back(page, axe):
    """The daemon out of reach for a while."""
    page.cdp("Network.enable")
    page.cdp("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)
    page.wait_for_text("The daemon does not answer.", "#alarm")
    check("valetkey open" in page.text("#alarm") and "What is shown is from" in page.text("#alarm"), "it says what can be done")
    contents(page, "page-gone", axe)
    page.cdp("Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1)
    page.wait_for_text("The daemon answers again.", "#news")
    check(not page.text("#alarm").strip(), "and the alarm is over")


def left(page, port, daemon):
    page.click("#leave")
    page.wait_for_text("The page is closed")

    def closed():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) != 0

    until("the port is closed with the last session", closed, daemon)
    check(True, "with its last session the page's port is closed")


def quiet(page, what, allowed=()):
    complaints = [text for text in page.complaints() if not any(word in text for word in allowed)]
    check(not complaints, f"the console has nothing to complain of: {what}", "\n".join(complaints))


def play(room):
    axe = ""
    if shutil.which("npm"):
        folder = cache(f"axe-core-{AXE}")
        install = ["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", f"axe-core@{AXE}"]
        axe = (installed(folder, "node_modules/axe-core/axe.min.js", install) / "node_modules/axe-core/axe.min.js").read_text()
    else:
        print("  NOT CHECKED: axe (npm is missing)", flush=True)
    keep_some_past(room)
    with running("sandbox", [room.binary, "sandbox", "--port", "0", "--json"], room) as vendor:
        sandbox = Sandbox(address_of(vendor, room.log("sandbox")))
        (room.path / "config.toml").write_text(DAEMON_CONFIG.format(url=sandbox.url, port=room.port))
        with running("daemon", [room.binary, "serve"], room) as daemon:
            until("the daemon answers", lambda: room.valetkey("rpc", "ping").returncode == 0, daemon)
            with browser(room, shutil.which("chromedriver"), shutil.which("chromium")) as page:
                journey(room, sandbox, daemon, page, axe)
    check(not room.strayed_tokens(), "no token stands in any file but the daemon's own", room.strayed_tokens())
    print(f"  pictures: {artifacts()}", flush=True)


def journey(room, sandbox, daemon, page, axe):
    link = unsigned(room, page, axe)
    quiet(page, "the first look")
    used_up(page, link, axe)
    page.complaints()
    device_login(page, sandbox, axe)
    for client in ("codex", INJECTED):
        completion(room, client)
    numbers(page)
    contents(page, "page", axe)
    filtered(page)
    keyboard(page)
    narrow(page, axe)
    sign_out(page, room, axe)
    browser_login(page, axe)
    declined_login(page, axe)
    quiet(page, "everything that was done since", ("status of 400",))
    away_and_back(page, axe)
    page.complaints()
    left(page, int(link.split(":")[2].split("/")[0]), daemon)
    quiet(page, "the end")


if __name__ == "__main__":
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        skip("chromium and its driver are missing (Debian: chromium, chromium-driver)")
    run("page", play)
