"""`unet`: scaling, error bars, models by name, what is said where it cannot run."""

import numpy as np
import pytest

pytest.importorskip("torch")

import denoise
from denoise.errors import DenoiseWarning, InputError, ParameterError, ResourceError, UsageError
from denoise.methods import get_method
from denoise.methods.unet import Unet
from denoise.networks import calibration, weights
from denoise.resources import resource
from denoise.testing.subject import Subject, noise_model, observation
from denoise.transforms import detection

SHAPE = (16, 48, 48)


@pytest.fixture
def own_model(tmp_path):
    """A folder as `denoise train` leaves it, with the packaged weights."""
    for path in resource("models", "unet3d-small").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def calibrated(folder, **changes):
    """Give the model in a folder a calibration whose factor is e for positive results and 1 for others."""
    level = {name: (0.0,) * len(knots) for name, knots in calibration.KNOTS.items()}
    more = level | {"strength": (1.0,) * len(calibration.KNOTS["strength"])}
    made = calibration.Calibration(
        sha256=weights.checksum_of(folder),
        cubes=(1, 1),
        both_signs=calibration.Side(found=level, rest=level, limits=(1.9, 5.5)),
        positive=calibration.Side(found=more, rest=more, limits=(2.1, 4.5)),
    )
    calibration.write_calibration(made.model_copy(update=changes), folder)


@pytest.mark.parametrize("factor", [1e-18, 1.0, 1e6])
def test_scales_within_a_ten_thousandth_of_sigma(factor):
    data, _, _ = observation(SHAPE)
    expected, scaled = (
        denoise.denoise(
            data.astype(np.float64) * by, "unet", noise=noise_model(SHAPE, by), precision="float32"
        ).cube.data
        for by in (1.0, factor)
    )
    assert np.abs(scaled / factor - expected).max() < 1e-4


def test_a_negative_source_is_a_source_where_both_signs_may_be():
    data, _, noise = observation(SHAPE)
    method = Unet()
    plus, minus = (method.apply(np.float32(sign) * data, noise, None) for sign in (1, -1))
    assert np.allclose(plus.data, -minus.data, atol=1e-4)
    assert np.allclose(plus.variance, minus.variance, rtol=1e-4)


def test_the_error_scales_and_is_zero_only_without_coverage():
    data, _, noise = observation(SHAPE)
    data[:, :5] = np.nan
    found = Unet(positivity=True).apply(data, noise, None)
    assert (found.variance[:, 5:] > 0).all()
    assert not found.variance[:, :5].any()
    scaled = Unet(positivity=True).apply(4 * data, noise.scaled(4), None)
    assert np.allclose(scaled.variance, 16 * found.variance, rtol=1e-3)


@pytest.mark.parametrize("positivity", [True, False])
def test_nothing_is_shown_where_a_search_finds_nothing(positivity):
    """What a network leaves of empty sky is noise: clipped at zero it added up to more flux than the source has."""
    data, truth, noise = observation((24, 80, 80), peak_snr=8.0, at=(12.0, 40.0, 40.0))
    found = Unet(positivity=positivity).apply(data, noise, None)
    far = np.ones(data.shape, bool)
    far[:, 8:72, 8:72] = False
    assert found.support.any()
    assert not found.data[far].any()
    empty = Unet(positivity=positivity).apply(data - truth, noise, None)
    assert not empty.data.any()


def test_a_region_of_noise_is_shown_only_where_the_network_leaves_something_that_stands_out(monkeypatch):
    _, _, noise = observation(SHAPE)
    empty = noise.sample(seed=3)
    find, regions = detection.find_emission, []

    def find_too_much(*block, **how):
        seen = find(*block, **how, seed=4.5)
        regions.append(seen.support)
        return seen

    monkeypatch.setattr(detection, "find_emission", find_too_much)
    result = Unet().apply(empty, noise, None)
    assert regions[0].sum() > 1000
    assert result.support.sum() < 0.1 * regions[0].sum()
    assert np.count_nonzero(result.data) < 0.1 * regions[0].sum()


def test_the_result_has_an_error_bar():
    data, _, noise = observation(SHAPE)
    result = denoise.denoise(data, "unet", noise=noise)
    assert result.uncertainty is not None
    assert np.isfinite(result.uncertainty.data).all()
    assert get_method("unet").info.error_bar


def test_the_calibration_in_the_folder_is_a_factor_of_the_error(own_model):
    data, _, noise = observation(SHAPE)
    calibrated(own_model)
    for positivity, factor in ((False, 1), (True, np.e)):
        method = Unet(model=str(own_model), positivity=positivity)
        found, plain = method.apply(data, noise, None), method.examine(data, noise)
        assert np.allclose(np.sqrt(found.variance), factor * plain.spread * noise.sigma(), rtol=1e-4)
        assert np.allclose(found.data, plain.data * noise.sigma())
        assert method.limits == ((2.1, 4.5) if positivity else (1.9, 5.5))


def test_the_calibration_of_other_weights_is_refused(own_model):
    data, _, noise = observation(SHAPE)
    calibrated(own_model, sha256="a" * 64)
    with pytest.raises(InputError, match="belongs to other weights"):
        Unet(model=str(own_model)).apply(data, noise, None)


def test_a_model_without_calibration_says_so_and_gives_the_error_of_the_network(own_model):
    (own_model / calibration.FILE).unlink(missing_ok=True)
    path = own_model / weights.RECIPE
    path.write_text(path.read_text().replace("trained: false", "") + "\ntrained: true\n")
    data, _, noise = observation(SHAPE)
    method = Unet(model=str(own_model))
    assert method.limits is None
    with pytest.warns(DenoiseWarning, match="errors of model unet3d-small are not calibrated"):
        method.halo(SHAPE, noise)
    plain = method.examine(data, noise)
    assert np.allclose(
        np.sqrt(method.apply(data, noise, None).variance), plain.spread * noise.sigma(), rtol=1e-4
    )


@pytest.mark.parametrize("flips", [2, 8])
def test_the_mean_over_mirror_images_mirrors_with_the_data(flips):
    data, _, noise = observation(SHAPE, at=(6.0, 20.0, 11.0))
    method = Unet(flips=flips, precision="float32")
    here = method.apply(data, noise, None).data
    there = method.apply(np.ascontiguousarray(data[:, :, ::-1]), noise_mirrored(), None).data
    # the filters of this noise are as wide along both diagonals
    assert np.allclose(here, there[:, :, ::-1], atol=2e-3)


def noise_mirrored():
    from denoise.noise import NoiseModel
    from denoise.testing.subject import BEAM

    return NoiseModel.from_beam(SHAPE, 1.0, (BEAM[0], BEAM[1], -BEAM[2]))


def test_weights_of_a_folder_are_those_of_the_name(own_model):
    data, _, noise = observation(SHAPE)
    named, own = Subject("unet"), Subject("unet", {"model": str(own_model)})
    assert np.array_equal(named.tiled(data, noise), own.tiled(data, noise))
    assert named.make().weights == own.make().weights
    assert len(named.make().weights) == 64


def test_weights_that_the_recipe_does_not_name_are_refused(own_model):
    path = own_model / weights.WEIGHTS
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    data, _, noise = observation(SHAPE)
    with pytest.raises(InputError, match="is not the file that its recipe names"):
        Subject("unet", {"model": str(own_model)}).apply(data, noise)


def test_weights_that_are_no_weights_are_refused_in_the_same_line(own_model):
    (own_model / weights.WEIGHTS).write_bytes(b"nothing")
    data, _, noise = observation(SHAPE)
    with pytest.raises(InputError, match="is not the file that its recipe names"):
        Subject("unet", {"model": str(own_model)}).apply(data, noise)


def test_a_model_that_is_not_there():
    with pytest.raises(ParameterError, match=r"no such model \(found: nothing\); known: .*unet3d-small"):
        _ = Unet(model="nothing").weights


def test_without_torch_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr("denoise.networks.backend.find_spec", lambda name: None)
    with pytest.raises(UsageError) as caught:
        denoise.denoise(np.ones((4, 16, 16), np.float32), "unet")
    assert str(caught.value) == (
        "method unet needs torch, which is not installed; "
        'pip install "astro-denoise[networks]", or choose another method, for instance ist'
    )
    assert "unet" in denoise.list_methods()


def test_a_network_that_is_not_trained_says_so_in_every_run():
    data, _, noise = observation((8, 24, 24))
    trained = weights.recipe_of("unet3d-small").trained
    for _ in range(2):
        result = denoise.denoise(data, "unet", noise=noise)
        assert any("is not trained" in text for text in result.warnings) is not trained


def test_what_computed_it_is_recorded():
    data, _, noise = observation((8, 24, 24))
    result = denoise.denoise(data, "unet", noise=noise, device="cpu")
    assert result.provenance.run["device"].startswith("cpu, ")
    assert "device" not in result.provenance.science["configuration"]
    assert "device" not in denoise.denoise(data, "ist", noise=noise).provenance.run


def test_a_gpu_that_is_not_there_is_told_before_the_first_tile(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    data, _, noise = observation((8, 24, 24))
    events = []
    with pytest.raises(ResourceError, match="no GPU that torch can use"):
        denoise.denoise(data, "unet", noise=noise, device="cuda", progress=events.append)
    assert not [event for event in events if event.stage == "denoising"]


def test_a_method_without_a_choice_refuses_another_device():
    data, _, noise = observation((8, 24, 24))
    with pytest.raises(ParameterError, match=r"method ist does not run on this device \(found: cuda\)"):
        denoise.denoise(data, "ist", noise=noise, device="cuda")


def test_a_device_that_is_short_of_memory_halves_the_tile(monkeypatch):
    """R8 with the error of torch itself, raised where the network runs."""
    import torch

    from denoise.networks.routes import route_for

    data, _, noise = observation((1, 24, 400))
    expected = denoise.denoise(data, "unet", noise=noise)
    kind = type(route_for("unet3d-small"))
    answer = kind.answer
    sizes = []

    def tight(self, inputs, numbers, *, threads):
        sizes.append(inputs[..., 0].size)
        if sizes[-1] > 12 * 170:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return answer(self, inputs, numbers, threads=threads)

    monkeypatch.setattr(kind, "answer", tight)
    halved = denoise.denoise(data, "unet", noise=noise)
    assert max(sizes) > 12 * 170 > min(sizes)
    assert "done in halves (CUDA out of memory" in halved.provenance.run["short_of_memory"]
    assert np.abs(halved.cube.data - expected.cube.data).max() < 0.02
