"""Compile with numba, wherever the package is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """``numba.njit`` without the GIL, cached beside the source or in the user's cache folder.

    Where neither can be written (a read-only installation without a home) it compiles in memory instead.
    """
    done: Callable[..., Any]
    try:
        done = njit(cache=True, nogil=True, **options)(function)
    except RuntimeError:  # numba: no locator available
        done = njit(nogil=True, **options)(function)
    return done
