#!/usr/bin/env -S python3 -B
"""Continue's stock command line, unmodified, on a login that valetkey keeps, plugged in with one line.

continue_cli.py BINARY. Installs the pinned program from npm into a cache outside of the tree; its editor
extensions read the same file. With a configuration of the person's, and with none, `valetkey setup
continue --write` is all that is typed; then it answers and reads a file, and after `--undo` everything is
as it was.
"""

import json
import shutil
import subprocess
import sys

from plug import named, plugged
from room import TURN_TIMEOUT, cache, check, installed, run, served, skip

CONTINUE = "1.5.47"
REPLY = "Hello from the sandbox"
# It reports what it is used for, and looks for newer versions of itself.
QUIET = {"CONTINUE_TELEMETRY_ENABLED": "0", "CONTINUE_CLI_AUTO_UPDATED": "1"}

MINE = b"""\
name: Mine
version: 1.0.0
schema: v1
models:
    # the small one
    - name: llama   # slow
      provider: ollama
      model: llama3
      apiBase: http://127.0.0.1:9
rules:
    - Be brief."""


def installed_continue():
    """The pinned program, installed once."""
    folder = cache(f"continue-{CONTINUE}")
    install = ["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", f"@continuedev/cli@{CONTINUE}"]
    binary = installed(folder, "node_modules/.bin/cn", install) / "node_modules" / ".bin" / "cn"
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=TURN_TIMEOUT)
    if version.returncode != 0:
        skip(f"Continue cannot be run here: {version.stderr[-400:]}")
    check(CONTINUE in version.stdout, f"the client is the stock Continue {CONTINUE}", version.stdout)
    return binary


def turn(room, binary, what):
    """One question, answered; gives what was printed."""
    done = subprocess.run(
        [binary, "-p", "hi"], cwd=room.path / "work", env={**room.environment, **QUIET},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TURN_TIMEOUT)
    check(done.returncode == 0 and REPLY in done.stdout, what, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}")


def works(room, binary, sandbox):
    sandbox.settings(call_tool=None)
    turn(room, binary, "Continue answers with nothing else typed")
    first = json.loads(room.said("models", "--json"))["models"][0]["id"]
    check(sandbox.requests()[-1]["body"]["model"] == first, "... by the first model", sandbox.requests()[-1])
    named(room, "continue")

    note = room.path / "work" / "note.txt"
    note.write_text("it works\n")
    sandbox.settings(call_tool={"name": "Read", "arguments": {"filepath": str(note)}})
    turn(room, binary, "a turn in which it reads a file completes")
    outputs = [item for item in sandbox.requests()[-1]["body"]["input"] if item.get("type") == "function_call_output"]
    check("it works" in json.dumps(outputs), "... and the model was told what stands there", outputs)


def play(room):
    binary = installed_continue()
    file = room.path / "home" / ".continue" / "config.yaml"
    with served(room) as sandbox:
        with plugged(room, "continue", file, MINE) as text:
            check("# the small one" in text and "# slow" in text, "what is the person's stays", text)
            check(file.stat().st_mode & 0o077 == 0, "the file, which holds a key, is the person's alone")
            works(room, binary, sandbox)
        file.unlink()
        with plugged(room, "continue", file, None):
            works(room, binary, sandbox)
        check(not room.strayed_tokens(), "no token stands in any file but the daemon's own", room.strayed_tokens())


def main():
    if not shutil.which("npm"):
        skip("npm is missing, so Continue cannot be installed")
    run("continue", play)


if __name__ == "__main__":
    sys.exit(main())
