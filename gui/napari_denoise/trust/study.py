"""Studies of one cube, as ``denoise check``, ``compare`` and ``tune`` make them, in a folder of their own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from denoise.cube import Cube
from denoise.engine import RunOptions
from denoise.errors import OutputExistsError, ResourceError
from napari_denoise.jobs import Job


@dataclass(frozen=True)
class Finished:
    """What a study leaves.

    Attributes
    ----------
    title : str
        What it was.
    sentence : str
        What it says.
    notes : tuple of str
        What the user should know.
    folder : TemporaryDirectory
        Goes with this object.
    page : Path
        In it.
    pictures : tuple of Path
        Its figures, PNG.
    """

    title: str
    sentence: str
    notes: tuple[str, ...]
    folder: TemporaryDirectory[str]
    page: Path
    pictures: tuple[Path, ...]

    def save(self, folder: Path) -> Path:
        """Copy everything into a folder that does not exist yet; returns the page there.

        Raises
        ------
        OutputExistsError, ResourceError
        """
        if folder.exists():
            raise OutputExistsError(f"{folder} exists", action="choose another name")
        try:
            shutil.copytree(self.folder.name, folder)
        except OSError as err:
            raise ResourceError(
                f"the study cannot be saved to {folder}", value=err.strerror, action="choose another folder"
            ) from None
        return folder / self.page.name


Study = Callable[[Cube, RunOptions, Mapping[str, Any], Job], Finished]


def check(cube: Cube, options: RunOptions, reading: Mapping[str, Any], job: Job) -> Finished:
    """Injection and recovery of a method.

    Raises
    ------
    DenoiseError
        As ``denoise check``.
    """
    from denoise.check.recovery.study import check_recovery
    from denoise.report.check_page import write_check

    done = check_recovery(cube, options, input_options=reading, progress=job.progress, cancel=job.token)
    folder = _folder()
    files = write_check(done, folder.name)
    return _finished(f"Check of {done.method}", done.sentence(), done.notes, folder, files.html, files.pngs)


def compare(cube: Cube, options: RunOptions, reading: Mapping[str, Any], job: Job) -> Finished:
    """All methods, and which to take; of the options the physics count, not the method.

    Raises
    ------
    DenoiseError
        As ``denoise compare``.
    """
    from denoise.check.choosing.comparison import compare_methods
    from denoise.report.compare_page import write_compared

    # in this process: one that starts Python anew would run the script that opened the viewer
    done = compare_methods(
        cube, options, input_options=reading, alone=False, progress=job.progress, cancel=job.token
    )
    folder = _folder()
    files = write_compared(done, folder.name)
    found = done.compared
    return _finished("Comparison of methods", found.sentence(), found.notes, folder, files.html, files.pngs)


def tune(cube: Cube, options: RunOptions, reading: Mapping[str, Any], job: Job) -> Finished:
    """Parameters of a method chosen on the cube.

    Raises
    ------
    DenoiseError
        As ``denoise tune``.
    """
    from denoise.check.choosing.tuning import tune_method
    from denoise.engine.recipe_text import recipe_text
    from denoise.report.tune_page import write_tuned

    done = tune_method(cube, options, input_options=reading, progress=job.progress, cancel=job.token)
    chosen = options.model_copy(update={"parameters": done.parameters})
    folder = _folder()
    title = f"{done.method} as chosen on {cube.name}"
    files = write_tuned(done, recipe_text(chosen, dict(reading), title=title), folder.name)
    return _finished(f"Tuning of {done.method}", done.sentence(), done.notes, folder, files.html, [files.png])


def _folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="denoise-", ignore_cleanup_errors=True)


def _finished(
    title: str,
    sentence: str,
    notes: Sequence[str],
    folder: TemporaryDirectory[str],
    page: Path,
    pictures: Sequence[Path],
) -> Finished:
    return Finished(title, sentence, tuple(notes), folder, page, tuple(pictures))
