"""An agent plugged in by `valetkey setup AGENT --write`, and what that leaves when it is undone."""

import contextlib
import json

from room import check


def keys(room):
    """The keys that open the door, by name."""
    return [key["name"] for key in json.loads(room.said("key", "list", "--json"))["keys"]]


@contextlib.contextmanager
def plugged(room, agent, file, before, *words):
    """Plugs the agent in and out again; gives its file's text between. `before` is what the person's file
    says, as bytes, or None where there is none."""
    if before is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(before)
    kept = None if before is None else file.stat().st_mode
    words = (agent, *words, "--yes")
    said = room.said("setup", *words, "--write")
    written = file.read_bytes()
    check(written != before, f"setup {agent} writes {file.name}", said)
    room.said("setup", *words, "--write")
    check(file.read_bytes() == written, "... once, however often it is asked to", file.read_text())
    yield written.decode()
    check(file.read_bytes() == written, f"{agent} works without another change to its file", file.read_text())
    said = room.said("setup", *words, "--undo")
    if before is None:
        check(not file.exists(), "undone, the file is gone again", said)
    else:
        check(file.read_bytes() == before, "undone, the person's file is back, byte for byte", file.read_text())
        check(file.stat().st_mode & ~kept == 0, "... and open to nobody else", oct(file.stat().st_mode))
    check(keys(room) == [], "... and the key is revoked", keys(room))
    left = [path for path in (room.path / "state" / "setup").glob("*")]
    check(not left, "... and nothing of it is remembered", left)


def named(room, name):
    """Whether the trail knows the agent's completions by this name."""
    entries = json.loads(room.said("rpc", "audit.tail", '{"limit": 100}'))["entries"]
    names = [entry["client"].get("name") for entry in entries if entry["method"].endswith(".create")]
    check(name in names, f"the trail names the completions of {name}", entries[-5:])
