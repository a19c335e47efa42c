"""A second window: input and result in 3D, side by side, from small copies of them."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject, Qt, QTimer, Signal
from qtpy.QtWidgets import QComboBox, QDockWidget, QFormLayout, QLabel, QWidget

from denoise.errors import DenoiseError, UsageError
from denoise.report.labels import number, unit_text, with_unit
from napari_denoise.compare.comparison import check_pair
from napari_denoise.compare.sections import spin
from napari_denoise.jobs import Job
from napari_denoise.layers import Entry, entry_of
from napari_denoise.theme import colours_of
from napari_denoise.volume.scene import Pictures, Rendering, VolumeScene
from napari_denoise.volume.small import block_mean, volume_sigma

_RENDERINGS: dict[str, Rendering] = {
    "Surface at n sigma": "iso",
    "Brightest along the line of sight": "mip",
    "Brightest, the near before the far": "attenuated_mip",
}
_OPEN: set[VolumeWindow] = set()


class VolumeWindow(QObject):
    """The window, from the reading of the cubes to its end.

    ``opened`` is emitted when it is there, ``failed`` with one line when it cannot be, ``progressed`` with the share of
    the reading, ``closed`` in the end.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The main one: its theme is followed; it may close before this window or after it.
    before, after : pair of layer and Entry
        Input and result.
    n_sigma : float
        Of the surface.
    """

    opened = Signal()
    failed = Signal(str)
    progressed = Signal(float)
    closed = Signal()

    def __init__(
        self, viewer: Any, before: tuple[Any, Entry], after: tuple[Any, Entry], n_sigma: float
    ) -> None:
        super().__init__()
        self._main = viewer
        self._names = (before[0].name, after[0].name)
        self._entries = (before[1], after[1])
        self.n_sigma = n_sigma
        self.viewer: Any = None
        self.scene: VolumeScene | None = None
        self.job = Job(self._read)
        self.job.told.connect(self.progressed.emit)
        self.job.done.connect(self._open)
        self.job.failed.connect(self._failed)
        self.job.cancelled.connect(self._end)

    def start(self) -> VolumeWindow:
        """Begin to read; returns itself."""
        _OPEN.add(self)
        self._main.events.theme.connect(self._theme)
        self.job.start()
        return self

    def close(self) -> None:
        """Close the window, or stop the reading."""
        self.job.cancel()
        if self.viewer is not None:
            # as a user does: Viewer.close() frees its textures while another window's are current (vispy issue 880)
            self.viewer.window._qt_window.close()

    def set_threshold(self, n_sigma: float) -> None:
        """The surface at so many sigma."""
        self.n_sigma = n_sigma
        if self.scene is not None:
            self.scene.set_threshold(n_sigma)

    def _read(self, job: Job) -> Pictures:
        """In the thread: both small copies and the noise of the first."""
        volumes = []
        for half, entry in enumerate(self._entries):

            def tell(share: float, half: int = half) -> None:
                job.told.emit((half + share) / 2)

            volumes.append(block_mean(entry.cube, tell=tell, check=job.token.check))
        cube = self._entries[0].cube
        unit = unit_text(cube.unit, cube.unit_text)
        sigma = volume_sigma(volumes[0].data)
        return Pictures(volumes[0], volumes[1], sigma, self._entries[0].world, self._names, unit)

    def _open(self, pictures: Pictures) -> None:
        if self.job.token.cancelled:  # closed when the reading had just ended
            self._end()
            return
        import napari

        block = " x ".join(str(n) for n in pictures.before.factors)
        binned = "" if block == "1 x 1 x 1" else f", mean of {block} (channel, y, x)"
        self.viewer = napari.Viewer(title=f"3D: {self._names[0]} and {self._names[1]}{binned}", show=False)
        self.viewer.theme = self._main.theme
        self.scene = VolumeScene(self.viewer, pictures)
        self.scene.set_colours(colours_of(self.viewer.theme))
        self.controls = VolumeControls(self, pictures)
        self.viewer.window.add_dock_widget(self.controls, name="3D view", area="right")
        window = self.viewer.window._qt_window
        for dock in window.findChildren(QDockWidget):
            # room for the picture; they are in the menu "Window"
            dock.setVisible(dock.objectName() == "3D view")
        window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        window.destroyed.connect(self._end)
        window.resize(1100, 720)
        self.viewer.window.show()
        self.scene.set_rendering("iso", self.n_sigma)
        self._look()
        QTimer.singleShot(0, self._look)  # once the docks have their places
        self.opened.emit()

    def _look(self) -> None:
        if self.viewer is not None and self.scene is not None:
            canvas = self.viewer.window._qt_window.centralWidget()
            self.scene.look(canvas.width(), canvas.height())

    def _theme(self, _event: Any = None) -> None:
        if self.viewer is not None and self.scene is not None:
            self.viewer.theme = self._main.theme
            self.scene.set_colours(colours_of(self.viewer.theme))

    def _failed(self, text: str) -> None:
        self._end()
        self.failed.emit(text)

    def _end(self, _object: Any = None) -> None:
        if self in _OPEN:
            _OPEN.discard(self)
            self._main.events.theme.disconnect(self._theme)
            self.viewer = self.scene = None
            self.closed.emit()


class VolumeControls(QWidget):
    """How the volumes are drawn, and what the axes are.

    Parameters
    ----------
    owner : VolumeWindow
    pictures : Pictures
    """

    def __init__(self, owner: VolumeWindow, pictures: Pictures) -> None:
        super().__init__()
        self._owner = owner
        self.rendering = QComboBox()
        self.rendering.addItems(list(_RENDERINGS))
        self.n_sigma = spin(0.5, 100.0, owner.n_sigma, 0.5, " sigma")
        layout = QFormLayout(self)
        layout.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapAllRows)
        layout.addRow("Drawing", self.rendering)
        layout.addRow("Level", self.n_sigma)
        words = QLabel(_explained(owner, pictures))
        words.setWordWrap(True)
        words.setMinimumWidth(200)
        layout.addRow(words)
        self.rendering.currentTextChanged.connect(self._drawn)
        self.n_sigma.valueChanged.connect(owner.set_threshold)

    def _drawn(self, text: str) -> None:
        if self._owner.scene is not None:
            self._owner.scene.set_rendering(_RENDERINGS[text], self._owner.n_sigma)


def _explained(owner: VolumeWindow, pictures: Pictures) -> str:
    """What a sigma is here, and the axes."""
    sigma = with_unit(number(pictures.sigma), pictures.unit)
    factors = " x ".join(str(n) for n in pictures.before.factors)
    binned = (
        "" if set(pictures.before.factors) == {1} else f", averaged over {factors} voxels (channel, y, x)"
    )
    label = pictures.world.spectral.text
    return (
        f"1 sigma = {sigma}: the noise of the input{binned}. Both volumes have the same level.\n\n"
        f"Depth: {label[0].lower()}{label[1:]}, not to scale. "
        f"Height: {pictures.world.names[1]}, width: {pictures.world.names[2]} ({pictures.world.units[2]}); "
        "north is up and east to the left before the view is turned."
    )


def open_volume(viewer: Any, before_layer: Any, after_layer: Any, n_sigma: float = 3.0) -> VolumeWindow:
    """Open a second window with two cubes in 3D; they are read and made small in a thread first.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The one with the layers.
    before_layer, after_layer : napari.layers.Layer
        Input and result: layers of ours, of one shape, place and unit.
    n_sigma : float
        Level of the surfaces, in sigma of the noise of the small input.

    Returns
    -------
    VolumeWindow
        Which tells when the window is there.

    Raises
    ------
    UsageError
        They are images, or cannot be compared.
    """
    before, after = check_pair(entry_of(before_layer), entry_of(after_layer))
    if before.cube.is_image:
        raise UsageError("an image has no third axis", action="choose cubes for the 3D view")
    if before.cube.shape[1] < 2 or before.cube.shape[2] < 2:
        raise DenoiseError(
            "a single line of pixels is no volume",
            value=before.cube.shape,
            action="choose a cube of at least 2 x 2 pixels",
        )
    return VolumeWindow(viewer, (before_layer, before), (after_layer, after), n_sigma).start()
