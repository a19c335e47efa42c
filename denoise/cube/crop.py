"""Cut a cube to a region given in channels, pixels or on the sky; its world coordinates stay right."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.coordinates import Angle
from astropy.io import fits
from astropy.table import Table
from numpy.typing import NDArray

from denoise.cube.axes import AxisMap
from denoise.cube.beams import Beams, make_beams
from denoise.cube.cards import header_bytes, replace_card, split_cards
from denoise.cube.masks import excluded_channels
from denoise.cube.regions import Region, Shape, full_region, region_shape
from denoise.errors import UsageError

if TYPE_CHECKING:
    from denoise.cube.core import Cube

_PIXELS = re.compile(r"^(?P<axis>[xy])\s+(?P<first>\d+)\s*:\s*(?P<last>\d+)$")
_AROUND = re.compile(r"^around\s+(?P<lon>\S+)\s+(?P<lat>\S+)\s+(?P<size>.+)$")
_HOW = "write channels A:B, A:B UNIT, x A:B, y A:B or around RA DEC SIZE"


@dataclass(frozen=True)
class Window:
    """A part of a source or a mask, read as if it were all of it.

    Parameters
    ----------
    whole : PixelSource or Mask
        Axes of length 1 stand for the whole axis and are not cut.
    region : Region
        Of the cube it belongs to.
    """

    whole: Any
    region: Region

    @property
    def shape(self) -> Shape:
        """Shape (channel, y, x)."""
        c, y, x = (
            1 if n == 1 else s.stop - s.start for n, s in zip(self.whole.shape, self.region, strict=True)
        )
        return c, y, x

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the blocks."""
        dtype: np.dtype[Any] = self.whole.dtype
        return dtype

    def read(self, region: Region) -> NDArray[Any]:
        """Block of a region of the part."""
        c, y, x = (
            part if n == 1 else slice(part.start + s.start, part.stop + s.start)
            for n, part, s in zip(self.whole.shape, region, self.region, strict=True)
        )
        return np.asarray(self.whole.read((c, y, x)))


def crop_region(text: str, cube: Cube) -> Region:
    """The region that a text names.

    Parameters
    ----------
    text : str
        Parts separated by commas, each narrows one or two axes: ``channels 10:60`` (from 0), ``-200:300 km/s``
        or another unit of the spectral axis, ``x 20:79``, ``y 20:79`` (pixels from 0), ``around 10h00m2s
        2d12m 20arcsec`` (a box of that side, in the frame of the header). Both ends of a range are included.
    cube : Cube
        What is cut.

    Raises
    ------
    UsageError
        A part is not understood, or nothing of the cube is left.
    """
    region = list(full_region(cube.shape))
    for part in (p.strip() for p in re.split(r"[,;]", text)):
        if part:
            for axis, span in _spans(part, cube).items():
                old = region[axis]
                region[axis] = slice(max(old.start, span.start), min(old.stop, span.stop))
    if any(s.stop <= s.start for s in region):
        raise UsageError(
            "the crop leaves nothing of the cube", value=text, action=f"its shape is {cube.shape}"
        )
    return region[0], region[1], region[2]


def _spans(part: str, cube: Cube) -> dict[int, slice]:
    pixels, around = _PIXELS.match(part), _AROUND.match(part)
    if pixels is not None:
        first, last = sorted((int(pixels["first"]), int(pixels["last"])))
        return {1 if pixels["axis"] == "y" else 2: slice(first, last + 1)}
    if around is not None:
        return _box(around["lon"], around["lat"], around["size"], cube)
    if not re.search(r"\d\s*(:|\.\.|\s+to\s+)\s*[-+\d.]", part):
        raise UsageError("the crop is not understood", value=part, action=_HOW)
    inside = np.flatnonzero(excluded_channels(part, cube.spectral_axis, cube.shape[0]))
    return {0: slice(int(inside[0]), int(inside[-1]) + 1)}


def _box(lon: str, lat: str, size: str, cube: Cube) -> dict[int, slice]:
    """Rows and columns of a square on the sky, as far as it lies in the field."""
    try:
        east, north = (float(Angle(text).deg) for text in (_degrees(lon), _degrees(lat)))
        side = float(Angle(size).arcsec)
    except Exception as err:  # noqa: BLE001 - astropy raises many kinds for text that is no angle
        raise UsageError(
            "the position or the size is not an angle", value=f"{lon} {lat} {size}", action=f"{err}; {_HOW}"
        ) from None
    scale = cube.pixel_scale
    if cube.wcs is None or scale is None:
        raise UsageError("the cube has no sky coordinates", value=cube.name, action="crop with x A:B, y A:B")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x, y = (float(v) for v in cube.wcs.celestial.all_world2pix([[east, north]], 0)[0])
    pixels = max(1, round(side / scale))
    spans = {}
    for axis, at in ((1, y), (2, x)):
        if not np.isfinite(at):  # on the other side of the sky
            return {1: slice(0, 0)}
        first = round(at - (pixels - 1) / 2)
        spans[axis] = slice(max(0, first), max(0, min(cube.shape[axis], first + pixels)))
    return spans


def _degrees(text: str) -> str:
    """A plain number is in degrees."""
    return f"{text}deg" if re.fullmatch(r"[-+]?[\d.]+", text) else text


def crop(cube: Cube, region: Region) -> Cube:
    """The part of a cube in `region`, lazily, with its masks, noise, beams and coordinates.

    The DQ extension of the file is not copied to outputs of the part (its voxels are NaN there).
    """
    other = cube._copy()
    starts = {
        len(cube.axes.file_shape) - axis: part.start
        for axis, part in zip((cube.axes.channel, cube.axes.y, cube.axes.x), region, strict=True)
        if axis is not None and part.start
    }
    other._source = Window(cube.source, region)
    other.axes = _axes(cube.axes, region)
    other._masks = tuple(Window(mask, region) for mask in cube.masks)
    other._exclude = tuple(Window(mask, region) for mask in cube._exclude)
    other.gain = None if cube.gain is None else Window(cube.gain, region)
    if cube.noise_source is not None:
        other.noise_source = replace(cube.noise_source, pixels=Window(cube.noise_source.pixels, region))
    other.beams, other.beam_table = _beams(cube, region[0])
    other.header = None if cube.header is None else _header(cube.header, starts)
    if cube._given_wcs is not None:
        other._given_wcs = cube._given_wcs.deepcopy()
        for number, start in starts.items():
            other._given_wcs.wcs.crpix[number - 1] -= start
    if cube.layout is not None:
        cards = _cards(cube.layout.data_cards, starts)
        whole = region_shape(region)[0] == cube.shape[0]
        carried = tuple(r for r in cube.layout.carried if whole or r.name != "BEAMS")
        first = cards if cube.layout.hdu == 0 else cube.layout.primary_cards
        other.layout = replace(
            cube.layout, axes=other.axes, primary_cards=first, data_cards=cards, carried=carried, mask=None
        )
    for name in ("wcs", "pixel_matrix", "spectral_axis"):
        other.__dict__.pop(name, None)
    return other


def _axes(axes: AxisMap, region: Region) -> AxisMap:
    shape = list(axes.file_shape)
    for axis, part in zip((axes.channel, axes.y, axes.x), region, strict=True):
        if axis is not None:
            shape[axis] = part.stop - part.start
    return AxisMap(tuple(shape), axes.channel, axes.y, axes.x, axes.picked)


def _references(cards: Sequence[str], starts: dict[int, int]) -> list[tuple[str, int]]:
    """CRPIX cards of every world coordinate system of the axes that lose their first pixels."""
    found = []
    for name in cards:
        match = re.fullmatch(r"CRPIX(\d+)([A-Z]?)", name)
        if match is not None and int(match[1]) in starts:
            found.append((name, starts[int(match[1])]))
    return found


def _header(header: fits.Header, starts: dict[int, int]) -> fits.Header:
    out = header.copy()
    for name, start in _references([str(k) for k in out], starts):
        out[name] = float(out[name]) - start
    return out


def _cards(raw: bytes, starts: dict[int, int]) -> bytes:
    cards = split_cards(raw)
    old = fits.Header.fromstring(b"".join(cards))
    for name, start in _references([str(k) for k in old], starts):
        cards = replace_card(cards, name, float(old[name]) - start, "cut out of a larger image")
    return header_bytes(cards)


def _beams(cube: Cube, part: slice) -> tuple[Beams | None, Table | None]:
    beams, table = cube.beams, cube.beam_table
    if part.stop - part.start == cube.shape[0]:
        return beams, table
    if beams is not None and beams.per_plane:
        with warnings.catch_warnings():  # bad ones were told when the file was opened
            warnings.simplefilter("ignore")
            cut = (beams.major[part], beams.minor[part], beams.pa[part])
            beams = make_beams(*cut, scale=cube.pixel_matrix, origin=beams.origin, where=cube.name)
    if table is not None:
        table = _rows(table, part)
    return beams, table


def _rows(table: Table, part: slice) -> Table:
    names = {str(n).upper(): n for n in table.colnames}
    if "CHAN" not in names:
        return table[part]
    channel = np.asarray(table[names["CHAN"]])
    out = table[(channel >= part.start) & (channel < part.stop)]
    out[names["CHAN"]] = np.asarray(out[names["CHAN"]]) - part.start
    return out
