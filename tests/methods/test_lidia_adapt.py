"""Adaptation of `lidia` to the cube at hand: what is kept of the cube, and a gate that says no."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

import denoise
from denoise.cube import Cube
from denoise.engine.progress import CancelToken, Monitor
from denoise.errors import CancelledError, ParameterError
from denoise.methods.lidia import Lidia
from denoise.networks import cells, lidia_tuning
from denoise.networks.blocks import CHOOSE, JUDGE, TRAIN
from denoise.networks.cells import Cells
from denoise.networks.lidia_weights import load_lidia
from denoise.networks.weights import write_model
from denoise.noise import NoiseModel
from denoise.testing.subject import blob, noise_model, prepare, state_of

SHAPE = (1, 96, 96)


def field(shape=SHAPE, noise=None, seed=1):
    noise = noise or NoiseModel.white(shape, 1.0)
    return noise.sample(seed=seed) + 12 * blob(shape), noise


@pytest.fixture
def quick(monkeypatch):
    """Function that sets how the training goes, with few cells."""

    def set_tuning(**values):
        some = {"pairs": 1, "validate_every": 1, "sources": 8, "rehearsal": 0.0, "rate": 1e-3} | values
        monkeypatch.setattr(lidia_tuning, "TUNING", replace(lidia_tuning.TUNING, **some))

    monkeypatch.setattr(cells, "_KEPT", {TRAIN: 4, CHOOSE: 4, JUDGE: 20})
    set_tuning()
    return set_tuning


def stripes(shape):
    y, x = np.mgrid[: shape[1], : shape[2]]
    curved = np.sin((0.8 * x + 0.6 * y) / 1.7 + 1.5 * np.sin(y / 17))
    return np.broadcast_to(4 * curved, shape).astype(np.float32)


def model_that_takes(share, folder):
    """The shipped network, which takes this share of what it says is noise."""
    model = load_lidia("lidia-beams")
    weights = {name: value.clone() for name, value in model.network.network.state_dict().items()}
    for name in ("noise.hor.weight", "noise.b"):
        weights[name] *= share
    write_model(weights, model.recipe, folder)
    return str(folder)


def kept_bytes(found, use):
    return [
        (cell.block, cell.own, cell.bright, cell.sky.field.data.tobytes(), cell.sky.field.noise.start)
        for cell in found.of(use)
    ]


def filled(data, noise, core, *, beside=0, seed=0):
    found = Cells(noise, seed, 3.0, beside)
    far = found.reach
    for y in range(0, data.shape[1], core):
        for x in range(0, data.shape[2], core):
            outer = tuple(
                slice(max(0, at - far), min(n, at + core + far))
                for at, n in zip((y, x), data.shape[1:], strict=True)
            )
            inner = tuple(
                slice(at - part.start, min(at + core, n) - part.start)
                for at, part, n in zip((y, x), outer, data.shape[1:], strict=True)
            )
            region = slice(0, len(data)), *outer
            found.look(data[region], noise.window(region), (slice(0, len(data)), *inner))
    return found


# what is kept


@pytest.mark.parametrize("beside", [0, 1])
def test_the_same_cells_are_kept_for_any_tiles(quick, beside):
    data, noise = field((3, 100, 90), noise_model((3, 100, 90)))
    whole, tiled = (filled(data, noise, core, beside=beside) for core in (100, 23))
    for use in (TRAIN, CHOOSE, JUDGE):
        assert kept_bytes(whole, use) == kept_bytes(tiled, use)
    assert len(whole.of(JUDGE)) == 20


def test_a_cell_is_for_one_use_and_the_brightest_are_kept(quick):
    data, noise = field((4, 96, 96))
    found = filled(data, noise, 96)
    blocks = [{cell.block for cell in found.of(use)} for use in (TRAIN, CHOOSE, JUDGE)]
    assert not blocks[0] & blocks[1]
    assert not (blocks[0] | blocks[1]) & blocks[2]
    assert max(cell.bright for use in (TRAIN, CHOOSE, JUDGE) for cell in found.of(use)) > 5


def test_what_judges_shares_no_channel_noise_with_what_was_trained_on(quick):
    shape = (24, 64, 64)
    noise = NoiseModel.white(shape, 1.0, spectral_acf=np.array([1.0, 0.6, 0.2]))
    found = filled(noise.sample(seed=2), noise, 64)
    side, rim = found.blocks.side[0], found.blocks.rim[0]
    channels = [cell.sky.field.noise.start[0] % side for cell in found.of(JUDGE)]
    assert rim > 0
    assert all(rim <= channel < side - rim for channel in channels)


def test_memory_does_not_grow_with_the_cube(quick):
    noise = NoiseModel.white((40, 96, 96), 1.0)
    found = filled(noise.sample(seed=2), noise, 96)
    assert [len(found.of(use)) for use in (TRAIN, CHOOSE, JUDGE)] == [4, 4, 20]
    assert all(len(held) <= 20 for kept in (found._bright, found._any) for held in kept.values())


def test_a_cell_sees_what_the_method_sees():
    """Data whitened around a cell are those of the whole plane, and mirrored beyond it alike."""
    from denoise.networks.neighbours import BORDER, with_border
    from denoise.transforms.whitening import whiten

    data, noise = field((1, 100, 90), noise_model((1, 100, 90)))
    valid = np.ones(data.shape, bool)
    wide = with_border(whiten(data, valid, noise).data)[0]
    for cell in filled(data, noise, 100).of(JUDGE)[:6]:
        seen = cell.data()
        at = [part.start + n for part, n in zip(cell.inner, cell.sky.field.noise.start[1:], strict=True)]
        size = [n + 2 * BORDER for n in seen.target.shape]
        expected = wide[at[0] : at[0] + size[0], at[1] : at[1] + size[1]]
        sign = np.sign(
            np.sum(data[cell.own][at[0] : at[0] + size[0] - 2 * BORDER, at[1] : at[1] + size[1] - 2 * BORDER])
        )
        assert np.allclose(sign * seen.planes[0], expected, atol=1e-4)


def test_missing_data_do_not_train(quick):
    data, noise = field()
    data[:, :, 40:] = np.nan
    found = filled(data, noise, 96)
    kept = [cell for use in (TRAIN, CHOOSE, JUDGE) for cell in found.of(use)]
    assert kept
    for cell in kept:
        white = cell.pair(seed=1, draw=0)
        assert white.valid.mean() >= 0.5
        assert np.isfinite(white.planes).all()


# the fit


def test_without_adaptation_nothing_is_read():
    method = Lidia()
    assert method.passes == 0
    assert method.fit(None, NoiseModel.white(SHAPE, 1.0), seed=0) is None
    assert Lidia(adapt="r2r").passes == 1


@pytest.mark.parametrize("value", ["halves", 1, ""])
def test_a_way_that_does_not_exist_is_one_line(value):
    with pytest.raises(ParameterError, match=r"'adapt' of method lidia.*'none', 'r2r' or 'internal'"):
        Lidia(adapt=value)
    with pytest.raises(ParameterError, match="adapt_steps"):
        Lidia(adapt="r2r", adapt_steps=0)


@pytest.mark.parametrize("adapt", ["r2r", "internal"])
def test_the_same_seed_gives_the_same_numbers_for_any_threads_tiles_and_sign(quick, source, adapt):
    quick(rehearsal=0.3)
    data, noise = field()
    one, two = (
        Lidia(adapt=adapt, adapt_steps=1, threads=threads).fit(
            source(Lidia(adapt=adapt), sign * data, noise, core=core), noise, seed=3
        )
        for threads, core, sign in ((1, 96, 1), (2, 40, -1))
    )
    assert one.numbers == two.numbers
    assert one.numbers["adapt_blocks"] >= 8


def test_another_seed_is_another_training(quick):
    data, noise = field()
    one, two = (state_of(Lidia(adapt="r2r", adapt_steps=1), data, noise, seed=seed) for seed in (0, 1))
    assert one.numbers["adapt_gain"] != two.numbers["adapt_gain"]


@pytest.mark.parametrize(("neighbours", "channels"), [("channel", 1), ("adjacent", 2)])
def test_what_helps_is_adopted_and_used(quick, neighbours, channels):
    """Stripes are unlike all that the network knows: it takes them for noise until it has seen them."""
    quick(rate=3e-3, pairs=2)
    shape = (channels, 96, 96)
    noise, truth = NoiseModel.white(shape, 1.0), stripes(shape)
    data = noise.sample(seed=1) + truth
    method, plain = Lidia(neighbours=neighbours, adapt="r2r", adapt_steps=4), Lidia(neighbours=neighbours)
    state = state_of(method, data, noise)
    assert state.numbers["adapted"] == 1
    assert state.numbers["adapt_gain"] > 2 * state.numbers["adapt_gain_error"] > 0
    assert method.remarks(state.numbers)[0].startswith("the network was adapted to the cube: on ")
    valid = np.ones(shape, bool)
    network, adapted = plain._denoised(data, valid), method._denoised(data, valid, state)
    assert np.std(adapted - truth) < 0.7 * np.std(network - truth)
    before, after = plain.apply(data, noise, None), method.apply(data, noise, state)
    assert after.diagnostics == state.numbers
    assert np.std(after.data - truth) < 0.8 * np.std(before.data - truth)
    copy = pickle.loads(pickle.dumps(state))
    assert np.array_equal(method.apply(data, noise, copy).data, after.data)
    assert sum(value.nbytes for value in state.weights.values()) < 1_000_000


def test_what_drops_faint_flux_is_refused(quick, tmp_path):
    """A network that takes half of the noise learns to take all, and with it what is faint."""
    quick(rate=0.01, pairs=2)
    data, noise = field()
    method = Lidia(model=model_that_takes(0.5, tmp_path), adapt="r2r", adapt_steps=6)
    state = state_of(method, data, noise)
    numbers = state.numbers
    assert numbers["adapt_gain"] > 2 * numbers["adapt_gain_error"]
    assert numbers["faint_flux_after"] < 0.95 * numbers["faint_flux_before"]
    assert state.weights is None
    assert method.remarks(numbers)[0].startswith("adaptation refused, the universal network is used: on ")
    universal = Lidia(model=method.parameters.model).apply(data, noise, None)
    assert np.array_equal(method.apply(data, noise, state).data, universal.data)


@pytest.mark.parametrize("adapt", ["r2r", "internal"])
def test_what_changes_nothing_is_refused_and_said(quick, adapt):
    quick(rate=1e-12)
    data, noise = field()
    result = denoise.denoise(data, "lidia", noise=noise, adapt=adapt, adapt_steps=1)
    assert result.metrics["adapted"] == 0
    assert result.remarks[0].startswith("adaptation refused, the universal network is used: on ")
    assert result.remarks[0] in result.warnings
    plain = denoise.denoise(data, "lidia", noise=noise)
    assert np.array_equal(result.cube.data, plain.cube.data)
    assert plain.remarks == []
    assert "adapted" not in plain.metrics


def test_a_cube_too_small_to_judge_by_keeps_the_network(quick):
    data, noise = field((2, 30, 30))
    method = Lidia(adapt="r2r")
    state = state_of(method, data, noise)
    assert state.weights is None
    assert "too small to judge" in method.remarks(state.numbers)[0]


def test_a_cube_whose_tiles_are_small_gets_the_same_result(quick):
    quick(rate=3e-3, pairs=2)
    noise = NoiseModel.white(SHAPE, 1.0)
    data = noise.sample(seed=1) + stripes(SHAPE)
    method = Lidia(adapt="r2r", adapt_steps=4)
    whole, tiled = (
        np.concatenate([piece.after.ravel() for piece in _pieces(data, noise, method, core)])
        for core in (None, (1, 48, 96))
    )
    assert np.abs(whole - tiled).max() < 0.02


def _pieces(data, noise, method, core):
    return list(prepare(Cube(data), noise, method, core=core).pieces(0))


def test_it_stops_when_cancelled(quick):
    data, noise = field()
    token, seen = CancelToken(), []

    def progress(event):
        if event.stage == "adapting the network":
            seen.append(event)
            token.cancel()

    run = prepare(Cube(data), noise, Lidia(adapt="r2r", adapt_steps=9), monitor=Monitor(progress, token))
    with pytest.raises(CancelledError):
        run.fit(0)
    assert len(seen) == 1
