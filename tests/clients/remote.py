#!/usr/bin/env python3
"""A daemon used from elsewhere: through OpenSSH, from another mount namespace, from another user namespace.

    tests/clients/remote.py BINARY

The SSH server is the real one, on loopback, with keys and a configuration of its own in the test's folder; what is
"remote" is another home, which knows of no login. Needs sshd and ssh (openssh-server, openssh-client), curl, and
unshare (util-linux); whoever may not make namespaces is told so, and the rest is still looked at.
"""

import contextlib
import json
import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys

import room as rooms
from room import check, run, running, served, skip, until

SSHD_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowStreamLocalForwarding yes
AllowTcpForwarding yes
StreamLocalBindUnlink {unlink}
"""

# Seconds in which a word that is not going to come would have come.
PATIENCE = 20


def program(name):
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if not found:
        skip(f"{name} is missing")
    return found


class Remote:
    """A machine at the other end of SSH: a server, and a home in which nobody is signed in."""

    def __init__(self, room, unlink):
        self.room, self.port = room, rooms.free_port()
        self.folder = room.path / f"ssh-{unlink}"
        self.home = self.folder / "home"
        self.home.mkdir(parents=True, mode=0o700)
        self.socket = self.folder / "remote.sock"
        for key in ("host_key", "key"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / key], check=True,
                stdin=subprocess.DEVNULL, timeout=60)
        shutil.copy(self.folder / "key.pub", self.folder / "authorized_keys")
        (self.folder / "sshd_config").write_text(
            SSHD_CONFIG.format(port=self.port, folder=self.folder, unlink=unlink))
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8",
            "XDG_RUNTIME_DIR": str(self.folder), "VALETKEY_SOCKET": str(self.socket),
            **rooms.quiet_environment(),
        }

    @contextlib.contextmanager
    def server(self):
        # Without privileges it serves its own user only, which is all that is asked of it.
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        arguments = [program("sshd"), "-D", "-e", "-f", str(self.folder / "sshd_config")]
        with running("sshd", arguments, self.room) as server:
            def listens():
                with socket.socket() as probe:
                    return probe.connect_ex(("127.0.0.1", self.port)) == 0
            until("sshd listens", listens, server)
            yield server

    def tunnel_arguments(self, *forwards):
        user = pwd.getpwuid(os.geteuid()).pw_name
        options = [
            "BatchMode=yes", "StrictHostKeyChecking=no", f"UserKnownHostsFile={self.folder}/known_hosts",
            "ExitOnForwardFailure=yes", "IdentitiesOnly=yes",
        ]
        arguments = ["ssh", "-F", "none", "-N", "-i", str(self.folder / "key"), "-p", str(self.port)]
        for option in options:
            arguments += ["-o", option]
        for forward in forwards or (f"{self.socket}:{self.room.socket}",):
            arguments += ["-R", forward]
        return [*arguments, f"{user}@127.0.0.1"]

    @contextlib.contextmanager
    def tunnel(self, *forwards):
        before = inode(self.socket)
        with running("tunnel", self.tunnel_arguments(*forwards), self.room) as tunnel:
            if forwards:
                port = int(forwards[0].split(":")[0])

                def ready():
                    with socket.socket() as probe:
                        return probe.connect_ex(("127.0.0.1", port)) == 0
            else:
                def ready():
                    return inode(self.socket) not in (None, before)
            until("the tunnel stands", ready, tunnel)
            yield tunnel

    def valetkey(self, *words, **more):
        return subprocess.run(
            [self.room.binary, *words], env={**self.environment, **more}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60)

    def has_daemon(self):
        return any(self.home.rglob("valetkey.lock"))


def inode(path):
    """What tells one socket from the next of the same name."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    return (found.st_ino, found.st_mtime_ns) if stat.S_ISSOCK(found.st_mode) else None


def completion(room, *where):
    """What curl prints of a completion asked for there."""
    body = json.dumps({"model": model(room), "input": "Say hello."})
    done = subprocess.run(
        ["curl", "-sS", "--max-time", "60", *where, "-H", "content-type: application/json", "-d", body],
        env={"PATH": os.environ["PATH"]}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90)
    return done.stdout + done.stderr


def model(room):
    return room.said("models").split()[0]


def works_from(name, room, valetkey, *where):
    token = valetkey("token")
    check(token.stdout.strip() == room.said("token"), f"{name}: the token is lent", token.stdout + token.stderr)
    answer = completion(room, *where)
    check('"completed"' in answer, f"{name}: a completion over HTTP", answer)


def over_ssh(room):
    remote = Remote(room, "no")
    curl = ("--unix-socket", str(remote.socket), "http://valetkey/v1/responses")
    with remote.server():
        with remote.tunnel():
            works_from("over ssh", room, remote.valetkey, *curl)
            trail = json.loads(room.said("rpc", "audit.tail", '{"limit": 50}'))["entries"]
            seen = {os.path.basename(entry["client"].get("exe") or "") for entry in trail}
            check("ssh" in seen, "the audit trail knows such callers as ssh", trail)
        check(inode(remote.socket) is not None, "a cut tunnel leaves its socket behind")

        refused = subprocess.run(
            remote.tunnel_arguments(), env=room.environment, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=PATIENCE)
        check(
            refused.returncode != 0 and "remote port forwarding failed" in refused.stderr,
            "which is in the next one's way", refused.stderr)

        said = remote.valetkey("token")
        check(
            said.returncode == 4 and "was removed" in said.stderr and "tunnel" in said.stderr,
            "a client verb says so and removes it", said.stderr)
        check(not remote.socket.exists(), "the stale socket is gone")
        with remote.tunnel():
            works_from("through the next tunnel", room, remote.valetkey, *curl)
        remote.socket.unlink()
        said = remote.valetkey("status")
        check(
            said.returncode == 4 and "forwarded" in said.stderr and not remote.has_daemon(),
            "no daemon is started where none has ever been", said.stderr)
        said = remote.valetkey("status", VALETKEY_NO_SPAWN="1", VALETKEY_DATA_DIR=str(remote.home / "data"))
        check(
            said.returncode == 4 and not remote.has_daemon(),
            "nor where VALETKEY_NO_SPAWN forbids it", said.stderr)

        port = rooms.free_port()
        with remote.tunnel(f"{port}:127.0.0.1:{room.port}"):
            key = room.said("key", "add", "elsewhere")
            answer = completion(
                room, f"http://127.0.0.1:{port}/v1/responses", "-H", f"authorization: Bearer {key}")
            check('"completed"' in answer, "over a forwarded port, with a key", answer)
            answer = completion(room, f"http://127.0.0.1:{port}/v1/responses")
            check('"completed"' not in answer, "and not without", answer)


def over_ssh_that_unlinks(room):
    remote = Remote(room, "yes")
    curl = ("--unix-socket", str(remote.socket), "http://valetkey/v1/responses")
    with remote.server():
        with remote.tunnel():
            pass
        check(inode(remote.socket) is not None, "a socket is left behind here too")
        with remote.tunnel():
            works_from("with StreamLocalBindUnlink the next tunnel takes its place", room, remote.valetkey, *curl)


def may_unshare(*flags):
    tried = subprocess.run(
        [program("unshare"), *flags, "true"], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    return tried.returncode == 0


def in_namespaces(room):
    """A container in all that matters here: other mounts, and another idea of who one is."""
    folder = room.path / "inside"
    (folder / "door").mkdir(parents=True)
    (folder / "home").mkdir(mode=0o700)
    # The folder is bound, and not the socket: a daemon that is started anew makes a new socket.
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder / "home"), "LANG": "C.UTF-8",
        "VALETKEY_SOCKET": str(folder / "door/s"), **rooms.quiet_environment(),
    }
    mounts = ("-m",) if os.geteuid() == 0 else ("-m", "-U", "-r")
    ways = [
        ("in another mount namespace", mounts, ()),
        ("in a user namespace as its root", ("-m", "-U", "-r"), ()),
        # Who is root there may mount, and becomes somebody else after that.
        ("in a user namespace as user 1000", ("-m", "-U", "-r"), ("unshare", "-U", "--map-user=1000")),
    ]
    for name, outer, inner in ways:
        if not may_unshare(*outer):
            print(f"  NOT LOOKED AT: {name}: it may not be made here", file=sys.stderr)
            continue

        def inside(*words, outer=outer, inner=inner):
            bind = 'mount --bind "$0" "$1" && shift && exec "$@"'
            return subprocess.run(
                ["unshare", *outer, "sh", "-c", bind, str(room.door), str(folder / "door"), *inner, *words],
                env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)

        token = inside(str(room.binary), "token")
        check(token.stdout.strip() == room.said("token"), f"{name}: the token is lent", token.stderr)
        answer = inside("curl", "-sS", "--unix-socket", str(folder / "door/s"), "http://valetkey/v1/models")
        check('"data"' in answer.stdout, f"{name}: HTTP is answered", answer.stdout + answer.stderr)
    if os.geteuid() == 0:
        # A container whose user is another one of the machine's, with the folder opened to it by mistake.
        room.door.chmod(0o755)
        room.socket.chmod(0o666)
        room.path.chmod(0o755)
        stranger = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "curl", "-sS", "--unix-socket",
             str(room.socket), "http://valetkey/v1/models"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        said = stranger.stdout + stranger.stderr
        check(
            '"data"' not in said and "Permission denied" not in said and "connect to" not in said,
            "another user of the machine is refused by the daemon, whatever the modes", said)


def play(room):
    # A folder of its own for the socket, as the daemon has by default.
    room.door = room.path / "door"
    room.door.mkdir(mode=0o700)
    room.socket = room.door / "s"
    room.environment["VALETKEY_SOCKET"] = str(room.socket)
    with served(room):
        over_ssh(room)
        over_ssh_that_unlinks(room)
        in_namespaces(room)
        check(not room.strayed_tokens(), "no token was left anywhere", room.strayed_tokens())


def main():
    for needed in ("sshd", "ssh", "ssh-keygen", "curl", "unshare"):
        program(needed)
    run("remote", play)


if __name__ == "__main__":
    sys.exit(main())
