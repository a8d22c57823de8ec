#!/usr/bin/env -S python3 -B
"""The stock opencode, unmodified, on a login that valetkey keeps, plugged in with one line.

opencode.py BINARY. Installs the pinned program from npm into a cache outside of the tree. In a home with
a configuration of the person's, and in one without any, `valetkey setup opencode --write` is all that is
typed; then opencode answers, calls its own shell, and after `--undo` everything is as it was.
"""

import json
import os
import shutil
import signal
import subprocess
import sys

from plug import named, plugged
from room import TURN_TIMEOUT, Failed, cache, check, installed, run, served, skip

OPENCODE = "1.18.33"
REPLY = "Hello from the sandbox"
# What opencode calls its shell, and a command that writes nothing to disk.
SHELL = {"name": "bash", "arguments": {"command": "printf %s-%s it works", "description": "Says that it works"}}
# It looks for newer versions of itself and of a list of models, and installs language servers.
QUIET = {
    "OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_LSP_DOWNLOAD": "1"}

MINE = b"""\
// What I like.
{
\t"$schema": "https://opencode.ai/config.json",
\t"model": "anthropic/claude-sonnet-4-5", // while it lasts
\t"autoupdate": false,
\t"provider": {
\t\t"ollama": { "npm": "@ai-sdk/openai-compatible", "options": { "baseURL": "http://127.0.0.1:9/v1" }, },
\t},
}
"""


def installed_opencode():
    """The pinned program, installed once."""
    folder = cache(f"opencode-{OPENCODE}")
    install = ["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", f"opencode-ai@{OPENCODE}"]
    binary = installed(folder, "node_modules/.bin/opencode", install) / "node_modules" / ".bin" / "opencode"
    try:
        version = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=TURN_TIMEOUT)
    except OSError as error:
        skip(f"opencode cannot be run here: {error}")
    if version.returncode != 0:
        skip(f"opencode cannot be run here: exit {version.returncode}\n{version.stderr[-400:]}")
    check(OPENCODE in version.stdout, f"the client is the stock opencode {OPENCODE}", version.stdout)
    return binary


def turn(room, opencode, what, *words):
    """One question, answered without a word of trouble; gives what was printed."""
    process = subprocess.Popen(
        [opencode, "run", *words, "hi"], cwd=room.path / "work", env={**room.environment, **QUIET},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        said, complained = process.communicate(timeout=TURN_TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said, complained = process.communicate()
        raise Failed(f"{what}: no end within {TURN_TIMEOUT} s\n{said}{complained}") from None
    good = process.returncode == 0 and REPLY in said and "Error" not in complained
    check(good, what, f"exit {process.returncode}\n{said}\n{complained}")
    return said


def works(room, opencode, sandbox):
    sandbox.settings(call_tool=None)
    turn(room, opencode, "opencode answers with nothing else typed")
    sent = sandbox.requests()[-1]["body"]
    check(sent["model"] == json.loads(room.said("models", "--json"))["models"][0]["id"], "... by the first model", sent["model"])
    check("reasoning.encrypted_content" in sent["include"], "... in the subscription's own shape", sent["include"])
    named(room, "opencode")

    sandbox.settings(call_tool=SHELL)
    turn(room, opencode, "a turn with a call of its shell completes", "--model", "valetkey/gpt-5.5")
    sent = sandbox.requests()[-1]["body"]
    outputs = json.dumps([item for item in sent["input"] if item.get("type") == "function_call_output"])
    check("it-works" in outputs and sent["model"] == "gpt-5.5", "... and the model was told what the shell said", outputs)


def play(room):
    opencode = installed_opencode()
    folder = room.path / "home" / ".config" / "opencode"
    with served(room) as sandbox:
        with plugged(room, "opencode", folder / "opencode.jsonc", MINE) as text:
            check("// while it lasts" in text and '"ollama"' in text, "what is the person's stays", text)
            check("vk_" not in text, "no key stands in opencode's file", text)
            works(room, opencode, sandbox)
        (folder / "opencode.jsonc").unlink()
        with plugged(room, "opencode", folder / "opencode.json", None):
            works(room, opencode, sandbox)
        check(not room.strayed_tokens(), "no token stands in any file but the daemon's own", room.strayed_tokens())


def main():
    if not shutil.which("npm"):
        skip("npm is missing, so opencode cannot be installed")
    run("opencode", play)


if __name__ == "__main__":
    sys.exit(main())
