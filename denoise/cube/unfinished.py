"""An output that has a temporary name until it is complete: what writers of files and of groups share."""

from __future__ import annotations

import secrets
from pathlib import Path
from types import TracebackType
from typing import Self

from denoise.cube.blockwriter import write_error
from denoise.errors import DenoiseError


class Unfinished:
    """Base of a writer, a context manager: leaving it without an error completes the output, an error removes it.

    Parameters
    ----------
    path : str or Path
        The output.
    overwrite : bool
        Replace an existing one, at the end, in one step.
    """

    def __init__(self, path: str | Path, *, overwrite: bool) -> None:
        self.path = Path(path)
        self.overwrite = overwrite
        self._temporary: Path | None = None
        self._left: dict[str, int] = {}  # voxels that each image still misses

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def open(self) -> None:
        """Make the output under a temporary name, with everything but the pixels."""
        raise NotImplementedError

    def close(self) -> None:
        """Complete the output and give it its name.

        Raises
        ------
        DenoiseError
            Some voxels were never written; nothing is left.
        OutputExistsError
            Another program made the output meanwhile.
        """
        if self._temporary is None:
            return
        missing = {name: n for name, n in self._left.items() if n != 0}
        if missing:
            self.abort()
            raise DenoiseError(
                "the output is not complete", value=missing, action="this is a bug: please report it"
            )
        try:
            self._finish(self._temporary)
        except OSError as error:
            self.abort()
            if isinstance(error, DenoiseError):
                raise
            raise write_error(error, self.path) from error
        self._temporary = None

    def abort(self) -> None:
        """Leave nothing behind."""
        if self._temporary is not None:
            self._remove(self._temporary)
            self._temporary = None

    def _beside(self) -> Path:
        """A name in the folder of the output that no other writer has."""
        return self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}.part")

    def _finish(self, temporary: Path) -> None:
        """Write what comes last, and rename."""
        raise NotImplementedError

    def _remove(self, temporary: Path) -> None:
        raise NotImplementedError
