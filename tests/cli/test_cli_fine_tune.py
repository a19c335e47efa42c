"""``denoise fine-tune`` as a user meets it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

pytest.importorskip("torch")

from denoise.cli.app import execute
from denoise.networks import cells, finetune, gate, lidia_tuning
from denoise.networks.blocks import CHOOSE, JUDGE, TRAIN
from denoise.networks.recipe import checked_recipe
from denoise.networks.weights import build, write_model

SHAPE = (8, 64, 64)
RECIPE = {
    "version": 1,
    "name": "tiny",
    "network": {"widths": [4], "blocks": [1]},
    "simulation": {
        "shapes": [{"shape": [8, 32, 32], "batch": 1}],
        "kinds": {"disc": 1.0},
        "noise": {"white": 1.0},
    },
    "guard": {"steps": 0},
    "calibration": {"cubes": 2, "score": 2},
}
CARDS = {
    "CTYPE1": "RA---SIN",
    "CTYPE2": "DEC--SIN",
    "CTYPE3": "FREQ",
    "CRVAL1": 150.0,
    "CRVAL2": 2.0,
    "CRVAL3": 3.4e11,
    "CDELT1": -1e-5,
    "CDELT2": 1e-5,
    "CDELT3": 1e7,
    "CRPIX1": 32.0,
    "CRPIX2": 32.0,
    "CRPIX3": 1.0,
    "CUNIT1": "deg",
    "CUNIT2": "deg",
    "CUNIT3": "Hz",
    "BUNIT": "Jy/beam",
    "BMAJ": 3e-5,
    "BMIN": 3e-5,
    "BPA": 0.0,
}


@pytest.fixture
def model(tmp_path):
    recipe = checked_recipe(RECIPE, "tiny.yaml")
    write_model(build(recipe).state_dict(), recipe, _made(tmp_path / "model"))
    return tmp_path / "model"


def _made(folder):
    folder.mkdir()
    return folder


def observed(path, seed, *, shape=SHAPE, data=None, **cards):
    """A faint line in noise of 1e-3 Jy/beam."""
    if data is None:
        data = np.random.default_rng(seed).normal(0, 1e-3, shape)
        data[3:5, 30:34, 30:34] += 8e-3
    header = fits.Header(CARDS | cards)
    fits.PrimaryHDU(data.astype(np.float32), header).writeto(path)
    return path


@pytest.fixture
def halves(tmp_path):
    return [observed(tmp_path / f"{name}.fits", seed) for seed, name in enumerate("ab")]


def tune(folder, *more):
    words = ["fine-tune", *map(str, more), "-m", folder / "model", "-o", folder / "new", "--workers", "0"]
    return execute([*map(str, words), "--steps", "1"])


def test_a_refusal_is_one_line_and_a_record(tmp_path, model, halves, capsys):
    given = [word for path in halves for word in ("--half", path)]
    assert tune(tmp_path, *given, "--json-log") == 0
    said = capsys.readouterr()
    events = [json.loads(line) for line in said.err.splitlines()]
    assert events[-1]["event"] == "done"
    assert events[-1]["adopted"] is False
    assert events[-1]["message"].startswith("refused, the original model is kept: ")
    assert "injected faint sources keep" in events[-1]["message"]
    assert "faint flux, before and after" in said.out
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["fine-tune.json"]
    record = json.loads((tmp_path / "new" / "fine-tune.json").read_text())
    assert record["decision"] == "refused"
    assert record["from"]["how"] == "halves"
    assert set(record["from"]["inputs"]) == {"a.fits", "b.fits"}
    assert record["from"]["inputs"]["a.fits"].startswith("sha256:")
    assert tune(tmp_path, *given) == 2
    assert "or allow --overwrite" in capsys.readouterr().err


def test_what_is_adopted_denoises(tmp_path, model, halves, capsys, monkeypatch):
    monkeypatch.setattr(gate, "ERRORS", -100.0)  # any change is an improvement
    assert tune(tmp_path, halves[0]) == 0
    assert f"use it: denoise run OBS.fits -m unet --set model={tmp_path / 'new'}" in capsys.readouterr().err
    made = {path.name for path in (tmp_path / "new").iterdir()}
    assert made == {"calibration.yaml", "fine-tune.json", "recipe.yaml", "weights.safetensors"}
    output = tmp_path / "out.fits"
    run = ["run", str(halves[0]), "-m", "unet", "--set", f"model={tmp_path / 'new'}", "-o", str(output)]
    assert execute([*run, "--no-report"]) == 0
    with fits.open(output) as file:
        science = dict(zip(file["PROVENANCE"].data["KEY"], file["PROVENANCE"].data["VALUE"], strict=True))
    record = json.loads((tmp_path / "new" / "fine-tune.json").read_text())
    assert science["weights"] == record["sha256"]
    monkeypatch.undo()
    assert tune(tmp_path, halves[0], "--overwrite") == 0  # a refusal takes the old model away
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["fine-tune.json"]


@pytest.mark.parametrize("how", ["r2r", "halves"])
def test_a_lidia_network_learns_from_another_cube_or_from_halves(tmp_path, halves, capsys, monkeypatch, how):
    monkeypatch.setattr(gate, "ERRORS", -100.0)  # any change is an improvement
    monkeypatch.setattr(gate, "FLUX", 100.0)
    monkeypatch.setattr(cells, "_KEPT", {TRAIN: 4, CHOOSE: 4, JUDGE: 40})
    few = replace(finetune.LIDIA, rehearsal=0.0, pairs=1, sources=4)
    monkeypatch.setattr(finetune, "LIDIA", few)
    given = [halves[0]] if how == "r2r" else ["--half", halves[0], "--half", halves[1]]
    new = tmp_path / "new"
    words = ["fine-tune", *given, "-m", "lidia-beams", "-o", new, "--workers", "0", "--steps", "1"]
    assert execute([*map(str, words)]) == 0
    assert f"use it: denoise run OBS.fits -m lidia --set model={new}" in capsys.readouterr().err
    assert {path.name for path in new.iterdir()} == {"fine-tune.json", "recipe.yaml", "weights.safetensors"}
    record = json.loads((new / "fine-tune.json").read_text())
    assert record["from"]["how"] == how
    assert record["from"]["model"] == "lidia-beams"
    output = tmp_path / "out.fits"
    run = ["run", str(halves[1]), "-m", "lidia", "--set", f"model={new}", "-o", str(output), "--no-report"]
    assert execute(run) == 0
    with fits.open(output) as file:
        science = dict(zip(file["PROVENANCE"].data["KEY"], file["PROVENANCE"].data["VALUE"], strict=True))
    assert record["sha256"] in science["weights"].split()  # those of the gates stand beside it


def test_an_adaptation_is_in_the_history(tmp_path, halves, monkeypatch):
    monkeypatch.setattr(cells, "_KEPT", {TRAIN: 4, CHOOSE: 4, JUDGE: 40})
    few = replace(lidia_tuning.TUNING, rehearsal=0.0, pairs=1, sources=4, rate=1e-9)
    monkeypatch.setattr(lidia_tuning, "TUNING", few)
    output = tmp_path / "out.fits"
    words = ["run", halves[0], "-m", "lidia", "--set", "adapt=r2r", "--set", "adapt_steps=1", "-o", output]
    assert execute([*map(str, words), "--no-report"]) == 0
    with fits.open(output) as file:
        history = " ".join(str(file[0].header["HISTORY"]).split())
    assert "adaptation refused, the universal network is used" in history


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": (8, 64, 72)}, "differ in shape"),
        ({"BUNIT": "K"}, "differ in unit"),
        ({"CRVAL1": 150.0002}, "differ in their world coordinates"),
        ({"CTYPE3": "VRAD", "CUNIT3": "m/s"}, "differ in their world coordinates"),
        ({"BMAJ": 4e-5}, "differ in their beam"),
    ],
)
def test_halves_that_are_none_are_refused(tmp_path, model, halves, capsys, change, message):
    other = observed(tmp_path / "c.fits", 3, **change)
    assert tune(tmp_path, "--half", halves[0], "--half", other) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert message in line
    assert not (tmp_path / "new").exists()


def test_halves_that_share_noise_are_refused(tmp_path, model, halves, capsys):
    assert tune(tmp_path, "--half", halves[0], "--half", halves[0]) == 3
    assert (
        "not independent halves: they share noise (found: their difference has 0.00"
        in capsys.readouterr().err
    )
    louder = observed(tmp_path / "c.fits", 0, data=3 * fits.getdata(halves[1]) + 5e-3)
    assert tune(tmp_path, "--half", halves[0], "--half", louder) == 3
    assert "they differ in more than noise" in capsys.readouterr().err


def test_mistakes_are_one_line(tmp_path, model, halves, capsys):
    cases = [
        ([], 2, "no input was named"),
        ([halves[0], "--half", halves[1]], 2, "and not both"),
        (["--half", halves[1]], 2, "two files for each field"),
        ([halves[0], "-o", model, "--overwrite"], 2, "would replace the one it begins with"),
        ([halves[0], "-m", "nosuch"], 2, "known: lidia-beams, lidia-white"),
        ([observed(tmp_path / "small.fits", 1, shape=(4, 32, 32))], 3, "too small to judge"),
        ([observed(tmp_path / "flat.fits", 1, data=np.full(SHAPE, 2.0))], 3, "constant"),
        ([tmp_path / "none.fits"], 3, "none.fits"),
    ]
    for words, code, message in cases:
        options = ["-m", str(model), "-o", str(tmp_path / "new"), "--workers", "0", "--steps", "1"]
        assert execute(["fine-tune", *options, *map(str, words)]) == code, words
        line = capsys.readouterr().err
        assert message in line
        assert line.count("\n") == 1
        assert "Traceback" not in line


def test_without_torch(tmp_path, halves, capsys, monkeypatch):
    monkeypatch.setattr("denoise.networks.backend.find_spec", lambda name: None)
    assert execute(["fine-tune", str(halves[0])]) == 2
    assert "denoise fine-tune needs torch" in capsys.readouterr().err
