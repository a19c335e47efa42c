"""Fine-tuning without truth: independent noise in a pair, blocks that nothing sees twice, and a gate that says no."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from denoise.errors import CancelledError, InputError, UsageError  # noqa: E402
from denoise.methods import get_method  # noqa: E402
from denoise.networks import gate, pool  # noqa: E402
from denoise.networks.blocks import CHOOSE, JUDGE, TRAIN, Blocks  # noqa: E402
from denoise.networks.examples import Observed, example  # noqa: E402
from denoise.networks.finetune import RECORD, fine_tune, noisy_loss, write_verdict  # noqa: E402
from denoise.networks.pairs import RECORRUPTION, Sky, as_pair, make_pair, tile_at, tile_shape  # noqa: E402
from denoise.networks.pool import Pool, Scored  # noqa: E402
from denoise.networks.recipe import checked_recipe, load_recipe  # noqa: E402
from denoise.networks.tuning import Tuning, TuningRun  # noqa: E402
from denoise.networks.weights import Model, build, checksum_of, load_model  # noqa: E402
from denoise.noise import NoiseModel  # noqa: E402
from denoise.transforms.whitening import whiten  # noqa: E402

SHAPE = (8, 64, 64)
WHOLE = tuple(slice(0, n) for n in SHAPE)
BEAM = (3.0, 2.5, 20.0)
TILE = (8, 32, 32)
NO_FLOOR = 1e3  # nothing is so bright that it is kept whatever the network says


class Held:
    """A cube in memory that remembers what was read."""

    def __init__(self, data, noise):
        self.data, self.noise, self.shape, self.regions = data, noise, data.shape, []

    def read(self, region):
        self.regions.append(region)
        return self.data[region].copy()


class Drawn(Held):
    """Noise that is made where it is read: a cube of any size."""

    def __init__(self, noise):
        self.noise, self.shape, self.regions = noise, noise.shape, []

    def read(self, region):
        self.regions.append(region)
        return self.noise.sample(region, seed=5)


def model_of(noise="white", shape=SHAPE, sigma=1.0):
    if noise == "white":
        return NoiseModel.white(shape, sigma)
    return NoiseModel.from_beam(shape, sigma, BEAM)


def source(shape=SHAPE, peak=12.0):
    axes = [
        np.exp(-0.5 * ((np.arange(n) - 0.45 * n) / width) ** 2)
        for n, width in zip(shape, (2, 3, 3), strict=True)
    ]
    return np.float32(peak) * np.einsum("i,j,k->ijk", *axes).astype(np.float32)


def one_sky(noise=None, truth=0.0, seed=1):
    noise = noise or model_of()
    return Sky(Held(noise.sample(seed=seed) + np.float32(truth), noise), None, 3.0)


def two_skies(noise=None, truth=0.0):
    noise = noise or model_of()
    one, two = (Held(noise.sample(seed=seed) + np.float32(truth), noise) for seed in (1, 2))
    return Sky(one, two, 3.0)


@pytest.fixture
def recipe(tiny):
    tiny["simulation"] |= {"shapes": [{"shape": list(TILE), "batch": 1}], "kinds": {"disc": 1.0}}
    tiny["simulation"] |= {"noise": {"white": 1.0}}
    tiny["network"] = {"widths": [4], "blocks": [1]}
    return checked_recipe(tiny | {"trained": True}, "tiny.yaml")


def begun(recipe, *, keeps=0.0, offset=0.0):
    """A model whose gates are the same everywhere, and which adds an offset to every voxel."""
    network = build(recipe)
    with torch.no_grad():
        network.gates.out.bias.fill_(keeps)
        network.head.bias[25:29] = offset
    return Model(network.eval().requires_grad_(False), recipe, "0" * 64)


# pairs


@pytest.mark.parametrize("kind", ["white", "beam"])
def test_the_noise_of_a_recorrupted_pair_is_independent(kind):
    noise = model_of(kind, sigma=3e-19)
    sky = one_sky(noise)
    found = sky.noisy(WHOLE, seed=3, draw=7)
    assert np.std(found.seen) == pytest.approx(1, abs=0.05)
    assert np.std(found.target) == pytest.approx(1 / RECORRUPTION, abs=0.1)
    samples = found.seen.size / noise.correlation_area
    for shift in range(4):  # the next pixels too
        a, b = found.seen[:, :, : 64 - shift], found.target[:, :, shift:]
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4 / math.sqrt(samples)
    assert not np.array_equal(found.seen, sky.noisy(WHOLE, seed=3, draw=8).seen)


def test_a_recorrupted_pair_keeps_the_sky():
    truth = source()
    sky = one_sky(truth=truth)
    whole = math.hypot(1, RECORRUPTION)
    mean = np.mean([sky.noisy(WHOLE, seed=1, draw=draw)[:2] for draw in range(60)], axis=0)
    for part in mean:
        assert np.abs(part * whole - sky.field.data).max() < 6 * (1 / RECORRUPTION) / math.sqrt(60)


def test_halves_take_turns():
    sky = two_skies(model_of(sigma=2.0))
    even, odd = (sky.noisy(WHOLE, seed=0, draw=draw) for draw in (0, 1))
    assert np.array_equal(even.seen, odd.target)
    assert np.allclose(even.seen, sky.field.data / 2)
    assert np.allclose(even.target, sky.other.data / 2)


def test_a_pair_is_the_example_of_the_training():
    noise = model_of("beam", (8, 48, 48))
    data = noise.sample(seed=4) + source(noise.shape)
    made = example(Observed(source(noise.shape), data, np.ones((48, 48), bool), noise, 12.0))
    valid = np.ones(data.shape, bool)
    tile = tile_at((0, 0, 0), (8, 48, 48), data.shape)
    pair = as_pair(whiten(data, valid, noise), valid, whiten(source(noise.shape), valid, noise).data, tile)
    assert np.allclose(pair.inputs, made.inputs.astype(np.float32), atol=4e-3)
    assert np.allclose(pair.bands, made.bands.astype(np.float32), rtol=1e-3, atol=2e-3)
    assert np.allclose(pair.target, made.truth.astype(np.float32), rtol=1e-3, atol=2e-3)
    assert np.array_equal(pair.colour, made.colour)
    assert pair.valid.all()


def test_tiles_are_parts_of_the_whole_and_nan_stays_out_of_them():
    noise = model_of("beam", (13, 90, 77))
    data = noise.sample(seed=2)
    data[:, 40:50, 30:44] = np.nan
    data[5] = np.nan
    sky = Sky(Held(data, noise), None, 3.0)
    size = tile_shape(TILE, noise.shape)
    tile = tile_at((99, 99, 99), size, noise.shape)
    assert [part.stop for part in tile.core] == [16, 96, 80]  # up to the grid's steps beyond the cube
    pair = make_pair(sky, tile, seed=1, draw=1)
    assert pair.valid.shape == size
    assert not pair.valid[5].any() or tile.core[0].start != 0
    assert not pair.valid[:, 90 - tile.core[1].start :].any()
    for part in pair:
        assert np.isfinite(part).all()
    middle = make_pair(sky, tile_at((0, 32, 24), size, noise.shape), seed=1, draw=1)
    assert np.array_equal(middle.valid, np.isfinite(data[0:8, 32:64, 24:56]))
    assert all(np.isfinite(part).all() for part in middle)


def test_an_image_is_tiled_in_its_plane():
    noise = model_of("white", (1, 70, 70))
    pair = make_pair(
        one_sky(noise), tile_at((0, 0, 0), tile_shape((1, 32, 32), noise.shape), noise.shape), seed=1, draw=0
    )
    assert pair.inputs.shape == (1, 16, 16, 26)


# blocks


def test_no_voxel_is_for_two_uses():
    noise = model_of("beam", (20, 100, 90))
    blocks = Blocks.of(noise, np.random.default_rng(1))
    whole = tuple(slice(0, n) for n in noise.shape)
    found = {use: blocks.numbers(whole, use) for use in (TRAIN, CHOOSE, JUDGE)}
    used = sum((one >= 0).astype(int) for one in found.values())
    assert used.max() == 1
    for one, two in ((TRAIN, JUDGE), (TRAIN, CHOOSE), (CHOOSE, JUDGE)):
        assert not set(np.unique(found[one])) & set(np.unique(found[two])) - {-1}
    assert all(side >= 3 * width for side, width in zip(blocks.side[1:], noise.correlation_fwhm, strict=True))
    part = (slice(3, 9), slice(10, 50), slice(7, 90))
    assert np.array_equal(blocks.numbers(part, JUDGE), found[JUDGE][part])


def test_what_judges_is_apart_from_what_was_trained_on_by_the_rim():
    noise = model_of("beam", (20, 100, 90))
    blocks = Blocks.of(noise, np.random.default_rng(1))
    whole = tuple(slice(0, n) for n in noise.shape)
    train, judge = (blocks.numbers(whole, use) >= 0 for use in (TRAIN, JUDGE))
    assert blocks.rim[1] == math.ceil(noise.correlation_fwhm[0] / 2)
    for shift in range(1, blocks.rim[1] + 1):
        assert not (judge[:, shift:] & train[:, :-shift]).any()


def test_a_cube_larger_than_its_tiles_is_read_in_parts(monkeypatch):
    monkeypatch.setattr(pool, "_LOOKED_AT", 6)
    field = Drawn(model_of("white", (40, 300, 300)))
    drawn = Pool([Sky(field, None, 3.0)], TILE, 0)
    rng = np.random.default_rng(0)
    for draw in range(4):
        scored = drawn.drawn(rng, draw)
        assert scored.pair.inputs.shape == (8, 16, 16, 26)
    assert len(drawn.tiles) == 6
    sizes = [[part.stop - part.start for part in region] for region in field.regions]
    assert np.max(sizes, axis=0).tolist() <= [24, 80, 80]


def test_draws_prefer_what_emits():
    looked = Pool([one_sky(truth=source(peak=30.0))], TILE, 0)
    emission = np.array([one.emission for one in looked.tiles])
    assert emission.max() > 0
    assert looked._odds.argmax() == emission.argmax()
    assert looked._odds.min() > 0


def test_a_cube_too_small_to_judge_by_is_refused():
    with pytest.raises(InputError, match="too small to judge"):
        Pool([one_sky(model_of("white", (4, 32, 32)))], TILE, 0)


# the loss


def test_the_noisy_loss_has_its_least_value_where_the_truth_is(recipe):
    """Of all shares of the data that a network may keep, the best against the target is the best against the truth."""
    truth, tile = source(), tile_at((0, 16, 16), TILE, SHAPE)
    sky, whole = one_sky(truth=truth), math.hypot(1, RECORRUPTION)
    pairs = [make_pair(sky, tile, seed=1, draw=draw) for draw in range(6)]
    known = [pair._replace(target=_as_target(truth[tile.core] / whole)) for pair in pairs]
    used = np.zeros(pairs[0].valid.shape, np.int64)
    losses = {}
    for keeps in (-2.0, -0.5, 0.0, 0.5, 1.0, 2.0, 4.0):
        network = begun(recipe, keeps=keeps).network
        with torch.no_grad():
            losses[keeps] = [
                sum(float(noisy_loss(network, Scored(pair, used), "cpu", NO_FLOOR)) for pair in some)
                for some in (pairs, known)
            ]
    noisy, clean = (sorted(losses, key=lambda keeps: losses[keeps][k]) for k in (0, 1))
    assert clean[0] not in (-2.0, 4.0)
    assert noisy[0] in clean[:2]
    # and they differ by the same for every network, but for the scatter of the noise
    apart = np.array([noisy - clean for noisy, clean in losses.values()])
    assert np.ptp(apart) < 0.1 * apart.mean()


def _as_target(values):
    from denoise.networks.scalespace import Grid

    return Grid.of(values.shape).positions(values.astype(np.float32))


# the gate


def test_the_gain_and_its_error_are_those_of_a_mean_over_blocks():
    rng = np.random.default_rng(2)
    trials = []
    for _ in range(300):
        voxels = rng.integers(50, 150, 30).astype(float)
        before = gate.Squares(rng.normal(5, 1, 30) * voxels, voxels)
        after = gate.Squares(before.sums - (0.1 + 0.05 * rng.normal(size=30)) * voxels, voxels)
        trials.append(gate.compare(before, after))
    gains, errors = np.array([(one.gain, one.error) for one in trials]).T
    assert gains.mean() == pytest.approx(0.1, abs=0.005)
    assert errors.mean() == pytest.approx(gains.std(), rel=0.15)
    unseen = gate.Squares(np.zeros(0), np.zeros(0))
    assert gate.compare(unseen, unseen).gain == 0


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        (0.8, 0.77, True),
        (0.8, 0.75, False),
        (0.8, 0.99, True),
        (0.98, 1.04, True),
        (0.98, 1.06, False),
        (1.2, 1.0, True),
    ],
)
def test_flux_may_change_by_five_per_cent_or_come_nearer_to_all_of_it(before, after, kept):
    rows = np.array([[one, 1.0] for one in (before, before)])
    assert gate.flux_is_kept(gate.compare_flux(rows, rows * [after / before, 1])) is kept


def test_a_network_that_keeps_a_share_keeps_that_share_of_faint_flux(recipe):
    skies = (one_sky(), one_sky(model_of("beam")))
    shares = []
    for keeps in (0.0, 20.0):
        rows = gate.faint_flux(begun(recipe, keeps=keeps).network, skies, TILE, 24, 1, floor=NO_FLOOR)
        shares.append(rows[:, 0].sum() / rows[:, 1].sum())
    assert shares[0] == pytest.approx(0.5, abs=0.06)
    assert shares[1] == pytest.approx(0.5 * (1 + 20 / 21), abs=0.1)


HARD = Tuning(steps=20, rate=0.02, pairs=1, validate_every=10, sources=16)


def test_what_helps_is_adopted_and_used(recipe, tmp_path):
    """The model takes a third of a sigma off every voxel: the data say so."""
    model = begun(recipe, offset=-0.33)
    verdict = fine_tune(model, [two_skies(truth=source())], HARD, TuningRun())
    assert verdict.score.gain > 0.03
    assert verdict.flux.after > verdict.flux.before
    assert verdict.adopted
    write_verdict(
        verdict, model, HARD, tmp_path, how="halves", inputs={"a.fits": "sha256:1", "b.fits": "sha256:2"}
    )
    record = json.loads((tmp_path / RECORD).read_text())
    assert record["decision"] == "adopted"
    assert record["sha256"] == checksum_of(tmp_path)
    written = load_recipe(tmp_path / "recipe.yaml")
    assert written.name == "tiny-tuned"
    assert written.trained
    assert written.tuned.inputs == {"a.fits": "sha256:1", "b.fits": "sha256:2"}
    assert written.tuned.sha256 == model.checksum
    assert load_model(str(tmp_path)).checksum == record["sha256"]
    assert get_method("unet")(model=str(tmp_path)).weights == record["sha256"]
    # a refusal leaves the record alone
    write_verdict(replace(verdict, adopted=False), model, HARD, tmp_path, how="halves", inputs={})
    assert [path.name for path in tmp_path.iterdir()] == [RECORD]


def test_what_lowers_the_error_by_dropping_faint_flux_is_refused(recipe):
    """In an empty field, with nothing to rehearse, zero is the best answer: what is faint goes too."""
    verdict = fine_tune(begun(recipe), [one_sky()], replace(HARD, rehearsal=0.0), TuningRun())
    assert verdict.score.gain > gate.ERRORS * verdict.score.error
    assert verdict.flux.after < 0.95 * verdict.flux.before
    assert not verdict.adopted
    assert verdict.line.startswith("refused, the original model is kept")


def test_what_changes_nothing_is_refused(recipe):
    still = Tuning(steps=1, rate=1e-12, pairs=1, sources=8)
    verdict = fine_tune(begun(recipe), [one_sky()], still, TuningRun())
    assert not verdict.adopted
    assert abs(verdict.score.gain) < 1e-6


def test_the_same_seed_gives_the_same_weights_with_and_without_workers(recipe):
    asked = Tuning(steps=3, pairs=1, validate_every=2, sources=8, seed=4)
    one, two = (
        fine_tune(begun(recipe), [one_sky(truth=source())], asked, TuningRun(workers=workers))
        for workers in (0, 1)
    )
    assert one.score == two.score
    assert one.looks == two.looks
    assert all(torch.equal(value, two.weights[name]) for name, value in one.weights.items())
    other = fine_tune(begun(recipe), [one_sky(truth=source())], replace(asked, seed=5), TuningRun())
    assert any(not torch.equal(value, other.weights[name]) for name, value in one.weights.items())


def test_the_model_it_begins_with_is_not_changed(recipe):
    model = begun(recipe)
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    fine_tune(model, [one_sky()], replace(HARD, steps=2, sources=8), TuningRun())
    assert all(torch.equal(value, before[name]) for name, value in model.network.state_dict().items())


def test_it_stops_when_it_gets_no_better_when_late_and_when_told(recipe):
    asked = Tuning(steps=50, rate=1e-12, pairs=1, validate_every=1, patience=2, sources=8)
    sky = one_sky()
    assert fine_tune(begun(recipe), [sky], asked, TuningRun()).steps < 50
    assert fine_tune(begun(recipe), [sky], replace(asked, patience=99), TuningRun(minutes=1e-9)).steps == 1
    with pytest.raises(CancelledError):
        fine_tune(begun(recipe), [sky], asked, TuningRun(stop=lambda: True))


def test_an_untrained_model_is_refused(recipe):
    model = begun(recipe.model_copy(update={"trained": False}))
    with pytest.raises(UsageError, match="not trained"):
        fine_tune(model, [one_sky()], HARD, TuningRun())
