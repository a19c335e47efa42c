"""The work behind the Inspect dock, in threads: the aperture under the pointer, the field, fits, residual, cuts."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from napari_denoise.inspect.aperture import Footprint, whole
from napari_denoise.inspect.linefit import LineFit, fit_line
from napari_denoise.inspect.measure import QUICK, Curve, Measured, Pair, measure
from napari_denoise.inspect.pair import Copies, read_copies
from napari_denoise.inspect.plots import Diagram
from napari_denoise.inspect.positionvelocity import cut, path_along
from napari_denoise.inspect.residual import residual
from napari_denoise.jobs import Job, Newest
from napari_denoise.layers import Entry
from napari_denoise.studies import LARGE

_STILL = 120  # milliseconds without a move before lines are fitted


@dataclass(frozen=True, eq=False)
class Fits:
    """The lines before and after, or in words why there is none; None: no such spectrum.

    `measured` is the aperture with all its voxels, `first` what was measured while it moved.
    """

    measured: Measured
    first: Measured
    before: LineFit | str | None
    after: LineFit | str | None

    @property
    def lines(self) -> tuple[LineFit | None, LineFit | None]:
        """Those that were found."""
        before, after = (one if isinstance(one, LineFit) else None for one in (self.before, self.after))
        return before, after


@dataclass(frozen=True, eq=False)
class CutRequest:
    """A path on a pair of cubes."""

    pair: Pair
    entry: Entry
    vertices: NDArray[np.float64]
    width: int


class Live(QObject):
    """Measures what is asked for, newest first; signals arrive on the Qt thread."""

    measured = Signal(object)  # Measured
    field = Signal(object)  # Measured of all pixels
    fitted = Signal(object)  # Fits
    residual = Signal(object)  # Residual
    diagram = Signal(object)  # Diagram
    failed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.copies = Copies()
        self._reading: Job | None = None
        self._aperture = self._newest(self._measure, self.measured, cancels=False)
        self._fit = self._newest(self._settled, self.fitted, cancels=False, delay=_STILL)
        self._field = self._newest(self._measure_field, self.field, delay=150)
        self._residual = self._newest(_residual, self.residual)
        self._cut = self._newest(self._diagram, self.diagram, cancels=False)

    def take(self, pair: Pair | None) -> None:
        """Look at another pair: what is known of the last one is forgotten."""
        for one in (self._aperture, self._fit, self._field, self._residual, self._cut):
            one.forget()
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        if pair is None:
            return
        missing = self.copies.missing(pair)
        if missing:
            self._reading = Job(lambda job: read_copies(missing, job))
            self._reading.done.connect(self.copies.take)
            self._reading.failed.connect(self.failed)
            self._reading.start()
        if prod(pair.before.shape) <= LARGE:
            self._field.ask(pair)

    def at(self, pair: Pair, foot: Footprint) -> None:
        """Measure an aperture; what was to be found of the last one while it stood still is not wanted any more."""
        self._fit.forget()
        self._aperture.ask((pair, foot))

    def settle(self, found: Measured, channels: slice) -> None:
        """Once an aperture stands still: its numbers from all its voxels, and lines fitted to its spectra."""
        self._fit.ask((found, channels))

    def look_at_residual(self, pair: Pair) -> None:
        """Measure the residual of the whole cube."""
        self._residual.ask(pair)

    def cut(self, request: CutRequest) -> None:
        """Cut along a path."""
        self._cut.ask(request)

    @property
    def idle(self) -> bool:
        """Whether nothing is at work."""
        every = (self._aperture, self._fit, self._field, self._residual, self._cut)
        return all(one.idle for one in every) and not (self._reading is not None and self._reading.running)

    def _newest(self, work: Any, signal: Any, **options: Any) -> Newest:
        newest = Newest(work, parent=self, **options)
        newest.answered.connect(lambda found, _request: signal.emit(found))
        newest.failed.connect(self.failed)
        return newest

    def _measure(self, request: tuple[Pair, Footprint], job: Job) -> Measured:
        pair, foot = request
        readers = self.copies.readers(pair)
        return measure(pair, foot, readers=readers, check=job.token.check, sampled=QUICK)

    def _settled(self, request: tuple[Measured, slice], job: Job) -> Fits:
        found, channels = request
        pair = found.pair
        if not found.exact:
            found = measure(pair, found.foot, readers=self.copies.readers(pair), check=job.token.check)
        if pair.before.is_image:
            return Fits(found, request[0], None, None)
        job.token.check()
        before = _line(found, found.before, channels)
        job.token.check()
        after = None if found.after is None else _line(found, found.after, channels)
        return Fits(found, request[0], before, after)

    def _measure_field(self, pair: Pair, job: Job) -> Measured:
        foot = whole(pair.before.shape[1:])
        return measure(pair, foot, readers=self.copies.readers(pair), check=job.token.check)

    def _diagram(self, request: CutRequest, job: Job) -> Diagram | None:
        pair, world = request.pair, request.entry.world
        path = path_along(request.vertices, world.matrix[1:, 1:], width=request.width)
        if path is None:
            return None
        readers, shape = self.copies.readers(pair), pair.before.shape
        before = cut(readers.before, shape, path, check=job.token.check)
        after = None if readers.after is None else cut(readers.after, shape, path, check=job.token.check)
        ends = " to ".join(f"({x:.1f}, {y:.1f})" for y, x in request.vertices[[0, -1]])
        where = f"pixels (x, y) from {ends}, {request.width} wide"
        return Diagram(pair, path.offset, before, after, world.units[1], where)


def _residual(pair: Pair, job: Job) -> Any:
    return residual(pair, check=job.token.check)


def _line(found: Measured, curve: Curve, channels: slice) -> LineFit | str:
    """A line, with the noise of the input for both: that of a denoised spectrum is correlated in ways not known."""
    error = found.before.error
    if error is None:
        return "no line fit: the noise of the input is not known yet"
    x = found.pair.spectral.values
    parts = (values[channels] for values in (x, curve.values, error))
    return fit_line(*parts, spectral_acf=found.pair.spectral_acf)
