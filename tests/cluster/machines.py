"""Machines for tests: namespaces of this one, each with its own address, files, processes and sshd.

They hang on a bridge in a network namespace of its own, the laptop, where the user's commands run.
So nothing of it is seen outside, and a machine dies with all of its processes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import famus_ray

SOURCE = Path(famus_ray.__file__).parents[1]
SHARED = Path("/mnt/shared")  # on every machine, as a network file system would be

NEEDED = {
    "ip": "iproute2", "nsenter": "util-linux", "unshare": "util-linux", "rsync": "rsync",
    "ssh": "openssh-client", "ssh-keygen": "openssh-client", "sshd": "openssh-server",
}  # fmt: skip

_SBIN = "/usr/sbin:/sbin"
_SSH_SETTINGS = (
    "PidFile none", "AuthorizedKeysFile /root/.ssh/authorized_keys", "UsePAM no",
    "PermitRootLogin prohibit-password", "PasswordAuthentication no", "StrictModes no",
    "Subsystem sftp internal-sftp", "MaxSessions 50", "MaxStartups 50",
)  # fmt: skip


def path_to(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ['PATH']}:{_SBIN}")


def why_not(programs: dict[str, str]) -> str | None:
    """Why no machines can be made here; None if they can."""
    if os.geteuid() != 0:
        return "needs root: it makes namespaces"
    if missing := {package for name, package in programs.items() if path_to(name) is None}:
        return f"needs the packages {', '.join(sorted(missing))}"
    tried = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"])
    return "needs the right to make namespaces" if tried.returncode else None


class Machines:
    """A laptop and machines at 10.77.0.4, .5, ...; `kill` takes one down like a power cut.

    Args:
        folder: holds the files of the machines.
        count: how many machines.
    """

    def __init__(self, folder: Path, count: int = 2) -> None:
        self.folder = folder
        self.shared = folder / "shared"
        self.home = folder / "home"
        self.key = self.home / ".ssh" / "id_ed25519"
        self.addresses = [f"10.77.0.{4 + i}" for i in range(count)]
        self._prefix = f"fr{os.getpid() % 100_000}"
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @contextlib.contextmanager
    def up(self) -> Iterator[Machines]:
        """Inside, the machines are running; afterwards nothing of them is left."""
        for folder in (self.shared, self.key.parent):
            folder.mkdir(parents=True, exist_ok=True)
        _do("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key))
        laptop = f"{self._prefix}-lap"
        try:
            _do("ip", "netns", "add", laptop)
            _do("ip", "-n", laptop, "link", "set", "lo", "up")
            _do("ip", "-n", laptop, "link", "add", "br0", "type", "bridge")
            _do("ip", "-n", laptop, "addr", "add", "10.77.0.1/24", "dev", "br0")
            _do("ip", "-n", laptop, "link", "set", "br0", "up")
            for address in self.addresses:
                self._start(address)
            self._wait_for_sshd()
            yield self
        finally:
            for address in list(self._running):
                self.kill(address)
            listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
            for name in (line.split()[0] for line in listed.splitlines()):
                if name.startswith(f"{self._prefix}-"):
                    _do("ip", "netns", "del", name)

    def kill(self, address: str) -> None:
        """Cuts a machine off and ends all of its processes."""
        subprocess.run(["ip", "-n", self.name(address), "link", "set", "eth0", "down"])
        process = self._running.pop(address)
        process.send_signal(signal.SIGKILL)  # unshare --kill-child ends all that is inside
        process.wait()

    def name(self, address: str) -> str:
        """The host name of a machine, which is also that of its network namespace."""
        return f"{self._prefix}-n{address.rpartition('.')[2]}"

    def laptop(self, *command: str, **more: str) -> list[str]:
        """The command line that runs a command on the laptop, with variables of its own."""
        return [
            "nsenter", f"--net=/run/netns/{self._prefix}-lap", "env", "-u", "RAY_ADDRESS",
            f"HOME={self.home}", f"PYTHONPATH={SOURCE}", "RAY_USAGE_STATS_ENABLED=0",
            f"TMPDIR={self.home}", f"RAY_TMPDIR={self.home}",
            f"PATH={Path(sys.executable).parent}:{os.environ['PATH']}:{_SBIN}",
            *(f"{name}={value}" for name, value in more.items()), *command,
        ]  # fmt: skip

    def on(self, address: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs a command on a machine, beside sshd."""
        inside = str(next(iter(_children(self._running[address].pid))))
        return subprocess.run(
            ["nsenter", "--target", inside, "--all", "env", "HOME=/root", *command],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    def processes(self, address: str) -> list[str]:
        """The command lines of everything that runs on a machine."""
        listed = self.on(address, "ps", "-eo", "args", "--no-headers").stdout.splitlines()
        return [line for line in listed if not line.startswith("ps -eo")]

    def _start(self, address: str) -> None:
        name, folder = self.name(address), self.folder / f"machine-{address}"
        _do("ip", "netns", "add", name)
        _do("ip", "-n", name, "link", "set", "lo", "up")
        laptop, peer = f"{self._prefix}-lap", f"to{address.rpartition('.')[2]}"
        pair = ("eth0", "netns", name, "type", "veth", "peer", "name", peer)
        _do("ip", "-n", laptop, "link", "add", *pair)
        _do("ip", "-n", laptop, "link", "set", peer, "master", "br0", "up")
        _do("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
        _do("ip", "-n", name, "link", "set", "eth0", "up")
        _do("ip", "-n", name, "route", "add", "default", "via", "10.77.0.1")
        _write_files(folder, address, self)
        with (folder / "sshd.log").open("wb") as log:
            self._running[address] = subprocess.Popen(
                ["nsenter", f"--net=/run/netns/{name}", "unshare", "--mount", "--pid", "--uts",
                 "--ipc", "--fork", "--kill-child", "bash", str(folder / "init.sh")],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def _wait_for_sshd(self) -> None:
        for address in self.addresses:
            for _ in range(100):
                options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
                tried = self.laptop("ssh", "-i", str(self.key), *options, f"root@{address}", "true")
                if subprocess.run(tried, capture_output=True).returncode == 0:
                    break
                time.sleep(0.1)
            else:
                log = (self.folder / f"machine-{address}" / "sshd.log").read_text()
                raise AssertionError(f"{address}: sshd does not answer\n{log}")


def _write_files(folder: Path, address: str, machines: Machines) -> None:
    """The home, the settings of sshd and the first process of a machine."""
    root, prefix = folder / "root", Path(sys.prefix)
    (root / ".ssh").mkdir(parents=True)
    (folder / "tmp").mkdir()
    (folder / "tmp").chmod(0o1777)
    root.chmod(0o700)
    shutil.copy(f"{machines.key}.pub", root / ".ssh" / "authorized_keys")
    (root / ".bash_profile").write_text(". ~/.bashrc\n")
    (root / ".bashrc").write_text(f"export PYTHONPATH={SOURCE} RAY_USAGE_STATS_ENABLED=0\n")
    (root / "famus").mkdir()
    (root / "famus" / "env").symlink_to(prefix)  # as if it had been installed there
    _do("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "hostkey"))
    names = "".join(f"{other} {machines.name(other)}\n" for other in machines.addresses)
    (folder / "hosts").write_text(f"127.0.0.1 localhost\n{names}")
    (folder / "resolv.conf").write_text("")  # a name server out of reach costs 45 s
    settings = [f"ListenAddress {address}:22", f"HostKey {folder / 'hostkey'}", *_SSH_SETTINGS]
    (folder / "sshd_config").write_text("\n".join(settings) + "\n")
    (folder / "init.sh").write_text("\n".join(_first_process(folder, machines, address)) + "\n")


def _first_process(folder: Path, machines: Machines, address: str) -> Iterator[str]:
    yield "set -e; mount --make-rprivate /"
    yield f"hostname {machines.name(address)}"
    yield "mount -t tmpfs tmpfs /mnt; mkdir /mnt/kept /mnt/shared"
    yield f"mount --bind {machines.shared} {SHARED}; mount --rbind {folder} /mnt/kept"
    hidden = ("/root/", "/tmp/", "/run/")
    visible = {SOURCE, Path(sys.prefix), Path(sys.prefix).resolve(), Path(sys.base_prefix)}
    seen = [path for path in sorted(visible) if f"{path}/".startswith(hidden)]
    for number, path in enumerate(seen):
        yield f"mkdir /mnt/seen{number}; mount --rbind {path} /mnt/seen{number}"
    yield "mount --rbind /mnt/kept/root /root; mount --rbind /mnt/kept/tmp /tmp"
    yield "mount -t tmpfs tmpfs /run; mkdir -p /run/sshd"
    for number, path in enumerate(seen):
        yield f"mkdir -p {path}; mount --rbind /mnt/seen{number} {path}"
    yield "mount -t tmpfs -o size=4g tmpfs /dev/shm"
    yield "mount --bind /mnt/kept/hosts /etc/hosts"
    yield "mount --bind /mnt/kept/resolv.conf /etc/resolv.conf"
    yield f"mkdir -p {folder}; mount --bind /mnt/kept {folder}"  # it may lie in /tmp
    yield "mount -t proc proc /proc"
    yield f"exec {path_to('sshd')} -D -e -f {folder / 'sshd_config'}"


def _children(pid: int) -> Iterator[int]:
    yield from map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def _do(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
