"""Parameters in words, as the tables show them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from denoise.methods.describe import describe_parameters


class _Model(BaseModel):
    threshold: float = Field(default=3.0, gt=0, le=10, description="in\n sigma")
    scales: int | None = Field(default=None, ge=1)
    penalty: Literal["soft", "hard"] = "soft"
    pair: tuple[int, float] = (1, 2.0)
    strict: bool = True
    inner: Annotated[float, Field(ge=0, le=1)] | Literal["auto"] = "auto"
    needed: str


def test_each_field_in_words() -> None:
    rows = {row.name: row for row in describe_parameters(_Model)}
    assert list(rows) == ["threshold", "scales", "penalty", "pair", "strict", "inner", "needed"]
    assert rows["threshold"] == type(rows["threshold"])("threshold", "3.0", "number > 0, <= 10", "in sigma")
    assert (rows["scales"].default, rows["scales"].allowed) == ("none", "integer >= 1 or none")
    assert rows["penalty"].allowed == "soft | hard"
    assert rows["pair"].allowed == "list of integer, number"
    assert (rows["strict"].default, rows["strict"].allowed) == ("True", "true or false")
    assert rows["inner"].allowed == "number >= 0, <= 1 or auto"
    assert rows["needed"].default == "required"
