"""``denoise train`` as a user meets it."""

import json

import pytest
import yaml

pytest.importorskip("torch")

from denoise.cli.app import execute

RECIPE = {
    "version": 1,
    "name": "tiny",
    "network": {"widths": [4], "blocks": [1]},
    "simulation": {
        "shapes": [{"shape": [4, 32, 32], "batch": 1}],
        "kinds": {"disc": 0.8, "empty": 0.2},
        "noise": {"white": 1.0},
    },
    "optimiser": {"steps": 4, "validate_every": 2, "validation": 1},
}


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(RECIPE))
    return path


def train(recipe, *more):
    return execute(["train", str(recipe), "-o", str(recipe.parent / "out"), "--workers", "0", *more])


def test_trains_and_refuses_to_do_it_again_by_accident(recipe, capsys):
    assert train(recipe, "--json-log") == 0
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [one["done"] for one in events if one["event"] == "progress"][-1] == 4
    assert sum(one["event"] == "validation" for one in events) == 2
    made = {path.name for path in (recipe.parent / "out").iterdir()}
    assert made == {"checkpoint.safetensors", "curves.png", "recipe.yaml", "weights.safetensors"}
    assert train(recipe) == 2
    assert "go on with --resume, or allow --overwrite" in capsys.readouterr().err
    assert train(recipe, "--resume") == 0
    assert "trained 4 of 4 steps" in capsys.readouterr().err


def test_mistakes_are_one_line(recipe, capsys):
    assert train(recipe, "--resume") == 2
    assert "holds no checkpoint" in capsys.readouterr().err
    assert train(recipe, "--device", "tpu") == 2
    assert "auto, cpu or cuda" in capsys.readouterr().err
    recipe.write_text(yaml.safe_dump(RECIPE | {"seeds": 3}))
    assert train(recipe) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "seeds" in line


def test_without_torch(recipe, capsys, monkeypatch):
    monkeypatch.setattr("denoise.networks.backend.find_spec", lambda name: None)
    assert train(recipe) == 2
    assert "denoise train needs torch" in capsys.readouterr().err
