"""What a run is asked to do, validated once for the command line, Python and recipes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from denoise.errors import ParameterError
from denoise.methods import Device

MOST_DRAWS = 1000  # more draws than that are a mistake

Saved = Literal["uncert", "residual", "noise"]


class Stabilisation(BaseModel):
    """Detector of a counting experiment: counts = gain * Poisson + N(offset, read_noise^2), in data units."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gain: float = Field(gt=0, description="data units per event")
    offset: float = Field(default=0.0, description="level of no signal, data units")
    read_noise: float = Field(default=0.0, ge=0, description="1 sigma, data units")


def known_continuum(value: str) -> str:
    """A continuum mode; ValueError for another word."""
    mode, _, tuning = value.partition(":")
    number = tuning.isdigit()
    if mode in ("auto", "none", "median") and not tuning:
        return value
    if (mode == "smooth" and (not tuning or number)) or (mode == "polynomial" and number):
        return value
    raise ValueError("choose auto, none, median, smooth, smooth:CHANNELS or polynomial:ORDER")


class Stage(BaseModel):
    """A further denoise step, on what the steps before it left."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    positivity: Literal["auto", "on", "off"] = "auto"


class RunOptions(BaseModel):
    """One run: which method, what is done around it, what is written.

    Attributes
    ----------
    method : str
        Name of the denoiser; "auto": one is chosen for the cube, see ``methods.auto``.
    parameters : dict
        Its parameters; the method validates them.
    seed : int
        Fixes every random draw.
    continuum : str
        "auto": subtracted from optical and infrared spectra and from images without a beam, not from radio
        data; "none"; "median"; "smooth" or "smooth:CHANNELS"; "polynomial:ORDER".
    positivity : {"auto", "on", "off"}
        Clip the emission at zero; "auto" only where the negative tail of the data agrees with the noise and no
        continuum was subtracted.
    vst : Stabilisation, optional
        Poisson counts: stabilise their variance first.
    companion : {"trust", "scale", "ignore"}
        The noise that the file itself gives: taken as it is, scaled to the measured level, or left.
    then : tuple of Stage
        Further denoise steps; each measures the noise that is left anew.
    uncertainty : int
        Draws of the noise that are denoised again for the errors; 0: none, only methods that know their own give them.
    device : {"auto", "cpu", "cuda"}
        Where methods that can choose compute; "auto": on a GPU that a worker sees.
    memory : int, optional
        Bytes above the imports' own; None: half of what is free.
    save : tuple of {"uncert", "residual", "noise"}
        Extensions to write beside the data; "uncert" always where draws were asked for.
    overwrite : bool
        Replace an output that exists.
    layout : {"default", "like-input"}
        Names of the extensions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    method: str = "ist"
    parameters: dict[str, Any] = Field(default_factory=dict)
    seed: int = Field(default=0, ge=0)
    continuum: str = "auto"
    positivity: Literal["auto", "on", "off"] = "auto"
    vst: Stabilisation | None = None
    companion: Literal["trust", "scale", "ignore"] = "trust"
    then: tuple[Stage, ...] = ()
    uncertainty: int = Field(default=0, ge=0, le=MOST_DRAWS)
    device: Device = "auto"
    memory: int | None = Field(default=None, gt=0)
    save: tuple[Saved, ...] = ("residual", "noise")
    overwrite: bool = False
    layout: Literal["default", "like-input"] = "default"

    _known_continuum = field_validator("continuum")(known_continuum)

    @field_validator("uncertainty")
    @classmethod
    def _enough_draws(cls, value: int, info: ValidationInfo) -> int:
        if value == 1:
            raise ValueError("one draw has no spread: take 2 or more, 16 are usual")
        if value and info.data.get("then"):
            raise ValueError("several denoise steps in a row give no 1 sigma error: leave it out")
        return value

    @field_validator("save")
    @classmethod
    def _no_error_of_several(cls, value: tuple[Saved, ...], info: ValidationInfo) -> tuple[Saved, ...]:
        if "uncert" in value and info.data.get("then"):
            raise ValueError("several denoise steps in a row give no 1 sigma error: leave uncert out")
        if info.data.get("uncertainty") and "uncert" not in value:
            return ("uncert", *value)
        return value

    def stage(self, step: Stage) -> RunOptions:
        """These options for a further step alone."""
        return self.model_copy(update={**dict(step), "then": ()})


def run_options(**values: Any) -> RunOptions:
    """Options from plain values.

    Raises
    ------
    ParameterError
        An option is unknown or out of range.
    """
    try:
        return RunOptions(**values)
    except ValidationError as err:
        first = err.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = ", ".join(RunOptions.model_fields)
            raise ParameterError(
                f"a run has no option {name!r}", action=f"its options are: {known}"
            ) from None
        reason = first["msg"].removeprefix("Value error, ")
        raise ParameterError(
            f"option {name!r} is not valid", value=first.get("input"), action=reason[0].lower() + reason[1:]
        ) from None
