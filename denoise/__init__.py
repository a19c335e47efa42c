"""Denoise astronomical spectral cubes and images.

Everything heavy is imported on first use, so that ``import denoise`` stays fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from denoise._version import __version__

if TYPE_CHECKING:
    from denoise.cube import Cube, read
    from denoise.engine import Result, denoise, denoise_lazy
    from denoise.methods import list_methods
    from denoise.noise import NoiseModel

_HOME = {
    "Cube": "denoise.cube",
    "NoiseModel": "denoise.noise",
    "Result": "denoise.engine",
    "denoise": "denoise.engine",
    "denoise_lazy": "denoise.engine",
    "list_methods": "denoise.methods",
    "read": "denoise.cube",
}

__all__ = ["Cube", "NoiseModel", "Result", "__version__", "denoise", "denoise_lazy", "list_methods", "read"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'denoise' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
