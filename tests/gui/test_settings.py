"""The dock's settings as a recipe and as a command: both are the same run."""

import shlex

import pytest
import yaml

from denoise.cli import parse
from denoise.cube import Cube
from denoise.engine import run_options
from denoise.engine.recipe import Recipe
from denoise.errors import UsageError
from napari_denoise.run.settings import command_line, recipe_of, source_of

RUNS = [
    {},
    {"method": "ist", "parameters": {"threshold": 4.0, "spatial_scales": 3}, "continuum": "median"},
    {"method": "pca", "parameters": {"n_components": 5}, "positivity": "off", "seed": 7},
    {"method": "smooth", "parameters": {"fwhm": 4.5}, "save": ("uncert", "residual"), "companion": "ignore"},
    {"method": "pca", "uncertainty": 8},
    {"method": "noiser", "parameters": {"region": (1, 20, 2, 30), "clip": None}},
]
READING = {
    "hdu": "SCI",
    "noise": "sigma.fits",
    "noise_kind": "sigma",
    "exclude": "channels 3:7",
    "rest": "115.271GHz",
}


@pytest.mark.parametrize("values", RUNS)
@pytest.mark.parametrize("reading", [{}, READING])
def test_the_recipe_is_the_run(tmp_path, values, reading):
    wanted = run_options(**values)
    text = recipe_of(tmp_path / "obs.fits", wanted, reading)
    again = Recipe(**yaml.safe_load(text))
    assert again.options() == wanted or again.options().model_dump(mode="json") == wanted.model_dump(
        mode="json"
    )
    assert again.reading() == reading
    assert again.inputs.patterns == (str(tmp_path / "obs.fits"),)


@pytest.mark.parametrize("values", RUNS)
def test_the_command_is_the_run(tmp_path, values):
    wanted = run_options(**values, memory=10**9)
    words = shlex.split(command_line(tmp_path / "an obs.fits", wanted, READING))
    assert words[:3] == ["denoise", "run", str(tmp_path / "an obs.fits")]
    said = {}
    settings = []
    for name, value in zip(words[3::2], words[4::2], strict=True):
        if name == "--set":
            settings.append(value)
        else:
            said[name.lstrip("-")] = value
    assert said.pop("m") == wanted.method
    given = parse.assignments(settings)
    again = run_options(
        method=wanted.method,
        parameters=given,
        save=parse.words(
            said.get("save", "residual,noise"), option="--save", allowed=("uncert", "residual", "noise")
        ),
        memory=parse.size(said["memory"]),
        **{name: said[name] for name in ("continuum", "positivity", "companion") if name in said},
        seed=int(said.get("seed", 0)),
        uncertainty=int(said.get("uncertainty", 0)),
    )
    assert again.model_dump(mode="json") == wanted.model_dump(mode="json")
    assert said["noise-kind"] == "sigma"


def test_a_cube_in_memory_has_no_file():
    import numpy as np

    with pytest.raises(UsageError, match="in memory only"):
        source_of(Cube(np.zeros((2, 4, 4), np.float32)))
