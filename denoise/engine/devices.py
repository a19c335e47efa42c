"""One GPU for each worker, where there are any: a worker sees its own alone, before a library looks for them."""

from __future__ import annotations

import os
import re
from collections.abc import MutableMapping, Sequence
from pathlib import Path

_VISIBLE = "CUDA_VISIBLE_DEVICES"
_INSTALLED = Path("/proc/driver/nvidia/gpus")  # of the driver on Linux: a folder for each


def take_device(worker: str, *, environment: MutableMapping[str, str] | None = None) -> str | None:
    """Make this process see one GPU of those it may use, by the number of its worker.

    Parameters
    ----------
    worker : str
        Name of the worker; its last number counts: "3", "SLURMCluster-0-3".
    environment : mutable mapping, optional
        Changed; None: that of the process.

    Returns
    -------
    str or None
        The GPU as CUDA names it; None, and nothing is changed, where there is none.
    """
    environment = os.environ if environment is None else environment
    devices = usable_devices(environment.get(_VISIBLE), _count(_INSTALLED))
    if not devices:
        return None
    numbers = re.findall(r"\d+", worker)
    device = devices[int(numbers[-1]) % len(devices) if numbers else 0]
    environment[_VISIBLE] = device
    return device


def usable_devices(visible: str | None, installed: int) -> Sequence[str]:
    """The GPUs that a process may use: those that a queue or a user left visible, else all that are installed."""
    if visible is None:
        return [str(number) for number in range(installed)]
    return [name.strip() for name in visible.split(",") if name.strip()]


def _count(folder: Path) -> int:
    try:
        return sum(1 for _ in folder.iterdir())
    except OSError:
        return 0
