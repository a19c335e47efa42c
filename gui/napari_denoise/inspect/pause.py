"""The viewer's canvas beside a dock: numbers are painted before it, as drawing it can take ten times as long."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QApplication, QOpenGLWidget, QWidget

_MOST = 100  # ms that the window waits for numbers


class CanvasPause(QObject):
    """Holds the drawing of the window until numbers that were asked for can be shown, and that of the canvas after it.

    napari redraws its canvas with every move of a shape, on the thread that paints the docks as well. Without a pause
    the numbers, which take a few milliseconds, stand behind two pictures of the window.

    Parameters
    ----------
    dock : QWidget
        In the window of the viewer.
    """

    def __init__(self, dock: QWidget) -> None:
        super().__init__(dock)
        self._dock = dock
        self._window: Any = None
        self._held: list[Any] = []
        self._most, self._soon = self._timer(_MOST), self._timer(0)
        self.destroyed.connect(partial(_draw, self._held))  # a dock that is closed holds nothing

    @property
    def holds(self) -> bool:
        """Whether the window waits."""
        return self._window is not None

    def hold(self) -> None:
        """Draw later: after `release`, or in 100 ms at the latest."""
        if self.holds:
            return
        self._window = top = _main_window(self._dock)
        self._held[:] = [one for one in top.findChildren(QOpenGLWidget) if one.updatesEnabled()]
        for canvas in self._held:
            canvas.setUpdatesEnabled(False)
        top.installEventFilter(self)
        self._most.start()

    def release(self) -> None:
        """Draw what has changed by now once the caller returns, and then the canvas."""
        if self.holds:
            self._soon.start()

    def eventFilter(self, _window: Any, event: Any) -> bool:  # noqa: N802 - Qt's name
        """A drawing of the window waits; `_end` asks for it again."""
        return bool(event.type() == QEvent.Type.UpdateRequest and self.holds)

    def _end(self) -> None:
        self._most.stop()
        top, self._window = self._window, None
        if top is not None:
            top.removeEventFilter(self)
            QApplication.sendEvent(top, QEvent(QEvent.Type.UpdateRequest))
            _draw(self._held)

    def _timer(self, milliseconds: int) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.timeout.connect(self._end)
        return timer


def _main_window(widget: Any) -> Any:
    """That of a dock, also of one that floats."""
    while widget.parentWidget() is not None:
        widget = widget.parentWidget()
    return widget


def _draw(held: list[Any], *_: Any) -> None:
    for canvas in held:
        with suppress(RuntimeError):  # the window goes, and the canvas went before the dock
            canvas.setUpdatesEnabled(True)
    held.clear()
