"""The canvas as an astronomer has it: north up, east left, a scale bar, the channel in words, the beam."""

from __future__ import annotations

import sys
from typing import Any
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from denoise.report.labels import number
from denoise.report.sky import beam_shape
from napari_denoise.layers import Entry, entry_of, same_choice
from napari_denoise.world import World

BEAM = "beam"
_POINTS = 48
_CORNER = 0.08  # of the field: where the beam is drawn
_SEEN: WeakSet[Any] = WeakSet()


def orient(viewer: Any, world: World | None = None) -> None:
    """Up is north, or the last row; east to the left, or the first column where a field has no sky coordinates."""
    on_sky = world is None or world.sky.on_sky
    viewer.scene.camera.orientation2d = ("up", "left" if on_sky else "right")


def orient_current(world: World) -> None:
    """The same for the current viewer, if there is one."""
    module = sys.modules.get(
        "napari.viewer"
    )  # not imported: then there is none, and its import takes seconds
    viewer = None if module is None else module.current_viewer()
    if viewer is not None:
        orient(viewer, world)


def show_as_sky(viewer: Any) -> None:
    """North up, a scale bar, and the channel in words, which follows the slider."""
    orient(viewer, next((entry.world for layer in viewer.layers if (entry := entry_of(layer))), None))
    if viewer in _SEEN:
        return
    _SEEN.add(viewer)
    overlays = viewer.canvas.overlays
    overlays.scale_bar.visible = True
    overlays.scale_bar.position = "bottom_right"
    overlays.text.visible = True
    overlays.text.position = "top_left"

    def say(_event: Any = None) -> None:
        overlays.text.text = channel_text(viewer)

    def added(event: Any) -> None:
        entry = entry_of(event.value)
        if entry is not None:
            orient(viewer, entry.world)
        if BEAM in viewer.layers and viewer.layers[-1].name != BEAM:
            viewer.layers.move(viewer.layers.index(BEAM), len(viewer.layers))
        say()

    viewer.dims.events.current_step.connect(say)
    viewer.layers.events.inserted.connect(added)
    viewer.layers.events.removed.connect(say)
    say()


def channel_text(viewer: Any) -> str:
    """What the canvas shows: "Radio velocity, LSRK: -35 km/s (channel 4 of 48)"; "" without a cube of ours."""
    found = [entry for layer in reversed(viewer.layers) if (entry := entry_of(layer)) is not None]
    cubes = [entry for entry in found if not entry.world.image]
    if not cubes or viewer.dims.ndisplay != 2:
        return ""
    world = cubes[0].world
    size = world.spectral.values.size
    channel = world.channel(viewer.dims.point)
    place = f"channel {channel + 1} of {size}"
    if world.spectral.unit == "channel":
        return place
    words = world.spectral.text.rsplit(" (", maxsplit=1)[0]
    return f"{words}: {_value(world.spectral.values, channel)} {world.spectral.unit} ({place})"


def _value(values: NDArray[np.float64], channel: int) -> str:
    """A coordinate with as many digits as its channels need."""
    step = float(np.median(np.abs(np.diff(values)))) if values.size > 1 else 0.0
    if not step > 0:
        return number(float(values[channel]), 6)
    return f"{values[channel]:.{max(0, 1 - int(np.floor(np.log10(step))))}f}".replace("-", "−")


def beam_outline(entry: Entry) -> NDArray[np.float64] | None:
    """The median beam at the lower left corner of the field: points (north, east), or None without one."""
    shape = beam_shape(entry.cube.beams, entry.world.sky)
    if shape is None:
        return None
    major, minor, angle = shape
    turn = np.linspace(0, 2 * np.pi, _POINTS, endpoint=False)
    along, tilt = np.stack([np.cos(turn) * major / 2, np.sin(turn) * minor / 2]), np.deg2rad(angle)
    east = along[0] * np.cos(tilt) - along[1] * np.sin(tilt)
    north = along[0] * np.sin(tilt) + along[1] * np.cos(tilt)
    rows, columns = entry.cube.shape[1:]
    x, y = entry.world.sky.offsets(np.array([0, columns - 1] * 2), np.array([0, 0, rows - 1, rows - 1]))
    edge = major / 2 + _CORNER / 2 * np.ptp(y)
    # east is to the left
    return np.asarray(np.stack([north + y.min() + edge, east + x.max() - edge], axis=1))


def add_beam(viewer: Any, entry: Entry) -> None:
    """Draw the beam as a layer, once."""
    outline = beam_outline(entry)
    if outline is None or BEAM in viewer.layers:
        return
    with same_choice(viewer):
        viewer.add_shapes(
            [outline],
            shape_type="polygon",
            name=BEAM,
            face_color=[1, 1, 1, 0.5],
            edge_color="white",
            edge_width=float(np.ptp(outline, axis=0).max()) / 40,
            units=entry.world.units[1:],
            axis_labels=entry.world.names[1:],
        )
