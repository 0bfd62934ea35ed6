"""A Slurm of two nodes on machines: Debian's slurmctld and slurmd, with a munge key of its own."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from machines import SHARED, SOURCE, Machines, path_to

NEEDED = {
    "slurmctld": "slurmctld", "slurmd": "slurmd", "sbatch": "slurm-client", "munged": "munge",
}  # fmt: skip

_SETTINGS = """
ClusterName=famus
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=/run/munge.sock,cred_expire=5
SlurmdSpoolDir=/run/slurmd
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
GresTypes=gpu
SlurmdParameters=config_overrides
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
_CGROUP = "CgroupPlugin=cgroup/v1\nCgroupAutomount=no\nConstrainCores=no\nConstrainRAMSpace=no\n"


_PATH = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Slurm:
    """Runs Slurm's commands on the first machine, in the folder that both machines see."""

    def __init__(self, machines: Machines) -> None:
        self.machines = machines
        self.folder = machines.shared / "slurm"
        self.head = machines.addresses[0]

    @contextlib.contextmanager
    def up(self) -> Iterator[Slurm]:
        """Inside, both nodes are idle; the processes end with their machines."""
        self._write()
        for address in self.machines.addresses:
            self._do(address, "mkdir", "-p", "/run/slurmd", "/run/munge")
            self._do(
                address, path_to("munged"), "--force", "--key-file=/run/munge.key",
                "--socket=/run/munge.sock", "--pid-file=/run/munge.pid",
                "--log-file=/run/munge.log", "--seed-file=/run/munge.seed",
            )  # fmt: skip
        self._do(self.head, path_to("slurmctld"), "-f", self.conf)
        for address in self.machines.addresses:
            name = self.machines.name(address)
            self._do(address, path_to("slurmd"), "-f", self.conf, "-N", name)
        self.wait_for("sinfo -h -t idle -o %D", "2")
        yield self

    @property
    def conf(self) -> str:
        """The path of slurm.conf on the machines."""
        return str(SHARED / "slurm" / "slurm.conf")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs a command where a user would type it."""
        variables = f"export SLURM_CONF={self.conf} PYTHONPATH={SOURCE} PATH={_PATH}"
        there = f'{variables}; cd {SHARED} && exec "$@"'
        return self.machines.on(self.head, "bash", "-c", there, "bash", *command)

    def wait_for(self, command: str, wanted: str, seconds: float = 60) -> None:
        """Until a command prints what is wanted."""
        end = time.monotonic() + seconds
        while (found := self.run(*command.split())).stdout.strip() != wanted:
            told = self.run("squeue"), self.run("sinfo")
            assert time.monotonic() < end, f"{command}: {found} {told}"
            time.sleep(0.5)

    def _do(self, address: str, *command: object) -> None:
        done = self.machines.on(address, *map(str, command))
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"

    def _write(self) -> None:
        (self.folder / "state").mkdir(parents=True)
        first, nodes = self.machines.name(self.head), []
        for address in self.machines.addresses:
            name = self.machines.name(address)
            nodes += [
                f"NodeName={name} NodeAddr={address} CPUs=4 Sockets=1 CoresPerSocket=4 "
                "ThreadsPerCore=1 RealMemory=8000 Gres=gpu:3 State=UNKNOWN"
            ]
        here = SHARED / "slurm"
        where = [
            f"SlurmctldHost={first}({self.head})", f"StateSaveLocation={here}/state",
            f"SlurmctldLogFile={here}/slurmctld.log", f"SlurmdLogFile={here}/slurmd-%n.log",
        ]  # fmt: skip
        lines = [*where, *_SETTINGS.strip().splitlines()[:-1], *nodes, _SETTINGS.split("\n")[-2]]
        (self.folder / "slurm.conf").write_text("\n".join(lines) + "\n")
        (self.folder / "cgroup.conf").write_text(_CGROUP)
        names = ",".join(map(self.machines.name, self.machines.addresses))
        files = ("/dev/null", "/dev/zero", "/dev/full")  # three GPUs that are none
        gres = "".join(f"NodeName={names} Name=gpu File={file}\n" for file in files)
        (self.folder / "gres.conf").write_text(gres)
        key = secrets.token_bytes(1024)
        for address in self.machines.addresses:
            place = self.machines.folder / f"machine-{address}" / "tmp" / "munge.key"
            place.write_bytes(key)
            self._do(address, "install", "-m", "400", "/tmp/munge.key", "/run/munge.key")
