"""Recipes of trainings: YAML files, checked before anything is simulated."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from denoise.errors import InputError, UsageError
from denoise.simulate import NoiseFamily, SceneKind

_TOGETHER = 1e-6
Kind = TypeVar("Kind", bound=BaseModel)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NetworkRecipe(_Section):
    """The network: see ``unet3d.ScaleSpaceUNet``."""

    widths: tuple[int, ...] = Field(default=(16, 48, 104), min_length=1, description="features of each level")
    blocks: tuple[int, ...] = Field(
        default=(2, 2, 4),
        min_length=1,
        description="residual blocks of each level on the way down, and again up",
    )
    floor: float = Field(
        default=4.0,
        ge=2,
        le=10,
        description="sigma of a sub-band beyond which data keep at least their own garrote",
    )

    start: Literal["ist-gates"] | None = Field(
        default=None, description="gates to start from; none: from nothing"
    )

    @model_validator(mode="after")
    def _one_count_a_level(self) -> Self:
        if len(self.widths) != len(self.blocks) or len(self.widths) > 3 or min(self.widths) < 4:
            raise ValueError(
                "widths and blocks need one number a level, up to 3 levels, widths of at least 4"
            )
        return self


class BatchShape(_Section):
    """Cubes of one step."""

    shape: tuple[int, int, int] = Field(description="(channel, y, x); y and x multiples of 8")
    field: tuple[int, int, int] | None = Field(
        default=None, description="what is simulated, and cut to `shape` around its source; none: `shape`"
    )
    batch: int = Field(default=4, ge=1, description="cubes a step")
    weight: float = Field(default=1.0, gt=0, description="share of the steps, relative")

    @field_validator("shape")
    @classmethod
    def _divisible(cls, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        if shape[0] < 1 or any(n < 32 or n % 8 for n in shape[1:]) or (shape[0] > 1 and shape[0] % 4):
            raise ValueError("channels must be 1 or a multiple of 4, y and x multiples of 8 from 32 up")
        return shape

    @model_validator(mode="after")
    def _within_field(self) -> Self:
        if self.field is not None and any(a > b for a, b in zip(self.shape, self.field, strict=True)):
            raise ValueError("field must be at least as large as shape on every axis")
        return self


class SimulationRecipe(_Section):
    """What is simulated; every range is drawn from for each cube."""

    shapes: tuple[BatchShape, ...] = Field(min_length=1, description="one is drawn for every step")
    kinds: dict[SceneKind, float] = Field(description="share of each kind of scene; they add up to 1")
    noise: dict[NoiseFamily, float] = Field(description="share of each noise family; they add up to 1")
    snr: tuple[float, float] = Field(
        default=(1.5, 9.0), description="peak SNR of most cubes, uniform in the logarithm"
    )
    bright_snr: tuple[float, float] = Field(default=(9.0, 50.0), description="peak SNR of the others")
    bright: float = Field(default=0.2, ge=0, le=1, description="share of the others")
    beam: tuple[float, float] = Field(
        default=(2.0, 9.0), description="mean FWHM in pixels, uniform in the logarithm"
    )
    usual_beam: tuple[float, float] = Field(
        default=(4.0, 5.0), description="mean FWHM of the toy set, in pixels"
    )
    usual: float = Field(default=0.5, ge=0, le=1, description="share of cubes with a beam of the toy set")
    axis_ratio: float = Field(default=0.5, gt=0, le=1, description="least axis ratio of a beam")
    hanning: float = Field(default=0.12, ge=0, le=1, description="share with Hanning-smoothed channels")
    turbulent: float = Field(
        default=0.5, ge=0, le=1, description="share of thick, turbulent, larger discs with haloes"
    )
    sigma_error: float = Field(
        default=0.02, ge=0, le=0.3, description="relative error of the noise model's sigma, 1 sigma"
    )
    antithetic: bool = Field(
        default=False,
        description="cubes of a step are pairs of one scene in noise of either sign, so that the loss sees biases of "
        "scenes and not of their noise",
    )

    @field_validator("kinds", "noise")
    @classmethod
    def _shares(cls, shares: dict[str, float]) -> dict[str, float]:
        if min(shares.values()) < 0 or abs(sum(shares.values()) - 1) > _TOGETHER:
            raise ValueError(f"shares must not be negative and add up to 1, not {sum(shares.values()):g}")
        return shares

    @field_validator("snr", "bright_snr", "beam", "usual_beam")
    @classmethod
    def _ordered(cls, pair: tuple[float, float]) -> tuple[float, float]:
        if not 0 < pair[0] <= pair[1]:
            raise ValueError("a range needs 0 < low <= high")
        return pair


class LossRecipe(_Section):
    """Weights of the terms of the loss, see ``losses``."""

    emission: float = Field(default=0.5, ge=0)
    aperture: float = Field(default=0.5, ge=0)
    cube: float = Field(default=0.25, ge=0)
    bias_flux: float = Field(default=0.5, ge=0)
    bias_peak: float = Field(default=0.8, ge=0)
    bias_outside: float = Field(default=0.3, ge=0)
    variance: float = Field(default=0.05, ge=0)


class OptimiserRecipe(_Section):
    """Adam with a warm-up and a cosine decay; an exponential mean of the weights is what is kept."""

    steps: int = Field(default=4000, ge=1, description="steps of the whole cosine")
    rate: float = Field(default=2e-3, gt=0)
    least_rate: float = Field(default=2e-5, ge=0)
    warm_up: int = Field(default=100, ge=0, description="steps")
    clip: float = Field(default=1.0, gt=0, description="largest norm of the gradient")
    mean: float = Field(
        default=0.998, ge=0, lt=1, description="share of the old mean of the weights kept every step"
    )
    hours: float | None = Field(
        default=None, gt=0, description="stop after so long, counted over resumes; the rate follows the clock"
    )
    validate_every: int = Field(default=200, ge=1, description="steps")
    validation: int = Field(
        default=16, ge=1, description="steps whose cubes, never trained on, are the validation"
    )
    patience: int = Field(
        default=0, ge=0, description="validations without a better one after which it stops; 0: never"
    )
    checkpoint_minutes: float = Field(default=5.0, gt=0)


class GuardRecipe(_Section):
    """Simulated cubes to which the guard is fitted when the training is done, see ``guard``."""

    steps: int = Field(
        default=300, ge=0, description="steps that fit it, and as many that set its limit; 0: no guard"
    )


class CalibrationRecipe(_Section):
    """Simulated cubes on which the error bars are calibrated when the training is done, see ``conformal``."""

    cubes: int = Field(default=100, ge=1, description="to fit to")
    score: int = Field(default=60, ge=1, description="others, to count the coverage on")


class TunedFrom(_Section):
    """What `denoise fine-tune` made the weights from, after the training that the recipe describes."""

    model: str = Field(description="name of the model it began with")
    sha256: str = Field(description="of that model's weights")
    how: Literal["r2r", "halves"]
    inputs: dict[str, str] = Field(description="each file by name, and its checksum")
    steps: int = Field(ge=1, description="after which it was best")
    rate: float = Field(gt=0)
    seed: int = Field(ge=0)


class BegunWith(_Section):
    """The model whose weights a training began with."""

    model: str
    sha256: str = Field(description="of its weights")


class Recipe(_Section):
    """What recipes of all networks have."""

    family: ClassVar[str]  # what the names of its packaged models begin with
    version: Literal[1] = Field(description="of the format of recipes")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="of the model")
    seed: int = Field(default=1, ge=0)
    optimiser: OptimiserRecipe = OptimiserRecipe()
    notes: tuple[str, ...] = Field(
        default=(), description="what the card is to say too, such as known failures"
    )
    trained: bool = Field(
        default=False, description="whether a training made the weights; written by training"
    )
    sha256: str | None = Field(
        default=None, description="of the weights that this recipe made; written by training"
    )
    begun: BegunWith | None = Field(default=None, description="written by `denoise train --from`")
    tuned: TunedFrom | None = Field(default=None, description="written by fine-tuning")

    def fixed(self) -> dict[str, Any]:
        """What decides the numbers, as plain values: a training is resumed only with the same.

        The clock, the length of the training, what is done after it and the checksum may change.
        """
        later = {"sha256", "name", "trained", "guard", "calibration", "notes", "tuned"}
        values = self.model_dump(mode="json", exclude=later)
        for free in ("hours", "patience", "checkpoint_minutes", "validate_every", "validation"):
            values["optimiser"].pop(free)
        return values


class TrainingRecipe(Recipe):
    """The whole file, of a U-Net."""

    family: ClassVar[str] = "unet"
    network: NetworkRecipe = NetworkRecipe()
    simulation: SimulationRecipe
    loss: LossRecipe = LossRecipe()
    guard: GuardRecipe = GuardRecipe()
    calibration: CalibrationRecipe = CalibrationRecipe()


class ChannelsRecipe(_Section):
    """Images that are channels of simulated cubes, whitened."""

    source: Literal["channels"]
    size: int = Field(default=40, ge=16, description="pixels along y and x on which errors count")
    channels: int = Field(default=2, ge=1, description="images of each cube")
    simulation: SimulationRecipe = Field(description="cubes; `batch` of its shapes is cubes a step")


class LeavesRecipe(_Section):
    """Images of overlapping shapes, as photographs show them, in white noise."""

    source: Literal["leaves"]
    size: int = Field(default=40, ge=16, description="pixels along y and x on which errors count")
    images: int = Field(default=4, ge=1, description="of a step")
    sigma: tuple[float, float] = Field(
        default=(10.0, 60.0), description="of the noise, in grey levels of 0 to 255, uniform in the logarithm"
    )


class LidiaRecipe(Recipe):
    """The whole file, of a LIDIA network."""

    family: ClassVar[str] = "lidia"
    network: Literal["lidia", "lidia-small"]
    images: ChannelsRecipe | LeavesRecipe = Field(discriminator="source")


def load_recipe(path: Path) -> TrainingRecipe:
    """Read and check a recipe of a U-Net; see ``load_any_recipe``.

    Raises
    ------
    InputError
        The file cannot be read, or is not YAML.
    UsageError
        A value is wrong, or it is of another network; one line with its place.
    """
    return checked_recipe(plain_values(path), str(path))


def load_any_recipe(path: Path) -> TrainingRecipe | LidiaRecipe:
    """Read and check a recipe, whatever its network.

    Raises
    ------
    InputError
        The file cannot be read, or is not YAML.
    UsageError
        A value is wrong; one line with its place.
    """
    values = plain_values(path)
    lidia = isinstance(values.get("network"), str)
    return checked(LidiaRecipe, values, str(path)) if lidia else checked_recipe(values, str(path))


def plain_values(path: Path) -> dict[str, Any]:
    """What a YAML file of a recipe says, not checked; raises as ``load_any_recipe``."""
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        raise InputError(
            f"{path} cannot be read as a recipe",
            value=" ".join(str(err).split()),
            action="give a YAML file such as models/unet3d-small/recipe.yaml",
        ) from None
    if not isinstance(values, dict):
        raise UsageError(
            f"{path} is not a recipe of a training", action="see models/unet3d-small/recipe.yaml"
        )
    return values


def checked_recipe(values: dict[str, Any], place: str) -> TrainingRecipe:
    """A recipe from plain values; `place` names the file in errors."""
    return checked(TrainingRecipe, values, place)


def checked(kind: type[Kind], values: dict[str, Any], place: str) -> Kind:
    """Values as a recipe of a kind, or a UsageError of one line; `place` names the file."""
    try:
        return kind(**values)
    except ValidationError as err:
        first = err.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "[key]")
        problem = first["msg"].removeprefix("Value error, ")
        raise UsageError(
            f"{place}: {where or 'recipe'}: {problem}",
            value=_short(first.get("input")),
            action="mend it in the file; models/unet3d-small/recipe.yaml is one that works",
        ) from None


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
