"""Small tables in a dock: numbers before and after, with their notes as tool tips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QApplication, QHeaderView, QTableWidget, QTableWidgetItem

from napari_denoise.inspect.rows import NumberRow

Section = tuple[str, Sequence[NumberRow]]


class NumberTable(QTableWidget):
    """Sections of rows: quantity, before, after; as high as its rows, copied with Ctrl+C.

    Parameters
    ----------
    first : str
        Heading of the first column.
    """

    def __init__(self, first: str = "") -> None:
        super().__init__(0, 3)
        self.first = first
        self._layout: tuple[bool, ...] = ()
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWordWrap(True)
        self.verticalHeader().hide()
        header = self.horizontalHeader()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column in (1, 2):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.names("input", "denoised")

    def names(self, before: str, after: str) -> None:
        """Headings of the two columns."""
        self.setHorizontalHeaderLabels([self.first, before.capitalize(), after.capitalize()])

    def show_sections(self, sections: Sequence[Section]) -> None:
        """Fill it; a section with a name gets a line of its own."""
        lines: list[str | NumberRow] = []
        for name, rows in sections:
            lines += [name, *rows] if name else list(rows)
        layout = tuple(isinstance(line, str) for line in lines)
        if layout != self._layout:
            self.setRowCount(len(lines))
            self.clearSpans()
        for at, line in enumerate(lines):
            if isinstance(line, str):
                self._heading(at, line)
            else:
                self._row(at, line)
        if layout != self._layout:
            self._layout = layout
            self._fit()

    def text(self) -> str:
        """All cells, tabs between them."""
        rows = range(self.rowCount())
        return "\n".join("\t".join(self._text(row, column) for column in range(3)) for row in rows)

    def keyPressEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Ctrl+C copies the table."""
        if event.key() == Qt.Key.Key_C and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            QApplication.clipboard().setText(self.text())
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Names wrap where they must."""
        super().resizeEvent(event)
        self._fit()

    def _heading(self, row: int, name: str) -> None:
        for column, text in enumerate((name, "", "")):
            self._cell(row, column, text, "", bold=True)
        if self.columnSpan(row, 0) != 3:
            self.setSpan(row, 0, 1, 3)

    def _row(self, row: int, line: NumberRow) -> None:
        for column, text in enumerate((line.title, *line.cells())):
            self._cell(row, column, text, line.note, bold=False)

    def _cell(self, row: int, column: int, text: str, note: str, *, bold: bool) -> None:
        item = self.item(row, column)
        if item is None:
            item = QTableWidgetItem()
            side = Qt.AlignmentFlag.AlignLeft if column == 0 else Qt.AlignmentFlag.AlignRight
            item.setTextAlignment(side | Qt.AlignmentFlag.AlignVCenter)
            self.setItem(row, column, item)
        if item.text() != text:
            item.setText(text)
        if item.toolTip() != note:
            item.setToolTip(note)
        if item.font().bold() != bold:
            font = item.font()
            font.setBold(bold)
            item.setFont(font)

    def _fit(self) -> None:
        self.resizeRowsToContents()
        height = self.horizontalHeader().height() + sum(self.rowHeight(r) for r in range(self.rowCount()))
        self.setFixedHeight(height + 2 * self.frameWidth())

    def _text(self, row: int, column: int) -> str:
        item = self.item(row, column)
        return "" if item is None else str(item.text())
