"""What a run refuses of an enhancer, whichever it is."""

from __future__ import annotations

from denoise.engine.options import RunOptions
from denoise.errors import ParameterError
from denoise.methods import MethodInfo


def check_enhancer(info: MethodInfo, options: RunOptions) -> None:
    """An enhancer is alone, and what it makes is not clipped; nothing is asked of a denoiser.

    Raises
    ------
    ParameterError
    """
    if info.category != "enhancer":
        return
    if options.then:
        raise ParameterError(
            f"method {info.name} is an enhancer: it cannot be one of several steps",
            value=", ".join([options.method, *(step.method for step in options.then)]),
            action="denoise first, and enhance the output in a run of its own",
        )
    if options.uncertainty:
        raise ParameterError(
            f"method {info.name} is an enhancer: draws of the noise give errors of denoisers",
            value=f"uncertainty {options.uncertainty}",
            action="leave uncertainty out",
        )
    if options.positivity == "on":
        raise ParameterError(
            f"method {info.name} is an enhancer: positivity is for denoisers", action="leave positivity out"
        )
