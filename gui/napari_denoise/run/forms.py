"""Widgets for the parameters of a method, from the same pydantic model that the command line and recipes use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QLineEdit,
    QSpinBox,
    QWidget,
)

from denoise.cli.parse import scalar
from denoise.methods.describe import describe_parameters

_FAR = 10**6  # where a number has no bound
_DIGITS = 4  # after the point


class Field:
    """One widget and its value.

    Parameters
    ----------
    widget : QWidget
    get, put : callable
        Its value, and how to set it.
    changed : Signal
        Of the widget.
    """

    def __init__(
        self, widget: QWidget, get: Callable[[], Any], put: Callable[[Any], Any], changed: Any
    ) -> None:
        self.widget = widget
        self.get = get
        self.put = put
        self.changed = changed


class ParameterForm(QWidget):
    """A form for a parameter model; ``changed`` is emitted when a value is.

    Numbers within bounds have spin boxes, choices have lists; what may also be "none" or "auto" is a line of text. The
    tooltip of every label has the description, the allowed values and the default.
    """

    changed = Signal()

    def __init__(self, model: type[BaseModel]) -> None:
        super().__init__()
        self._model = model
        self._fields: dict[str, Field] = {}
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        for said in describe_parameters(model):
            field = make_field(model.model_fields[said.name])
            field.widget.setToolTip(_tip(said.text, said.allowed, said.default))
            field.widget.setObjectName(said.name)
            field.put(_default(model.model_fields[said.name]))
            field.changed.connect(lambda *_: self.changed.emit())
            layout.addRow(said.name.replace("_", " "), field.widget)
            layout.labelForField(field.widget).setToolTip(field.widget.toolTip())
            self._fields[said.name] = field

    def values(self) -> dict[str, Any]:
        """What differs from the defaults; not validated: the model does that."""
        given = {name: field.get() for name, field in self._fields.items()}
        return {
            name: value for name, value in given.items() if value != _default(self._model.model_fields[name])
        }

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Fill in values; the defaults where there is none. Emits ``changed`` once."""
        self.blockSignals(True)
        for name, field in self._fields.items():
            field.put(values.get(name, _default(self._model.model_fields[name])))
        self.blockSignals(False)
        self.changed.emit()

    def field(self, name: str) -> Field:
        """The field of a parameter."""
        return self._fields[name]


def make_field(info: FieldInfo) -> Field:
    """The widget for a field of a model."""
    kind, choices = info.annotation, get_args(info.annotation)
    if get_origin(kind) is Literal:
        return _choice(choices)
    if kind is bool:
        box = QCheckBox()
        return Field(box, box.isChecked, box.setChecked, box.toggled)
    if kind in (int, float):
        low, high = _bounds(info.metadata)
        return _number(QSpinBox() if kind is int else QDoubleSpinBox(), low, high)
    return _text(nothing=NoneType in choices)


def _choice(choices: tuple[Any, ...]) -> Field:
    box = QComboBox()
    box.addItems([str(one) for one in choices])
    return Field(
        box,
        lambda: choices[box.currentIndex()],
        lambda value: box.setCurrentIndex(choices.index(value)),
        box.currentIndexChanged,
    )


def _number(box: Any, low: float, high: float) -> Field:
    box.setRange(low, high)
    box.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
    if isinstance(box, QDoubleSpinBox):
        box.setDecimals(_DIGITS)
    return Field(box, lambda: _rounded(box.value()), box.setValue, box.valueChanged)


def _rounded(value: float) -> float:
    """A spin box of decimals gives 5.5, not 5.500000000000001."""
    return round(value, _DIGITS)


def _text(*, nothing: bool) -> Field:
    line = QLineEdit()
    line.setPlaceholderText("none" if nothing else "")

    def value() -> Any:
        text = line.text().strip()
        return None if not text or text.lower() == "none" else scalar(text)

    return Field(
        line,
        lambda: _as_tuple(value()),
        lambda given: line.setText("" if given is None else str(given)),
        line.editingFinished,
    )


def _as_tuple(value: Any) -> Any:
    """``1, 2, 3`` is a list to YAML only inside brackets."""
    if isinstance(value, str) and "," in value:
        return tuple(scalar(part.strip()) for part in value.strip("()[] ").split(","))
    return tuple(value) if isinstance(value, list) else value


def _bounds(rules: list[Any]) -> tuple[float, float]:
    low, high, least = -_FAR, _FAR, 10.0**-_DIGITS
    for rule in rules:
        if getattr(rule, "ge", None) is not None:
            low = rule.ge
        if getattr(rule, "gt", None) is not None:
            low = rule.gt + least
        if getattr(rule, "le", None) is not None:
            high = rule.le
        if getattr(rule, "lt", None) is not None:
            high = rule.lt - least
    return low, high


def _default(info: FieldInfo) -> Any:
    return info.get_default(call_default_factory=True, validated_data={})


def _tip(text: str, allowed: str, default: str) -> str:
    return f"{text[:1].upper()}{text[1:]}.\n{allowed}; default {default}"
