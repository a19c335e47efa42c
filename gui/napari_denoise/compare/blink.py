"""Blink two layers: one, then the other, a few times a second."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal


class Blink(QObject):
    """Shows two layers in turn and nothing else of the images; what was visible before comes back in the end.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    parent : QObject, optional
    """

    stopped = Signal()
    turned = Signal(object)  # the layer that is shown now

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._pair: tuple[Any, Any] | None = None
        self._before: dict[Any, bool] = {}
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._turn)

    @property
    def running(self) -> bool:
        """Whether it blinks."""
        return self._pair is not None

    def start(self, first: Any, second: Any, rate: float) -> None:
        """Blink two layers; `first` is shown at once.

        Parameters
        ----------
        first, second : napari.layers.Layer
        rate : float
            Changes a second.
        """
        from napari.layers import Image

        self.stop()
        self._pair = (first, second)
        self._before = {one: one.visible for one in self._viewer.layers if isinstance(one, Image)}
        self._viewer.layers.events.removed.connect(self._removed)
        for one in self._before:
            one.visible = one is first
        self.set_rate(rate)
        self._timer.start()
        self.turned.emit(first)

    def set_rate(self, rate: float) -> None:
        """Changes a second, while it blinks too."""
        self._timer.setInterval(round(1000 / rate))

    def stop(self) -> None:
        """Stop, and show what was visible before."""
        if self._pair is None:
            return
        self._timer.stop()
        self._viewer.layers.events.removed.disconnect(self._removed)
        self._pair, before, self._before = None, self._before, {}
        for layer, visible in before.items():
            if layer in self._viewer.layers:
                layer.visible = visible
        self.stopped.emit()

    def _turn(self) -> None:
        if self._pair is None:
            return
        first, second = self._pair
        shown, hidden = (second, first) if first.visible else (first, second)
        # the new one first: the canvas is never empty
        shown.visible = True
        hidden.visible = False
        self.turned.emit(shown)

    def _removed(self, event: Any) -> None:
        if self._pair is not None and event.value in self._pair:
            self.stop()
