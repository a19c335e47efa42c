"""The window in which a finished study is read: what it says, its figures, and where to keep it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QDesktopServices, QPixmap
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from denoise.errors import DenoiseError
from napari_denoise.panel import Message
from napari_denoise.trust.study import Finished

_SIZE = (980, 760)


class StudyWindow(QWidget):
    """Shows one study; it closes with the viewer.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    finished : Finished
        Kept, with its folder, as long as the window.
    """

    def __init__(self, viewer: Any, finished: Finished) -> None:
        super().__init__(_parent(viewer), Qt.WindowType.Window)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(finished.title)
        self.finished = finished
        self.says = QLabel(finished.sentence)
        self.says.setWordWrap(True)
        self.says.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.note = Message()
        self.note.say("\n".join(finished.notes), "warning")
        self.save_button, self.page_button = QPushButton("Save…"), QPushButton("Open the page")
        self.save_button.setToolTip("Page, figures and numbers into a folder")
        self.page_button.setToolTip("In the web browser: with the table and how it was done")
        self.pictures = [_picture(path) for path in finished.pictures]
        self._lay_out()
        self.save_button.clicked.connect(self._save_clicked)
        self.page_button.clicked.connect(self._page_clicked)
        self.resize(*_SIZE)

    def save(self, folder: Path) -> None:
        """Keep the study in a folder."""
        try:
            self.note.say(f"Wrote {self.finished.save(folder)}")
        except DenoiseError as err:
            self.note.error(str(err))

    def _lay_out(self) -> None:
        inner = QWidget()
        inner.setStyleSheet("background: white")  # as the figures are
        column = QVBoxLayout(inner)
        for picture in self.pictures:
            column.addWidget(picture)
        column.addStretch(1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setWidget(inner)
        row = QHBoxLayout()
        row.addWidget(self.note, 1)
        row.addWidget(self.page_button)
        row.addWidget(self.save_button)
        layout = QVBoxLayout(self)
        layout.addWidget(self.says)
        layout.addWidget(area, 1)
        layout.addLayout(row)

    def _save_clicked(self) -> None:
        name = self.finished.title.lower().replace(" ", "_")
        named = QFileDialog.getSaveFileName(self, "Save the study as a folder", name)[0]
        if named:
            self.save(Path(named))

    def _page_clicked(self) -> None:
        if not QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.finished.page))):
            self.note.error(f"no browser opened; the page is {self.finished.page}")


class _Scaled(QLabel):
    """A picture as wide as there is room, never wider than it is."""

    def __init__(self, pixels: QPixmap) -> None:
        super().__init__()
        self._pixels = pixels
        self.setMinimumWidth(200)
        self.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._fit(min(pixels.width(), _SIZE[0] - 60))

    def resizeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Follow the window."""
        super().resizeEvent(event)
        self._fit(min(self._pixels.width(), self.width()))

    def _fit(self, width: int) -> None:
        scaled = self._pixels.scaledToWidth(max(width, 1), Qt.TransformationMode.SmoothTransformation)
        self.setPixmap(scaled)
        self.setFixedHeight(scaled.height())


def _picture(path: Path) -> QLabel:
    return _Scaled(QPixmap(str(path)))


def _parent(viewer: Any) -> QWidget | None:
    """The main window, whose style and life it shares; none in a viewer without one."""
    window = getattr(viewer, "window", None)
    found: QWidget | None = None if window is None else window._qt_window
    return found
