#!/usr/bin/env -S python3 -B
"""The stock Codex CLI, unmodified, on a login that valetkey keeps.

codex.py BINARY. (codex.py --install: only installs the CLI, and prints its folder at last.) Installs the pinned CLI from npm into a cache outside of the tree, then plays the
sandbox vendor, a daemon and the CLI against each other on loopback, in a private folder:

1. on a token that it borrows, the CLI asks the vendor itself;
2. plugged in by `valetkey setup codex --write` and nothing else, through the relay, with a lease that is
   worth nothing elsewhere: a turn in which the model calls the CLI's own shell; unplugged at the end;
3. a token that the vendor revokes in the middle of such a turn costs one refresh, and nobody sees it;
4. four at once, with a token at its end and a slow issuer: one refresh, four answers, and no refresh
   token seen twice. (With the CLI's own login, processes that race like this can lose it.)
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

from room import TURN_TIMEOUT, Failed, cache, check, installed, run, served, skip

CODEX = "0.169.0"
# The first token's life. A token with less than half of its life left is not lent but refreshed.
SHORT_LIFE = 12
# How long the issuer takes over a refresh, while everybody waits.
ISSUER_DELAY_MS = 2000
# Slow enough to do something in the middle of a turn.
EVENT_DELAY_MS = 300
AT_ONCE = 4
# Of several CLIs at once one may read the list of models that another is just writing: their own affair.
OWN_TROUBLE = "failed to load models cache"
# What the CLI calls its shell, and a command that writes nothing to disk.
SHELL = {"name": "exec_command", "arguments": {"cmd": "printf %s-%s it works"}}

# What a person has there, but for the provider.
OWN_CONFIG = """\
check_for_update_on_startup = false
model = "gpt-6.1-sol"   # the best there is
# What the CLI's own sandbox needs of a machine is not looked at here; its shell is told to print two words.
sandbox_mode = "danger-full-access"

[analytics]
enabled = false
[features]
apps = false
plugins = false
remote_plugin = false
"""

BORROWING = """
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
"""


def installed_codex():
    """The pinned CLI, installed once."""
    folder = cache(f"codex-{CODEX}")
    install = ["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", f"@openai/codex@{CODEX}"]
    binary = installed(folder, "node_modules/.bin/codex", install) / "node_modules" / ".bin" / "codex"
    # Its own version, not what the folder is called.
    version = subprocess.run([binary, "--version"], check=True, capture_output=True, text=True).stdout
    check(CODEX in version, f"the client is the stock Codex CLI {CODEX}", version)
    return binary


class Cli:
    """The CLI with a home of its own in the room."""

    def __init__(self, room, codex):
        self.room, self.codex, self.home = room, codex, room.path / "codex"
        self.home.mkdir(mode=0o700)

    @property
    def config(self):
        return self.home / "config.toml"

    @property
    def environment(self):
        return {**self.room.environment, "CODEX_HOME": str(self.home)}

    def borrow(self, base_url):
        """Its requests go to the vendor itself, with a token that is lent to it."""
        borrowing = BORROWING.format(base_url=base_url, binary=self.room.binary)
        self.config.write_text('model_provider = "valetkey"\n' + OWN_CONFIG + borrowing)

    def setup(self, *words):
        """What a person types to plug it in and out."""
        done = subprocess.run(
            [self.room.binary, "--no-spawn", "setup", "codex", *words], env=self.environment,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        check(done.returncode == 0, f"valetkey setup codex {' '.join(words)}", done.stdout + done.stderr)

    def turn(self):
        return subprocess.Popen(
            [self.codex, "exec", "--skip-git-repo-check", "--strict-config", "hi"],
            cwd=self.room.path / "work", env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            # What npm installs is a starter: the program itself would outlive it, and hold its pipes.
            start_new_session=True)


def answered(turn, what):
    """Waits for a turn and checks that the CLI got its answer without a word of trouble."""
    try:
        said, complained = turn.communicate(timeout=TURN_TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(turn.pid, signal.SIGKILL)
        said, complained = turn.communicate()
        raise Failed(f"{what}: no end within {TURN_TIMEOUT} s\n{complained}") from None
    troubles = [line for line in complained.splitlines() if "ERROR" in line and OWN_TROUBLE not in line]
    good = turn.returncode == 0 and said.strip() and not troubles
    check(good, what, f"exit {turn.returncode}\n{said}\n{complained}")


def shell_said(sandbox):
    """What the CLI's shell gave the model, as the latest request told it."""
    outputs = [item for item in sandbox.requests()[-1]["body"]["input"] if item["type"].endswith("_call_output")]
    return json.dumps(outputs)


def borrowed(cli, sandbox):
    cli.borrow(sandbox.url + "/backend-api/codex")
    before = sandbox.stats()
    answered(cli.turn(), "one turn completes on a borrowed token")
    after = sandbox.stats()
    check(after["responses"] == before["responses"] + 1, "... asked of the backend once", after)
    check(after["refresh_requests"] == 0, "... without a refresh", after)


def relayed(cli, sandbox):
    sandbox.settings(call_tool=SHELL)
    before = sandbox.stats()
    answered(cli.turn(), "one turn with a call of the CLI's shell completes through the relay")
    after = sandbox.stats()
    check(after["responses"] == before["responses"] + 2, "... asked of the backend twice", after)
    check("it-works" in shell_said(sandbox), "... which was told what the shell said", sandbox.requests()[-1])
    headers = sandbox.requests()[-1]["headers"]
    wanted = ("session-id", "thread-id", "x-client-request-id", "x-codex-window-id", "x-codex-turn-metadata")
    check(all(name in headers for name in wanted), "... with the headers by which it knows the session", headers)


def named(room):
    """Who was here, as the trail tells it."""
    entries = json.loads(room.said("rpc", "audit.tail", '{"limit": 100}'))["entries"]
    names = [entry["client"].get("name") for entry in entries if entry["method"] == "responses.create"]
    check("codex" in names, "the trail names the CLI's completions", entries[-5:])


def revoked_in_the_middle(cli, sandbox):
    sandbox.settings(event_delay_ms=EVENT_DELAY_MS)
    before = sandbox.stats()
    turn = cli.turn()
    sandbox.wait("on=responses&streaming=1")
    sandbox.call("POST", "/_sandbox/revoke_access", {})
    answered(turn, "a token revoked in the middle of a session is not noticed")
    sandbox.settings(event_delay_ms=0)
    after = sandbox.stats()
    check(after["refreshes"] == before["refreshes"] + 1, "... and costs one refresh", after)
    check("it-works" in shell_said(sandbox), "... and nothing of what was said", sandbox.requests()[-1])


def four_at_once(cli, sandbox):
    room = cli.room
    sandbox.settings(access_ttl_secs=SHORT_LIFE, call_tool=None)
    room.sign_in()
    # Only the held token is short; the one that the refresh brings lasts for everybody.
    sandbox.settings(access_ttl_secs=3600)
    sandbox.fault(on="refresh", times=0, latency_ms=ISSUER_DELAY_MS)
    status = json.loads(room.said("status", "--json"))
    status = status[0] if isinstance(status, list) else status
    at_its_end = status["expires_at"] / 1000 - SHORT_LIFE / 2 + 0.5
    before = sandbox.stats()
    time.sleep(max(0, at_its_end - time.time()))
    # The daemon may have begun on its own by now; what counts is that nothing has come of it.
    now = sandbox.stats()
    check(now["refreshes"] == before["refreshes"], "the token is at its end and no other is there yet", now)
    turns = [cli.turn() for _ in range(AT_ONCE)]
    for number, turn in enumerate(turns, 1):
        answered(turn, f"turn {number} of {AT_ONCE} completes")
    after = sandbox.stats()
    for counter in ("refresh_requests", "refreshes"):
        check(after[counter] == before[counter] + 1, f"one refresh served all {AT_ONCE} ({counter})", after)
    check(after["reuse_detected"] == 0, "no refresh token was shown twice", after)
    check(after["responses"] == before["responses"] + AT_ONCE, "the backend was asked once for each", after)
    sandbox.clear()


def play(room):
    cli = Cli(room, installed_codex())
    with served(room) as sandbox:
        borrowed(cli, sandbox)
        cli.config.write_text(OWN_CONFIG)
        cli.setup("--write")
        relayed(cli, sandbox)
        named(room)
        revoked_in_the_middle(cli, sandbox)
        four_at_once(cli, sandbox)
        cli.setup("--undo")
        check(cli.config.read_text() == OWN_CONFIG, "... after which the configuration is the person's again",
              cli.config.read_text())
        check(not list(cli.home.glob("auth*")), "the CLI holds no credential of its own")
        check(not room.strayed_tokens(), "no token stands in any file but the daemon's own", room.strayed_tokens())


def main():
    if not shutil.which("npm"):
        skip("npm is missing, so the stock Codex CLI cannot be installed")
    if sys.argv[1:] == ["--install"]:
        starter = installed_codex()
        native = sorted(starter.parent.parent.glob("@openai/codex-*/vendor/*/bin/codex"))
        print(native[0].parent.parent)
        return
    run("codex", play)


if __name__ == "__main__":
    sys.exit(main())
