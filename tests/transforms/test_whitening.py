"""Whitening: white noise after it, borders and gaps told, the way back, kernels against their definition."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from denoise.noise import NoiseModel, Seams
from denoise.noise.covariance import autocorrelate, beam_acf, filtered_variance, whitening_kernels
from denoise.noise.model import TRUSTED
from denoise.simulate import noise_field
from denoise.transforms.whitening import _border_scale, convolve, filters_for, whiten

SHAPE = (150, 64, 72)
BEAMS = [(4.0, 4.0, 0.0), (6.0, 4.0, 30.0), (9.0, 8.0, 120.0)]
FAMILIES = ["white_convolved", "imaged"]


def drawn(beam, family, shape=SHAPE):
    model = NoiseModel.from_beam(shape, 1.0, beam, family)
    noise = {"imaged": "imaged_gaussian"}.get(family, family)
    return noise_field(np.random.default_rng(3), shape, beam, family=noise), model


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("beam", BEAMS)
def test_noise_is_of_unit_variance_and_as_correlated_as_its_model_says(beam, family):
    data, model = drawn(beam, family)
    white = whiten(data, np.ones(SHAPE, bool), model)
    inner = white.data[:, 16:-16, 16:-16]
    assert inner.std() == pytest.approx(1, abs=0.02)
    for dy, dx in ((0, 1), (1, 0), (1, 1), (0, 3)):
        measured = np.mean(inner[:, dy:, dx:] * inner[:, : inner.shape[1] - dy, : inner.shape[2] - dx])
        acf = white.noise.spatial_acf
        assert measured == pytest.approx(acf[acf.shape[0] // 2 + dy, acf.shape[1] // 2 + dx], abs=0.03)
    # less correlated than it was
    assert (white.noise.spatial_acf**2).sum() < 0.4 * (model.spatial_acf**2).sum()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("beam", BEAMS)
def test_borders_and_gaps_are_no_noisier(beam, family):
    data, model = drawn(beam, family)
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    covered = np.broadcast_to((y - 30) ** 2 + (x - 36) ** 2 < 25**2, SHAPE)
    for valid in (np.ones(SHAPE, bool), covered):
        white = whiten(np.where(valid, data, 0).astype(np.float32), valid, model)
        spread = white.data.std(axis=0)[valid[0]]
        assert np.percentile(spread, 98) < 1.2
        assert spread.max() < 1.7  # single pixels at the edge of a mask
        assert (white.data[~valid] == 0).all()


@pytest.mark.parametrize("beam", [(5.0, 5.0, 0.0), (6.0, 3.0, 0.0), (5.0, 3.3, 70.0)])
def test_border_factors_are_the_noise_that_mirroring_makes(beam):
    """Along y and along x: an elongated beam makes one border noisier than the other."""
    data, model = drawn(beam, "white_convolved", (300, 64, 72))
    filters = filters_for(model)
    white = convolve(data, filters.whiten)
    for axis, factors in enumerate(filters.border, start=1):
        lines = np.moveaxis(white, axis, 1)[:, :, 12:-12]
        measured = [np.sqrt(np.mean(lines[:, [d, -1 - d]] ** 2)) for d in range(len(factors))]
        assert factors == pytest.approx(np.maximum(measured, 1), abs=0.04)


def test_kernels_are_inverse_to_each_other_and_leave_unit_variance():
    acf = beam_acf((5.0, 4.0, 20.0))
    forward, back, left = whitening_kernels(acf, floor=TRUSTED)
    assert filtered_variance(acf, forward) == pytest.approx(1, abs=1e-3)
    image = np.zeros((101, 101))
    image[50, 50] = 1
    there = ndimage.convolve(image, forward, mode="constant")
    assert np.abs(ndimage.convolve(there, back, mode="constant") - image).max() < 5e-3
    lag = left.shape[0] // 2
    pair = autocorrelate(forward)
    middle = np.array(pair.shape) // 2
    half = acf.shape[0] // 2
    near = pair[middle[0] - half : middle[0] + half + 1, middle[1] - half : middle[1] + half + 1]
    assert (near * acf).sum() == pytest.approx(left[lag, left.shape[1] // 2], abs=2e-2)


def test_where_all_is_kept_the_block_comes_back():
    data, model = drawn((5.0, 4.0, 30.0), "imaged")
    data[:, 0, 5] += 500  # a bright source on the border
    white = whiten(data, np.ones(SHAPE, bool), model)
    back = white.restore(white.data, np.ones(SHAPE, np.float32))
    assert np.abs(back - data).max() < 1e-3


def test_pieces_between_seams_are_fields_of_their_own():
    _, model = drawn((5.0, 4.0, 30.0), "white_convolved", (150, 60, 70))
    model = replace(model, seams=Seams((21,), (2, 40)))
    data = model.sample(seed=4)
    valid = np.ones(data.shape, bool)
    valid[:, 15:30, 50:60] = False
    data[~valid] = 0
    white = whiten(data, valid, model)
    for rows, columns in model.seams.pieces((60, 70)):
        part = (slice(0, 150), rows, columns)
        alone = whiten(data[part], valid[part], model.window(part))
        assert np.array_equal(white.data[part], alone.data)
    assert white.data.std(axis=0).max() < 1.45
    # not told of the seams, filters make a line of them
    blind = whiten(data, valid, replace(model, seams=Seams()))
    assert blind.data[:, [20, 21], 5:38].std() > 1.8


def test_the_block_comes_back_across_seams():
    _, model = drawn((5.0, 4.0, 30.0), "imaged")
    model = replace(model, seams=Seams((1, 30), (65,)))
    data = model.sample(seed=4)
    data[:, 29, 65] += 500
    white = whiten(data, np.ones(SHAPE, bool), model)
    back = white.restore(white.data, np.ones(SHAPE, np.float32))
    assert np.abs(back - data).max() < 1e-3


def test_white_noise_is_left_alone():
    model = NoiseModel.white((3, 8, 9), 1.0)
    data = model.sample(seed=1)
    white = whiten(data, np.ones(data.shape, bool), model)
    assert white.data is data
    assert filters_for(model) is None
    assert white.restore(data, data) is data


def test_threads_do_not_matter_and_tiny_planes_work():
    _, model = drawn((5.0, 4.0, 30.0), "imaged", (9, 40, 40))
    data = model.sample(seed=2)
    kernel = filters_for(model).whiten
    assert np.array_equal(convolve(data, kernel), convolve(data, kernel, threads=3))
    for shape in ((2, 1, 1), (1, 1, 7), (3, 2, 5)):
        assert np.isfinite(convolve(np.ones(shape, np.float32), kernel)).all()


def test_convolution_equals_scipy():
    rng = np.random.default_rng(0)
    data = rng.normal(size=(2, 30, 41)).astype(np.float32)
    kernel = rng.normal(size=(7, 5))
    kernel = kernel + kernel[::-1, ::-1]
    wanted = np.stack([ndimage.convolve(plane.astype(float), kernel, mode="mirror") for plane in data])
    assert np.abs(convolve(data, kernel) - wanted).max() < 1e-4


@pytest.mark.parametrize("shape", [(1, 20, 30), (2, 3, 9), (1, 1, 7)])
def test_a_whole_plane_has_the_borders_of_one_that_lacks_a_far_pixel(shape):
    """Borders are found faster where nothing is missing; a plane beside it that has more is searched."""
    border = np.array([[1.3, 1.2, 1.1], [1.5, 1.3, 1.0]])
    scale = _border_scale(np.ones(shape, np.bool_), border)
    wide = np.pad(np.ones(shape, np.bool_), [(0, 0), (1, 1), (1, 1)])
    assert np.array_equal(scale, _border_scale(wide, border)[:, 1:-1, 1:-1])
