"""Flux correction by a check: asked for, limited, within what was checked, on the record, and never silent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from denoise.check.recovery.cells import Cell, Score
from denoise.check.recovery.corrected import run_corrected
from denoise.check.recovery.correction import FluxCorrection
from denoise.check.recovery.outcome import Check
from denoise.check.recovery.settings import Settings
from denoise.check.recovery.study import asked_of, check_recovery
from denoise.cube import Cube, read, read_provenance
from denoise.cube.io import write
from denoise.engine import run_file, run_options
from denoise.errors import CancelledError, OutputExistsError, UsageError

SHAPE = (16, 48, 48)
SETTINGS = Settings(snr=(6.0, 12.0, 25.0), sizes=(0.0,), widths=(3.0,), sources=24, empty=0, as_found=False)


@pytest.fixture(scope="module")
def obs(tmp_path_factory):
    """White noise with three lines of peak SNR 12, 20 and 60."""
    data = np.random.default_rng(2).normal(size=SHAPE)
    for (row, column), peak in {(12, 12): 12.0, (12, 36): 20.0, (36, 24): 60.0}.items():
        c, y, x = (np.arange(n) - at for n, at in zip(SHAPE, (8, row, column), strict=True))
        data += peak * np.exp(
            -0.5 * ((c[:, None, None] / 1.3) ** 2 + (y[:, None] / 1.7) ** 2 + (x / 1.7) ** 2)
        )
    path = tmp_path_factory.mktemp("correction") / "obs.fits"
    header = fits.Header({"BUNIT": "Jy"})
    fits.writeto(path, data.astype(">f4"), header)
    return path


def _options(method="halver", **changes):
    return run_options(**{"method": method, "continuum": "none", "positivity": "off", **changes})


@pytest.fixture(scope="module")
def check(obs):
    return check_recovery(read(obs), _options(), SETTINGS)


def _rule(check, **changes):
    return FluxCorrection(check, "check.json", "sha256:0", **changes)


def _made(check: Check, recovery: dict[float, float]) -> Check:
    """The check with other recoveries (output peak: recovery)."""
    cells = [
        Cell("all", peak, 5, 5, {"flux_found": Score(value, 0.05, 0.1), "peak": Score(peak, 0.1, 0.2)})
        for peak, value in recovery.items()
    ]
    return replace(check, kinds=(replace(check.kinds[0], name="all"),), cells=tuple(cells))


def test_factors_are_inverse_recoveries_limited_and_never_extrapolated(check):
    rule = _rule(_made(check, {3.0: 0.2, 5.0: 0.8, 10.0: 1.0}))
    assert rule.factor(5.0).value == pytest.approx(1.25)
    assert rule.factor(5.0).error == pytest.approx(np.hypot(0.05, 0.08) / 0.8**2)
    assert rule.factor(3.0) == (2.0, pytest.approx(np.hypot(0.05, 0.08) / 0.2**2), "limited")
    for outside in (2.9, 10.1):
        assert rule.factor(outside) == (1.0, 0.0, "left")
    assert rule.factor(7.0).state == "corrected"


def test_the_lost_half_comes_back(obs, check, tmp_path):
    out, plain = tmp_path / "out.fits", tmp_path / "plain.fits"
    before = run_file(obs, plain, _options())
    done = run_corrected(obs, out, _options(save=("residual",)), rule=_rule(check))
    first, second = before.cube.read(), read(out).read()
    core = slice(7, 10), slice(10, 15), slice(10, 15)
    assert np.allclose(second[core] / first[core], 2.0, rtol=0.02)
    bright = slice(7, 10), slice(34, 39), slice(22, 27)  # its peak is beyond what was checked
    assert np.array_equal(second[bright], first[bright])
    with fits.open(out) as hdus:
        residual = next(hdu.data for hdu in hdus if hdu.name == "RESIDUAL")
        history = "".join(str(line) for line in hdus[0].header["HISTORY"])
    assert np.allclose(residual, read(obs).read() - second, atol=1e-5)
    assert "Flux corrected by check.json" in history
    record = read_provenance(out).science["flux_correction"]
    assert "limit: 2.0" in record
    assert "left: 1" in record
    assert any("Flux corrected" in text for text in done.warnings)
    assert done.metrics["total_after"] == pytest.approx(float(second.sum()), rel=1e-3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.fits", "plain.fits"]


def test_without_the_option_nothing_is_corrected(obs, check, tmp_path):
    out = tmp_path / "plain.fits"
    done = run_file(obs, out, _options())
    assert "flux_correction" not in read_provenance(out).science
    assert not any("corrected" in text for text in done.warnings)
    assert np.allclose(done.cube.read(), 0.5 * read(obs).read())


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"method": "keeper"}, "method"),
        ({"positivity": "on"}, "option positivity"),
        ({"continuum": "median"}, "option continuum"),
    ],
)
def test_another_run_is_refused_before_it_starts(obs, check, tmp_path, options, word):
    with pytest.raises(UsageError, match=rf"does not belong to this run: the {word}"):
        run_corrected(obs, tmp_path / "out.fits", _options(**options), rule=_rule(check))
    assert not list(tmp_path.iterdir())


def test_other_parameters_are_refused(obs, check):
    rule = _rule(replace(check, method="ist", parameters={"threshold": 4.0}))
    with pytest.raises(UsageError, match="parameter threshold differs"):
        rule.refuse_others("ist", {"threshold": 5.0}, asked_of(_options(), None))


def test_another_input_is_refused(obs, check, tmp_path):
    other = tmp_path / "other.fits"
    write(Cube(np.ones(SHAPE, np.float32) * np.arange(48), unit="Jy"), other)
    with pytest.raises(UsageError, match="the input differs"):
        run_corrected(other, tmp_path / "out.fits", _options(), rule=_rule(check))


def test_an_existing_output_and_a_cancelled_run_leave_things_as_they_were(obs, check, tmp_path):
    out = tmp_path / "out.fits"
    out.write_text("mine")
    with pytest.raises(OutputExistsError):
        run_corrected(obs, out, _options(), rule=_rule(check))

    def stop(event):
        if event.stage == "correcting the flux":
            raise CancelledError("cancelled")

    with pytest.raises(CancelledError):
        run_corrected(obs, out, _options(overwrite=True), rule=_rule(check), progress=stop)
    assert out.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out.fits"]


def test_blocks_do_not_matter(obs, check, tmp_path):
    from denoise.check.readers import readers_of
    from denoise.check.recovery.correction import amplifier
    from denoise.check.regions.finding import find_regions

    done = run_file(obs, tmp_path / "plain.fits", _options())
    readers = readers_of(done)
    found, _ = find_regions(readers, done.noise, level=check.level, min_snr=check.min_snr)
    source = amplifier(_rule(check), readers, found, 3.0)
    whole = source.read((slice(0, 16), slice(0, 48), slice(0, 48)))
    for y in range(0, 48, 7):
        part = slice(2, 13), slice(y, min(48, y + 7)), slice(5, 40)
        assert np.array_equal(source.read(part), whole[part])
