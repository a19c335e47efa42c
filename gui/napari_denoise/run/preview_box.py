"""What the chosen method makes of what is on screen, as a layer that follows parameters, channel and view."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from qtpy.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from denoise.cube import Cube
from denoise.engine import RunOptions
from napari_denoise.compare.comparison import SIDE, viewed_region
from napari_denoise.jobs import Job, Newest
from napari_denoise.layers import COLOURS, Entry, same_choice
from napari_denoise.panel import LayerChoice, Message, heading
from napari_denoise.run.previews import Preview, preview, region_of
from napari_denoise.run.summary import preview_line
from napari_denoise.studies import Studies, Study
from napari_denoise.world import World

PREVIEW, BOX = "preview", "preview box"
_PAUSE = 150  # ms without a change before a preview starts


class PreviewBox(QWidget):
    """The switches of the preview.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    source : LayerChoice
        The input.
    studies : Studies
        What is known of the inputs; that of a large one is asked for by the first preview.
    options : callable
        The run that is asked for; None where there is none.
    message : Message
        For what is to be said.
    """

    def __init__(
        self,
        viewer: Any,
        source: LayerChoice,
        studies: Studies,
        options: Callable[[], RunOptions | None],
        message: Message,
    ) -> None:
        super().__init__()
        self.viewer = viewer
        self.message = message
        self._source, self._studies, self._options = source, studies, options
        self.work = Newest(_preview, delay=_PAUSE, parent=self)
        self.live = QCheckBox("Preview while I look")
        self.live.setToolTip("Denoise what is on screen, as parameters and channels change")
        self.where = QComboBox()
        self.where.addItems(["on screen", "in a box"])
        self.where.setToolTip(
            f"The middle of what is shown, {SIDE} pixels at most; or a rectangle that you draw"
        )
        self.grid = QPushButton("Preview all methods")
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        layout, row = QVBoxLayout(self), QHBoxLayout()
        layout.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.live)
        row.addWidget(self.where)
        layout.addWidget(heading("Preview"))
        layout.addLayout(row)
        layout.addWidget(self.grid)

    def _connect(self) -> None:
        self.live.toggled.connect(self._toggled)
        self.where.currentIndexChanged.connect(self._where_changed)
        self.grid.clicked.connect(self.all_methods)
        self.work.answered.connect(self._answered)
        self.work.failed.connect(self.message.error)
        self.viewer.dims.events.current_step.connect(self.look)
        self.viewer.scene.camera.events.zoom.connect(self.look)
        self.viewer.scene.camera.events.center.connect(self.look)

    @property
    def idle(self) -> bool:
        """Whether nothing is asked for or being made."""
        return self.work.idle

    def _study(self) -> Study | None:
        entry = self._source.entry
        return None if entry is None else self._studies.of(entry.cube)

    def look(self, _event: Any = None) -> None:
        """Ask for a preview, where previews are wanted."""
        entry, study = self._source.entry, self._study()
        if not self.live.isChecked() or entry is None or study is None:
            return
        options, box = self._options(), self.box(entry)
        if options is None or box is None:
            return
        region = region_of(entry.cube, box, self._channel(entry), options)
        self.work.ask((entry, study, options, region))

    def _channel(self, entry: Entry) -> int:
        """The channel on screen."""
        return entry.world.channel(self.viewer.dims.point)

    def box(self, entry: Entry) -> tuple[slice, slice] | None:
        """Rows and columns to denoise; None until a box is drawn."""
        if self.where.currentIndex() == 1:
            return self._drawn(entry.cube, entry.world)
        corners = self._source.layer.corner_pixels[:, -2:]
        return viewed_region(entry.cube.shape, self._channel(entry), corners)[1:]

    def _drawn(self, cube: Cube, world: World) -> tuple[slice, slice] | None:
        if BOX not in self.viewer.layers or not self.viewer.layers[BOX].data:
            self.message.say("Draw a rectangle: the preview follows it")
            return None
        layer, field = self.viewer.layers[BOX], np.array(cube.shape[1:])
        corners = np.array([world.pixel(layer.data_to_world(one)[-2:])[1:] for one in layer.data[-1]])
        low = np.clip(np.floor(corners.min(axis=0) + 0.5), 0, field - 2).astype(int)
        high = np.clip(np.ceil(corners.max(axis=0) + 0.5), low + 2, field).astype(int)
        return slice(low[0], high[0]), slice(low[1], high[1])

    def _where_changed(self, index: int) -> None:
        entry = self._source.entry
        if index == 1 and entry is not None:
            self._box_layer(entry).mode = "add_rectangle"
        self.look()

    def _box_layer(self, entry: Entry) -> Any:
        if BOX in self.viewer.layers:
            return self.viewer.layers[BOX]
        layer = self.viewer.add_shapes(
            None,
            ndim=2,
            name=BOX,
            face_color="transparent",
            edge_color="cyan",
            edge_width=entry.world.pixel_size / 2,
            units=entry.world.units[1:],
            axis_labels=entry.world.names[1:],
        )
        layer.events.data.connect(self.look)
        return layer

    def _toggled(self, on: bool) -> None:
        if not on:
            self.work.forget()
            if PREVIEW in self.viewer.layers:
                self.viewer.layers.remove(PREVIEW)
        else:
            self._measured()
        self.look()

    def _answered(self, found: Preview, request: Any) -> None:
        entry: Entry = request[0]
        if not self.live.isChecked() or entry is not self._source.entry:
            return
        data = found.cube.data[0] if entry.world.image else found.cube.data
        placed = entry.world.placed([part.start for part in found.region])
        if PREVIEW in self.viewer.layers:
            layer = self.viewer.layers[PREVIEW]
            layer.data = data
            for name in ("translate", "affine"):
                if name in placed:
                    setattr(layer, name, placed[name])
        else:
            with same_choice(self.viewer):
                layer = self.viewer.add_image(data, name=PREVIEW, contrast_limits=(0, 1), **placed)
        self._colour(layer, display=found.result.display)
        self.message.say(preview_line(found))

    def _colour(self, layer: Any, *, display: bool) -> None:
        """Colours and limits of the input; those of its own for a result without a unit."""
        layer.colormap = COLOURS["display" if display else "denoised"]
        layer.contrast_limits = (-1, 1) if display else self._source.layer.contrast_limits

    def _measured(self) -> bool:
        """Whether the noise is known; if not, it is asked for, and the user told."""
        entry = self._source.entry
        if entry is None or self._study() is not None:
            return entry is not None
        self._studies.want(entry.cube, large=True)
        self.message.say("The noise is being measured first")
        return False

    def all_methods(self) -> None:
        """Every method on what is shown, side by side."""
        from napari_denoise.side_by_side.widget import show_all

        entry, study = self._source.entry, self._study()
        if entry is None or not self._measured() or study is None or (box := self.box(entry)) is None:
            return
        show_all(self.viewer, self._source.layer, study, box, self._channel(entry))


def _preview(request: Any, job: Job) -> Preview:
    study, options, region = request[1:]
    return preview(study.cube, study.noise, options, region, job.token)
