#!/usr/bin/env python3
"""The stock Codex CLI, unmodified, on a token that valetkey lends.

codex.py BINARY. Installs the pinned CLI from npm into a cache outside of the tree, then plays the
sandbox vendor, a daemon and the CLI against each other on loopback, in a private folder:

1. one turn completes on a borrowed token;
2. four at once, with a token at its end and a slow issuer: one refresh, four answers, and no refresh
   token seen twice. (With the CLI's own login, processes that race like this can lose it.)
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

CODEX = "0.169.0"
# Seconds. A turn takes one or two; an idle machine is not taken for granted.
TURN_TIMEOUT = 120
START_TIMEOUT = 30
# The first token's life. A token with less than half of its life left is not lent but refreshed.
SHORT_LIFE = 12
# How long the issuer takes over a refresh, while everybody waits.
ISSUER_DELAY_MS = 2000
AT_ONCE = 4
# Nothing listens there: a request that strays from loopback fails at once, and shows.
NOWHERE = "http://127.0.0.1:9"

CODEX_CONFIG = """\
check_for_update_on_startup = false
model_provider = "valetkey"
model = "gpt-6.1-sol"

[model_providers.valetkey]
name = "valetkey"
base_url = "{base_url}"
wire_api = "responses"
requires_openai_auth = false
supports_websockets = false

[model_providers.valetkey.auth]
command = "{binary}"
args = ["token"]
timeout_ms = 30000
refresh_interval_ms = 300000

[analytics]
enabled = false
[features]
apps = false
plugins = false
remote_plugin = false
"""

DAEMON_CONFIG = """\
default_vendor = "sandbox"

[refresh]
# As late as it gets, so that the clients find a token at its end.
lead = "1%"

[vendors.sandbox]
kind = "sandbox"
issuer = "{url}"
api_base = "{url}/backend-api"
"""


class Failed(Exception):
    """A check that did not hold."""


def check(holds, what, seen=""):
    """Says what held, or ends the run with what was seen instead."""
    if not holds:
        raise Failed(f"{what}\n{seen}")
    print(f"  ok  {what}", flush=True)


def installed_codex():
    """The pinned CLI, installed once."""
    cache = os.environ.get("VALETKEY_TEST_CACHE")
    home = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    folder = (pathlib.Path(cache) if cache else home / "valetkey-tests") / f"codex-{CODEX}"
    binary = folder / "node_modules" / ".bin" / "codex"
    if not binary.exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", f"@openai/codex@{CODEX}"],
            check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr,
        )
    # Its own version, not what the folder is called.
    version = subprocess.run([binary, "--version"], check=True, capture_output=True, text=True).stdout
    check(CODEX in version, f"the client is the stock Codex CLI {CODEX}", version)
    return binary


class Sandbox:
    """The sandbox vendor's control door."""

    def __init__(self, url):
        self.url = url

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data, {"content-type": "application/json"}, method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")

    def stats(self):
        return self.call("GET", "/_sandbox/stats")


class Room:
    """A private folder with all that the daemon, the CLI and the person would have in their homes."""

    def __init__(self, path, binary, codex):
        self.path, self.binary, self.codex = pathlib.Path(path), binary, codex
        for name in ("home", "codex", "work", "data", "state"):
            (self.path / name).mkdir(mode=0o700)
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.path / "home"), "LANG": "C.UTF-8",
            "CODEX_HOME": str(self.path / "codex"),
            "VALETKEY_CONFIG": str(self.path / "config.toml"),
            "VALETKEY_DATA_DIR": str(self.path / "data"),
            "VALETKEY_STATE_DIR": str(self.path / "state"),
            "VALETKEY_SOCKET": str(self.path / "s"),
            "HTTP_PROXY": NOWHERE, "HTTPS_PROXY": NOWHERE, "ALL_PROXY": NOWHERE,
            "http_proxy": NOWHERE, "https_proxy": NOWHERE, "all_proxy": NOWHERE,
            "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost",
        }

    def log(self, name):
        return self.path / f"{name}.log"

    def valetkey(self, *words):
        return subprocess.run(
            [self.binary, "--no-spawn", *words], env=self.environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60)

    def turn(self):
        return subprocess.Popen(
            [self.codex, "exec", "--skip-git-repo-check", "--strict-config", "hi"], cwd=self.path / "work",
            env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextlib.contextmanager
def running(name, arguments, room):
    """A process that is asked to stop, and made to, when the block ends."""
    with open(room.log(name), "wb") as log:
        process = subprocess.Popen(
            arguments, env=room.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(START_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def until(what, holds, process):
    """Waits, within bounds, for something that has no event to wait on."""
    end = time.monotonic() + START_TIMEOUT
    while not holds():
        if process.poll() is not None:
            raise Failed(f"{what}: the process ended with {process.returncode}")
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {START_TIMEOUT} s")
        time.sleep(0.05)


def address_of(process, log):
    """The address that the sandbox prints when it listens."""
    def printed():
        return re.search(r"http://127\.0\.0\.1:\d+(?!\d*$)", log.read_text())

    until("the sandbox names its address", printed, process)
    return printed().group(0)


def answered(turn, what):
    """Waits for a turn and checks that the CLI got its answer."""
    try:
        said, complained = turn.communicate(timeout=TURN_TIMEOUT)
    except subprocess.TimeoutExpired:
        turn.kill()
        said, complained = turn.communicate()
        raise Failed(f"{what}: no end within {TURN_TIMEOUT} s\n{complained}") from None
    check(turn.returncode == 0 and said.strip(), what, f"exit {turn.returncode}\n{said}\n{complained}")


def sign_in(room):
    login = room.valetkey("login", "--device", "--no-browser", "--yes", "--force")
    check(login.returncode == 0, "signed in with a device code", login.stdout + login.stderr)


def one_turn(room, sandbox):
    before = sandbox.stats()
    answered(room.turn(), "one turn completes on a borrowed token")
    after = sandbox.stats()
    check(after["responses"] == before["responses"] + 1, "... asked of the backend once", after)
    check(after["refresh_requests"] == 0, "... without a refresh", after)


def four_at_once(room, sandbox):
    sandbox.call("POST", "/_sandbox/settings", {"access_ttl_secs": SHORT_LIFE})
    sign_in(room)
    # Only the held token is short; the one that the refresh brings lasts for everybody.
    sandbox.call("POST", "/_sandbox/settings", {"access_ttl_secs": 3600})
    sandbox.call("POST", "/_sandbox/faults", {"on": "refresh", "times": 0, "latency_ms": ISSUER_DELAY_MS})
    status = json.loads(room.valetkey("status", "--json").stdout)
    status = status[0] if isinstance(status, list) else status
    at_its_end = status["expires_at"] / 1000 - SHORT_LIFE / 2 + 0.5
    time.sleep(max(0, at_its_end - time.time()))
    before = sandbox.stats()
    # The daemon may have begun on its own by now; what counts is that nothing has come of it.
    check(before["refreshes"] == 0, "the token is at its end and no other is there yet", before)
    turns = [room.turn() for _ in range(AT_ONCE)]
    for number, turn in enumerate(turns, 1):
        answered(turn, f"turn {number} of {AT_ONCE} completes")
    after = sandbox.stats()
    check(after["refresh_requests"] == 1 and after["refreshes"] == 1, f"one refresh served all {AT_ONCE}", after)
    check(after["reuse_detected"] == 0, "no refresh token was shown twice", after)
    check(after["responses"] == before["responses"] + AT_ONCE, "the backend was asked once for each", after)
    check(not list(room.path.glob("codex/auth*")), "the CLI holds no credential of its own")


def play(room):
    arguments = [room.binary, "sandbox", "--port", "0", "--approve", "--json"]
    with running("sandbox", arguments, room) as vendor:
        sandbox = Sandbox(address_of(vendor, room.log("sandbox")))
        (room.path / "config.toml").write_text(DAEMON_CONFIG.format(url=sandbox.url))
        (room.path / "codex" / "config.toml").write_text(
            CODEX_CONFIG.format(base_url=sandbox.url + "/backend-api/codex", binary=room.binary))
        with running("daemon", [room.binary, "serve"], room) as daemon:
            until("the daemon answers", lambda: room.valetkey("rpc", "ping").returncode == 0, daemon)
            sign_in(room)
            one_turn(room, sandbox)
            four_at_once(room, sandbox)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: codex.py BINARY")
    if not shutil.which("npm"):
        print("SKIPPED: npm is missing, so the stock Codex CLI cannot be installed", file=sys.stderr)
        sys.exit(77)
    binary = pathlib.Path(sys.argv[1]).resolve()
    codex = installed_codex()
    with tempfile.TemporaryDirectory(prefix="vk-codex-") as path:
        room = Room(path, binary, codex)
        try:
            play(room)
        except Failed as failure:
            print(f"FAIL  {failure}", file=sys.stderr)
            for log in sorted(room.path.glob("*.log")):
                print(f"--- {log.name}\n{log.read_text(errors='replace')[-4000:]}", file=sys.stderr)
            sys.exit(1)


if __name__ == "__main__":
    main()
