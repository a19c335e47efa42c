"""Temporary files: a folder of this process's own, and the removal of what killed processes left."""

from __future__ import annotations

import glob
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from denoise.errors import ResourceError

if TYPE_CHECKING:
    from denoise.cli.batch import Job


@contextmanager
def own_scratch() -> Iterator[Path]:
    """All temporary files of this process in one folder that names it, so that they can be found after a kill."""
    before = tempfile.tempdir
    try:
        folder = Path(tempfile.mkdtemp(prefix=f"{_prefix()}{os.getpid()}-"))
    except OSError as err:
        raise ResourceError(
            "no folder for temporary files",
            value=err,
            action="free some space, or set TMPDIR to another folder",
        ) from None
    tempfile.tempdir = str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(jobs: Sequence[Job]) -> list[Path]:
    """Remove what killed runs of these jobs left: half-written files beside the outputs, and their scratch.

    Call it when no other process works on the jobs.
    """
    parts = [part for job in jobs for path in job.products for part in _parts(path)]
    folders = [folder for folder in Path(tempfile.gettempdir()).glob(f"{_prefix()}*") if _orphan(folder)]
    for path in (*parts, *folders):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return [*parts, *folders]


def _parts(path: Path) -> list[Path]:
    pattern = f".{glob.escape(path.name)}.*.part"
    inside = list(path.glob(".*.part")) if path.is_dir() else []
    return [*path.parent.glob(pattern), *inside]


def _prefix() -> str:
    """Processes of another machine that shares the folder cannot be asked whether they live."""
    return f"denoise-{re.sub(r'[^A-Za-z0-9.]', '_', platform.node())}-"


def _orphan(folder: Path) -> bool:
    import psutil

    match = re.fullmatch(r"(\d+)-\w+", folder.name.removeprefix(_prefix()))
    with suppress(OSError):
        return (
            match is not None and folder.stat().st_uid == os.getuid() and not psutil.pid_exists(int(match[1]))
        )
    return False
