"""The methods as the viewer lists them."""

from __future__ import annotations

import warnings

from denoise.errors import DenoiseWarning
from denoise.methods import MethodInfo, list_methods


def known_methods() -> dict[str, MethodInfo]:
    """Every method that is installed and works; a broken package of others is told by ``denoise doctor``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DenoiseWarning)
        return list_methods()


def title_of(info: MethodInfo) -> str:
    """Its name in a list, and that it is for display only where it is."""
    return info.name if info.category == "denoiser" else f"{info.name} (display only)"
