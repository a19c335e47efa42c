"""What a recipe may say: inputs, steps, outputs. See `recipe_file` for reading one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from denoise.engine.options import MOST_DRAWS, RunOptions, Saved, Stabilisation, Stage, known_continuum

BEFORE = ("crop", "mask", "continuum", "noise")
AFTER = ("uncertainty", "metrics", "report")
ENDINGS = (".fits", ".fit", ".fts", ".zarr")
_WORDS = {True: "on", False: "off"}  # what YAML 1.1 makes of on and off


class Part(BaseModel):
    """What every part of a recipe is: fixed, and refusing what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Inputs(Part):
    """What is denoised, and how its files are read.

    Relative paths start at the folder of the recipe; those of a manifest at the folder of the manifest.
    """

    files: str | tuple[str, ...] = Field(default=(), description="paths and globs, as obs/*.fits")
    manifest: str | None = Field(
        default=None,
        description="CSV with a column file, and columns that override a value for one file, as beam, output "
        "or denoise.parameters.threshold",
    )
    hdu: int | str | None = Field(default=None, description="extension with the data, by number or name")
    stokes: int | str | None = Field(default=None, description="Stokes plane: I, Q, U, V or its number")
    beam: str | None = Field(default=None, description="MAJ,MIN,PA as 1.2arcsec,0.9arcsec,30deg")
    rest: str | None = Field(default=None, description="rest frequency or wavelength, as 115.271GHz")

    @property
    def patterns(self) -> tuple[str, ...]:
        """The paths and globs, one or several."""
        return (self.files,) if isinstance(self.files, str) else self.files


class Crop(Part):
    """Only this part is read; both ends of a range are included."""

    channels: str | None = Field(default=None, description="A:B, from 0", pattern=r"^\s*\d+\s*:\s*\d+\s*$")
    spectral: str | None = Field(default=None, description="A:B UNIT, as -200:300 km/s or 6650:6700 Angstrom")
    x: str | None = Field(default=None, description="A:B, pixels from 0", pattern=r"^\s*\d+\s*:\s*\d+\s*$")
    y: str | None = Field(default=None, description="A:B, pixels from 0", pattern=r"^\s*\d+\s*:\s*\d+\s*$")
    around: str | None = Field(
        default=None, description="RA DEC SIZE of a box on the sky, as 10h00m2s 2d12m 20arcsec"
    )

    def text(self) -> str | None:
        """The crop as ``denoise.read`` takes it."""
        named = ("channels", "x", "y", "around")
        parts = [f"{name} {getattr(self, name)}" for name in named if getattr(self, name) is not None]
        return ", ".join([*parts, *([self.spectral] if self.spectral else [])]) or None


class Mask(Part):
    """Voxels without coverage, and voxels that are not to be used."""

    file: str | None = Field(
        default=None, description="no coverage where it is not 0; none: the file's own mask is ignored"
    )
    exclude: str | None = Field(
        default=None, description="not used for noise and detection: a file, or ranges as channels 3:7"
    )


class Continuum(Part):
    """Subtracted before, restored after."""

    mode: str = Field(default="auto", description="auto, none, median, smooth[:CHANNELS] or polynomial:ORDER")

    _known = field_validator("mode")(known_continuum)


class Noise(Part):
    """Where the noise of the data comes from; nothing given: the file's own, else measured."""

    file: str | None = Field(default=None, description="noise of the data; FILE[HDU] names its extension")
    kind: Literal["sigma", "variance", "weight"] | None = Field(default=None, description="what it holds")
    companion: Literal["trust", "scale", "ignore"] = Field(
        default="trust", description="noise that comes with the data: as it is, scaled to the data, or left"
    )
    gain: str | None = Field(
        default=None, description="primary-beam response that the data are corrected for"
    )
    psf: str | None = Field(default=None, description="dirty beam or PSF: its shape is the noise correlation")
    counts: Stabilisation | None = Field(default=None, description="the data are counts of a detector")


class Denoise(Part):
    """One denoise step; several in a row work each on what the one before left."""

    method: str = Field(default="ist", description="one of: denoise methods; or auto")
    parameters: dict[str, Any] = Field(default_factory=dict, description="see: denoise methods NAME")
    positivity: Literal["auto", "on", "off"] = Field(default="auto", description="emission is not negative")

    @field_validator("positivity", mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        return _WORDS.get(value, value) if isinstance(value, bool) else value


class Uncertainty(Part):
    """The 1 sigma error of the result in the output."""

    draws: int = Field(
        default=16,
        ge=0,
        le=MOST_DRAWS,
        description="of the noise, denoised again; 0: of methods that know their own error alone",
    )


class Metrics(Part):
    """The numbers of the run in a file beside the output."""

    formats: tuple[Literal["csv", "json"], ...] = Field(default=("csv",), min_length=1)


class Report(Part):
    """The report of the run beside the output."""

    html: bool = True


class Step(Part):
    """One step: one name, with what it needs; nothing after the colon stands for its defaults."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    crop: Crop | None = None
    mask: Mask | None = None
    continuum: Continuum | None = None
    noise: Noise | None = None
    denoise: Denoise | None = None
    uncertainty: Uncertainty | None = None
    metrics: Metrics | None = None
    report: Report | None = None

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        if len(value) != 1:
            raise ValueError("a step has one name: put a dash before each")
        return {name: {} if inner is None else inner for name, inner in value.items()}

    @property
    def name(self) -> str:
        """What kind of step it is."""
        return next(iter(self.model_fields_set))


class Outputs(Part):
    """Where the results go."""

    folder: str | None = Field(default=None, description="the current folder when not given")
    name: str = Field(default="{stem}_denoised.fits", description="file name; {stem} is that of the input")
    save: tuple[Saved, ...] = Field(default=("residual", "noise"), description="extensions beside the data")
    layout: Literal["default", "like-input"] = Field(default="default", description="names of the extensions")
    overwrite: bool = Field(default=False, description="replace outputs that exist")

    @field_validator("name")
    @classmethod
    def _pattern(cls, value: str) -> str:
        rest = value.replace("{stem}", "")
        if any(sign in rest for sign in "{}/\\") or not value.lower().endswith(ENDINGS):
            raise ValueError(
                "write a file name that ends in .fits or .zarr; {stem} stands for that of the input"
            )
        return value


class Recipe(Part):
    """A recipe of ``denoise run -r``."""

    version: Literal[1] = Field(description="of the format")
    title: str = Field(default="", description="one line")
    inputs: Inputs = Inputs()
    seed: int = Field(default=0, ge=0, description="fixes every random draw")
    steps: tuple[Step, ...] = Field(min_length=1, description="in the order in which they are done")
    outputs: Outputs = Outputs()

    @model_validator(mode="after")
    def _order(self) -> Recipe:
        names = [step.name for step in self.steps]
        if "denoise" not in names:
            raise ValueError("steps: there is no denoise step: add one")
        first, last = names.index("denoise"), len(names) - 1 - names[::-1].index("denoise")
        for number, name in enumerate(names):
            if name in names[:number] and name != "denoise":
                raise ValueError(f"steps.{number}.{name}: the recipe has this step already: join the two")
            if number > first and name in BEFORE:
                raise ValueError(f"steps.{number}.{name}: it comes too late: put it before denoise")
            if number < last and name in AFTER:
                raise ValueError(f"steps.{number}.{name}: it comes too early: put it after denoise")
        return self

    def step(self, name: str) -> Any:
        """The step of this name with its values, or None."""
        return next((getattr(step, name) for step in self.steps if step.name == name), None)

    def denoise_steps(self) -> list[Denoise]:
        """The denoise steps in their order."""
        return [step.denoise for step in self.steps if step.denoise is not None]

    def options(self) -> RunOptions:
        """What the engine is asked to do; the same as for the equal command line."""
        first, *then = self.denoise_steps()
        noise, continuum = self.step("noise") or Noise(), self.step("continuum") or Continuum()
        save, errors = list(self.outputs.save), self.step("uncertainty")
        if errors is not None and not errors.draws and "uncert" not in save:
            save.append("uncert")  # with draws it is always saved
        return RunOptions(
            **dict(first),
            then=tuple(Stage(**dict(step)) for step in then),
            seed=self.seed,
            continuum=continuum.mode,
            vst=noise.counts,
            companion=noise.companion,
            uncertainty=0 if errors is None else errors.draws,
            save=tuple(save),
            overwrite=self.outputs.overwrite,
            layout=self.outputs.layout,
        )

    def reading(self) -> dict[str, Any]:
        """How the inputs are read: keywords of ``denoise.read``, those that were given."""
        noise, mask, crop = self.step("noise") or Noise(), self.step("mask") or Mask(), self.step("crop")
        given = {
            "hdu": self.inputs.hdu,
            "stokes": None if self.inputs.stokes is None else str(self.inputs.stokes),
            "mask": mask.file,
            "exclude": mask.exclude,
            "noise": noise.file,
            "noise_kind": noise.kind,
            "gain": noise.gain,
            "psf": noise.psf,
            "beam": self.inputs.beam,
            "rest": self.inputs.rest,
            "crop": None if crop is None else crop.text(),
        }
        return {name: value for name, value in given.items() if value is not None}
