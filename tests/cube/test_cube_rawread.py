"""Blocks by plain reads: what a mapped file gives, and an error, not a signal, where the file is cut short."""

import os
import threading

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from denoise.cube import rawread, read
from denoise.cube.rawread import read_slices
from denoise.errors import InputError


@st.composite
def _parts(draw):
    shape = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    ends = [sorted(draw(st.tuples(st.integers(0, n), st.integers(0, n)))) for n in shape]
    return tuple(shape), tuple(slice(start, stop) for start, stop in ends)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("raw") / "image.bin"


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    part=_parts(),
    stored=st.sampled_from([">f4", "<f4", ">f8", ">i2", "u1"]),
    gap=st.sampled_from([0, 8, 1 << 15]),
    span=st.sampled_from([1, 64, 1 << 20]),
)
def test_any_part_is_what_a_mapped_file_gives(path, part, stored, gap, span):
    shape, slices = part
    image = np.random.default_rng(0).integers(0, 200, shape).astype(stored)
    path.write_bytes(b"head" + image.tobytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rawread, "_GAP", gap)
        patch.setattr(rawread, "_SPAN", span)
        got = read_slices(path, 4, stored, shape, slices)
    assert got.dtype == image.dtype.newbyteorder("=")
    assert got.flags.c_contiguous
    assert np.array_equal(got, image[slices])


@pytest.mark.parametrize("gap", [0, 1 << 15])
def test_a_file_that_ends_early(path, monkeypatch, gap):
    monkeypatch.setattr(rawread, "_GAP", gap)
    path.write_bytes(bytes(90))
    with pytest.raises(EOFError, match="the file ends 10 bytes before the block does"):
        read_slices(path, 0, "u1", (10, 10), (slice(4, 10), slice(0, 10)))
    part = (slice(4, 9), slice(2, 7))
    assert read_slices(path, 0, "u1", (10, 10), part).shape == (5, 5)
    with pytest.raises(EOFError):
        read_slices(path, 0, "u1", (10, 10), (slice(4, 10), slice(2, 7)))


def test_a_file_that_is_cut_short_while_a_block_is_read(tmp_path):
    """A mapped file would end the process here."""
    path = tmp_path / "big.fits"
    fits.writeto(path, np.zeros((64, 512, 256), ">f4"))  # 32 MB
    cube = read(path)
    whole = tuple(slice(0, n) for n in cube.shape)
    stop = threading.Event()

    def cut():
        size = path.stat().st_size
        while not stop.is_set():
            os.truncate(path, 1 << 20)
            os.truncate(path, size)

    thread = threading.Thread(target=cut)
    thread.start()
    try:
        said = []
        for _ in range(20):
            try:
                cube.read(whole)
            except InputError as error:
                said.append(str(error))
    finally:
        stop.set()
        thread.join()
    assert said
    assert all(text.startswith(f"cannot read pixels of {path} (found: the file ends ") for text in said)
