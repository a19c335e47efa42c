"""What an output records: the science part fixes the numbers, the run part says where and when."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import yaml

from denoise.cube import Provenance

if TYPE_CHECKING:
    from denoise.engine.prepared import Prepared
    from denoise.engine.run import Run

_PACKAGES = ("numpy", "scipy", "astropy", "numba", "scikit-learn", "PyWavelets")

# what changes the file but not its numbers (a device: not beyond rounding)
_NOT_SCIENCE = {"memory", "save", "overwrite", "layout", "device"}


def describe_run(asked: Run, prepared: Prepared, seconds: float) -> Provenance:
    """The two parts of the PROVENANCE table.

    Parameters
    ----------
    asked : Run
        The input, how it was read, the options as asked, who did the tiles.
    prepared : Prepared
        What was made of it: parameters with their defaults, what "auto" became.
    seconds : float
        Wall time so far.
    """
    return Provenance(_science(asked, prepared), _circumstances(asked, prepared, seconds))


def _science(asked: Run, prepared: Prepared) -> dict[str, str]:
    """What fixes the numbers."""
    options = asked.options
    config = options.model_dump(mode="json", exclude=_NOT_SCIENCE)
    config["method"] = prepared.denoiser.info.name
    config["parameters"] = prepared.denoiser.parameters.model_dump(mode="json")
    config.pop("then")
    if options.then:
        config["then"] = [
            step.model_dump(mode="json") | {"parameters": used}
            for step, used in zip(options.then, list(prepared.parameters.values())[1:], strict=True)
        ]
    config["input"] = {key: _plain(value) for key, value in (asked.input_options or {}).items()}
    settled = {"continuum": prepared.data.continuum, "positivity": prepared.denoiser.positivity}
    science = {
        "configuration": yaml.safe_dump(config, sort_keys=True).rstrip(),
        "seed": str(options.seed),
        "method": prepared.label,
        "settled": yaml.safe_dump(settled).rstrip(),
        "noise": prepared.noise.origin,
        "noise_typical": repr(prepared.noise.typical),
        "input_checksum": asked.cube.checksum(),
        "version": version("astro-denoise"),
    }
    if prepared.noise.seams:
        science["noise_seams"] = str(prepared.noise.seams)
    if prepared.denoiser.weights:
        science["weights"] = prepared.denoiser.weights
    return science


def _circumstances(asked: Run, prepared: Prepared, seconds: float) -> dict[str, str]:
    """Where, when and by what it was done."""
    cube, options = asked.cube, asked.options
    run = {
        "input": str(cube.path.resolve()) if cube.path else cube.name,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": f"{seconds:.2f}",
        "tiles": f"{len(prepared.plan.tiles)} ({prepared.plan.layout})",
        "workers": asked.runner.name,
        "layout": options.layout,
        "save": ",".join(options.save),
        "python": platform.python_version(),
        "machine": platform.machine(),
        **_versions(),
    }
    if prepared.backends:
        run["device"] = "; ".join(prepared.backends)
    if prepared.chosen:
        run["chosen"] = f"by auto: {prepared.chosen}"
    if prepared.halved:
        run["short_of_memory"] = prepared.halved
    return run


@cache
def _versions() -> dict[str, str]:
    """Reading the metadata of installed packages takes 20 ms, and they do not change."""
    return {name: version(name) for name in _PACKAGES}


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else str(value)
