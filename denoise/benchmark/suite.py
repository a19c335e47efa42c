"""Benchmark suites: what is denoised, by what, fixed and versioned before any method is scored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from denoise.errors import InputError, ParameterError, UsageError
from denoise.resources import resource
from denoise.simulate import NoiseFamily

SUITES = ("pipelines", "suites")
FLOORS = ("noisy", "zeros", "smooth", "gauss_oracle", "wiener_oracle")
Bin = tuple[float, float]


class Model(BaseModel):
    """What every part of a suite is: fixed, and refusing what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Simulated(Model):
    """Cubes from `denoise.simulate`.

    Attributes
    ----------
    groups : dict
        Panel: share of each kind of galaxies in it (see `denoise.simulate.draw_scene`).
    snr_bins : list of (low, high)
        Peak SNR, drawn uniformly; means nothing in empty fields.
    shape : tuple of int
        (channel, y, x).
    noise : str or dict
        NoiseFamily, see `denoise.simulate.noise_field`; or one for each group.
    beam : (low, high)
        Geometric mean of the FWHM in pixels; axis ratio 0.65 to 1, any angle.
    draws : int
        Noise draws of each truth.
    observation : dict
        More fields of `denoise.simulate.Observation`.
    """

    source: Literal["simulated"]
    groups: dict[str, dict[str, float]]
    snr_bins: tuple[Bin, ...] = ((5.0, 5.0),)
    shape: tuple[int, int, int] = (40, 96, 96)
    noise: NoiseFamily | dict[str, NoiseFamily] = "white_convolved"
    beam: Bin = (4.0, 5.0)
    draws: int = Field(default=1, ge=1)
    observation: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _noise_of_every_group(self) -> Simulated:
        if isinstance(self.noise, dict) and set(self.noise) != set(self.groups):
            raise ValueError(f"noise names {', '.join(self.noise)}; the groups are {', '.join(self.groups)}")
        return self

    def family(self, group: str) -> NoiseFamily:
        """Noise of a group."""
        return self.noise[group] if isinstance(self.noise, dict) else self.noise


class Stored(Model):
    """Cubes with known truth in ``.npz`` files: truth, noise of unit sigma, beam (minor, major, angle), aperture."""

    source: Literal["stored"]
    files: str
    peak_snr: tuple[float, ...]


class Degraded(Model):
    """Real files of high SNR, with noise of their own correlation added down to these peak SNR.

    Attributes
    ----------
    files : dict
        Name: path below the data folder, or a packaged sample.
    peak_snr : dict
        After the noise was added: those of each file.
    least : float
        A file must have at least so many times the peak SNR that is asked for.
    """

    source: Literal["degraded"]
    files: dict[str, str]
    peak_snr: dict[str, tuple[float, ...]]
    least: float = 8.0
    draws: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _peak_of_every_file(self) -> Degraded:
        if set(self.peak_snr) != set(self.files):
            raise ValueError(
                f"peak_snr names {', '.join(self.peak_snr)}; the files are {', '.join(self.files)}"
            )
        return self


class Halves(Model):
    """Pairs of independent half-data files: denoise the first, score against the second.

    Attributes
    ----------
    pairs : dict
        Name: (half A, half B) or (half A, half B, truth), paths below the data folder.
    """

    source: Literal["halves"]
    pairs: dict[str, tuple[str, str] | tuple[str, str, str]]


Source = Annotated[Simulated | Stored | Degraded | Halves, Field(discriminator="source")]


class Row(Model):
    """A method with its parameters; or the name of a floor."""

    method: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    positivity: Literal["auto", "on", "off"] = "auto"
    continuum: str = "auto"


class Suite(Model):
    """One suite.

    Attributes
    ----------
    suite, version : str, int
        A change of anything that fixes the cubes is a new version.
    title, description : str
        In words.
    seed : int
        Fixes every cube.
    cubes : int
        Cubes in each bin of each group.
    cases : Source
        Where they come from.
    methods : dict
        Rows of the table beside the floors.
    false_structure : bool
        Whether to look for it: the slowest of the scores, and a suite of thousands of draws may not ask for it.
    reference : str, optional
        Published numbers to draw (a name in ``pipelines/suites/published.yaml``).
    """

    suite: str
    version: int = Field(ge=1)
    title: str
    description: str = ""
    seed: int = Field(default=1, ge=0)
    cubes: int = Field(default=10, ge=1)
    cases: Source
    methods: dict[str, Row]
    false_structure: bool = True
    reference: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_rows(cls, values: Any) -> Any:
        """``methods: [pca, ist]`` stands for the defaults of these methods."""
        rows = values.get("methods") if isinstance(values, Mapping) else None
        if isinstance(rows, list):
            values = {**values, "methods": {name: {"method": name} for name in rows}}
        return values

    @model_validator(mode="after")
    def _no_floor_twice(self) -> Suite:
        taken = sorted(set(self.methods) & set(FLOORS))
        if taken:
            raise ValueError(f"{', '.join(taken)} always in the table: give the row another name")
        return self

    @property
    def label(self) -> str:
        """Name and version."""
        return f"{self.suite} v{self.version}"

    @property
    def fingerprint(self) -> str:
        """Checksum of what fixes the cubes; which rows are scored on them is not part of it."""
        fixed = self.model_dump(mode="json", include={"suite", "version", "seed", "cubes", "cases"})
        return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()[:16]


def suite_names() -> list[str]:
    """The suites that ship with the package."""
    return sorted(path.stem for path in resource(*SUITES).glob("*.yaml") if path.stem != "published")


def load_suite(
    name: str | Path,
    *,
    cubes: int | None = None,
    draws: int | None = None,
    seed: int | None = None,
    methods: Mapping[str, Any] | None = None,
) -> Suite:
    """A suite by its name or from a YAML file.

    Parameters
    ----------
    name : str or Path
        One of `suite_names`, or a file ending in ``.yaml``.
    cubes, draws, seed : int, optional
        In place of what the suite says; it is then no longer the fixed one, which its fingerprint shows.
    methods : mapping, optional
        Rows in place of the suite's.

    Raises
    ------
    UsageError
        There is no such suite.
    InputError
        The file is no suite: what is wrong, and where.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        if str(name) not in suite_names():
            raise UsageError(
                f"there is no suite {str(name)!r}",
                action=f"choose {', '.join(suite_names())}, or name a .yaml file",
            )
        path = resource(*SUITES, f"{name}.yaml")
    values = _read(path)
    changes = {"cubes": cubes, "seed": seed, "methods": methods}
    values |= {key: value for key, value in changes.items() if value is not None}
    if draws is not None:
        values["cases"] = {**values.get("cases", {}), "draws": draws}
    try:
        return Suite(**values)
    except ValidationError as err:
        first = err.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{path.name} is not a benchmark suite: {where or 'the whole'}: {first['msg']}",
            value=first.get("input"),
            action="mend the file; the packaged suites show how",
        ) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as err:
        raise InputError(f"{path} cannot be read", value=err.strerror, action="check the path") from None
    except yaml.YAMLError as err:
        where = getattr(err, "problem_mark", None)
        line = "" if where is None else f" in line {where.line + 1}"
        raise InputError(f"{path} is not valid YAML{line}", action="mend the file") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} holds no suite", value=type(values).__name__, action="it must be a mapping")
    return values


def check_rows(suite: Suite) -> None:
    """Refuse an unknown method or parameter before anything is run.

    Raises
    ------
    ParameterError
        With the name of the row.
    """
    from denoise.methods import AUTO, get_method, refuse_parameters

    for name, row in suite.methods.items():
        try:
            if row.method == AUTO:
                refuse_parameters(row.parameters)
            else:
                get_method(row.method)(**row.parameters)
        except ParameterError as err:
            raise ParameterError(f"row {name!r}: {err.cause}", value=err.value, action=err.action) from None
