"""What is drawn of cubes side by side: moment 0, the brightest channel, a spectrum, over the same voxels in all."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from denoise.check.rig import Rig
from denoise.cube import Cube
from denoise.noise import NoiseModel

Block = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class View:
    """What is drawn of one cube.

    Attributes
    ----------
    moment0 : ndarray, shape (y, x)
        Sum over the channels of the emission, unit of the data; NaN without coverage.
    peak : ndarray, shape (y, x)
        The brightest channel.
    spectrum : ndarray, shape (channel,)
        Sum over the aperture.
    """

    moment0: Block
    peak: Block
    spectrum: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Views:
    """What is drawn of a comparison.

    Attributes
    ----------
    cube : Cube
        The part that was compared, its continuum subtracted.
    noise : NoiseModel
        Of it.
    channels : ndarray of bool, shape (channel,)
        Those of moment 0.
    channel : int
        The brightest one.
    aperture : ndarray of bool, shape (y, x)
        Of the spectra: the emission; the whole field where there is none.
    before : View
        The input.
    after : dict of str to View
        Every method.
    """

    cube: Cube
    noise: NoiseModel
    channels: Mask
    channel: int
    aperture: Mask
    before: View
    after: dict[str, View] = field(default_factory=dict)

    @classmethod
    def of(cls, rig: Rig, found: Mask) -> Views:
        """Of the emission, shape (channel, y, x)."""
        data = rig.data()
        any_found = bool(found.any())
        channels = np.asarray(found.any(axis=(1, 2)) | (not any_found))
        aperture = np.asarray(found.any(axis=0) | (not any_found))
        bright = np.nansum(np.where(found, data, 0.0), axis=(1, 2))
        channel = int(np.argmax(bright)) if any_found else rig.shape[0] // 2
        made = cls(rig.cube, rig.noise, channels, channel, aperture, View(data[0], data[0], np.zeros(1)))
        return replace(made, before=made.view(data))

    def view(self, data: Block) -> View:
        """Of a cube (channel, y, x)."""
        known = np.isfinite(data)
        chosen = np.where(known, data, 0.0)[self.channels].sum(axis=0)
        moment0 = np.where(known[self.channels].any(axis=0), chosen, np.nan)
        spectrum = np.where(known, data, 0.0)[:, self.aperture].sum(axis=1, dtype=np.float64)
        return View(moment0.astype(np.float32), data[self.channel].copy(), spectrum)
