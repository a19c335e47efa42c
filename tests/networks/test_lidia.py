"""LIDIA: parity with the published weights and arithmetic, and the search against a plain one."""

import os
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from denoise.networks.lidia import Lidia, from_reference, see  # noqa: E402
from denoise.networks.neighbours import find_neighbours, smoothed, with_border  # noqa: E402
from denoise.networks.unet3d import parameter_count  # noqa: E402

COUNTS = {False: 61_589, True: 40_226}


@pytest.mark.parametrize("small", [False, True])
def test_parameter_counts(small):
    assert parameter_count(Lidia(small=small)) == COUNTS[small]


# What the stored files leave out: the kernel that smooths the aggregated image of scale 1, [1 2 1] / 4 along both axes
# in a trained network, random there like all weights. Found by least squares: 9 numbers from 576 of the output.
KERNELS = {
    "grey": [-1.37276, -0.11232, 0.22762, -0.17029, 0.04195, -0.41505, 0.60499, 0.48685, -1.02053],
    "small": [0.23808, 0.11842, 0.21807, -0.51947, -0.55728, -0.52033, -0.30622, -0.37218, 0.21719],
}


@pytest.fixture(params=["grey", "small"])
def golden(request):
    """Network with stored weights, its input and its output (y, x)."""
    folder = os.environ.get("DENOISE_TEST_DATA")
    if not folder:
        pytest.skip("DENOISE_TEST_DATA names no folder with lidia_golden")
    stored = dict(np.load(Path(folder) / "lidia_golden" / f"lidia_{request.param}.npz"))
    network = from_reference(stored).requires_grad_(False)
    network.blur = torch.tensor(KERNELS[request.param]).view(1, 1, 3, 3)
    return network, stored["__input__"][0, 0], stored["__output__"][0, 0]


def test_parity(golden):
    network, image, wanted = golden
    mean = image.mean()
    found = network([see(image - mean, scale) for scale in (0, 1)])[0].numpy() + mean
    assert np.abs(found - wanted).max() < 1e-4


@pytest.mark.parametrize("scale", [0, 1])
def test_search_finds_what_a_plain_search_finds(scale):
    rng = np.random.default_rng(4)
    image = rng.normal(size=(79, 84)).astype(np.float32)
    found = find_neighbours(image[None], scale, threads=2)
    step, seen = scale + 1, (smoothed(image) if scale else image).astype(np.float64)
    y, x = 4, 7

    def patch(row, column):
        return seen[
            row - 3 * step : row + 3 * step + 1 : step, column - 3 * step : column + 3 * step + 1 : step
        ]

    far = range(-14 * step, 14 * step + 1, step)
    own = patch(35 + y, 35 + x)
    plain = sorted(
        (((patch(35 + y + dy, 35 + x + dx) - own) ** 2).sum(), dy * 84 + dx) for dy in far for dx in far
    )[:14]
    np.testing.assert_allclose(found.distances[y, x], [distance for distance, _ in plain], rtol=1e-5)
    np.testing.assert_array_equal(found.offsets[y, x], [offset for _, offset in plain])
    number = y * found.grid[1] + x
    patches = found.patches(number, number + 1)
    np.testing.assert_allclose(patches[0, 0], own.ravel(), atol=1e-6)


def test_search_does_not_depend_on_threads_or_on_where_an_image_begins():
    image = with_border(np.random.default_rng(5).normal(size=(1, 40, 30)).astype(np.float32))
    whole, cut = find_neighbours(image, 0, threads=2), find_neighbours(image[:, 5:, 3:], 0)
    assert np.array_equal(whole.distances[5:, 3:], cut.distances)
    assert np.array_equal(whole.distances, find_neighbours(image, 0).distances)


def test_search_in_other_planes_finds_a_moved_copy():
    image = np.random.default_rng(6).normal(size=(90, 90)).astype(np.float32)
    planes = np.stack([np.roll(image, (3, -5), axis=(0, 1)), image])
    found = find_neighbours(planes, 0, own=1)
    assert found.distances[10, 10, 1] == 0
    assert found.offsets[10, 10, 1] == -90 * 90 + 3 * 90 - 5
    patches = found.patches(0, 30)
    np.testing.assert_array_equal(patches[0], patches[1])
