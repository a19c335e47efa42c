"""The writer: cards, axes, beams as the input had them; whole or absent; the same bytes from many writers."""

import errno
import hashlib
import itertools
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from denoise.cube import Cube, CubeWriter, Extension, Provenance, read, read_provenance, write
from denoise.errors import DenoiseError, InputError, OutputExistsError, ResourceError, UsageError

STRUCTURE = {
    "SIMPLE",
    "XTENSION",
    "BITPIX",
    "NAXIS",
    "EXTEND",
    "PCOUNT",
    "GCOUNT",
    "BSCALE",
    "BZERO",
    "BLANK",
}


def cards(header):
    """Cards of a header but for its structure and HISTORY, as 80 characters each."""
    text = header.tostring(padding=False)
    images = [text[i : i + 80] for i in range(0, len(text), 80)]
    names = [c[:8].strip() for c in images]
    skip = STRUCTURE | {"HISTORY", "END", "CHECKSUM", "DATASUM", "DATAMIN", "DATAMAX"}
    return [c for c, n in zip(images, names, strict=True) if n not in skip and not n.startswith("NAXIS")]


def tiles(shape, size):
    """Cut a shape into tiles of at most this size."""
    steps = [range(0, n, s) for n, s in zip(shape, size, strict=True)]
    for corner in itertools.product(*steps):
        yield tuple(slice(a, min(a + s, n)) for a, s, n in zip(corner, size, shape, strict=True))


def put(writer, region, block):
    return writer.write("DATA", region, block)


def test_header_is_the_inputs(make_fits, noise, tmp_path):
    """R21: the cards of the input, byte for byte and in order, then HISTORY."""
    path = make_fits(
        noise(1, 5, 6, 7),
        ("STOKES", "FREQ", "DEC", "RA"),
        BUNIT="JY/BEAM",
        BMAJ=5e-4,
        OBSERVER="O'Neil",
        ODD=1.5e-30,
    )
    with fits.open(path, mode="update") as hdus:
        hdus[0].header["HISTORY"] = "made by a test"
        hdus[0].header["LONGTEXT"] = "x" * 150
        hdus[0].header["DATAMAX"] = 3.0
    write(read(path), tmp_path / "out.fits", history=["denoised"], cards={"EFFRES": 1.5})
    with fits.open(path) as a, fits.open(tmp_path / "out.fits") as b:
        assert b[0].data.shape == a[0].data.shape
        assert cards(a[0].header) == [c for c in cards(b[0].header) if not c.startswith("EFFRES")]
        history = list(b[0].header["HISTORY"])
        assert history[:2] == ["made by a test", "denoised"]
        assert "DATAMAX" in history[2]
        assert b[0].header["EFFRES"] == 1.5
        b.verify("exception")


def test_primary_and_extension_headers_stay_apart(tmp_path, noise):
    primary = fits.PrimaryHDU(header=fits.Header({"INSTRUME": "MUSE", "ORIGIN": "test"}))
    image = fits.ImageHDU(noise(5, 6, 7), fits.Header({"BUNIT": "adu", "CRVAL3": 5.0}), name="DATA")
    fits.HDUList([primary, image]).writeto(tmp_path / "a.fits")
    write(read(tmp_path / "a.fits"), tmp_path / "b.fits")
    with fits.open(tmp_path / "b.fits") as hdus:
        assert [h.name for h in hdus] == ["PRIMARY", "DATA"]
        assert hdus[0].header["INSTRUME"] == "MUSE"
        assert "INSTRUME" not in hdus[1].header
        assert hdus[1].header["BUNIT"] == "adu"
        assert hdus[0].data is None


def test_integer_input_becomes_float(tmp_path):
    values = np.arange(210, dtype=np.uint16).reshape(5, 6, 7)
    fits.PrimaryHDU(values).writeto(tmp_path / "a.fits")
    write(read(tmp_path / "a.fits"), tmp_path / "b.fits")
    with fits.open(tmp_path / "b.fits") as hdus:
        assert hdus[0].header["BITPIX"] == -32
        assert "BZERO" not in hdus[0].header
        assert "BZERO" in str(hdus[0].header["HISTORY"])
        assert np.array_equal(hdus[0].data, values)


def test_selected_stokes_plane_keeps_its_coordinate(make_fits, noise, tmp_path):
    planes = noise(3, 5, 6, 7)
    write(read(make_fits(planes, ("STOKES", "FREQ", "DEC", "RA")), stokes="U"), tmp_path / "b.fits")
    with fits.open(tmp_path / "b.fits") as hdus:
        header = hdus[0].header
        assert hdus[0].data.shape == (1, 5, 6, 7)
        assert np.array_equal(hdus[0].data[0], planes[2])
        assert header["CRVAL4"] + (1 - header["CRPIX4"]) * header["CDELT4"] == 3.0
    assert np.array_equal(read(tmp_path / "b.fits", stokes="U").read(), planes[2])


def beams_table(rows):
    columns = [
        fits.Column("BMAJ", "1E", "arcsec", array=rows[:, 0]),
        fits.Column("BMIN", "1E", "arcsec", array=rows[:, 1]),
        fits.Column("BPA", "1E", "deg", array=rows[:, 2]),
        fits.Column("CHAN", "1J", array=np.arange(len(rows))),
        fits.Column("POL", "1J", array=np.zeros(len(rows))),
    ]
    return fits.BinTableHDU.from_columns(columns, name="BEAMS")


@pytest.mark.parametrize("compress", [False, True])
def test_beams_are_copied_byte_for_byte(make_fits, noise, tmp_path, compress):
    """R15: BEAMS verbatim, bad rows included and reported by channel."""
    rows = np.array(
        [[2, 1.5, 30], [-1, -1, 0], [2.1, 1.6, 31], [np.nan, np.nan, np.nan], [0, 0, 0]], np.float32
    )
    path = make_fits(noise(5, 6, 7), extra=[beams_table(rows)], CASAMBM=True)
    if compress:
        import gzip

        raw = path.read_bytes()
        path = path.with_suffix(".fits.gz")
        path.write_bytes(gzip.compress(raw))
    from denoise.errors import DenoiseWarning

    with pytest.warns(DenoiseWarning, match=r"channels 1, 3-4 is not usable.*BMAJ=-1"):
        cube = read(path)
    assert list(cube.beams.valid) == [True, False, True, False, False]
    assert cube.beams.pixels == pytest.approx((2 / 0.36, 1.5 / 0.36, 30), rel=1e-3)
    write(cube, tmp_path / "b.fits", extensions={"RESIDUAL": cube})
    with fits.open(path) as a, fits.open(tmp_path / "b.fits") as b:
        assert a["BEAMS"].data.tobytes() == b["BEAMS"].data.tobytes()
        assert a["BEAMS"].header.tostring() == b["BEAMS"].header.tostring()
        assert b[0].header["CASAMBM"] is True


def test_real_beams(data_folder, tmp_path):
    path = data_folder / "cubes" / "odd_fits_share" / "carta-backend__small_perplanebeam.fits"
    cube = read(path)
    assert cube.beams.per_plane
    assert cube.beams.major[0] * 3600 == pytest.approx(5.9266768)
    write(cube, tmp_path / "b.fits")
    with fits.open(path) as a, fits.open(tmp_path / "b.fits") as b:
        assert a["BEAMS"].data.tobytes() == b["BEAMS"].data.tobytes()
        assert cards(a[0].header) == cards(b[0].header)


def test_extensions(make_fits, noise, tmp_path):
    cube = read(make_fits(noise(5, 6, 7), ("FREQ", "DEC", "RA"), BUNIT="K"))
    small = {"NOISE": Extension(noise(6, 7), unit="K"), "NOISE_CHANNEL": np.arange(5.0)}
    write(
        cube,
        tmp_path / "b.fits",
        extensions={"UNCERT": cube.with_pixels(np.full((5, 6, 7), 2.0, "f4")), **small},
    )
    with fits.open(tmp_path / "b.fits") as hdus:
        assert [h.name for h in hdus] == ["PRIMARY", "UNCERT", "NOISE", "NOISE_CHANNEL"]
        assert hdus["UNCERT"].header["BUNIT"] == "K"
        assert hdus["UNCERT"].header["CTYPE3"] == "FREQ"
        assert (hdus["UNCERT"].data == 2).all()
        assert hdus["NOISE"].header["CTYPE1"] == "RA---SIN"
        assert np.array_equal(hdus["NOISE_CHANNEL"].data, np.arange(5.0))
    assert read(tmp_path / "b.fits").noise_source.label == "UNCERT"


def test_like_input_layout(tmp_path, noise):
    """mpdaf reads STAT as variance: sigma is squared, in float64, and DQ is copied."""
    stat = fits.ImageHDU(np.full((5, 6, 7), 4e-40), fits.Header({"BUNIT": "(erg/s)**2"}), name="STAT")
    flags = np.zeros((5, 6, 7), "u1")
    flags[0, 0, 0] = 1
    data = fits.ImageHDU(noise(5, 6, 7) * np.float32(1e-20), fits.Header({"BUNIT": "erg/s"}), name="DATA")
    fits.HDUList([fits.PrimaryHDU(), data, stat, fits.ImageHDU(flags, name="DQ")]).writeto(
        tmp_path / "a.fits"
    )
    cube = read(tmp_path / "a.fits")
    sigma = cube.with_pixels(np.full((5, 6, 7), 2e-20, "f4"), keep_mask=False)
    write(cube, tmp_path / "b.fits", extensions={"UNCERT": sigma}, layout="like-input")
    with fits.open(tmp_path / "b.fits") as hdus:
        assert [h.name for h in hdus] == ["PRIMARY", "DATA", "STAT", "DQ"]
        assert hdus["STAT"].data == pytest.approx(4e-40, rel=1e-6)
        assert hdus["STAT"].header["BUNIT"] == "(erg/s)**2"
        assert np.array_equal(hdus["DQ"].data, flags)
    again = read(tmp_path / "b.fits")
    assert again.noise_source.kind == "variance"
    with pytest.raises(UsageError, match="layout"):
        CubeWriter(tmp_path / "c.fits", template=cube, layout="muse")


def test_provenance_round_trip(tmp_path, noise):
    text = "method: ist\nthreshold: 4\n  indented: Å μ \\ back\n" + "long " * 400
    given_provenance = Provenance({"config": text, "seed": "1", "empty": ""}, {"host": "n1", "time": "3 s"})
    write(Cube(noise(5, 6, 7)), tmp_path / "b.fits", provenance=given_provenance)
    assert read_provenance(tmp_path / "b.fits") == given_provenance
    with fits.open(tmp_path / "b.fits") as hdus:
        assert hdus["PROVENANCE"].columns.names == ["part", "key", "value"]
        assert "threshold: 4" in hdus["PROVENANCE"].data["value"]
    write(Cube(noise(5, 6, 7)), tmp_path / "c.fits")
    with pytest.raises(InputError, match="no PROVENANCE"):
        read_provenance(tmp_path / "c.fits")


@settings(max_examples=30, deadline=None)
@given(
    value=st.text(st.characters(codec="utf-8"), max_size=300),
    key=st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=1, max_size=30),
)
def test_any_text_survives_provenance(tmp_path_factory, key, value):
    path = tmp_path_factory.mktemp("text") / "a.fits"
    write(Cube(np.ones((2, 2, 2), "f4")), path, provenance=Provenance({key: value}, {}))
    assert read_provenance(path).science == {key: value}


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("pool", ["threads", "processes"])
@pytest.mark.parametrize("order", [("STOKES", "FREQ", "DEC", "RA"), ("RA", "FREQ", "DEC")])
def test_many_writers_give_the_same_bytes(make_fits, noise, tmp_path, pool, order):
    """R3: disjoint regions from two workers, in a random order, equal the serial file byte for byte."""
    truth = noise(9, 16, 11)
    moved = truth.transpose([("FREQ", "DEC", "RA").index(a) for a in order if a != "STOKES"])
    cube = read(make_fits(moved[None] if "STOKES" in order else moved, order, BUNIT="K"))
    serial = write(cube, tmp_path / "serial.fits")
    regions = list(tiles(cube.shape, (4, 5, 3)))
    random.Random(1).shuffle(regions)
    make = ThreadPoolExecutor if pool == "threads" else ProcessPoolExecutor
    options = {} if pool == "threads" else {"mp_context": get_context("spawn")}
    with CubeWriter(tmp_path / "many.fits", template=cube) as writer, make(2, **options) as executor:
        blocks = [cube.read(r) for r in regions]
        for voxels in executor.map(put, [writer.workers()] * len(regions), regions, blocks):
            writer.account("DATA", voxels)
    assert digest(tmp_path / "many.fits") == digest(serial)
    with fits.open(serial) as hdus:
        assert np.array_equal(hdus[0].data.squeeze(), moved)


@pytest.mark.parametrize("order", [("STOKES", "FREQ", "DEC", "RA"), ("RA", "FREQ", "DEC")])
def test_what_is_written_can_be_seen_before_the_file_is_complete(make_fits, noise, tmp_path, order):
    truth = noise(9, 16, 11)
    moved = truth.transpose([("FREQ", "DEC", "RA").index(a) for a in order if a != "STOKES"])
    cube = read(make_fits(moved[None] if "STOKES" in order else moved, order, BUNIT="K"))
    first, second = (slice(0, 9), slice(0, 7), slice(0, 11)), (slice(0, 9), slice(7, 16), slice(0, 11))
    with CubeWriter(tmp_path / "out.fits", template=cube) as writer:
        seen = writer.workers().view("DATA")
        writer.write("DATA", first, cube.read(first))
        np.testing.assert_array_equal(seen.read(first), cube.read(first))
        assert not seen.read(second).any()
        writer.write("DATA", second, cube.read(second))
    np.testing.assert_array_equal(seen.read(second), cube.read(second))  # under its final name too
    assert seen.read(second).dtype == np.dtype(np.float32)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_array_and_tiling_round_trips(tmp_path_factory, data):
    """Property: whatever the shape, dtype and tiles, the pixels come back bit for bit, NaN included."""
    shape = tuple(data.draw(st.integers(1, 6)) for _ in range(3))
    if shape[1] * shape[2] < 4:
        shape = (shape[0], 2, 3)
    size = tuple(data.draw(st.integers(1, 6)) for _ in range(3))
    dtype = data.draw(st.sampled_from(["f4", "f8"]))
    truth = np.random.default_rng(data.draw(st.integers(0, 99))).normal(size=shape).astype(dtype)
    truth[truth > 1.5] = np.nan
    folder = tmp_path_factory.mktemp("tiles")
    with CubeWriter(folder / "a.fits", template=Cube(truth)) as writer:
        for region in tiles(shape, size):
            writer.write("DATA", region, truth[region])
    assert os.listdir(folder) == ["a.fits"]
    again = fits.getdata(folder / "a.fits")
    assert again.tobytes() == truth.astype(again.dtype).tobytes()
    assert again.dtype.itemsize == truth.dtype.itemsize


def test_incomplete_output_is_not_published(tmp_path, noise):
    cube = Cube(noise(5, 6, 7))
    writer = CubeWriter(tmp_path / "a.fits", template=cube)
    writer.open()
    writer.write("DATA", (slice(0, 4), slice(0, 6), slice(0, 7)), cube.read()[:4])
    with pytest.raises(DenoiseError, match="not complete"):
        writer.close()
    assert not os.listdir(tmp_path)


def test_an_error_leaves_nothing(tmp_path, noise):
    cube = Cube(noise(5, 6, 7))
    there = []

    def fail():
        with CubeWriter(tmp_path / "a.fits", template=cube):
            there.extend(os.listdir(tmp_path))
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fail()
    assert len(there) == 1
    assert not os.listdir(tmp_path)


def test_full_disk(tmp_path, noise, monkeypatch):
    cube = Cube(noise(5, 6, 7))

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for function in ("pwrite", "posix_fallocate"):
        with monkeypatch.context() as patch:
            patch.setattr(os, function, full)
            with pytest.raises(ResourceError, match=r"disk is full.*a\.fits") as caught:
                write(cube, tmp_path / "a.fits")
            assert caught.value.exit_code == 4
        assert not os.listdir(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10})())
        with pytest.raises(ResourceError, match=r"not enough space.*10 bytes free"):
            write(cube, tmp_path / "a.fits")
    assert not os.listdir(tmp_path)


def test_file_systems_that_cannot_reserve(tmp_path, noise, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.EOPNOTSUPP, "no")

    monkeypatch.setattr(os, "posix_fallocate", unsupported)
    cube = Cube(noise(5, 6, 7))
    write(cube, tmp_path / "a.fits")
    assert np.array_equal(read(tmp_path / "a.fits").read(), cube.read())


def test_existing_and_impossible_outputs(make_fits, noise, tmp_path, monkeypatch):
    path = make_fits(noise(5, 6, 7))
    cube = read(path)
    old = write(cube, tmp_path / "a.fits")
    with pytest.raises(OutputExistsError, match="--overwrite"):
        CubeWriter(old, template=cube)
    before = digest(old)
    with pytest.raises(RuntimeError), CubeWriter(old, template=cube, overwrite=True):
        raise RuntimeError
    assert digest(old) == before
    write(cube.with_pixels(np.ones((5, 6, 7), "f4")), old, overwrite=True)
    assert digest(old) != before
    with pytest.raises(UsageError, match="the output is the input"):
        write(cube, path, overwrite=True)
    with pytest.raises(ResourceError, match="folder of the output does not exist"):
        write(cube, tmp_path / "nowhere" / "a.fits")
    with pytest.raises(UsageError, match="compressed output"):
        write(cube, tmp_path / "a.fits.gz")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ResourceError, match="cannot be written"):
        write(cube, tmp_path / "b.fits")


def test_output_made_meanwhile_is_kept(tmp_path, noise):
    cube = Cube(noise(5, 6, 7))
    writer = CubeWriter(tmp_path / "a.fits", template=cube)
    writer.open()
    writer.write("DATA", (slice(0, 5), slice(0, 6), slice(0, 7)), cube.read())
    (tmp_path / "a.fits").write_text("another program")
    with pytest.raises(OutputExistsError):
        writer.close()
    assert (tmp_path / "a.fits").read_text() == "another program"
    assert os.listdir(tmp_path) == ["a.fits"]


KILLED = """
    import sys, time
    import numpy as np
    from denoise.cube import Cube, CubeWriter
    cube = Cube(np.ones((50, 64, 64), "f4"))
    with CubeWriter(sys.argv[1], template=cube) as writer:
        for c in range(50):
            writer.write("DATA", (slice(c, c + 1), slice(0, 64), slice(0, 64)), np.ones((1, 64, 64), "f4"))
            print(c, flush=True)
            if c == 10:
                time.sleep(60)
"""


def test_kill_leaves_nothing_under_the_final_name(tmp_path):
    """R3: SIGKILL in the middle of writing."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path / "a.fits")],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        for line in process.stdout:
            if line.strip() == "10":
                break
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert not (tmp_path / "a.fits").exists()
    start = time.time()
    write(Cube(np.ones((2, 3, 4), "f4")), tmp_path / "a.fits")
    assert time.time() - start < 30


def test_wrong_blocks_are_refused(tmp_path, noise):
    cube = Cube(noise(5, 6, 7))
    region = (slice(0, 1), slice(0, 6), slice(0, 7))
    with (
        pytest.raises(UsageError, match="does not fit"),
        CubeWriter(tmp_path / "a.fits", template=cube) as writer,
    ):
        writer.write("DATA", region, noise(2, 6, 7))
    with (
        pytest.raises(UsageError, match="no such image"),
        CubeWriter(tmp_path / "a.fits", template=cube) as writer,
    ):
        writer.write("UNCERT", region, noise(1, 6, 7))


def test_output_opens_in_astropy_without_a_word(make_fits, noise, tmp_path):
    out = write(
        read(make_fits(noise(5, 6, 7), BUNIT="K")), tmp_path / "b.fits", provenance=Provenance({"a": "b"})
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with fits.open(out) as hdus:
            hdus.verify("exception")
            assert out.stat().st_size % 2880 == 0
            assert [h.name for h in hdus] == ["PRIMARY", "PROVENANCE"]


def test_two_threads_read_while_one_writes(make_fits, noise, tmp_path):
    truth = noise(8, 32, 32)
    cube = read(make_fits(truth))
    regions = list(tiles(cube.shape, (2, 16, 16))) * 4
    with ThreadPoolExecutor(2) as pool:
        for region, block in zip(regions, pool.map(cube.read, regions), strict=True):
            assert np.array_equal(block, truth[region])
