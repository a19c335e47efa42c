"""The two layers that the Compare dock is about, and the noise of their input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFormLayout, QWidget

from denoise.cube import Cube
from napari_denoise.compare.comparison import check_pair
from napari_denoise.layers import Entry, Role, entry_of
from napari_denoise.panel import LayerChoice
from napari_denoise.studies import Study, studies_of

RESULTS: tuple[Role, ...] = ("denoised", "display")


class Pair(QWidget):
    """Two boxes, A and B; ``changed`` is emitted when either shows another layer.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    changed = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self.first = LayerChoice(viewer, prefer="input")
        self.second = LayerChoice(viewer, prefer="denoised")
        self._viewer = viewer
        self._chosen = False
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for name, box in (("A", self.first), ("B", self.second)):
            layout.addRow(name, box)
            box.chosen.connect(lambda _: self.changed.emit())
            box.activated.connect(self._by_hand)
        # a layer that was filled while it was shown gets its name in the end
        for event in (viewer.layers.events.inserted, viewer.layers.events.renamed):
            event.connect(self._inserted)
        self.destroyed.connect(lambda: _leave(viewer, self._inserted))
        self._inserted()

    @property
    def layers(self) -> tuple[Any, Any]:
        """A and B; None where nothing is chosen."""
        return self.first.layer, self.second.layer

    @property
    def entries(self) -> tuple[Entry | None, Entry | None]:
        """What A and B show."""
        return self.first.entry, self.second.entry

    def checked(self, *, units: bool = True) -> tuple[Entry, Entry]:
        """What A and B show.

        Raises
        ------
        UsageError
            They cannot be compared, see ``comparison.check_pair``.
        """
        return check_pair(self.first.entry, self.second.entry, units=units)

    def _by_hand(self, _index: int) -> None:
        self._chosen = True

    def _inserted(self, _event: Any = None) -> None:
        """Until the user chooses, B is the newest result, and A what it was made from."""
        self.first.refresh()
        self.second.refresh()
        if self._chosen:
            return
        shown = [(layer, entry) for layer in self._viewer.layers if (entry := entry_of(layer)) is not None]
        sources = {id(entry.cube): layer for layer, entry in reversed(shown)}
        # a part of a cube, picked from a preview, is not what a whole one is compared with
        results = [
            (layer, sources.get(id(entry.source)))
            for layer, entry in shown
            if entry.role in RESULTS and (entry.source is None or id(entry.source) in sources)
        ]
        if results:
            self.second.choose(results[-1][0])
            self.first.choose(results[-1][1])


def _leave(viewer: Any, callback: Callable[..., None]) -> None:
    for event in (viewer.layers.events.inserted, viewer.layers.events.renamed):
        event.disconnect(callback)


class NoiseWait(QObject):
    """Does something with the study of a cube, once it is there; only the newest wish counts.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    parent : QObject, optional
    """

    waiting = Signal()
    failed = Signal(str)

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._studies = studies_of(viewer)
        self._studies.ready.connect(self._ready)
        self._studies.failed.connect(self._on_failed)
        self._cube: Cube | None = None
        self._then: Callable[[Study], None] | None = None

    def when_known(self, cube: Cube, then: Callable[[Study], None]) -> None:
        """Call `then` with the study of a cube: now, or when it has been made."""
        found = self._studies.of(cube)
        if found is not None:
            self.forget()
            then(found)
            return
        self._cube, self._then = cube, then
        self.waiting.emit()
        self._studies.want(cube, large=True)

    def forget(self) -> None:
        """It is not wanted any more."""
        self._cube = self._then = None

    def _ready(self, cube: Cube) -> None:
        found, then = self._studies.of(cube), self._then
        if cube is self._cube and found is not None and then is not None:
            self.forget()
            then(found)

    def _on_failed(self, cube: Cube, text: str) -> None:
        if cube is self._cube:
            self.forget()
            self.failed.emit(text)
