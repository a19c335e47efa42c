"""The status file of one input of a batch: what was done, to what, with which configuration."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import psutil
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from denoise._version import __version__
from denoise.atomic import put
from denoise.engine.options import RunOptions

# what changes neither the numbers nor the files
_NOT_CONFIGURATION = {"memory", "overwrite", "device"}

State = Literal["running", "done", "failed", "cancelled"]


class Stamp(BaseModel):
    """Size and time of a file: enough to see that it was replaced, without reading it.

    Attributes
    ----------
    bytes, modified_ns : int
        Of the file; summed, and the latest, over a folder (a zarr store).
    """

    model_config = ConfigDict(frozen=True)

    bytes: int
    modified_ns: int


class Status(BaseModel):
    """One input of a batch, as its file beside the output says.

    Attributes
    ----------
    version : int
        Of the format.
    input, output : str
        Paths.
    input_stamp, output_stamp : Stamp or None
        Of the input when the work began, of the output when it ended.
    configuration : str
        Checksum of everything that fixes the output beside the input.
    state : {"running", "done", "failed", "cancelled"}
        "running" of a process that is gone: it was killed.
    error : str
        One line.
    seconds : float or None
        Wall time.
    summary : dict
        The row of the summary.
    pid, born, host : int, float, str
        The process, when it started, and its machine.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    version: Literal[1] = 1
    input: str
    input_stamp: Stamp | None
    configuration: str
    state: State
    output: str
    output_stamp: Stamp | None = None
    error: str = ""
    seconds: float | None = None
    summary: dict[str, Any] = Field(default_factory=dict)
    pid: int = Field(default_factory=os.getpid)
    born: float = Field(default_factory=lambda: psutil.Process().create_time())
    host: str = Field(default_factory=platform.node)

    @property
    def alive(self) -> bool:
        """Whether the process that wrote "running" still runs here; False for one on another machine."""
        if self.state != "running" or self.host != platform.node() or self.pid == os.getpid():
            return False
        try:
            return abs(psutil.Process(self.pid).create_time() - self.born) < 1.0
        except psutil.Error:
            return False


def status_path(output: Path) -> Path:
    """The status file of an output: ``a_denoised.status.json`` beside ``a_denoised.fits``."""
    return output.with_name(f"{output.stem}.status.json")


def read_status(output: Path) -> Status | None:
    """What the status file of an output says; None where there is none that can be understood."""
    try:
        return Status.model_validate_json(status_path(output).read_bytes())
    except (OSError, ValidationError):
        return None


def write_status(status: Status) -> None:
    """Replace the status file in one step.

    Raises
    ------
    ResourceError
        It cannot be written.
    """
    put(status_path(Path(status.output)), f"{status.model_dump_json(indent=1)}\n")


def stamp(path: Path) -> Stamp | None:
    """Size and time of a file (of a name with its HDU, too) or a folder; None where there is none."""
    if not path.exists():
        path = path.with_name(path.name.partition("[")[0] or path.name)
    try:
        found = [path.stat(), *(inner.stat() for inner in path.rglob("*") if path.is_dir())]
    except OSError:
        return None
    return Stamp(bytes=sum(one.st_size for one in found), modified_ns=max(one.st_mtime_ns for one in found))


def configuration_checksum(options: RunOptions, reading: Mapping[str, Any], **more: Any) -> str:
    """SHA-256 of what fixes an output beside its input: options, how it is read, companions, version.

    Parameters
    ----------
    options : RunOptions
        Memory and overwriting do not count.
    reading : mapping
        Keywords of ``denoise.read``; files named there count with their size and time.
    **more
        Which other files are made.
    """
    files = {
        name: one.model_dump()
        for name, value in reading.items()
        if isinstance(value, str) and (one := stamp(Path(value))) is not None
    }
    fixed = {
        "options": options.model_dump(mode="json", exclude=_NOT_CONFIGURATION),
        "reading": {name: str(value) for name, value in reading.items()},
        "files": files,
        "more": more,
        "version": __version__,
    }
    return f"sha256:{hashlib.sha256(json.dumps(fixed, sort_keys=True, default=str).encode()).hexdigest()}"
