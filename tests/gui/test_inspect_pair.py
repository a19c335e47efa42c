"""Which cubes belong together; no window."""

from types import SimpleNamespace

import numpy as np

from denoise.cube import Cube
from denoise.noise import NoiseModel
from napari_denoise.inspect.measure import measure
from napari_denoise.inspect.pair import choose_pair
from napari_denoise.layers import KEY, Entry
from napari_denoise.world import world_of

SHAPE = (6, 10, 12)
NOISE = NoiseModel.white(SHAPE, 1.0)


def layer(cube, name, role, **more):
    return SimpleNamespace(name=name, metadata={KEY: Entry(cube, world_of(cube), role, **more)})


def entry(one):
    return one.metadata[KEY]


def cube(value=1.0, shape=SHAPE, name="cube"):
    return Cube(np.full(shape, value, np.float32), name=name)


def nothing(_cube):
    return None


def test_a_run_brings_its_noise_error_and_support():
    source, after, error = cube(), cube(0.5), cube(0.2)
    result = SimpleNamespace(noise=NOISE, stabiliser=None, uncertainty=error, support="support")
    first, second = (
        layer(source, "in", "input"),
        layer(after, "out", "denoised", source=source, result=result),
    )
    pair = choose_pair(entry(first), second, [first, second], nothing).pair
    assert (pair.before, pair.after, pair.noise, pair.error) == (source, after, NOISE, error)
    assert pair.support == "support"
    # without a layer of its own the input comes from the run
    assert choose_pair(None, second, [second], nothing).pair.before is source


def test_the_noise_of_stabilised_counts_is_not_that_of_the_data():
    source = cube()
    result = SimpleNamespace(noise=NOISE, stabiliser="anscombe", uncertainty=None, support=None)
    second = layer(cube(0.5), "out", "denoised", source=source, result=result)
    first = layer(source, "in", "input")
    assert choose_pair(entry(first), second, [first, second], nothing).pair.noise is None
    study = SimpleNamespace(noise=NoiseModel.white(SHAPE, 3.0), cube=source)
    assert choose_pair(entry(first), second, [], lambda _: study).pair.noise is study.noise


def test_the_error_of_a_file_is_the_layer_beside_it():
    first, second = layer(cube(), "in.fits", "input"), layer(cube(), "out.fits", "denoised")
    error = layer(cube(0.1), "out.fits uncertainty", "uncertainty")
    other = layer(cube(0.3), "else.fits uncertainty", "uncertainty")
    pair = choose_pair(entry(first), second, [first, second, other, error], nothing).pair
    assert pair.error is entry(error).cube


def test_a_denoised_cube_alone_is_measured_alone():
    second = layer(cube(2.0), "out.fits", "denoised")
    chosen = choose_pair(None, second, [second], nothing)
    assert chosen.pair.name == "denoised"
    assert chosen.pair.after is None
    assert "not open" in chosen.notes[0]
    from napari_denoise.inspect.aperture import whole

    np.testing.assert_array_equal(measure(chosen.pair, whole(SHAPE[1:])).before.values, 2.0)


def test_what_cannot_be_compared_is_told():
    first = layer(cube(), "in", "input")
    display = layer(cube(), "shown", "display")
    chosen = choose_pair(entry(first), display, [], nothing)
    assert chosen.pair.after is None
    assert "for display only" in chosen.notes[0]
    small = layer(cube(shape=(3, 4, 5), name="small"), "small", "denoised")
    chosen = choose_pair(entry(first), small, [], nothing)
    assert chosen.pair.after is None
    assert "small has shape (3, 4, 5)" in chosen.notes[0]
    assert choose_pair(None, None, [], nothing) is None
    assert choose_pair(None, display, [], nothing) is None
