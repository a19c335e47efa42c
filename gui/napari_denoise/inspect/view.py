"""The widgets of the Inspect dock and their places; what they do is in ``dock``."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_denoise.inspect.maps import MomentBox
from napari_denoise.inspect.picker import AperturePicker, ChannelRow
from napari_denoise.inspect.plots import DiagramPlot, ResidualPlot
from napari_denoise.inspect.spectrum import SpectrumPlot
from napari_denoise.inspect.tables import NumberTable
from napari_denoise.layers import Role
from napari_denoise.panel import LayerChoice, Panel, heading

SPECTRUM, RESIDUAL, CUT = range(3)  # tabs
_INPUT: tuple[Role, ...] = ("input",)
_OUTPUT: tuple[Role, ...] = ("denoised", "display")


class InspectView(Panel):
    """Choice of layers, aperture, plots in tabs, channels, numbers, fits, moments, files.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__(viewer)
        self._build()

    def _build(self) -> None:
        self.inputs = LayerChoice(self.viewer, _INPUT)
        self.outputs = LayerChoice(self.viewer, _OUTPUT, prefer="denoised")
        form = QFormLayout()
        form.addRow("Input", self.inputs)
        form.addRow("Denoised", self.outputs)
        self.body.addLayout(form)
        self.picker = AperturePicker()
        self.spectrum, self.residual = SpectrumPlot(self.viewer), ResidualPlot(self.viewer)
        self.range = ChannelRow()
        self.table, self.fit_table = NumberTable(), NumberTable("Line fit")
        self.fit_words = QLabel()
        self.fit_words.setWordWrap(True)
        self.moments = MomentBox()
        for widget in (heading("Aperture"), self.picker, self._tabs(), self.range, self.table):
            self.body.addWidget(widget)
        for widget in (self.fit_table, self.fit_words, heading("Moments of the chosen channels")):
            self.body.addWidget(widget)
        self.body.addWidget(self.moments)
        self.body.addLayout(self._savers())
        self.body.addStretch(1)

    def _tabs(self) -> QTabWidget:
        self.diagram = DiagramPlot(self.viewer)
        self.cut_button, self.cut_width = QPushButton("Draw a cut"), QSpinBox()
        self.cut_width.setRange(1, 99)
        self.cut_width.setPrefix("Width ")
        self.cut_width.setSuffix(" px")
        self.cut_width.setToolTip("Pixels across the cut that are averaged")
        row = QHBoxLayout()
        row.addWidget(self.cut_button)
        row.addWidget(self.cut_width)
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 4, 0, 0)
        column.addLayout(row)
        column.addWidget(self.diagram)
        column.addStretch()
        self.tabs = QTabWidget()
        for widget, name in (
            (self.spectrum, "Spectrum"),
            (self.residual, "Residual"),
            (page, "Position–velocity"),
        ):
            self.tabs.addTab(widget, name)
        self.tabs.currentChanged.connect(self._as_high_as_its_page)
        self._as_high_as_its_page()
        return self.tabs

    def _as_high_as_its_page(self, _tab: int = 0) -> None:
        """The tabs take the height of the one that is open."""
        for at in range(self.tabs.count()):
            open_ = at == self.tabs.currentIndex()
            high = QSizePolicy.Policy.Preferred if open_ else QSizePolicy.Policy.Ignored
            self.tabs.widget(at).setSizePolicy(QSizePolicy.Policy.Preferred, high)
        page = self.tabs.currentWidget()
        self.tabs.setFixedHeight(
            max(page.minimumSizeHint().height(), page.minimumHeight())
            + self.tabs.tabBar().sizeHint().height()
            + 6
        )

    def _savers(self) -> QHBoxLayout:
        self.save_button, self.numbers_button = (
            QPushButton("Save this plot…"),
            QPushButton("Save the numbers…"),
        )
        self.save_button.setToolTip("The plot as PNG, or its curves as CSV or ECSV")
        self.numbers_button.setToolTip("The tables as CSV or ECSV")
        row = QHBoxLayout()
        row.addWidget(self.save_button)
        row.addWidget(self.numbers_button)
        return row
