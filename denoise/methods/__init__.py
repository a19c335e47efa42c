"""Denoisers: one file each, all the same contract, found through the entry points ``denoise.methods``."""

from denoise.methods.auto import AUTO, Choice, choose, refuse_parameters
from denoise.methods.contract import (
    Block,
    Denoiser,
    Device,
    Estimate,
    Halo,
    Limits,
    MethodInfo,
    Parameters,
    Sample,
    Source,
)
from denoise.methods.registry import get_method, list_methods

__all__ = [
    "AUTO",
    "Block",
    "Choice",
    "Denoiser",
    "Device",
    "Estimate",
    "Halo",
    "Limits",
    "MethodInfo",
    "Parameters",
    "Sample",
    "Source",
    "choose",
    "get_method",
    "list_methods",
    "refuse_parameters",
]
