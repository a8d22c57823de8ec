#!/usr/bin/env -S python3 -B
"""OpenAI's JavaScript SDK, unmodified, on a login that valetkey keeps.

openai_node.py BINARY. Installs the pinned SDK from npm into a cache outside of the tree, starts the
sandbox vendor and a daemon, and lets openai_node.mjs ask it over loopback with a local key.
"""

import pathlib
import shutil
import subprocess

from room import TURN_TIMEOUT, cache, check, installed, run, served, skip

OPENAI = "7.57.0"


def play(room):
    folder = cache(f"openai-node-{OPENAI}")
    install = ["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", f"openai@{OPENAI}"]
    installed(folder, "node_modules/openai/package.json", install)
    with served(room) as sandbox:
        environment = {
            **room.environment, "VALETKEY_MODULES": str(folder), "VALETKEY_BASE_URL": room.base_url,
            "VALETKEY_KEY": room.said("key", "add", "node"), "VALETKEY_SANDBOX": sandbox.url,
        }
        script = pathlib.Path(__file__).with_suffix(".mjs")
        done = subprocess.run(
            ["node", script], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=TURN_TIMEOUT)
        print(done.stdout, end="")
        check(done.returncode == 0, "the JavaScript SDK is content", done.stderr)
        check(not room.strayed_tokens(), "no token stands in any file but the daemon's own", room.strayed_tokens())


if __name__ == "__main__":
    if not (shutil.which("npm") and shutil.which("node")):
        skip("node and npm are missing, so the SDK cannot be installed")
    run("node", play)
