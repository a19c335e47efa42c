"""Every error and warning of the package: what is wrong, the value seen, what to do next.

Each error prints as one line, so that the command line can show it as it is, and carries the exit code of
the command (2 usage, 3 unreadable input, 4 not enough resources, 130 cancelled). Each class also inherits the
builtin it corresponds to, so ``except ValueError`` keeps working for callers who know nothing of this module.
"""

from __future__ import annotations

from typing import ClassVar


class DenoiseError(Exception):
    """Base of all errors raised on purpose.

    Parameters
    ----------
    cause : str
        What is wrong, and where (the file, the parameter).
    value : object, optional
        The value that was seen.
    action : str, optional
        What the user can do about it.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, cause: str, *, value: object = None, action: str = "") -> None:
        self.cause = cause
        self.value = value
        self.action = action
        super().__init__(self.message)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.cause, self.value, self.action)

    @property
    def message(self) -> str:
        """Cause, value seen and next action on one line."""
        seen = "" if self.value is None else f" (found: {self.value})"
        todo = f"; {self.action}" if self.action else ""
        return " ".join(f"{self.cause}{seen}{todo}".split())


def _rebuild(cls: type[DenoiseError], cause: str, value: object, action: str) -> DenoiseError:
    return cls(cause, value=value, action=action)


class UsageError(DenoiseError, ValueError):
    """The call is wrong: an option, a combination of options, an output that exists."""

    exit_code = 2


class ParameterError(UsageError):
    """A parameter of a method or of a run is unknown or out of its range."""


class UnknownMethodError(UsageError, KeyError):
    """No denoiser has this name."""

    def __str__(self) -> str:  # KeyError would print the repr
        return self.message


class OutputExistsError(UsageError, FileExistsError):
    """The output is there already and overwriting was not asked for."""


class InputError(DenoiseError, ValueError):
    """The input cannot be read, or holds nothing that can be denoised."""

    exit_code = 3


class NoiseError(InputError):
    """The noise cannot be estimated, or the noise given does not fit the data."""


class ResourceError(DenoiseError, OSError):
    """Not enough memory or disk, or an output that cannot be written."""

    exit_code = 4

    def __str__(self) -> str:
        return self.message


class CancelledError(DenoiseError):
    """The run was cancelled; nothing was left under the final name."""

    exit_code = 130


class DenoiseWarning(UserWarning):
    """Something in the input or the result that the user should know; the run goes on."""
