"""The enhancer: contrast of the whole cube, what its restore keeps and when it fails, and what it refuses."""

import numpy as np
import pytest

import denoise
from denoise.errors import ParameterError
from denoise.methods import _restore, get_method
from denoise.methods.noiser import SMOOTHING, Noiser
from denoise.networks.noiser_training import default_smoothing
from denoise.noise import NoiseModel
from denoise.testing.subject import blob, noise_model, observation, state_of

SHAPE = (6, 40, 40)


def test_the_default_is_the_network_that_ships():
    assert default_smoothing() == SMOOTHING
    assert len(Noiser().weights) == 64


def test_values_are_for_display_and_have_no_unit():
    data, _, noise = observation(SHAPE)
    result = denoise.denoise(denoise.Cube(data, unit="Jy/beam"), "noiser", noise=noise)
    assert result.display
    assert result.cube.unit is None
    assert result.cube.unit_text == ""
    assert result.residual is None
    assert result.uncertainty is None
    assert np.abs(result.cube.data).max() <= 1
    assert not [name for name in result.metrics if "flux" in name or "after" in name or "residual" in name]


def test_statistics_are_those_of_the_cube_and_not_of_the_channel():
    """A channel twice as bright comes out brighter; with statistics of its own it would come out the same."""
    noise = NoiseModel.white(SHAPE, 1.0)
    data = noise.sample(seed=1)
    data[3] = 2 * data[2]
    out = denoise.denoise(data, "noiser", noise=noise).cube.data
    assert out[3].std() > 1.5 * out[2].std()


def test_a_bright_source_does_not_dim_a_faint_one_unless_all_voxels_count():
    noise = NoiseModel.white(SHAPE, 1.0)
    faint = noise.sample(seed=2) + 4 * blob(SHAPE, at=(3, 10, 10))
    both = faint + 100 * blob(SHAPE, at=(3, 30, 30))
    near = np.s_[3, 8:13, 8:13]

    def dimmed(**parameters):
        one, two = (denoise.denoise(x, "noiser", noise=noise, **parameters).cube.data for x in (faint, both))
        return 1 - two[near].mean() / one[near].mean()

    clipped, published = dimmed(), dimmed(clip=None)
    assert abs(clipped) < published


def test_a_region_sets_the_contrast():
    noise = NoiseModel.white(SHAPE, 1.0)
    data = noise.sample(seed=3)
    data[:, 20:] *= 5
    quiet, loud = (
        denoise.denoise(data, "noiser", noise=noise, region=region, clip=None).cube.data
        for region in ((0, 20, 0, 40), (20, 40, 0, 40))
    )
    assert quiet[:, :20].std() > 2 * loud[:, :20].std()


@pytest.mark.parametrize("region", [(5, 5, 0, 9), (9, 2, 0, 9), (-1, 3, 0, 9)])
def test_a_region_out_of_order_is_refused(region):
    with pytest.raises(ParameterError, match="y0, y1, x0, x1"):
        Noiser(region=region)


def test_a_region_without_data_is_one_line():
    data, _, noise = observation(SHAPE)
    data[:, :10] = np.nan
    with pytest.raises(
        ParameterError, match=r"no contrast in the region.*0 voxels.*choose a region with data"
    ):
        denoise.denoise(data, "noiser", noise=noise, region=(0, 10, 0, 40))


def test_restored_fluxes_pass_and_are_in_the_unit_of_the_data():
    data, truth, noise = observation((10, 48, 48), peak_snr=20.0)
    result = denoise.denoise(denoise.Cube(data, unit="Jy/beam"), "noiser", noise=noise, restore="photometric")
    assert not result.display
    assert str(result.cube.unit) == "Jy / beam"
    assert result.metrics["restore_passed"] == 1
    assert result.metrics["injected_sources"] == len(_restore.LEVELS) * _restore.EACH
    assert result.metrics["linearity_error_percent"] <= 10
    assert any("restore passed" in text for text in result.remarks)
    inside = truth > 0.02
    flux = [float(one[inside].sum()) for one in (data, result.cube.data)]
    assert flux[1] == pytest.approx(flux[0], rel=0.05)
    assert result.metrics["noise_after"] < result.metrics["noise_before"]


def test_a_restore_that_loses_flux_is_declared_failed(monkeypatch):
    """Weights that lose a fifth of what is added to the data: the offset of noise alone does not show it."""

    def lossy(data, guide, **_):
        return np.where(data > 4, np.float32(0.8) * data, data)

    monkeypatch.setattr("denoise.methods.noiser.guided_mean", lossy)
    monkeypatch.setattr("denoise.methods.noiser.calibration", lambda *_: (1.0, 0.0))
    data, _, noise = observation(SHAPE)
    result = denoise.denoise(denoise.Cube(data, unit="Jy/beam"), "noiser", noise=noise, restore="photometric")
    assert result.display
    assert result.cube.unit is None
    assert result.metrics["restore_passed"] == 0
    assert result.metrics["linearity_error_percent"] > 10
    assert "flux_after" not in result.metrics
    assert any("restore FAILED" in text for text in result.remarks)


def test_where_nothing_can_be_injected_the_restore_failed():
    data, _, _ = observation(SHAPE)
    noise = noise_model(SHAPE)
    data[:, ::2] = data[:, :, ::2] = np.nan
    result = denoise.denoise(data, "noiser", noise=noise, restore="photometric")
    assert result.metrics["injected_sources"] == 0
    assert result.display
    assert any("no source could be injected" in text for text in result.remarks)


def test_the_gain_undoes_weights_that_are_not_of_unit_sum():
    noise = noise_model((8, 48, 48))
    probe = _restore.Probe((1.7, 1.5), (6, 6))
    gain, offset = _restore.calibration(lambda data: 0.5 * data + 3, probe, noise, 1)
    assert gain == pytest.approx(2, rel=1e-4)
    assert offset == pytest.approx(-6, abs=0.1)


def test_places_and_results_do_not_depend_on_the_tiles():
    data, _, noise = observation((6, 60, 60))
    denoiser = get_method("noiser")(restore="photometric")
    whole = state_of(denoiser, data, noise).restored
    from denoise.cube import Cube
    from denoise.testing.subject import prepare

    tiled = prepare(Cube(data), noise, denoiser, core=(6, 17, 23)).fit(0).restored
    assert [one.snr for one in tiled.injected] == [one.snr for one in whole.injected]
    ratios = [[one.ratio for one in found.injected] for found in (whole, tiled)]
    assert ratios[1] == pytest.approx(ratios[0], abs=1e-4)


@pytest.mark.parametrize("shape", [(1, 20, 20), (1, 3, 3), (2, 1, 30)])
@pytest.mark.parametrize("restore", ["none", "photometric"])
def test_small_cubes_give_a_result(shape, restore):
    noise = NoiseModel.white(shape, 1.0)
    out = denoise.denoise(noise.sample(seed=4), "noiser", noise=noise, restore=restore).cube.data
    assert out.shape == shape
    assert np.isfinite(out).all()


def test_positivity_is_for_denoisers():
    data, _, noise = observation(SHAPE)
    with pytest.raises(ParameterError, match="positivity is for denoisers"):
        denoise.denoise(data, "noiser", noise=noise, positivity="on")
