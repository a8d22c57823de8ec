#!/usr/bin/env -S python3 -B
"""The stock aider, unmodified, on a login that valetkey keeps, plugged in with one line.

aider.py BINARY. Installs the pinned program from PyPI into a cache outside of the tree. With a
configuration of the person's that names another model, and with none, `valetkey setup aider --write` is
all that is typed; then aider answers and edits a file, and after `--undo` everything is as it was.
"""

import json
import subprocess
import sys

from plug import named, plugged
from room import TURN_TIMEOUT, cache, check, installed, run, served, skip

AIDER = "0.86.2"
REPLY = "Hello from the sandbox"
# It looks for newer versions, reports what it is used for, and asks about the repository that it is in.
QUIET = ["--no-check-update", "--no-analytics", "--no-show-release-notes", "--no-git", "--no-pretty", "--yes-always"]
# A whole file, in the form that aider asks models for that it does not know.
EDIT = "greeting.txt\n```\nhello\nworld\n```\n"

MINE = b"""\
# How I like it.
model: sonnet   # the best
dark-mode: true
openai-api-key: "sk-mine # no comment"
read: [CONVENTIONS.md]
"""


def installed_aider():
    """The pinned program, installed once."""
    folder = cache(f"aider-{AIDER}")
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"aider-chat=={AIDER}"]
    if not (3, 10) <= sys.version_info < (3, 13):
        skip(f"aider {AIDER} is not made for Python {sys.version_info.major}.{sys.version_info.minor}")
    try:
        installed(folder, "installed", [sys.executable, "-m", "venv", folder], pip, ["touch", folder / "installed"])
    except (OSError, subprocess.CalledProcessError) as error:
        skip(f"aider cannot be installed here: {error}")
    return folder / "bin" / "aider"


def turn(room, aider, what, *words):
    """One message, answered; gives what was printed."""
    done = subprocess.run(
        [aider, *QUIET, *words, "--message", "hi"], cwd=room.path / "work", env=room.environment,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TURN_TIMEOUT)
    # What goes wrong with the model is told under this name, and the program ends well all the same.
    check(done.returncode == 0 and "litellm." not in done.stdout, what, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def works(room, aider, sandbox):
    said = turn(room, aider, "aider answers with nothing else typed")
    check(REPLY in said, "... with what the model said", said)
    check("Did you mean" not in said, "... without a question about a model that it does not know", said)
    first = json.loads(room.said("models", "--json"))["models"][0]["id"]
    check(sandbox.requests()[-1]["body"]["model"] == first, "... by the first model", sandbox.requests()[-1])
    named(room, "aider")

    greeting = room.path / "work" / "greeting.txt"
    greeting.write_text("hello\n")
    before = sandbox.settings(reply=EDIT)["reply"]
    turn(room, aider, "a turn that edits a file completes", "greeting.txt")
    sandbox.settings(reply=REPLY)
    check(greeting.read_text() == "hello\nworld\n", "... and the file is as the model wanted it", f"{greeting.read_text()}\n{before}")


def play(room):
    aider = installed_aider()
    (room.path / "work" / "CONVENTIONS.md").write_text("Be brief.\n")
    file = room.path / "home" / ".aider.conf.yml"
    with served(room) as sandbox:
        with plugged(room, "aider", file, MINE) as text:
            check("# the best" in text and "dark-mode: true" in text, "what is the person's stays", text)
            check(file.stat().st_mode & 0o077 == 0, "the file, which holds a key, is the person's alone")
            works(room, aider, sandbox)
        file.unlink()
        with plugged(room, "aider", file, None):
            works(room, aider, sandbox)
        check(not room.strayed_tokens(), "no token stands in any file but the daemon's own", room.strayed_tokens())


if __name__ == "__main__":
    sys.exit(run("aider", play))
