"""Injection and recovery: methods of known answer are measured as what they are, places are clear."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from denoise.check.recovery.baseline import Baseline
from denoise.check.recovery.cells import ALL, Curve, share_score
from denoise.check.recovery.kinds import make_templates
from denoise.check.recovery.layout import make_layout
from denoise.check.recovery.outcome import Check, read_check
from denoise.check.recovery.placing import Wanted, clear_of, fill, free_places
from denoise.check.recovery.settings import Settings
from denoise.check.recovery.sources import FOUND, disc, file_template, source_beam, trimmed, unresolved
from denoise.check.recovery.study import check_recovery, part_that_fits
from denoise.check.rig import open_rig
from denoise.cube import Cube
from denoise.engine import CancelToken, run_options
from denoise.errors import CancelledError, InputError, ParameterError, UsageError
from denoise.noise import NoiseModel

SHAPE = (24, 64, 64)
BEAM = (4.5, 4.0, 30.0)
FEW = Settings(snr=(4.0, 10.0), sizes=(0.0, 1.0), widths=(3.0,), sources=24, empty=1, as_found=False)


def _noise(shape=SHAPE, seed=1):
    return NoiseModel.from_beam(shape, 1.0, BEAM).sample(seed=seed)


def _cube(*, source=0.0, seed=1, nan=0, shape=SHAPE):
    data = _noise(shape, seed=seed)
    c, y, x = (np.arange(n) - at for n, at in zip(shape, (12, 14, 14), strict=True))
    data += source * np.exp(
        -0.5 * ((c[:, None, None] / 1.5) ** 2 + (y[:, None] / 2) ** 2 + (x / 2) ** 2)
    ).astype(np.float32)
    if nan:
        data[:, :, :nan] = np.nan
    return Cube(1e-20 * data.astype(np.float64), beam=BEAM, unit="erg / (s cm2)")


def _check(method, cube=None, settings=FEW):
    noise = NoiseModel.from_beam(SHAPE, 1e-20, BEAM)
    options = run_options(method=method, positivity="off", continuum="none")
    return check_recovery(cube or _cube(), options, settings, noise=noise)


def _score(done, name, snr=10.0):
    return next(cell for cell in done.cells if cell.kind == ALL and cell.snr == snr).scores[name]


@pytest.fixture(scope="module")
def kept():
    return _check("keeper")


def test_what_keeps_everything_is_measured_as_one(kept):
    assert _score(kept, "flux").value == pytest.approx(1.0, abs=1e-3)
    assert _score(kept, "flux").error < 1e-3
    assert _score(kept, "flux_around").value == pytest.approx(1.0, abs=1e-3)
    assert _score(kept, "completeness").value == 1
    for name in ("distance", "fwhm", "line", "shift_channel"):
        assert _score(kept, name).value == pytest.approx(0.0, abs=0.02)


def test_what_halves_the_flux_is_measured_as_a_half():
    done = _check("halver")
    flux = _score(done, "flux")
    assert flux.value == pytest.approx(0.5, abs=1e-3)
    assert done.level == pytest.approx(_check("keeper").level / 2, rel=0.02)
    assert "keeps 50.0 ±" in done.sentence()


def test_what_leaves_nothing_finds_nothing():
    done = _check("nothing")
    assert _score(done, "completeness").value == 0
    assert _score(done, "flux").value == 0
    assert _score(done, "fwhm") is None
    assert done.false is not None
    assert done.false.expected == 0
    assert done.false.error > 0


def test_a_shift_is_measured():
    done = _check("mover")
    assert _score(done, "shift_x").value == pytest.approx(1.0, abs=0.05)
    assert _score(done, "shift_y").value == pytest.approx(0.0, abs=0.05)


def test_light_that_is_spread_is_not_lost():
    done = _check("smooth")
    assert _score(done, "flux").value < 0.97
    assert _score(done, "flux_around").value == pytest.approx(1.0, abs=0.02)
    assert _score(done, "fwhm").value > 0.5


def test_every_cell_has_its_share_and_no_cell_two_fields(kept):
    cells = [cell for cell in kept.cells if cell.kind != ALL]
    assert [cell.count for cell in cells] == [6] * 4
    assert len({(cell.kind, cell.snr) for cell in cells}) == 4


def test_the_same_seed_gives_the_same_check(kept):
    again = _check("keeper")
    assert replace(again, seconds=0.0) == replace(kept, seconds=0.0)
    other = _check("keeper", settings=replace(FEW, seed=3))
    assert other.cells != kept.cells


def test_a_check_survives_json(kept, tmp_path):
    path = tmp_path / "check.json"
    path.write_text(kept.to_json())
    assert read_check(path) == kept
    assert json.loads(path.read_text())["sentence"] == kept.sentence()
    with pytest.raises(InputError, match="cannot be read"):
        read_check(tmp_path / "none.json")
    path.write_text('{"format": 1}')
    with pytest.raises(InputError, match="is not a check"):
        read_check(path)


def test_sources_stay_off_emission_gaps_and_each_other():
    shape = (32, 96, 96)
    cube = _cube(source=12.0, nan=6, shape=shape)
    noise = NoiseModel.from_beam(shape, 1e-20, BEAM)
    with open_rig(cube, run_options(method="ist"), noise=noise) as rig:
        base = Baseline.of(rig)
        templates = make_templates(base, FEW, np.random.default_rng(0))
        layout = make_layout(base, templates, FEW, np.random.default_rng(1))
        taken = np.isnan(rig.data()) | base.real()
    assert layout.fields == ("cube", "cube")
    assert base.real().any()
    placed, left = fill(
        layout.wanted(FEW, np.random.default_rng(2)), templates, layout.places, shape,
        gap=layout.gap, most=50, rng=np.random.default_rng(3),
    )  # fmt: skip
    assert len(placed) > 3
    assert len(placed) + len(left) == 24
    count = np.zeros(shape, int)
    for one in placed:
        assert not taken[one.box].any()
        count[one.box] += 1
    assert count.max() == 1


def test_without_room_the_noise_of_the_cube_is_used():
    # emission in every corner of the field
    data = _noise()
    data[:, ::2] += 30
    done = _check("keeper", Cube(1e-20 * data.astype(np.float64), beam=BEAM, unit="erg / (s cm2)"))
    assert {kind.field for kind in done.kinds} == {"noise"}
    assert any("no room beside the emission" in note for note in done.notes)
    assert _score(done, "flux").value == pytest.approx(1.0, abs=1e-3)


def test_what_was_found_is_a_source_too():
    done = check_recovery(
        _cube(source=30.0),
        run_options(method="ist"),
        Settings(snr=(5.0, 8.0), sizes=(), sources=8, empty=0),
        noise=NoiseModel.from_beam(SHAPE, 1e-20, BEAM),
    )
    (kind,) = done.kinds
    assert kind.name == FOUND
    assert done.false is None
    assert done.found_snr == pytest.approx(30.0, rel=0.1)
    assert done.of_kind(FOUND)[-1].snr > 30  # its own brightness is checked
    assert kind.fwhm == pytest.approx(2 * 2.3548, rel=0.3)


def test_nothing_found_and_nothing_else_asked_for_is_an_error():
    with pytest.raises(UsageError, match="nothing was found"):
        _check("nothing", settings=replace(FEW, sizes=(), as_found=True))


def test_images_have_no_line():
    image = Cube(_noise((1, 64, 64)), beam=BEAM, unit="Jy/beam")
    done = check_recovery(
        image, run_options(method="keeper", positivity="off", continuum="none"), replace(FEW, widths=())
    )
    assert all(kind.width is None for kind in done.kinds)
    assert _score(done, "flux").value == pytest.approx(1.0, abs=1e-3)
    assert _score(done, "line").value == 0


def test_a_field_of_few_spaxels_is_used_as_far_as_it_goes():
    shape = (300, 8, 6)
    cube = Cube(np.random.default_rng(0).normal(size=shape).astype(np.float32), unit="Jy")
    options = run_options(method="keeper", positivity="off", continuum="none")
    done = check_recovery(cube, options, replace(FEW, sizes=(0.0,), sources=8))
    assert _score_of(done, "flux") == pytest.approx(1.0, abs=1e-3)
    with pytest.raises(UsageError, match=r"no room for sources .*8 x 6 pixels.*--size"):
        check_recovery(cube, options, replace(FEW, sizes=(12.0,), sources=8))


def _score_of(done, name):
    return done.cells[-1].scores[name].value


def test_a_template_from_a_file(tmp_path):
    from astropy.io import fits

    path = tmp_path / "shape.fits"
    values = np.zeros((5, 9, 9), np.float32)
    values[1:4, 3:6, 3:6] = 2.0
    values[2, 4, 4] = 4.0
    fits.writeto(path, values)
    template = file_template(path, _cube())
    assert template.extent == (3, 3, 3)
    assert template.stamps[0].max() == 1
    done = _check("keeper", settings=replace(FEW, sizes=(), template=path))
    assert [kind.name for kind in done.kinds] == ["template shape.fits"]
    fits.writeto(path, np.ones((5, 99, 99), np.float32), overwrite=True)
    with pytest.raises(UsageError, match="larger than the cube"):
        file_template(path, _cube())
    fits.writeto(path, np.zeros((5, 9, 9), np.float32), overwrite=True)
    with pytest.raises(InputError, match="no positive voxel"):
        file_template(path, _cube())


def test_cancelling_stops_a_check():
    token = CancelToken()

    def stop(event):
        if event.stage == "injecting sources":
            token.cancel()

    with pytest.raises(CancelledError):
        check_recovery(
            _cube(), run_options(method="keeper", continuum="none"), FEW, progress=stop, cancel=token,
            noise=NoiseModel.from_beam(SHAPE, 1e-20, BEAM),
        )  # fmt: skip


def test_a_cube_that_does_not_fit_is_checked_in_part():
    assert part_that_fits((10, 20, 30), 6000) == (slice(0, 10), slice(0, 20), slice(0, 30))
    region = part_that_fits((100, 1000, 2000), 100 * 200 * 200)
    size = [part.stop - part.start for part in region]
    assert size[0] == 100
    assert 0.8 * 200**2 <= size[1] * size[2] <= 200**2
    deep = [part.stop - part.start for part in part_that_fits((10_000, 500, 500), 64 * 64 * 1000)]
    assert deep == [1000, 64, 64]
    done = check_recovery(
        _cube(), run_options(method="keeper", positivity="off", continuum="none", memory=72 * 40_000),
        replace(FEW, widths=(2.0,), sizes=(0.0,), sources=4), noise=NoiseModel.from_beam(SHAPE, 1e-20, BEAM),
    )  # fmt: skip
    assert done.part.startswith("channels ")
    assert np.prod(done.shape) <= 40_000


def test_settings_out_of_range_are_one_line():
    for wrong in (
        {"snr": (0.0,)}, {"sizes": (-1.0,)}, {"widths": (0.0,)}, {"sources": 1}, {"draws": 0}, {"empty": -1},
        {"snr": ()}, {"sizes": (), "as_found": False},
    ):  # fmt: skip
        with pytest.raises(ParameterError):
            Settings(**wrong)


def test_stamps_peak_at_one_and_their_middle_is_the_place():
    rng = np.random.default_rng(0)
    for template in (unresolved(BEAM, 4.0, rng), unresolved(BEAM, None, rng), disc(BEAM, 2.0, 6.0, rng)):
        for stamp in template.stamps:
            assert stamp.max() == pytest.approx(1.0)
            assert all(size % 2 for size in stamp.shape)
            centre = [
                np.average(np.arange(n), weights=stamp.sum(axis=tuple(a for a in range(3) if a != axis)))
                for axis, n in enumerate(stamp.shape)
            ]
            assert np.allclose(centre, [n // 2 for n in stamp.shape], atol=1.2)
    assert trimmed(np.ones((1, 4, 4))).shape == (1, 5, 5)


def test_the_beam_of_sources_without_one_is_that_of_the_noise():
    cube = Cube(_noise(), unit="Jy")
    beam, origin = source_beam(cube, NoiseModel.from_beam(SHAPE, 1.0, BEAM, "imaged"))
    assert beam[0] == pytest.approx(4.3, abs=0.4)
    assert "no beam" in origin
    assert source_beam(cube, NoiseModel.white(SHAPE, 1.0))[0][:2] == (2.0, 2.0)


def test_places_are_free_all_over_the_box():
    free = np.ones((9, 20, 20), bool)
    free[4, 10, 10] = False
    places = free_places(free, (3, 5, 5), np.random.default_rng(0))
    apart = np.abs(places - [4, 10, 10]) > [1, 2, 2]
    assert apart.any(axis=1).all()
    assert places[:, 1].min() == 2
    assert places[:, 1].max() == 17
    assert not len(free_places(free, (11, 5, 5), np.random.default_rng(0)))
    assert clear_of(~free, (1, 2, 3)).sum() == free.size - 3 * 5 * 7


def test_a_kind_that_is_full_waits():
    template = unresolved(BEAM, 2.0, np.random.default_rng(0))
    places = {0: np.array([[10, 20, 20]], np.int32)}
    placed, left = fill(
        [Wanted(0, 0, 4.0)] * 3,
        [template],
        places,
        SHAPE,
        gap=(1, 1, 1),
        most=9,
        rng=np.random.default_rng(0),
    )
    assert (len(placed), len(left)) == (1, 2)


def test_curves_rise_and_end_where_the_sources_do():
    curve = Curve.through([(2.0, 0.5, 0.1), (3.0, 0.4, 0.1), (6.0, 0.9, 0.02), (10.0, 1.0, 0.02)])
    assert (np.diff([curve.at(snr)[0] for snr in np.linspace(2, 10, 50)]) >= -1e-12).all()
    assert curve.at(6.0) == (pytest.approx(0.9), pytest.approx(0.02))
    assert curve.at(1.99) is None
    assert curve.at(10.01) is None
    with pytest.raises(ParameterError, match="two peak SNR"):
        Curve.through([(2.0, 0.5, 0.1)])


def test_a_share_of_none_or_all_has_an_error():
    assert share_score(0, 10).error > 0
    assert share_score(10, 10).error > 0
    assert share_score(0, 0) is None


def test_outcome_of_an_older_format_is_refused(kept: Check, tmp_path: Path):
    path = tmp_path / "old.json"
    path.write_text(json.dumps({**kept.to_dict(), "format": 0}))
    with pytest.raises(InputError, match="another format"):
        read_check(path)
