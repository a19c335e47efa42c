"""Gated synthesis against its definition in NumPy, the trained network, masks of bits, flux without negatives."""

import numpy as np
import pytest
from scipy import ndimage

from denoise.errors import InputError
from denoise.methods import _gates
from denoise.noise import NoiseModel
from denoise.transforms import detection, starlet
from denoise.transforms.bitmask import BitMask
from denoise.transforms.gaps import bridged
from denoise.transforms.gates import SIDE, GateNetwork, brightness, gated, padded, strength
from denoise.transforms.positivity import without_negatives


def network(seed=0, units=7):
    rng = np.random.default_rng(seed)
    sizes = ((units, SIDE**2 + 10), (units,), (SIDE**2, units), (SIDE**2,))
    return GateNetwork(*(rng.normal(scale=0.3, size=size).astype(np.float32) for size in sizes), 4.0, 4.0)


def by_definition(data, region, net, left, noise):
    """``sum_b g_b c_b`` in float64; a scale that the cube lacks repeats the coarsest."""
    top2, top1 = (n - 1 for n in noise.shape)
    bands = starlet.forward(data, spatial_scales=top2, spectral_scales=top1).astype(float)
    sums = np.flip(np.cumsum(np.cumsum(np.flip(bands, (0, 1)), axis=0), axis=1), (0, 1))
    at = [[min(j, top) for j in range(SIDE)] for top in (top2, top1)]
    kept = padded(left).astype(float)
    ratio = sums[np.ix_(*at)] / kept[:, :, None, None, None]
    seen = (ratio / (1 + np.abs(ratio) / net.knee)).reshape(SIDE**2, -1)
    numbers = np.log(np.concatenate([kept[1:, 0], kept[0, 1:]]))[:, None].repeat(seen.shape[1], axis=1)

    def logits(sign):
        near = brightness(strength(data, left)).reshape(1, -1)
        inputs = np.concatenate([sign * seen, region.reshape(1, -1), near, numbers])
        hidden = np.maximum(net.hidden @ inputs + net.hidden_bias[:, None], 0)
        return net.out @ hidden + net.out_bias[:, None]

    z = np.maximum(logits(1), logits(-1))
    gains = 0.5 * (1 + z / (1 + np.abs(z)))
    total = np.zeros(seen.shape[1])
    for a in range(top2 + 1):
        for b in range(top1 + 1):
            slot = [SIDE - 1 if j == top else min(j, SIDE - 2) for j, top in ((a, top2), (b, top1))]
            c = bands[a, b].ravel()
            least = 1 - (net.floor * noise[a, b]) ** 2 / np.maximum(c * c, 1e-30)
            total += np.maximum(gains[slot[0] * SIDE + slot[1]], least) * c
    return (total * region.ravel()).reshape(data.shape)


@pytest.mark.parametrize(
    ("shape", "scales"),
    [((24, 40, 70), (4, 3)), ((6, 21, 33), (3, 1)), ((1, 30, 30), (3, 0)), ((40, 70, 65), (5, 4))],
)
def test_equals_the_definition(shape, scales):
    rng = np.random.default_rng(1)
    data = rng.normal(size=shape).astype(np.float32)
    data[:, 10:14, 9:13] += 9
    region = (rng.random(shape) * (rng.random(shape) > 0.6)).astype(np.float32)
    region[:, :, :5] = 0
    region[region < 0.03] = 0
    model = NoiseModel.from_beam(shape, 1.0, (4.0, 3.0, 20.0))
    left, noise = detection.noise_left(model, scales), detection.band_noise(model, scales)
    options = {"spatial_scales": scales[0], "spectral_scales": scales[1]}
    options |= {"region": region, "strength": strength(data, left), "network": network()}
    out = gated(data, left=left, noise=noise, threads=2, memory=0.5, **options)
    assert np.abs(out - by_definition(data, region, network(), left, noise)).max() < 1e-4
    one = gated(data, left=left, noise=noise, **options)
    assert np.array_equal(out, one)
    assert (out[region == 0] == 0).all()


def test_gains_keep_every_coefficient_between_nothing_and_itself():
    """With gains of one the data come back; with gains of nothing and no floor, nothing does."""
    data = np.random.default_rng(2).normal(size=(8, 20, 20)).astype(np.float32)
    ones = np.ones_like(data)
    for level, wanted in ((1e6, data), (-1e6, 0 * data)):
        net = network()
        net = GateNetwork(
            net.hidden * 0, net.hidden_bias * 0, net.out * 0, net.out_bias * 0 + level, np.inf, 4.0
        )
        options = {"left": np.ones((4, 3)), "noise": 1.0, "spatial_scales": 3, "spectral_scales": 2}
        assert np.abs(gated(data, region=ones, strength=ones, network=net, **options) - wanted).max() < 1e-4


def test_trained_weights_are_those_that_the_recipe_names(tmp_path, monkeypatch):
    assert len(_gates.trained_gates().checksum) == 64
    folder = tmp_path / "ist-gates"
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(b"other")
    (folder / "recipe.yaml").write_text("sha256: abc\n")
    monkeypatch.setattr(_gates, "resource", lambda *parts: tmp_path.joinpath(*parts[1:]))
    _gates.trained_gates.cache_clear()
    with pytest.raises(InputError, match="recipe names"):
        _gates.trained_gates()
    _gates.trained_gates.cache_clear()


@pytest.mark.parametrize("shape", [(5, 9, 64), (3, 7, 65), (4, 6, 130), (1, 1, 1), (2, 3, 200)])
def test_bit_masks_grow_like_scipy(shape):
    rng = np.random.default_rng(3)
    data = rng.normal(size=shape).astype(np.float32)
    for both in (False, True):
        mask = BitMask(shape, threads=2)
        wanted = (np.abs(data) if both else data) > 1.5
        assert mask.mark(data, 1.5, both_signs=both) == wanted.any()
        assert np.array_equal(mask.booleans(), wanted)
        for half in ((0, 1, 1), (2, 4, 4), (1, 0, 3)):
            box = np.ones([2 * h + 1 for h in half], bool)
            assert np.array_equal(mask.grown(half).booleans(), ndimage.binary_dilation(wanted, box))


def test_negative_values_go_and_the_flux_stays():
    rng = np.random.default_rng(4)
    noise = NoiseModel.from_beam((12, 48, 48), 1.0, (4.0, 4.0, 0.0)).sample(seed=1)
    y, x = np.mgrid[:48, :48]
    source = 4 * np.exp(-((y - 24) ** 2 + (x - 24) ** 2) / 2 / 4**2) * np.ones((12, 1, 1))
    data = (source + 0.6 * noise).astype(np.float32)
    support = source > 0.3
    data *= support
    out = without_negatives(data, support)
    assert (out >= 0).all()
    added = np.maximum(data, 0).sum() - data.sum()
    assert added > 0.02 * data.sum()
    assert abs(out.sum() - data.sum()) < added / 3
    positive = np.abs(rng.normal(size=(4, 9, 9))).astype(np.float32)
    assert np.array_equal(without_negatives(positive, positive > 0), positive)


def test_short_gaps_are_bridged_and_long_ones_are_not():
    data = np.arange(20, dtype=np.float32)[:, None, None] * np.ones((1, 2, 3), np.float32)
    valid = np.ones(data.shape, bool)
    valid[[0, 4, 5, 19]] = False
    valid[8:14] = False
    valid[2, 0, 0] = False
    holes = np.where(valid, data, np.float32(0))
    out = bridged(holes, valid)
    assert out[4:6] == pytest.approx(data[4:6])
    untouched = [0, 2, *range(8, 14), 19]
    assert np.array_equal(out[untouched], holes[untouched])
    assert bridged(data, np.ones(data.shape, bool)) is data
    assert np.array_equal(bridged(holes, np.zeros(data.shape, bool)), holes)
