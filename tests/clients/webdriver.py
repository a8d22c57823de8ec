"""A real browser, driven over the WebDriver protocol (W3C) with nothing but the standard library."""

import base64
import contextlib
import json
import os
import pathlib
import re
import time
import urllib.error
import urllib.request

from room import START_TIMEOUT, Failed, cache, running, until

# Seconds. A browser takes some to start on a busy machine.
COMMAND_TIMEOUT = 120
# How a reference to an element is named in answers.
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
# Keys of the keyboard, as the protocol writes them.
TAB, ENTER, ESCAPE, SHIFT, SPACE, DOWN = "\ue004", "\ue007", "\ue00c", "\ue008", " ", "\ue015"

SWITCHES = (
    "--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-default-apps",
    "--disable-features=Translate,OptimizationHints,MediaRouter", "--window-size=1280,1000",
    # Whatever is not on this machine is nowhere.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)


def artifacts():
    """Where pictures go."""
    chosen = os.environ.get("VALETKEY_TEST_ARTIFACTS")
    folder = pathlib.Path(chosen) if chosen else cache("artifacts") / "browser"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def asked(method, url, body=None):
    """One command of the protocol."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=COMMAND_TIMEOUT) as answer:
            return json.loads(answer.read())["value"]
    except urllib.error.HTTPError as error:
        raise Failed(f"{method} {url}: {error.read().decode()[:1500]}") from None


class Browser:
    """One window of one session; tabs are switched between by handle."""

    def __init__(self, session):
        self.session = session

    def ask(self, method, path, body=None):
        return asked(method, self.session + path, body)

    def go(self, url):
        self.ask("POST", "/url", {"url": url})

    def address(self):
        return self.ask("GET", "/url")

    def js(self, script, *arguments):
        return self.ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def js_async(self, script, *arguments):
        return self.ask("POST", "/execute/async", {"script": script, "args": list(arguments)})

    def cdp(self, command, **parameters):
        return self.ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def text(self, css="body"):
        return self.js("return document.querySelector(arguments[0])?.innerText ?? ''", css)

    def find(self, css):
        return self.ask("POST", "/element", {"using": "css selector", "value": css})

    def click(self, css):
        self.ask("POST", f"/element/{self.find(css)[ELEMENT]}/click", {})

    def write(self, css, text):
        element = self.find(css)[ELEMENT]
        self.ask("POST", f"/element/{element}/clear", {})
        self.ask("POST", f"/element/{element}/value", {"text": text})

    def press(self, *keys):
        """Presses keys one after another; those in a tuple together."""
        actions = []
        for key in keys:
            held = key if isinstance(key, tuple) else (key,)
            actions += [{"type": "keyDown", "value": one} for one in held]
            actions += [{"type": "keyUp", "value": one} for one in reversed(held)]
        self.ask("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def wait(self, what, script, *arguments):
        """Waits, within bounds, until a script's value is true, and gives it."""
        end = time.monotonic() + START_TIMEOUT
        while True:
            value = self.js(script, *arguments)
            if value:
                return value
            if time.monotonic() > end:
                raise Failed(f"{what}: in vain\n{self.address()}\n{self.text()[:3000]}")
            time.sleep(0.05)

    def wait_for_text(self, text, css="body"):
        self.wait(f"{text!r} in {css}", "return (document.querySelector(arguments[0])?.innerText ?? '').includes(arguments[1])", css, text)

    def picture(self, name):
        shot = base64.b64decode(self.ask("GET", "/screenshot"))
        (artifacts() / f"{name}.png").write_bytes(shot)

    def whole_picture(self, name):
        """The page in its whole length."""
        size = self.js("return [innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1}
        shot = self.cdp("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        (artifacts() / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))

    def colours(self, scheme):
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def size(self, width, height):
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def complaints(self):
        """What the console was told since the last look: broken policies, failed loads, exceptions."""
        log = self.ask("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in log if entry["level"] in ("SEVERE", "WARNING")]

    def tabs(self):
        return self.ask("GET", "/window/handles")

    def tab(self):
        return self.ask("GET", "/window")

    def switch(self, handle):
        self.ask("POST", "/window", {"handle": handle})

    def close_tab(self):
        self.ask("DELETE", "/window")

    @contextlib.contextmanager
    def new_tab(self, opens):
        """Another tab, which `opens` opens; closed again afterwards."""
        here, before = self.tab(), self.tabs()
        opens()
        end = time.monotonic() + START_TIMEOUT
        while len(self.tabs()) == len(before):
            if time.monotonic() > end:
                raise Failed("no other tab was opened")
            time.sleep(0.05)
        self.switch(next(tab for tab in self.tabs() if tab not in before))
        try:
            yield
        finally:
            self.close_tab()
            self.switch(here)


@contextlib.contextmanager
def browser(room, chromedriver, chromium):
    """A headless Chromium with a profile of its own in the room."""
    with running("chromedriver", [chromedriver, "--port=0"], room) as process:
        log = room.log("chromedriver")

        def port():
            return re.search(r"started successfully on port (\d+)", log.read_text())

        until("chromedriver listens", port, process)
        driver = f"http://127.0.0.1:{port().group(1)}"
        switches = [*SWITCHES, f"--user-data-dir={room.path / 'profile'}"]
        if os.geteuid() == 0:
            switches.append("--no-sandbox")
        wanted = {
            "browserName": "chrome", "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"binary": chromium, "args": switches},
        }
        begun = asked("POST", f"{driver}/session", {"capabilities": {"alwaysMatch": wanted}})
        session = f"{driver}/session/{begun['sessionId']}"
        try:
            yield Browser(session)
        finally:
            asked("DELETE", session)
