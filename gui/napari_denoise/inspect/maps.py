"""Moment maps of the chosen channels, as layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QFormLayout, QHBoxLayout, QLabel, QPushButton, QWidget

from denoise.cube import Cube
from denoise.metrics import Moments
from napari_denoise.inspect.measure import Pair
from napari_denoise.inspect.moments import moment_units, moments, threshold
from napari_denoise.jobs import Job
from napari_denoise.layers import KEY, Entry

Floats = NDArray[np.float64]
_KEPT = ("OBJECT", "BMAJ", "BMIN", "BPA", "TELESCOP")  # cards that a map shares with its cube
_RED_UP, _RED_DOWN = "RdYlBu_r", "RdYlBu"


@dataclass(frozen=True, eq=False)
class MapRequest:
    """Moments of one cube of a pair over a range of channels."""

    pair: Pair
    entry: Entry
    denoised: bool
    channels: slice
    clip: float


class MomentBox(QWidget):
    """Which cube, which threshold, and a button; ``wanted`` is emitted with (denoised, clip)."""

    wanted = Signal(bool, float)

    def __init__(self) -> None:
        super().__init__()
        self.source = QComboBox()
        self.clip = QDoubleSpinBox()
        self.clip.setRange(0.0, 20.0)
        self.clip.setSingleStep(0.5)
        self.clip.setDecimals(1)
        self.clip.setValue(3.0)
        self.clip.setSuffix(" σ")
        self.clip.setToolTip(
            "Moments 1 and 2 take the voxels above this many sigma: of the noise of the input, or of the denoised "
            "cube's own error where it has one. Moment 0 takes all voxels."
        )
        self.button = QPushButton("Make moment maps")
        self.button.clicked.connect(
            lambda: self.wanted.emit(self.source.currentIndex() == 1, self.clip.value())
        )
        row = QHBoxLayout()
        row.addWidget(self.source, 1)
        row.addWidget(QLabel("above"))
        row.addWidget(self.clip)
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addRow("From", row)
        layout.addRow(self.button)

    def show_pair(self, pair: Pair | None) -> None:
        """Offer the cubes there are."""
        before = self.source.currentIndex()
        self.source.clear()
        if pair is not None:
            self.source.addItems([pair.name] + (["denoised"] if pair.after is not None else []))
            self.source.setCurrentIndex(
                max(0, min(before, self.source.count() - 1)) if before >= 0 else self.source.count() - 1
            )
        self.setVisible(pair is not None and not pair.before.is_image)


def moment_job(request: MapRequest) -> Job:
    """The work: done with a list of napari layers."""
    return Job(partial(_layers, request))


def _layers(request: MapRequest, job: Job) -> list[tuple[Floats, dict[str, Any]]]:
    pair = request.pair
    cube = pair.after if request.denoised and pair.after is not None else pair.before
    sigma = threshold(pair.noise, pair.error if request.denoised else None)
    found = moments(cube, request.channels, sigma=sigma, clip=request.clip, check=job.token.check)
    return moment_layers(found, request)


def moment_layers(found: Moments, request: MapRequest) -> list[tuple[Floats, dict[str, Any]]]:
    """Maps with their names, units, colours and limits, at the place of the cube."""
    pair = request.pair
    units = moment_units(pair.before, pair.spectral)
    name = "denoised" if request.denoised else pair.name
    velocity = _RED_UP if pair.spectral.red_grows else _RED_DOWN
    world = replace(request.entry.world, image=True)
    looks = (("inferno", _around_zero), (velocity, _middle), ("viridis", _from_zero))
    return [
        (
            image,
            {
                "name": f"moment {order} of {name} ({units[order]})",
                "colormap": _colormap(colours),
                "contrast_limits": limits(image),
                "metadata": {KEY: Entry(map_cube(pair, image, order), world, "map", source=pair.before)},
                **world.placed(),
            },
        )
        for order, (image, (colours, limits)) in enumerate(zip(found, looks, strict=True))
    ]


def map_cube(pair: Pair, image: Floats, order: int) -> Cube:
    """A moment map with the sky coordinates and the unit that it is saved with."""
    cube, unit = pair.before, pair.spectral.native
    if order == 0:
        unit = None if cube.unit is None or unit is None else cube.unit * unit
    header = None if cube.wcs is None or not cube.wcs.has_celestial else cube.wcs.celestial.to_header()
    if header is not None and cube.header is not None:
        header.extend(card for card in cube.header.cards if card.keyword in _KEPT)
    return Cube(image.astype(np.float32), header=header, unit=unit, name=f"moment {order}")


def _colormap(name: str) -> Any:
    """A colour map of matplotlib's by its name, as one of napari's."""
    from matplotlib import colormaps
    from napari.utils.colormaps import Colormap

    return Colormap(colormaps[name](np.linspace(0, 1, 256)), name=name, display_name=name)


def _around_zero(image: Floats) -> tuple[float, float]:
    """From 2 sigma of the map below zero to its brightest 0.2 per cent."""
    values = image[np.isfinite(image)]
    if not values.size:
        return 0.0, 1.0
    low, middle, high = np.percentile(values, [16, 50, 99.8])
    return _apart(-2 * float(middle - low), float(high))


def _middle(image: Floats) -> tuple[float, float]:
    """All but the outermost 2 per cent on both sides."""
    values = image[np.isfinite(image)]
    return _apart(*(float(v) for v in np.percentile(values, [2, 98]))) if values.size else (0.0, 1.0)


def _from_zero(image: Floats) -> tuple[float, float]:
    values = image[np.isfinite(image)]
    return _apart(0.0, float(np.percentile(values, 98))) if values.size else (0.0, 1.0)


def _apart(low: float, high: float) -> tuple[float, float]:
    return (low, high) if high > low else (low, low + (abs(low) or 1.0))
