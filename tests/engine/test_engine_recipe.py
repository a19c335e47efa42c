"""What a recipe says, what it refuses and how, and the tasks that come of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from denoise.engine.options import run_options
from denoise.engine.recipe_file import SCHEMA, check_recipe, load_recipe, recipe_names, schema
from denoise.engine.recipe_tasks import recipe_tasks
from denoise.errors import InputError, UsageError
from denoise.resources import resource

FULL = """
version: 1
inputs: {files: "*.fits", rest: 115.271GHz}
seed: 3
steps:
  - crop: {channels: "2:9", around: 10deg 2deg 8arcsec}
  - mask: {file: mask.fits, exclude: "channels 0:1"}
  - continuum: {mode: median}
  - noise: {file: "sigma.fits[ERR]", kind: sigma, companion: scale}
  - denoise: {method: smooth, parameters: {fwhm: 3}, positivity: off}
  - uncertainty: {draws: 8}
  - metrics: {formats: [json]}
  - report: {html: false}
outputs: {folder: results, name: "{stem}_clean.fits", save: [noise], layout: like-input, overwrite: true}
"""


def _recipe(steps: list[Any], **more: Any) -> dict[str, Any]:
    return {"version": 1, "steps": steps, **more}


def test_every_field_reaches_the_run(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(FULL)
    (tmp_path / "b.fits").touch()
    (tmp_path / "a.fits").touch()
    one, two = recipe_tasks(load_recipe(tmp_path / "recipe.yaml"))
    assert [one.source, two.source] == [tmp_path / "a.fits", tmp_path / "b.fits"]
    assert one.options == run_options(
        method="smooth",
        parameters={"fwhm": 3},
        seed=3,
        continuum="median",
        positivity="off",
        companion="scale",
        uncertainty=8,
        save=("noise",),
        overwrite=True,
        layout="like-input",
    )
    assert one.reading == {
        "mask": str(tmp_path / "mask.fits"),
        "exclude": "channels 0:1",
        "noise": str(tmp_path / "sigma.fits[ERR]"),
        "noise_kind": "sigma",
        "rest": "115.271GHz",
        "crop": "channels 2:9, around 10deg 2deg 8arcsec",
    }
    assert (one.folder, one.name) == (tmp_path / "results", "{stem}_clean.fits")
    assert (one.report, one.metrics) == (False, ("json",))


def test_globs_with_an_hdu_and_folders_with_brackets(tmp_path: Path) -> None:
    folder = tmp_path / "[run]"
    (folder / "deep/er").mkdir(parents=True)
    for name in ("b.fits", "deep/er/a.fits"):
        (folder / name).touch()
    inputs = {"files": ["**/*.fits[SCI]", "none.fits"]}
    (folder / "r.yaml").write_text(yaml.safe_dump(_recipe([IST], inputs=inputs)))
    found = [str(task.source.relative_to(folder)) for task in recipe_tasks(load_recipe(folder / "r.yaml"))]
    assert found == ["b.fits[SCI]", "deep/er/a.fits[SCI]", "none.fits"]


def test_several_denoise_steps() -> None:
    recipe = check_recipe(_recipe([{"denoise": {"method": "smooth"}}, {"denoise": {}}]), where="r")
    options = recipe.options()
    assert (options.method, [step.method for step in options.then]) == ("smooth", ["ist"])


IST = {"denoise": {"method": "ist"}}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"steps": [IST]}, r"r\.yaml: version: not valid; field required"),
        (_recipe([]), r"r\.yaml: steps: not valid.*at least 1"),
        (_recipe([{"crop": {}}]), r"r\.yaml: steps: there is no denoise step; add one"),
        (_recipe([IST], odd=1), r"r\.yaml: odd is not known; known there: version, title, inputs"),
        (_recipe([{"denoize": {}}]), r"steps\.0\.denoize is not known; known there: crop, mask"),
        (
            _recipe([{"crop": {"z": 1}}, IST]),
            r"steps\.0\.crop\.z is not known; known there: channels, spectral",
        ),
        (_recipe([{"crop": {"x": "a"}}, IST]), r"steps\.0\.crop\.x: not valid \(found: a\)"),
        (_recipe([{"crop": {}, **IST}]), r"steps\.0: not valid.*put a dash"),
        (_recipe([IST, {"mask": {}}]), r"steps\.1\.mask: it comes too late; put it before denoise"),
        (_recipe([{"report": {}}, IST]), r"steps\.0\.report: it comes too early; put it after"),
        (_recipe([{"noise": {}}, {"noise": {}}, IST]), r"steps\.1\.noise: the recipe has this step already"),
        (
            _recipe([IST, {"uncertainty": {"draws": 0}}]),
            r"steps\.1\.uncertainty: method ist gives no 1 sigma error",
        ),
        (
            _recipe([{"denoise": {"method": "smooth"}}, IST], outputs={"save": ["uncert"]}),
            r"outputs\.save: several denoise steps give no 1 sigma error",
        ),
        (
            _recipe([{"noise": {}}, {"denoise": {"method": "ist", "parameters": {"threshold": -4}}}]),
            r"r\.yaml: steps\.1\.denoise\.parameters\.threshold: not valid \(found: -4\); .*greater than",
        ),
        (
            _recipe([{"denoise": {"method": "pca", "parameters": {"odd": 4}}}]),
            r"steps\.0\.denoise\.parameters\.odd: method pca has no such parameter; its parameters are: n_comp",
        ),
        (
            _recipe([{"denoise": {"method": "none"}}]),
            r"steps\.0\.denoise: unknown method \(found: none\); choose",
        ),
        (
            _recipe([{"continuum": {"mode": "odd"}}, IST]),
            r"steps\.0\.continuum\.mode: not valid \(found: odd\); choose auto",
        ),
        (
            _recipe([IST], outputs={"name": "x.txt"}),
            r"outputs\.name: not valid \(found: x\.txt\); write a file",
        ),
        (
            _recipe([{"noise": {"counts": {"gain": 0}}}, IST]),
            r"steps\.0\.noise\.counts\.gain: not valid \(found: 0\)",
        ),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(values: dict[str, Any], said: str, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(UsageError, match=said) as caught:
        load_recipe(tmp_path / "r.yaml")
    assert "\n" not in str(caught.value)


def test_files_that_are_no_recipe(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("steps: [")
    with pytest.raises(UsageError, match=r"bad\.yaml is not valid YAML in line 1"):
        load_recipe(bad)
    bad.write_text("- denoise")
    with pytest.raises(UsageError, match=r"bad\.yaml holds no recipe \(found: list\)"):
        load_recipe(bad)
    with pytest.raises(InputError, match=r"none\.yaml cannot be read"):
        load_recipe(tmp_path / "none.yaml")
    with pytest.raises(UsageError, match="there is no recipe 'odd'"):
        load_recipe("odd")


MANIFEST = """file, output, beam, denoise.parameters.threshold, denoise2.method, crop.channels, noise.file
a.fits,,"3arcsec,2arcsec,0deg",5,,,
sub/b.fits,b1.fits,,,pca,2:4,b_sigma.fits
"""
STEPS = [{"crop": {}}, {"noise": None}, IST, {"denoise": {"method": "smooth"}}]


def _with_manifest(folder: Path, text: str) -> Path:
    (folder / "lists").mkdir(exist_ok=True)
    (folder / "lists/all.csv").write_text(text)
    (folder / "r.yaml").write_text(yaml.safe_dump(_recipe(STEPS, inputs={"manifest": "lists/all.csv"})))
    return folder / "r.yaml"


def test_a_manifest_overrides_values_for_one_file(tmp_path: Path) -> None:
    a, b = recipe_tasks(load_recipe(_with_manifest(tmp_path, MANIFEST)))
    assert a.source == tmp_path / "lists/a.fits"
    assert a.reading == {"beam": "3arcsec,2arcsec,0deg"}
    assert a.options.parameters == {"threshold": 5}
    assert a.options.then[0].method == "smooth"
    assert (b.source, b.name) == (tmp_path / "lists/sub/b.fits", "b1.fits")
    assert b.reading == {"crop": "channels 2:4", "noise": str(tmp_path / "lists/b_sigma.fits")}
    assert b.options.parameters == {}
    assert b.options.then[0].method == "pca"
    inputs = [Path("c.fits")]
    assert [t.source for t in recipe_tasks(load_recipe(tmp_path / "r.yaml"), inputs)] == inputs


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name\na", r"all\.csv: the manifest has no column file \(found: name\)"),
        ("file\n", r"all\.csv: the manifest has no row"),
        ("file,beam\na.fits\n", r"all\.csv: line 2 has more or fewer cells"),
        ("file,odd\na.fits,1\n", r"all\.csv: line 2: column odd is not known"),
        ("file,mask.file\na.fits,m\n", r"line 2: column mask\.file: the recipe has no such step; add - mask"),
        (
            "file,denoise.parameters.threshold\na.fits,4\nb.fits,-1\n",
            r"line 3: r\.yaml: steps\.2\.denoise\.parameters\.threshold: not valid \(found: -1\)",
        ),
        ("file,output\na.fits,b.txt\n", r"line 2: output: not valid \(found: b\.txt\)"),
    ],
)
def test_a_wrong_manifest_names_the_line(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        recipe_tasks(load_recipe(_with_manifest(tmp_path, text)))


def test_no_input_and_a_glob_without_a_match(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(_recipe([IST])))
    with pytest.raises(UsageError, match=r"r\.yaml: inputs: no file"):
        recipe_tasks(load_recipe(tmp_path / "r.yaml"))
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(_recipe([IST], inputs={"files": ["x*.fits"]})))
    with pytest.raises(UsageError, match=r"inputs\.files: nothing matches.*x\*\.fits"):
        recipe_tasks(load_recipe(tmp_path / "r.yaml"))


def test_the_packaged_recipes_are_sound_and_the_schema_is_current() -> None:
    assert recipe_names() == ["alma-cii", "hi-survey", "image", "jwst-nirspec-ifu", "muse-deep"]
    for name in recipe_names():
        file = load_recipe(name)
        assert file.recipe.title, name
        first = file.path.read_text().splitlines()[0]
        assert first == "# yaml-language-server: $schema=recipe.schema.json", name
    assert resource("pipelines", SCHEMA).read_text() == schema()
    assert json.loads(schema())["properties"]["steps"]
