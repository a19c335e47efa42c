"""A real SLURM of two nodes on loopback, all of it in a folder of its own: nothing under /etc is read or changed."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo")
PACKAGES = "slurmctld slurmd slurm-client munge"
NODES = ("n1", "n2")
PATIENCE = 30  # seconds

_CONF = """\
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={controller}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
KillWait=2
{nodes}
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Why there can be no SLURM here; "" if there can be one."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"no {', '.join(absent)}: apt-get install {PACKAGES}"
    return "" if os.geteuid() == 0 else "the daemons of SLURM need root"


@contextmanager
def slurm(folder: Path) -> Iterator[None]:
    """A SLURM that its own commands find, with two idle nodes of one core; stopped, with its jobs, at the end.

    Parameters
    ----------
    folder : Path
        Empty; a short name, because a socket lies in it.
    """
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(_configure(folder))
    try:
        with ExitStack() as stack:
            munge = folder / "munge.socket"
            stack.enter_context(_daemon(folder, _munged(folder)))
            _wait(munge.exists, folder)
            stack.enter_context(_daemon(folder, ["slurmctld", "-D", "-c"]))
            for node in NODES:
                stack.enter_context(_daemon(folder, ["slurmd", "-D", "-N", node], node))
            _wait(lambda: ask("sinfo", "-h", "-t", "idle", "-o", "%D") == str(len(NODES)), folder)
            stack.callback(_cancel_all, folder)
            yield
    finally:
        del os.environ["SLURM_CONF"]
        if before is not None:
            os.environ["SLURM_CONF"] = before


def ask(*command: str) -> str:
    """What a command of SLURM prints; "" where it fails."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def running_jobs() -> list[str]:
    """The numbers of the jobs that run."""
    return ask("squeue", "-h", "-t", "running", "-o", "%i").split()


def _configure(folder: Path) -> Path:
    ports = _free_ports(1 + len(NODES))
    nodes = [
        f"NodeName={name} NodeAddr=127.0.0.1 NodeHostname={socket.gethostname()} Port={port} CPUs=1 RealMemory=4096"
        for name, port in zip(NODES, ports[1:], strict=True)
    ]
    for name in ("state", *(f"spool-{name}" for name in NODES)):
        (folder / name).mkdir()
    file = folder / "slurm.conf"
    file.write_text(
        _CONF.format(host=socket.gethostname(), controller=ports[0], folder=folder, nodes="\n".join(nodes))
    )
    return file


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(closing(socket.socket())) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _munged(folder: Path) -> list[str]:
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(128))
    # force: it finds a folder that others cannot enter unusual
    return [
        *("munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket"),
        *(f"--pid-file={folder}/munged.pid", f"--seed-file={folder}/munged.seed"),
    ]


@contextmanager
def _daemon(folder: Path, command: Sequence[str], name: str = "") -> Iterator[None]:
    with (folder / f"{command[0]}{name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _cancel_all(folder: Path) -> None:
    ask("scancel", "--user=root")
    _wait(lambda: not ask("squeue", "-h"), folder)


def _wait(condition: object, folder: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():  # type: ignore[operator]
        if time.monotonic() > end:
            logs = "\n".join(f"{log.name}: {log.read_text()[-1500:]}" for log in folder.glob("*.log"))
            raise TimeoutError(f"SLURM does not get ready\n{logs}")
        time.sleep(0.1)
