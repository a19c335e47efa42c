"""What every dock is made of: a scrolling column, a choice of layers, and one line for what went wrong."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFrame,
    QLabel,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_denoise.jobs import stop_all
from napari_denoise.layers import Entry, Role, entry_of
from napari_denoise.sky_view import show_as_sky

_TONES = {"error": "#e5484d", "warning": "#f5a524", "note": ""}
_CHANGES = ("inserted", "removed", "reordered", "renamed")  # of the viewer's layers
CUBES: tuple[Role, ...] = ("input", "denoised", "display")


class Panel(QWidget):
    """A dock: `body` is a column of widgets that scrolls, `message` one line below it.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self.viewer = viewer
        show_as_sky(viewer)
        inner = QWidget()
        self.body = QVBoxLayout(inner)
        self.body.setContentsMargins(6, 6, 6, 6)
        self.body.setAlignment(Qt.AlignmentFlag.AlignTop)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inner)
        self.message = Message()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(area)
        layout.addWidget(self.message)

    def showEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Follow the window that the dock is in."""
        super().showEvent(event)
        self.window().installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """A window that closes cancels what is running, before its widgets go."""
        if event.type() == QEvent.Type.Close and watched is self.window():
            stop_all()
        return False


class Message(QLabel):
    """One line (wrapped) for the user: an error with what to do, a warning, or a note."""

    def __init__(self) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setMargin(6)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.hide()

    def say(self, text: str, tone: str = "note") -> None:
        """Show it; "" hides the line."""
        colour = _TONES[tone]
        self.setStyleSheet(f"color: {colour}" if colour else "")
        self.setText(text)
        self.setVisible(bool(text))

    def error(self, text: str) -> None:
        """Show what went wrong."""
        self.say(text, "error")


class LayerChoice(QComboBox):
    """Our layers of some roles, kept up with the viewer; ``chosen`` is emitted with the layer, or None."""

    chosen = Signal(object)

    def __init__(self, viewer: Any, roles: Collection[Role] = CUBES, *, prefer: Role | None = None) -> None:
        super().__init__()
        self._viewer = viewer
        self._roles = roles
        self._prefer = prefer
        self._layers: list[Any] = []
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.currentIndexChanged.connect(lambda _: self.chosen.emit(self.layer))
        for event in _CHANGES:
            getattr(viewer.layers.events, event).connect(self.refresh)
        self.destroyed.connect(self._leave)
        self.refresh()

    @property
    def layer(self) -> Any:
        """The chosen layer, or None."""
        index = self.currentIndex()
        return self._layers[index] if 0 <= index < len(self._layers) else None

    @property
    def entry(self) -> Entry | None:
        """What it shows."""
        return entry_of(self.layer)

    def choose(self, layer: Any) -> None:
        """Choose a layer, if it is among them."""
        if layer in self._layers:
            self.setCurrentIndex(self._layers.index(layer))

    def refresh(self, _event: Any = None) -> None:
        """Take the viewer's layers again; the choice stays where it can."""
        before = self.layer
        found = [layer for layer in self._viewer.layers if self._fits(layer)]
        names = [layer.name for layer in found]
        if found == self._layers and names == [self.itemText(i) for i in range(self.count())]:
            return
        self.blockSignals(True)
        self.clear()
        self._layers = found
        self.addItems(names)
        self.setCurrentIndex(self._place(before))
        self.blockSignals(False)
        if self.layer is not before:
            self.chosen.emit(self.layer)

    def _fits(self, layer: Any) -> bool:
        entry = entry_of(layer)
        return entry is not None and entry.role in self._roles

    def _place(self, before: Any) -> int:
        if before in self._layers:
            return self._layers.index(before)
        preferred = [i for i, one in enumerate(self._layers) if _role(one) == self._prefer]
        return preferred[-1] if preferred else 0

    def _leave(self) -> None:
        for event in _CHANGES:
            getattr(self._viewer.layers.events, event).disconnect(self.refresh)


def _role(layer: Any) -> Role | None:
    entry = entry_of(layer)
    return None if entry is None else entry.role


def heading(text: str) -> QLabel:
    """A heading inside a dock."""
    label = QLabel(text)
    label.setStyleSheet("font-weight: bold; margin-top: 6px")
    return label
