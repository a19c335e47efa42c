"""The card of a model, from facts: what it was trained on, for how long and where, and how good it was."""

from __future__ import annotations

import platform
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from denoise.atomic import put
from denoise.cores import usable_cores
from denoise.networks.calibration import Calibration, Covered, Side
from denoise.networks.checkpoint import Progress, progress_of
from denoise.networks.curves import snr_range
from denoise.networks.recipe import LidiaRecipe, Recipe, SimulationRecipe, TrainingRecipe, load_any_recipe
from denoise.networks.weights import RECIPE, WEIGHTS
from denoise.simulate import ALL_KINDS

CARD = "CARD.md"
_SCORES = ("aperture", "emission", "flux")
_CPUINFO = Path("/proc/cpuinfo")
_PLACES = {"found": "emission found", "rest": "elsewhere", "emission": "true emission", "sky": "true sky"}
_ERRORS = "## Errors"
_PAIRS = "; the cubes of a step are pairs of one scene in noise of either sign"


def write_card(
    folder: Path,
    recipe: TrainingRecipe,
    calibration: Calibration,
    *,
    device: str = "cpu",
    hours: float | None = None,
) -> None:
    """Write ``CARD.md`` of a finished training.

    Parameters
    ----------
    folder : Path
        Holds weights and checkpoint.
    recipe : TrainingRecipe
        With its notes.
    calibration : Calibration
        With the coverage.
    device : str
        Where it was trained: this machine's "cpu" or "cuda".
    hours : float, optional
        What the training was limited to in place of the recipe's.

    Raises
    ------
    InputError
        There is no checkpoint.
    ResourceError
        It cannot be written.
    """
    progress = progress_of(folder)
    parts = [
        f"# {recipe.name}",
        _network(folder),
        "\n".join(_facts(recipe, progress, machine(device), hours)),
        *_validation(progress, recipe.optimiser.patience),
        *_coverage(calibration),
        *_notes(recipe.notes),
    ]
    put(folder / CARD, "\n\n".join(parts) + "\n")


def rewrite_errors(folder: Path, calibration: Calibration) -> None:
    """Put the coverage of a new calibration into the card of a model, and change nothing else.

    Raises
    ------
    ResourceError
        It cannot be written.
    """
    before, _, rest = (folder / CARD).read_text(encoding="utf-8").partition(_ERRORS)
    _, mark, after = rest.partition("\n## ")
    put(folder / CARD, "\n\n".join([before.rstrip(), *_coverage(calibration)]) + "\n" + mark + after)


def write_lidia_card(folder: Path, *, device: str = "cpu", hours: float | None = None) -> None:
    """Write ``CARD.md`` of a finished training of LIDIA; as ``write_card``.

    Raises
    ------
    InputError
        There is no checkpoint.
    ResourceError
        It cannot be written.
    """
    progress, recipe = progress_of(folder), load_any_recipe(folder / RECIPE)
    assert isinstance(recipe, LidiaRecipe)
    trained = _trained(recipe, progress, machine(device), hours)
    parts = [
        f"# {recipe.name}",
        _lidia_network(folder, recipe),
        "\n".join([trained, *_images(recipe), "- **Licence**: as the project."]),
        *_lidia_validation(progress, recipe.optimiser.patience),
        *_notes(recipe.notes),
    ]
    put(folder / CARD, "\n\n".join(parts) + "\n")


def _lidia_network(folder: Path, recipe: LidiaRecipe) -> str:
    size = (folder / WEIGHTS).stat().st_size
    kind = "the small one" if recipe.network == "lidia-small" else "the grey one"
    return _joined(
        f"A LIDIA network, {kind} ({size / 1e6:.1f} MB): patches of 7 x 7 pixels of one channel, with their 14 nearest",
        "at two scales, in white noise of sigma 1 (Vaksman, Elad, Milanfar 2020): see `denoise/networks/lidia.py`. It",
        "says nothing of its errors. The training wrote this card.",
    )


def _images(recipe: LidiaRecipe) -> list[str]:
    images = recipe.images
    if images.source == "leaves":
        return [
            _joined(
                "- **Data**: dead leaves, simulated while it trains, in white noise of",
                f"{_range(images.sigma)} grey levels of 255. No photograph.",
            )
        ]
    simulation = images.simulation
    return [
        _joined(
            "- **Data**: channels of cubes that are simulated while it trains, whitened, of both signs. Peak SNR",
            f"{_range(simulation.snr)} ({100 * (1 - simulation.bright):.0f} %) and",
            f"{_range(simulation.bright_snr)}; beams of {_range(simulation.beam)} pixels FWHM.",
        ),
        f"- **Scenes**: {_shares(simulation.kinds)}.",
        f"- **Noise**: {_shares(simulation.noise)}{_PAIRS if simulation.antithetic else ''}.",
    ]


def _lidia_validation(progress: Progress, patience: int) -> list[str]:
    if not progress.validations:
        return []
    kept = progress.kept(patience)
    ranges = [key.removeprefix("rmse ") for key in kept if key.startswith("rmse ")]
    rows = [[snr_range(label), _number(kept, f"rmse {label}")] for label in ranges]
    said = _joined(
        f"On images that it was not trained on, of the network alone, after step {kept['step']:,.0f}: root mean square",
        "error in units of the noise, by the peak of the image where its noise is white.",
    )
    return ["## Validation", said, _table(["peak over sigma", "RMSE / sigma"], rows)]


def machine(device: str) -> str:
    """What this runs on, in words: the GPU or the processor, and the cores."""
    cores = f"{usable_cores()} cores"
    if device == "cuda":
        import torch

        return f"{torch.cuda.get_device_name()}, {cores}"
    return f"{_processor()}, {cores}"


def _processor() -> str:
    try:
        lines = _CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _network(folder: Path) -> str:
    from safetensors.torch import load

    content = (folder / WEIGHTS).read_bytes()
    count = sum(value.numel() for value in load(content).values())
    return _joined(
        f"A network of {count:,} parameters ({len(content) / 1e6:.1f} MB) that turns the significances of the data",
        "at 5 x 5 smoothings, in whitened noise, into a gain for each of 25 wavelet sub-bands, a correction and an",
        "error: see `denoise/networks/unet3d.py`. The training wrote this card.",
    )


def _facts(recipe: TrainingRecipe, progress: Progress, where: str, hours: float | None) -> list[str]:
    simulation = recipe.simulation
    left_out = [kind for kind in ALL_KINDS if not simulation.kinds.get(kind)]
    return [
        _trained(recipe, progress, where, hours, of=f" of {_cubes(simulation)} cubes"),
        _joined(
            f"- **Data**: simulated while it trains, sources anywhere. Peak SNR {_range(simulation.snr)}",
            f"({100 * (1 - simulation.bright):.0f} %) and {_range(simulation.bright_snr)}; beams of",
            f"{_range(simulation.beam)} pixels FWHM, {100 * simulation.usual:.0f} % of them",
            f"{_range(simulation.usual_beam)}; {100 * simulation.hanning:.0f} % with Hanning-smoothed channels.",
        ),
        _joined(f"- **Scenes**: {_shares(simulation.kinds)}."),
        _joined(f"- **Noise**: {_shares(simulation.noise)}{_PAIRS if simulation.antithetic else ''}."),
        f"- **Cubes** (channel, y, x): {', '.join(_shapes(simulation))}.",
        _joined(
            f"- **Left out**: {', '.join(left_out)}. Anything beyond these ranges is extrapolated.",
        ),
        "- **Licence**: as the project.",
    ]


def _trained(recipe: Recipe, progress: Progress, where: str, hours: float | None, *, of: str = "") -> str:
    """By which command, how long, on what."""
    begun, limit = recipe.begun, "" if hours is None else f" --hours {hours:g}"
    begin, began = "", []
    if begun is not None:
        begin = f" --from {begun.model}"
        began = [f"It began with the weights of {begun.model} whose SHA-256 starts with {begun.sha256[:12]}."]
    return _joined(
        f"- **Trained by** `denoise train {RECIPE}{begin}{limit} -o FOLDER` with the recipe beside this card:",
        f"{progress.step:,} of {recipe.optimiser.steps:,} steps{of} in {progress.seconds / 3600:.2f} h on: {where}.",
        *began,
    )


def _cubes(simulation: SimulationRecipe) -> str:
    counts = {one.batch for one in simulation.shapes}
    return f"{min(counts)} to {max(counts)}" if len(counts) > 1 else f"{min(counts)}"


def _shapes(simulation: SimulationRecipe) -> list[str]:
    return [" x ".join(map(str, one.shape)) for one in simulation.shapes]


def _range(pair: tuple[float, float]) -> str:
    return f"{pair[0]:g} to {pair[1]:g}"


def _shares(shares: Mapping[Any, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {100 * share:g} %" for name, share in shares.items() if share)


def _validation(progress: Progress, patience: int) -> list[str]:
    """Scores of the weights that were kept, one line for each range of SNR."""
    if not progress.validations:
        return []
    kept = progress.kept(patience)
    ranges = [key.removeprefix("flux ") for key in kept if key.startswith("flux ")]
    rows = [[snr_range(label), *(_number(kept, f"{name} {label}") for name in _SCORES)] for label in ranges]
    said = _joined(
        f"On cubes that it was not trained on, of the network alone, after step {kept['step']:,.0f}: medians of the",
        "RMSE over that of the data, and mean flux.",
    )
    return [
        "## Validation",
        said,
        _table(["peak SNR", "RMSE aperture", "RMSE emission", "flux in the emission %"], rows),
    ]


def _number(values: Mapping[str, float], key: str) -> str:
    return f"{values[key]:.1f}" if key.startswith("flux") else f"{values[key]:.3f}"


def _coverage(calibration: Calibration) -> list[str]:
    fitted, scored = calibration.cubes
    said = _joined(
        f"Calibrated on {fitted} simulated cubes; scored on {scored} others, on the final result of the method.",
        "Share of the voxels whose truth is within 1 sigma and within the limit of 95 % of the result (.68 and .95",
        "wanted): mean over cubes with its standard error. The limit is",
        f"{_limits(calibration.both_signs)} for results of both signs and {_limits(calibration.positive)} for those",
        "without negatives. All is fitted to the emission that the method found, and to the rest;",
        "below them the same voxels by the truth (emission: above 5 % of its peak), which no data tell apart: faint",
        "emission that was not found has the errors of empty sky. Voxels do not count where the result is exactly zero",
        "and the truth below .01 sigma of the noise; the error of an exact zero is that of the zeros that count.",
    )
    rows = [_covered(one) for one in calibration.coverage]
    names = [
        "result",
        "peak SNR",
        "where",
        "cubes",
        "within 1 sigma",
        "within the limit",
        "tails (Gauss 1.97)",
    ]
    return [_ERRORS, said, _table(names, rows)]


def _limits(side: Side) -> str:
    return f"{side.limits[0]:g} sigma in the emission found and {side.limits[1]:g} elsewhere"


def _covered(one: Covered) -> list[str]:
    snr = _range(one.snr) if one.snr[1] else "empty field"
    shares = [
        f"{value:.3f}" + ("" if error is None else f" ± {error:.3f}")
        for value, error in (one.within_1, one.within_2)
    ]
    result = "positive" if one.positivity else "both signs"
    return [result, snr, _PLACES[one.where], str(one.cubes), *shares, f"{one.tails:.2f}"]


def _notes(notes: Sequence[str]) -> list[str]:
    return ["## Known failures and notes", "\n".join(_joined(f"- {note}") for note in notes)] if notes else []


def _joined(*parts: str) -> str:
    """One paragraph, or one item of a list, in lines of the width of the other files."""
    text = " ".join(parts)
    return textwrap.fill(
        text, 120, subsequent_indent="  " if text.startswith("- ") else "", break_on_hyphens=False
    )


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
