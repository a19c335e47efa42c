"""``denoise train`` as a user meets it."""

import json

import pytest
import yaml

pytest.importorskip("torch")

from safetensors.numpy import load_file

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
    "guard": {"steps": 3},
    "calibration": {"cubes": 3, "score": 2},
    "notes": ["It knows nothing."],
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
    done = {one["stage"]: one["done"] for one in events if one["event"] == "progress"}
    assert done == {"training": 4, "fitting the guard": 12, "calibrating errors": 10}
    assert sum(one["event"] == "validation" for one in events) == 2
    made = {path.name for path in (recipe.parent / "out").iterdir()}
    assert made == {
        "CARD.md",
        "calibration.yaml",
        "checkpoint.safetensors",
        "curves.png",
        "guard.safetensors",
        "recipe.yaml",
        "weights.safetensors",
    }
    assert train(recipe) == 2
    assert "go on with --resume, or allow --overwrite" in capsys.readouterr().err
    assert train(recipe, "--resume") == 0
    assert "trained 4 of 4 steps" in capsys.readouterr().err


def test_the_card_tells_facts_and_the_notes_of_the_recipe(recipe):
    assert train(recipe) == 0
    folder = recipe.parent / "out"
    card = (folder / "CARD.md").read_text()
    assert card.startswith("# tiny\n")
    for fact in (
        "4 of 4 steps of 1 cubes",
        "Peak SNR 1.5 to 9 (80 %) and 9 to 50",
        "disc 80 %, empty 20 %",
        "white 100 %",
        "- It knows nothing.",
        "Calibrated on 3 simulated cubes; scored on 2 others",
        "| both signs | ",
    ):
        assert fact in " ".join(card.split())
    assert "ring" in card.split("**Left out**")[1].split("**Licence**")[0]
    count = sum(value.size for value in load_file(folder / "weights.safetensors").values())
    assert f"{count:,} parameters" in card
    assert str(recipe.parent) not in card


def test_a_finished_training_that_is_resumed_makes_calibration_and_card_again(recipe):
    assert train(recipe) == 0
    folder = recipe.parent / "out"
    before = {name: (folder / name).read_bytes() for name in ("calibration.yaml", "weights.safetensors")}
    (folder / "calibration.yaml").unlink()
    (folder / "CARD.md").unlink()
    recipe.write_text(yaml.safe_dump(RECIPE | {"notes": ["Other words."]}))
    assert train(recipe, "--resume") == 0
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert "Other words." in (folder / "CARD.md").read_text()


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
