"""The two forms of a run: the method with its parameters, and what is done around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from denoise.engine import RunOptions, run_options
from denoise.engine.run import check_methods
from denoise.methods import get_method
from napari_denoise.methods import known_methods, title_of
from napari_denoise.panel import heading
from napari_denoise.run.forms import ParameterForm
from napari_denoise.run.runs import memory_of

_GB = 1e9


class MethodBox(QWidget):
    """The list of methods, what the chosen one is, and its parameters; ``changed`` when any of it is."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._infos = known_methods()
        self._form: ParameterForm | None = None
        self._touched = False
        self.choice = QComboBox()
        self.choice.addItems([title_of(info) for info in self._infos.values()])
        self.summary = QLabel()
        self.summary.setWordWrap(True)
        self.cite = QPushButton("Cite")
        self.cite.setToolTip("Copy the BibTeX entry of the method")
        self.cite.clicked.connect(self._copy_citation)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        row = QHBoxLayout()
        row.addWidget(self.choice, 1)
        row.addWidget(self.cite)
        self._layout.addWidget(heading("Method"))
        self._layout.addLayout(row)
        self._layout.addWidget(self.summary)
        self.choice.currentIndexChanged.connect(self._chosen)
        self.choice.activated.connect(self._touch)
        self.choice.setCurrentIndex(list(self._infos).index("ist"))
        self._chosen()

    @property
    def name(self) -> str:
        """The chosen method."""
        return str(list(self._infos)[self.choice.currentIndex()])

    def values(self) -> dict[str, Any]:
        """Its parameters that are not the defaults."""
        return {} if self._form is None else self._form.values()

    @property
    def form(self) -> ParameterForm:
        """The form of its parameters."""
        assert self._form is not None
        return self._form

    def set(self, name: str, values: Mapping[str, Any]) -> None:
        """Choose a method and fill in its parameters."""
        self.choice.setCurrentIndex(list(self._infos).index(name))
        self.form.set_values(values)

    def suggest(self, name: str) -> None:
        """Choose a method unless the user has."""
        if not self._touched and name in self._infos:
            self.choice.setCurrentIndex(list(self._infos).index(name))

    def _touch(self, _index: int) -> None:
        self._touched = True

    def _chosen(self, _index: int = 0) -> None:
        info = self._infos[self.name]
        self.summary.setText(f"{info.summary[0].upper()}{info.summary[1:]}.")
        self.cite.setToolTip(f"Copy the BibTeX entry:\n{info.citation}")
        if self._form is not None:
            self._layout.removeWidget(self._form)
            self._form.setParent(None)  # gone now; it is deleted when Qt comes to it
            self._form.deleteLater()
        self._form = ParameterForm(get_method(self.name).Parameters)
        self._form.changed.connect(self.changed)
        self._layout.addWidget(self._form)
        self.changed.emit()

    def _copy_citation(self) -> None:
        QApplication.clipboard().setText(self._infos[self.name].citation)


class Around(QWidget):
    """Continuum, positivity, noise of the file, errors, seed, memory; folded away at first."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.continuum = QComboBox()
        self.continuum.setEditable(True)
        self.continuum.addItems(["auto", "none", "median", "smooth", "polynomial:1"])
        self.continuum.setToolTip(
            "What is subtracted before and restored after: auto, none, median, smooth[:CHANNELS], polynomial:ORDER"
        )
        self.positivity, self.companion = QComboBox(), QComboBox()
        self.positivity.addItems(["auto", "on", "off"])
        self.positivity.setToolTip(
            "Clip the emission at zero; auto: only where both tails agree with the noise"
        )
        self.companion.addItems(["trust", "scale", "ignore"])
        self.companion.setToolTip(
            "The noise that the file gives: as it is, scaled to the data, or measured instead"
        )
        self.uncertainty = QSpinBox()
        self.uncertainty.setRange(0, 200)
        self.uncertainty.setSpecialValueText("the method's own")
        self.uncertainty.setSuffix(" draws")
        self.uncertainty.setToolTip(
            "1 sigma errors from so many draws of the noise, denoised again (16 are usual); takes several times as long"
        )
        self.seed = QSpinBox()
        self.seed.setRange(0, 2**31 - 1)
        self.seed.setToolTip("Fixes every random draw")
        self.memory = QDoubleSpinBox()
        self.memory.setRange(0.1, 4096)
        self.memory.setValue(memory_of() / _GB)
        self.memory.setSuffix(" GB")
        self.memory.setToolTip("For the tiles: smaller tiles stop sooner, larger ones are faster")
        self._lay_out()

    def _lay_out(self) -> None:
        inner = QWidget()
        form = QFormLayout(inner)
        form.setContentsMargins(0, 0, 0, 0)
        for name in ("continuum", "positivity", "companion", "uncertainty", "seed", "memory"):
            widget = getattr(self, name)
            form.addRow(
                {"companion": "noise in the file", "uncertainty": "error bars"}.get(name, name), widget
            )
            signal = widget.currentTextChanged if isinstance(widget, QComboBox) else widget.valueChanged
            signal.connect(lambda *_: self.changed.emit())
        fold = QCollapsible("More")
        fold.setContent(inner)
        fold.collapse(animate=False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(fold)

    def options(self, method: str, parameters: Mapping[str, Any]) -> RunOptions:
        """A run of a method with what is set here.

        Raises
        ------
        ParameterError
            A value is not valid.
        """
        wanted = run_options(
            method=method,
            parameters=dict(parameters),
            seed=self.seed.value(),
            continuum=self.continuum.currentText(),
            positivity=self.positivity.currentText(),
            companion=self.companion.currentText(),
            uncertainty=self.uncertainty.value(),
            memory=round(self.memory.value() * _GB),
        )
        check_methods(wanted)
        return wanted
