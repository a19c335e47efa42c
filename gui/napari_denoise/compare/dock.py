"""The "Compare" dock: two layers against each other, several methods side by side, what they are worth, and 3D."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QPushButton

from denoise.errors import DenoiseError
from napari_denoise.compare.pair import Pair
from napari_denoise.compare.sections import (
    BlinkSection,
    ContrastSection,
    DifferenceSection,
    Section,
    WipeSection,
    spin,
)
from napari_denoise.panel import Message, Panel, heading
from napari_denoise.side_by_side.section import MethodsSection
from napari_denoise.trust.section import TrustSection
from napari_denoise.volume.window import VolumeWindow, open_volume


class CompareDock(Panel):
    """Compare layers A and B.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__(viewer)
        self.pair = Pair(viewer)
        self.body.addWidget(heading("Layers"))
        self.body.addWidget(self.pair)
        self.blink = BlinkSection(viewer, self.pair, self.message)
        self.wipe = WipeSection(viewer, self.pair, self.message)
        self.contrast = ContrastSection(viewer, self.pair, self.message)
        self.difference = DifferenceSection(viewer, self.pair, self.message)
        self.methods = MethodsSection(viewer, self.pair, self.message)
        self.trust = TrustSection(viewer, self.pair, self.message)
        self.volume = VolumeSection(viewer, self.pair, self.message)
        for section in (
            self.blink, self.wipe, self.contrast, self.difference, self.methods, self.trust, self.volume,
        ):  # fmt: skip
            self.body.addWidget(section)


class VolumeSection(Section):
    """Opens A and B in 3D."""

    def __init__(self, viewer: Any, pair: Pair, message: Message) -> None:
        super().__init__(viewer, pair, message, "3D")
        self.button = QPushButton("A and B in 3D")
        self.button.setToolTip("A second window; large cubes are averaged over blocks of voxels first")
        self.n_sigma = spin(0.5, 100.0, 3.0, 0.5, " sigma")
        self.n_sigma.setToolTip("Level of the surfaces, in sigma of the noise of what is drawn")
        self.row(self.n_sigma, self.button)
        self.opening: VolumeWindow | None = None
        self.button.clicked.connect(self.open)

    def open(self) -> None:
        """Read A and B, then open the window."""
        self.message.say("")
        try:
            self.opening = open_volume(self.viewer, *self.pair.layers, self.n_sigma.value())
        except DenoiseError as err:
            self.message.error(str(err))
            return
        self.button.setEnabled(False)
        self.opening.progressed.connect(self._progressed)
        self.opening.failed.connect(self._failed)
        self.opening.opened.connect(self._ready)
        self.opening.closed.connect(self._ready)

    def _progressed(self, share: float) -> None:
        self.message.say(f"Reading for the 3D view: {100 * share:.0f} %")

    def _ready(self) -> None:
        self.message.say("")
        self.button.setEnabled(True)

    def _failed(self, text: str) -> None:
        self.button.setEnabled(True)
        self.message.error(text)
