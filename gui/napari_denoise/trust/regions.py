"""How real the regions of a result are: a RELIABILITY layer, and points that jump to their region."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.check.regions.judge import Judged, judge_result
from denoise.cube import Region
from denoise.engine.progress import Monitor
from denoise.errors import UsageError
from napari_denoise.jobs import Job
from napari_denoise.layers import KEY, Entry, LayerData, layer_of
from napari_denoise.world import World

_SIZE = 12  # of a point, in pixels of the field
_SHOWN = ("reliability", "snr", "flux", "flux_error", "velocity", "ra", "dec")


class ReliabilityPixels:
    """Probability of the region that each voxel is in; 0 outside regions, NaN without coverage.

    Parameters
    ----------
    judged : Judged
        Of a result.
    entry : Entry
        Of its layer.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, judged: Judged, entry: Entry) -> None:
        self._judged = judged
        self._cube = entry.cube
        self.shape = entry.cube.shape

    def read(self, region: Region) -> NDArray[np.float32]:
        """Of a region (channel, y, x)."""
        known = np.isfinite(self._cube.read(region))
        return np.where(known, self._judged.block(region), np.float32(np.nan))


def judge(entry: Entry, job: Job) -> Judged:
    """Judge the regions of a result that was run in this viewer; for a thread.

    Raises
    ------
    UsageError
        Nothing is known of the run.
    DenoiseError
        As ``denoise run --save reliability``.
    """
    if entry.result is None or entry.options is None:
        raise UsageError(
            "this layer is not a result of this viewer, so that its method cannot be run on noise",
            action="run the method in the Denoise dock, or denoise run --save reliability",
        )
    return judge_result(entry.result, entry.options, monitor=Monitor(job.progress, job.token))


def layers_of_judged(judged: Judged, entry: Entry, name: str) -> list[LayerData]:
    """The layer of reliability, and that of the regions as points.

    Parameters
    ----------
    judged : Judged
    entry : Entry
        Of the result.
    name : str
        Of its layer.
    """
    cube = entry.cube.with_pixels(ReliabilityPixels(judged, entry), noise=None).without_unit()
    more: dict[str, Any] = {"source": entry.source, "result": entry.result, "options": entry.options}
    image = layer_of(
        cube,
        f"{name} reliability",
        "reliability",
        visible=False,
        world=entry.world,
        reading=entry.reading,
        **more,
    )
    return [image, points_of(judged.catalogue, entry.world, f"{name} regions")]


def points_of(table: Any, world: World, name: str) -> LayerData:
    """A catalogue as points, ringed in the colour of their reliability, with a number and what they are.

    Parameters
    ----------
    table : Table
        With columns ``id``, ``channel``, ``y``, ``x``, ``reliability``.
    world : World
        Of the cube.
    name : str
        Of the layer.
    """
    axes = ("y", "x") if world.image else ("channel", "y", "x")
    places = np.stack([np.asarray(table[axis], float) for axis in axes], axis=1).reshape(-1, len(axes))
    sure = np.asarray(table["reliability"], float)
    options: dict[str, Any] = {
        "name": name,
        "size": _SIZE,
        "symbol": "disc",
        "face_color": "transparent",
        "border_color": colours_of(sure),
        "border_width": 0.12,
        "features": {
            key: np.asarray(table[key]) for key in ("id", *(k for k in _SHOWN if k in table.colnames))
        },
        "text": {
            "string": "{id}: {reliability:.2f}",
            "size": 9,
            "color": "white",
            "translation": _above(world),
        },
        "out_of_slice_display": True,
        "metadata": {KEY: Catalogued(table, world)},
        **world.placed(),
    }
    return places, options, "points"


class Catalogued:
    """What a layer of points shows: a catalogue, and where its cube lies."""

    def __init__(self, table: Any, world: World) -> None:
        self.table = table
        self.world = world

    def line(self, index: int) -> str:
        """One region in words."""
        row = self.table[index]
        words = [f"region {row['id']}", f"{100 * float(row['reliability']):.0f} % sure"]
        for column, label in (("velocity", ""), ("flux", "flux ")):
            if column in self.table.colnames:
                unit = self.table[column].unit
                error = f" ± {float(row['flux_error']):.2g}" if column == "flux" else ""
                words.append(f"{label}{float(row[column]):.4g}{error}{f' {unit}' if unit else ''}")
        words.append(f"SNR {float(row['snr']):.1f}")
        return ", ".join(words)


def colours_of(reliability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Red to green over the probability, legible on dark pictures, shape (n, 4)."""
    from matplotlib import colormaps

    # without the dark ends of the map
    return np.asarray(colormaps["RdYlGn"](0.12 + 0.73 * np.clip(reliability, 0, 1)), float).reshape(-1, 4)


def jump(viewer: Any, layer: Any, index: int) -> str:
    """Show the channel and the place of a point; returns its line."""
    shown: Catalogued = layer.metadata[KEY]
    place = layer.data_to_world(layer.data[index])
    step: Mapping[int, float] = dict(enumerate(place))
    first = viewer.dims.ndim - len(place)
    for axis, value in step.items():
        if first + axis in viewer.dims.not_displayed:
            viewer.dims.set_point(first + axis, value)
    centre = list(viewer.camera.center)
    centre[-2:] = place[-2:]
    viewer.camera.center = tuple(centre)
    return shown.line(index)


def _above(world: World) -> list[float]:
    """Where the text of a point stands: a little to its side."""
    side = 0.8 * _SIZE
    return [0.0] * (0 if world.image else 1) + [side, 0.0]
