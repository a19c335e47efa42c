"""What the dock is set to, as a recipe and as a command: the same run outside the viewer."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from denoise.cube import Cube
from denoise.engine import RunOptions
from denoise.engine.recipe import (
    Continuum,
    Denoise,
    Inputs,
    Mask,
    Noise,
    Outputs,
    Recipe,
    Report,
    Step,
    Uncertainty,
)
from denoise.errors import UsageError

# how ``denoise.read`` was asked, and where a recipe says it
_INPUTS = ("hdu", "stokes", "beam", "rest")
_NOISE = {"noise": "file", "noise_kind": "kind", "gain": "gain", "psf": "psf"}
_MASK = {"mask": "file", "exclude": "exclude"}
_PLAIN = RunOptions()


def source_of(cube: Cube) -> Path:
    """The file of a cube.

    Raises
    ------
    UsageError
        It does not come from one.
    """
    if cube.path is None:
        raise UsageError(
            "the cube is in memory only", value=cube.name, action="save the layer as FITS and open that"
        )
    return cube.path.absolute()


def recipe_of(source: Path, options: RunOptions, reading: Mapping[str, Any] | None = None) -> Recipe:
    """A recipe that repeats a run on its file.

    Parameters
    ----------
    source : Path
        The input.
    options : RunOptions
        What was done. Memory and device belong to the machine: a recipe does not hold them.
    reading : mapping, optional
        Keywords of ``denoise.read``.
    """
    given = dict(reading or {})
    noise = {part: given[name] for name, part in _NOISE.items() if name in given}
    mask = {part: given[name] for name, part in _MASK.items() if name in given}
    steps = [
        *([Step(mask=Mask(**mask))] if mask else []),
        Step(continuum=Continuum(mode=options.continuum)),
        *(
            [Step(noise=Noise(**noise, companion=options.companion, counts=options.vst))]
            if noise or options.vst or options.companion != _PLAIN.companion
            else []
        ),
        Step(
            denoise=Denoise(
                method=options.method, parameters=options.parameters, positivity=options.positivity
            )
        ),
        *([Step(uncertainty=Uncertainty(draws=options.uncertainty))] if options.uncertainty else []),
        Step(report=Report()),
    ]
    return Recipe(
        version=1,
        title=f"{options.method} on {source.name}, set up in the viewer",
        inputs=Inputs(files=str(source), **{name: given[name] for name in _INPUTS if name in given}),
        seed=options.seed,
        steps=tuple(steps),
        outputs=Outputs(save=options.save),
    )


def recipe_text(recipe: Recipe) -> str:
    """A recipe as the YAML that ``denoise run -r`` reads."""
    values = recipe.model_dump(mode="json", exclude_defaults=True)
    values["steps"] = [
        {step.name: getattr(step, step.name).model_dump(mode="json", exclude_defaults=True) or None}
        for step in recipe.steps
    ]
    return "# denoise run -r THIS_FILE\n" + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def command_line(source: Path, options: RunOptions, reading: Mapping[str, Any] | None = None) -> str:
    """The ``denoise run`` that repeats a run on its file; quoted for a shell."""
    words = ["denoise", "run", str(source), "-m", options.method]
    for name, value in options.parameters.items():
        words += ["--set", f"{name}={_yaml(value)}"]
    for name in ("continuum", "positivity", "companion", "uncertainty", "seed", "device"):
        if getattr(options, name) != getattr(_PLAIN, name):
            words += [f"--{name}", str(getattr(options, name))]
    if options.save != RunOptions(uncertainty=options.uncertainty).save:
        words += ["--save", ",".join(options.save)]
    if options.memory is not None:
        words += ["--memory", str(options.memory)]
    if options.vst is not None:
        words += ["--vst", f"{options.vst.gain},{options.vst.offset},{options.vst.read_noise}"]
    for name, value in (reading or {}).items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)


def _yaml(value: Any) -> str:
    if value is None:
        return "null"
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple | list) else str(value)
