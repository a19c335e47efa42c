"""torch, where it is installed; one line that says how to get it where it is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from denoise.errors import UsageError


def check_torch(what: str) -> None:
    """Refuse what cannot run, without the time that an import takes.

    Raises
    ------
    UsageError
        torch is not installed; the message says how to get it.
    """
    if find_spec("torch") is None:
        raise UsageError(
            f"{what} needs torch, which is not installed",
            action='pip install "astro-denoise[networks]", or choose another method, for instance ist',
        )


def need_torch(what: str) -> Any:
    """The module torch; refused as by ``check_torch``."""
    check_torch(what)
    import torch

    return torch


@contextmanager
def torch_threads(torch: Any, threads: int) -> Iterator[None]:
    """Threads of torch inside; what it had is put back."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, threads))
    try:
        yield
    finally:
        torch.set_num_threads(before)
