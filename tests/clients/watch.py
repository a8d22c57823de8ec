#!/usr/bin/env -S python3 -B
"""`valetkey watch` on a real terminal: a pseudo-terminal whose screen is read as a person would.

watch.py BINARY. Installs pyte, a terminal in Python, pinned, from PyPI into a cache outside of the tree. Then
the view is looked at while programs borrow and carry through a daemon and the sandbox vendor: what it
shows at 80 by 24 and at 200 by 50, what its keys do, and how it leaves the terminal behind.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time

from room import START_TIMEOUT, Failed, cache, check, installed, run, running, served, skip, until

PYTE = "0.8.2"
# SGR sequences that set a colour; 39 and 49 are the terminal's own.
COLOUR = re.compile(rb"\x1b\[(?:[0-9;]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[0-9;]*)?m")
LEFT = b"\x1b[?25h\x1b[?1049l"
# Seconds of processor time in as many of real time, for a build without optimisation.
IDLE_SECONDS, IDLE_CPU = 4, 0.4


def into_pyte():
    """Goes on in the Python that has pyte, which is made once."""
    folder = cache(f"pyte-{PYTE}")
    python = folder / "bin" / "python"
    if sys.prefix != str(folder):
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"pyte=={PYTE}"]
        try:
            installed(folder, "installed", [sys.executable, "-m", "venv", folder], pip, ["touch", folder / "installed"])
        except OSError as error:
            skip(f"no Python environment can be made here: {error}")
        os.execv(python, [python, "-B", *sys.argv])


into_pyte()

import pyte  # noqa: E402


class Window:
    """A terminal window in which the view runs."""

    def __init__(self, room, columns, rows, **environment):
        self.master, self.slave = pty.openpty()
        self.resize_kernel(columns, rows)
        self.before = termios.tcgetattr(self.slave)
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.bytes = b""
        self.process = subprocess.Popen(
            [room.binary, "watch"], stdin=self.slave, stdout=self.slave, stderr=self.slave,
            env={**room.environment, "TERM": "xterm-256color", **environment}, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def resize_kernel(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns, rows):
        """As a person who drags the corner: the system tells the program."""
        self.screen.resize(rows, columns)
        self.resize_kernel(columns, rows)

    def type(self, keys):
        os.write(self.master, keys.encode())

    def read(self, seconds):
        """Takes in what is written within that time; false where nothing came."""
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        piece = os.read(self.master, 65536)
        self.bytes += piece
        self.stream.feed(piece)
        return True

    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display)

    def shows(self, what, pattern, absent=False):
        """Waits until the screen matches, or no longer does."""
        end = time.monotonic() + START_TIMEOUT
        while bool(re.search(pattern, self.text(), re.MULTILINE)) == absent:
            if time.monotonic() > end or (not self.read(0.2) and self.process.poll() is not None):
                check(False, what, f"in vain: {pattern}\n{self.text()}")
        check(True, what)

    def ended(self):
        """The exit code, after all that was written to the end."""
        end = time.monotonic() + START_TIMEOUT
        while self.process.poll() is None:
            self.read(0.1)
            if time.monotonic() > end:
                raise Failed(f"it does not end\n{self.text()}")
        while self.read(0.1):
            pass
        return self.process.returncode

    def ends(self, how, code):
        """Holds it to its exit code, and to the terminal that it leaves behind."""
        check(self.ended() == code, f"{how} ends it with {code}", self.process.returncode)
        check(self.bytes.endswith(LEFT), "... on the screen that was there before, with its cursor", self.bytes[-200:])
        check(self.bytes.count(b"\x1b[?1049h") == self.bytes.count(b"\x1b[?1049l") == 1, "... which was left once")
        check(termios.tcgetattr(self.slave) == self.before, "... and the terminal echoes as before")

    def close(self):
        for end in (self.master, self.slave):
            with contextlib.suppress(OSError):
                os.close(end)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def window(room, columns=80, rows=24, **environment):
    opened = Window(room, columns, rows, **environment)
    try:
        yield opened
    finally:
        opened.close()


def row(client, streams, requests, lent):
    """The line of a client among the borrowers."""
    number = r" +[\d.]+(?: [kM])?"
    return rf"^[ ›] {re.escape(client)} +{streams} +{requests}{number}{number} +{lent}(?:  |$)"


class Held:
    """A connection that is held while tokens are borrowed on it."""

    def __init__(self, room):
        self.stream = socket.socket(socket.AF_UNIX)
        self.stream.settimeout(START_TIMEOUT)
        self.stream.connect(str(room.socket))

    def borrow(self):
        self.stream.sendall(b'{"jsonrpc": "2.0", "id": 1, "method": "token"}\n')
        answer = b""
        while not answer.endswith(b"\n"):
            answer += self.stream.recv(65536)
        check(b'"access_token"' in answer, "a token is lent")


def borrowing(room, sandbox, view):
    view.shows("the login is shown", r"● connected  sandbox/default  \S+@\S+")
    view.shows("... with the life of its token", r"━+─* +\d+ %  ends in \d+ .*renews in \d+")
    view.shows("the limits are shown with their reset times", r"^  5 h  [━─]+ +\d+ %  resets in .* UTC\)$")
    this = pathlib.Path("/proc/self/exe").resolve().name
    held = Held(room)
    held.borrow()
    view.shows("a token that was lent is counted", row(this, 0, 0, 1))
    held.borrow()
    held.borrow()
    held.stream.close()
    view.shows("... and those that follow on one connection", row(this, 0, 0, 3))
    sandbox.fault(on="responses", stall=True)
    with running("asking", [room.binary, "ask", "-m", "gpt-5.5", "hi"], room):
        view.shows("a completion under way is a stream", row("valetkey", 1, 0, 0))
        sandbox.clear()
    view.shows("... until it ends", row("valetkey", 0, r"\d", 0))
    sandbox.settings(used_percent=64)
    room.said("ask", "-m", "gpt-5.5", "hi")
    view.shows("a limit that was told with an answer is a bar", r"^  5 h  ━+─+  64 %  resets in")
    view.shows("completions and their tokens are counted", row("valetkey", 0, "[1-9]", 0))
    view.shows("... and seen as they pass", r"── Tokens.* [1-9]\d* ─$")


def moving(view):
    view.type("?")
    view.shows("the keys are explained", r"Tab, left, right  the next pane")
    view.type("x")
    view.shows("... until a key is pressed", "the next pane", absent=True)
    view.type("a")
    view.shows("every call is shown where that is asked for", r"python\S* +token ok")
    view.type("/responses")
    view.shows("a filter is typed", "filter: responses")
    view.shows("... and leaves what it names", r"^  none that the filter lets through")
    view.shows("... a method among them", r"valetkey +responses.create")
    view.shows("... and nothing else", r"token ok", absent=True)
    view.type("\r")
    view.shows("it is kept", r"filter: responses \(Esc clears\)")
    view.type("\x1b")
    view.shows("... and cleared", r"filter: ", absent=True)
    view.type("\t\t\t")
    view.shows("Tab goes to the next pane", r"^› \d\d:\d\d:\d\d .*", )
    view.type("jj")
    view.shows("... and j to the next row", r"Recent .* 3 of \d+ ─$")


def resizing(view):
    view.resize(200, 50)
    view.shows("a large window has two columns", r"^── Logins ─+ .*── Limits, .*─$")
    view.shows("... and names processes", r"valetkey +0 .* pid \d+ ")
    check(any(len(line.rstrip()) == 200 for line in view.screen.display), "... to its very edge", view.text())
    view.resize(40, 10)
    view.shows("a window that is too small says so", r"^This window is 40 by 10\.\nThere is room from 60 by 16 on\.$")
    view.resize(80, 24)
    view.shows("and 80 by 24 is as before", r"^── Limits, as of .*─$")


def cpu(process):
    """Seconds of processor time that it has taken."""
    with open(f"/proc/{process.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idling(sandbox, view):
    before, end = cpu(view.process), time.monotonic() + IDLE_SECONDS
    while time.monotonic() < end:
        view.read(0.1)
    used = cpu(view.process) - before
    check(used < IDLE_CPU, f"it idles: {used:.2f} s of {IDLE_SECONDS} s")
    asked = sandbox.stats()["endpoints"]["usage"]["requests"]
    check(asked == 1, "the vendor was asked for the limits once, at the beginning", asked)


def coming_back(room, view):
    pid = json.loads(room.said("rpc", "info"))["pid"]
    os.kill(pid, signal.SIGKILL)
    view.shows("a daemon that goes is told", r"The daemon is gone; looked for again in \d s")
    view.shows("... and looked for ever less often", r"looked for again in [34] s")
    check(room.valetkey("rpc", "ping").returncode == 4, "... but none is started")
    with running("daemon-2", [room.binary, "serve"], room) as daemon:
        until("the daemon answers", lambda: room.valetkey("rpc", "ping").returncode == 0, daemon)
        view.type("r")
        view.shows("a daemon that comes back is told", r"daemon +is back, started anew")
        view.shows("... in its own line", r"pid \d+  up \d+ s")
        view.shows("... with the login", r"● connected  sandbox/default")
        view.type("q")
        view.ends("q", 0)
        leaving(room)
        plain(room)


def leaving(room):
    for how, code, do in [
        ("Ctrl-C", 130, lambda view: view.type("\x03")),
        ("Escape", 0, lambda view: view.type("\x1b")),
        ("SIGTERM", 130, lambda view: view.process.terminate()),
        ("SIGHUP", 130, lambda view: view.process.send_signal(signal.SIGHUP)),
    ]:
        with window(room) as view:
            view.shows("it is up", "● connected")
            do(view)
            view.ends(how, code)
    with window(room) as view:
        view.shows("it is up", "● connected")
        os.close(view.slave)
        os.close(view.master)
        view.process.wait(START_TIMEOUT)
        check(view.process.returncode in (1, 130), "a window that is closed ends it, without a panic", view.process.returncode)


def plain(room):
    with window(room) as view:
        view.shows("it is up", "● connected")
        view.type("q")
        view.ended()
        check(COLOUR.search(view.bytes), "there are colours")
    with window(room, NO_COLOR="1") as view:
        view.shows("it is up", "● connected")
        view.type("?q")
        view.ended()
        check(not COLOUR.search(view.bytes), "with NO_COLOR there are none", COLOUR.search(view.bytes))
    with window(room, LC_ALL="C") as view:
        view.shows("a locale without UTF-8 gets ASCII", r"^> \* connected  sandbox/default")
        view.shows("... bars included", r"^  5 h  #+-+ +\d+ %")
        view.type("q")
        view.ended()
        check(view.bytes.isascii(), "... and nothing else")


def play(room):
    refused = room.valetkey("watch")
    check(refused.returncode == 2 and "status --json" in refused.stderr, "no terminal is refused with a hint", refused.stderr)
    with served(room) as sandbox, window(room) as view:
        borrowing(room, sandbox, view)
        moving(view)
        resizing(view)
        idling(sandbox, view)
        coming_back(room, view)
    check(not room.strayed_tokens(), "no token was left anywhere", room.strayed_tokens())


if __name__ == "__main__":
    run("watch", play)
