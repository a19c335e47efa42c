"""`hybrid`: the network where it is right, wavelets where it is not, nothing of the data lost, and it says so."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

from astropy.io import fits

import denoise
from denoise.methods.hybrid import Hybrid
from denoise.methods.ist import Ist
from denoise.methods.unet import Unet
from denoise.networks import weights
from denoise.networks.guard import GUARD
from denoise.noise import NoiseModel
from denoise.resources import resource
from denoise.testing.subject import blob, observation
from denoise.transforms.whitening import whiten

SHAPE = (16, 48, 48)


@pytest.fixture
def says(monkeypatch):
    """Function that makes the network say this: whitened data, how unusual, variance, windows."""

    def install(data, *, ratio=0.0, variance=0.05, unusual=0):
        original = Unet._weigh

        def weigh(self, whole, white, noise):
            found = original(self, whole, white, noise)
            given = np.zeros_like(whole) if data is None else data
            return replace_fields(found, whole, given, ratio, variance, unusual)

        monkeypatch.setattr(Unet, "_weigh", weigh)
        monkeypatch.setattr(Unet, "_calibration", None)  # fitted to another network than this

    return install


def replace_fields(found, whole, data, ratio, variance, unusual):
    full = np.ones_like(whole)
    return found._replace(
        data=data.copy(), ratio=ratio * full, variance=variance * full, windows=10, unusual=unusual
    )


def white_truth(truth, noise):
    return whiten(truth, np.ones(truth.shape, bool), noise).data


def rmse(estimate, truth):
    return float(np.sqrt(np.mean(np.square(estimate - truth)[truth > 0.05 * truth.max()])))


def results(data, noise, **options):
    return Hybrid(**options).apply(data, noise, None), Ist(**options).apply(data, noise, None)


def test_the_network_rules_where_it_is_right_and_sure(says):
    data, truth, noise = observation(SHAPE, peak_snr=8.0)
    says(white_truth(truth, noise), variance=10.0)
    hybrid, ist = results(data, noise)
    assert rmse(hybrid.data, truth) < 0.5 * rmse(ist.data, truth)


def test_wavelets_rule_where_the_emission_is_unusual(says):
    data, truth, noise = observation(SHAPE, peak_snr=8.0)
    wrong = np.zeros(SHAPE, np.float32)
    wrong[6:10, 20:28, 20:28] = -3
    says(white_truth(truth, noise) + wrong, ratio=2.0)
    hybrid, ist = results(data, noise)
    assert rmse(hybrid.data, truth) < 1.05 * rmse(ist.data, truth)


def test_wavelets_rule_where_the_two_differ_by_more_than_the_network_allows(says):
    data, truth, noise = observation(SHAPE, peak_snr=8.0)
    says(0.2 * white_truth(truth, noise), variance=0.01)
    hybrid, ist = results(data, noise)
    assert rmse(hybrid.data, truth) < 1.05 * rmse(ist.data, truth)


def test_wavelets_rule_where_the_noise_differs_from_channel_to_channel(says):
    data, truth, steady = observation(SHAPE, peak_snr=8.0)
    wrong = np.zeros(SHAPE, np.float32)
    wrong[6:10, 20:28, 20:28] = -3
    says(white_truth(truth, steady) + wrong, variance=10.0)  # not unusual, and not sure
    ruled, _ = results(data, steady)
    sigma = np.where(np.arange(SHAPE[0]) % 2, 1.3, 1.0)
    hybrid, ist = results(
        np.asarray(data * sigma[:, None, None], np.float32), replace(steady, channel_sigma=sigma)
    )
    expected = truth * sigma[:, None, None]
    assert rmse(hybrid.data, expected) < 1.05 * rmse(ist.data, expected)
    assert rmse(ruled.data, truth) > 1.5 * rmse(hybrid.data, expected)  # where it does not, the network rules


def test_noise_that_differs_from_channel_to_channel_is_remarked_upon():
    data, _, steady = observation(SHAPE, peak_snr=9.0)
    sigma = np.where(np.arange(SHAPE[0]) % 2, 1.3, 1.0)
    noise, cube = replace(steady, channel_sigma=sigma), np.asarray(data * sigma[:, None, None], np.float32)
    hybrid, unet = (denoise.denoise(cube, name, noise=noise) for name in ("hybrid", "unet"))
    for result in (hybrid, unet):
        assert any("the noise differs by 0.26 from channel to channel" in text for text in result.remarks)
    assert any("left to wavelets" in text for text in hybrid.remarks)


def test_what_the_network_erases_comes_back_from_the_data(says):
    """Nothing is unusual and the network is unsure of nothing: the residual alone tells."""
    data, truth, noise = observation(SHAPE, peak_snr=15.0)
    says(None, variance=1e3)
    hybrid, _ = results(data, noise)
    inside = truth > 0.02 * truth.max()
    assert hybrid.data[inside].sum() > 0.95 * truth[inside].sum()
    assert hybrid.diagnostics["given_back"] > 0


def test_much_that_is_left_to_wavelets_is_remarked_upon(says):
    data, truth, noise = observation(SHAPE, peak_snr=8.0)
    said = {}
    for ratio in (0.0, 2.0):
        says(white_truth(truth, noise), ratio=ratio, variance=10.0)
        said[ratio] = denoise.denoise(data, "hybrid", noise=noise).remarks
    assert not any("left to wavelets" in text for text in said[0.0])
    assert any(text.startswith("100 % of the emission was left to wavelets") for text in said[2.0])


def test_empty_sky_stays_empty_and_is_no_business_of_the_wavelets(says):
    _, _, noise = observation(SHAPE)
    says(None)
    out = Hybrid().apply(noise.sample(seed=5), noise, None)
    assert not out.data.any()
    assert out.diagnostics["by_wavelets"] == 0


def test_the_error_is_larger_where_the_two_differ(says):
    data, truth, noise = observation(SHAPE, peak_snr=8.0)
    says(white_truth(truth, noise), variance=0.05)
    sure = Hybrid().apply(data, noise, None)
    far = sure.variance[:, :4, :4]
    assert np.allclose(far, 0.05, rtol=1e-3)
    says(0.2 * white_truth(truth, noise), variance=0.05)
    torn = Hybrid().apply(data, noise, None)
    middle = tuple(n // 2 for n in SHAPE)
    assert torn.variance[middle] > 4 * sure.variance[middle]
    assert (torn.data[middle] - truth[middle]) ** 2 < 9 * torn.variance[middle]


def test_an_unusual_cube_says_so_in_warnings_and_header(monkeypatch, tmp_path):
    data, _, noise = observation(SHAPE, peak_snr=8.0)
    monkeypatch.setattr(
        "denoise.methods.unet.doubts", lambda *args, **kw: ["60 % of it is unlike " + 100 * "x"]
    )
    result = denoise.denoise(data, "hybrid", noise=noise)
    assert result.remarks == ["60 % of it is unlike " + 100 * "x"]
    assert result.remarks[0] in result.warnings
    path = result.write(tmp_path / "out.fits")
    history = "".join(str(line) for line in fits.getheader(path)["HISTORY"])
    assert result.remarks[0] in history


def test_what_other_methods_write_has_no_room_for_remarks():
    assert not denoise.list_methods()["ist"].remarks
    assert denoise.list_methods()["unet"].remarks


def test_a_model_without_a_guard_runs_and_says_that_it_cannot_tell(tmp_path):
    for name in (weights.WEIGHTS, weights.RECIPE):
        (tmp_path / name).write_bytes(resource("models", "unet3d-small", name).read_bytes())
    data, _, noise = observation((8, 24, 24))
    for method in ("unet", "hybrid"):
        result = denoise.denoise(data, method, noise=noise, model=str(tmp_path))
        assert any(f"has no {GUARD}" in text for text in result.warnings)


def test_a_brighter_source_than_any_of_the_training_is_remarked_upon():
    data, _, noise = observation((8, 24, 24), peak_snr=400.0)
    assert any("the peak SNR is" in text for text in denoise.denoise(data, "hybrid", noise=noise).remarks)


def test_a_continuum_is_remarked_upon_and_a_line_is_not():
    shape = (32, 32, 32)
    channel, y, x = np.indices(shape, np.float32)
    source = 8.0 * np.exp(-((y - 15) ** 2 + (x - 16) ** 2) / 20.0)
    noise = NoiseModel.white(shape, 1.0)
    drawn = np.random.default_rng(5).standard_normal(shape)
    said = {}
    for name, line in (("line", np.exp(-((channel - 16) ** 2) / 8.0)), ("continuum", 1.0)):
        cube = np.asarray(source * line + drawn, np.float32)
        # the continuum as it is: subtracted, as a run does by itself, it would not be there
        remarks = denoise.denoise(cube, "unet", noise=noise, continuum="none").remarks
        said[name] = [text for text in remarks if "channels wide" in text]
    assert said["line"] == []
    assert said["continuum"] == [
        "lines are up to 32 channels wide; model unet3d-small was trained for up to 29"
    ]


def test_ratio_of_the_guard_is_that_of_every_voxel():
    data, _, noise = observation(SHAPE)
    method = Hybrid()
    found = method._weigh(data, whiten(data, np.ones(SHAPE, bool), noise), noise)
    assert found.ratio.shape == SHAPE
    assert np.isfinite(found.ratio).all()


def test_both_checksums_are_those_of_the_result():
    assert Hybrid().weights.split() == [Unet().weights, Ist().weights]


def test_absorption_is_treated_as_emission_is():
    truth = np.float32(12) * blob(SHAPE)
    _, _, noise = observation(SHAPE)
    data = truth + noise.sample(seed=2)
    plus, minus = (Hybrid().apply(np.float32(sign) * data, noise, None) for sign in (1, -1))
    assert np.allclose(plus.data, -minus.data, atol=1e-4)
    assert np.allclose(plus.variance, minus.variance, rtol=1e-3, atol=1e-6)
