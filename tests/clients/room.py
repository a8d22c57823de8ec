"""What the tests with stock clients stand on: a private folder, the sandbox vendor, a daemon.

Everything happens on loopback and ends with the test. A client is installed once, pinned, into a cache
outside of the tree.
"""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

# Seconds. A turn takes one or two; an idle machine is not taken for granted.
TURN_TIMEOUT = 120
START_TIMEOUT = 30
INSTALL_TIMEOUT = 480
# Nothing listens there: a request that strays from loopback fails at once, and shows.
NOWHERE = "http://127.0.0.1:9"
# What the vendor's tokens look like.
TOKEN = re.compile(rb"eyJ[\w-]{10,}\.eyJ[\w-]{10,}")

DAEMON_CONFIG = """\
default_vendor = "sandbox"

[http]
listen = "127.0.0.1:{port}"

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


def cache(name):
    """A folder of this name in the cache."""
    chosen = os.environ.get("VALETKEY_TEST_CACHE")
    home = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    return (pathlib.Path(chosen) if chosen else home / "valetkey-tests") / name


def installed(folder, marker, *commands):
    """Runs an installation once: where it ends well a marker is left, and nothing is done again."""
    if not (folder / marker).exists():
        folder.mkdir(parents=True, exist_ok=True)
        for command in commands:
            subprocess.run(
                command, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr, timeout=INSTALL_TIMEOUT)
    return folder


def quiet_environment():
    """Proxies that lead nowhere, but for loopback."""
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    return {
        **{name: NOWHERE for name in proxies}, **{name.lower(): NOWHERE for name in proxies},
        "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost",
    }


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Sandbox:
    """The sandbox vendor's control door."""

    def __init__(self, url):
        self.url = url

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data, {"content-type": "application/json"}, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=START_TIMEOUT) as answer:
            return json.loads(answer.read() or b"null")

    def stats(self):
        return self.call("GET", "/_sandbox/stats")

    def asked(self):
        """How many completions have arrived, refused ones included."""
        return self.stats()["endpoints"].get("responses", {}).get("requests", 0)

    def requests(self):
        """The latest completion requests, the newest last."""
        return self.call("GET", "/_sandbox/requests")["requests"]

    def settings(self, **change):
        return self.call("POST", "/_sandbox/settings", change)

    def fault(self, **fault):
        return self.call("POST", "/_sandbox/faults", fault)

    def clear(self):
        self.call("DELETE", "/_sandbox/faults")

    def wait(self, condition):
        return self.call("GET", f"/_sandbox/wait?{condition}&timeout_ms=20000")


class Room:
    """A private folder with all that the daemon, the clients and the person would have in their homes."""

    def __init__(self, path, binary):
        self.path, self.binary = pathlib.Path(path), binary
        for name in ("home", "work", "data", "state"):
            (self.path / name).mkdir(mode=0o700)
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        self.socket = self.path / "s"
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.path / "home"), "LANG": "C.UTF-8",
            "VALETKEY_CONFIG": str(self.path / "config.toml"),
            "VALETKEY_DATA_DIR": str(self.path / "data"),
            "VALETKEY_STATE_DIR": str(self.path / "state"),
            "VALETKEY_SOCKET": str(self.socket),
            **quiet_environment(),
        }

    def log(self, name):
        return self.path / f"{name}.log"

    def valetkey(self, *words):
        return subprocess.run(
            [self.binary, "--no-spawn", *words], env=self.environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60)

    def said(self, *words):
        """What a command that works prints."""
        done = self.valetkey(*words)
        if done.returncode != 0:
            raise Failed(f"valetkey {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    def sign_in(self):
        login = self.valetkey("login", "--device", "--no-browser", "--yes", "--force")
        check(login.returncode == 0, "signed in with a device code", login.stdout + login.stderr)

    def strayed_tokens(self):
        """Files outside of the daemon's own that hold one of the vendor's tokens."""
        return [
            str(file.relative_to(self.path)) for file in sorted(self.path.rglob("*"))
            if file.is_file() and "data" not in file.relative_to(self.path).parts
            and TOKEN.search(file.read_bytes())
        ]


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


def until(what, holds, process, within=START_TIMEOUT):
    """Waits, within bounds, for something that has no event to wait on."""
    end = time.monotonic() + within
    while not holds():
        if process.poll() is not None:
            raise Failed(f"{what}: the process ended with {process.returncode}")
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {within} s")
        time.sleep(0.05)


def address_of(process, log):
    """The address that the sandbox prints when it listens."""
    def printed():
        return re.search(r"http://127\.0\.0\.1:\d+(?!\d*$)", log.read_text())

    until("the sandbox names its address", printed, process)
    return printed().group(0)


@contextlib.contextmanager
def served(room):
    """A sandbox and a daemon that is signed in there; gives the sandbox."""
    arguments = [room.binary, "sandbox", "--port", "0", "--approve", "--json"]
    with running("sandbox", arguments, room) as vendor:
        sandbox = Sandbox(address_of(vendor, room.log("sandbox")))
        (room.path / "config.toml").write_text(DAEMON_CONFIG.format(url=sandbox.url, port=room.port))
        with running("daemon", [room.binary, "serve"], room) as daemon:
            until("the daemon answers", lambda: room.valetkey("rpc", "ping").returncode == 0, daemon)
            room.sign_in()
            kept = [file for file in (room.path / "data").rglob("*") if file.is_file()]
            check(any(TOKEN.search(file.read_bytes()) for file in kept), "a token would be known where one stood")
            yield sandbox


def run(prefix, play):
    """Plays in a room of its own with the program named on the command line; shows the logs on failure."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: {pathlib.Path(sys.argv[0]).name} BINARY")
    binary = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix=f"vk-{prefix}-") as path:
        room = Room(path, binary)
        try:
            play(room)
        except (Failed, subprocess.SubprocessError) as failure:
            print(f"FAIL  {failure}", file=sys.stderr)
            for log in sorted(room.path.glob("*.log")):
                print(f"--- {log.name}\n{log.read_text(errors='replace')[-4000:]}", file=sys.stderr)
            sys.exit(1)


def skip(why):
    """Ends the run as one that this machine cannot make."""
    print(f"SKIPPED: {why}", file=sys.stderr)
    sys.exit(77)
