"""Is the emission like that of the training? A distance to what the network saw there, window by window.

What a window holds is the mean of the bottleneck's features, and of how the significance is spread over the scales,
weighted by significance, over 20 channels and 40 pixels: noise between sources has no weight. Windows lie on the grid
of the whole cube, one at every cell of the bottleneck, so that tiles agree. Both depend on how bright a source is and
on the noise, so their mean given those is a regression; the distance is Mahalanobis' (Lee et al. 2018,
arXiv:1807.03888) along the leading axes of what is left, over the distance that is usual at that brightness. It is
given over the one that 1 % of the windows of held-out simulations exceed: above 1 a window is unusual.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.errors import InputError
from denoise.networks.recipe import SimulationRecipe, TrainingRecipe
from denoise.networks.scalespace import BANDS, KNEE, NUMBERS, Array
from denoise.noise import NoiseModel

if TYPE_CHECKING:
    from denoise.networks.examples import Batch
    from denoise.networks.unet3d import ScaleSpaceUNet

Floats = NDArray[np.floating]

GUARD = "guard.safetensors"
DIAGNOSTICS = (
    "windows",
    "unusual_windows",
    "brightest",
    "noise_reach",
    "channel_correlation",
    "channel_steps",
    "line_width",
)
_REACH = 8  # half width of a window: channels, and positions of two pixels
_SEEN = 4.5  # significance of a cell from which it has weight
_MOST = 12.0  # and beyond which it has no more
_LEAST = 2.0  # weight of a window that is judged
_AXES = 48  # along which distances are measured
_EXCEED = 0.01  # share of the windows of the training that may be called unusual
_A_CUBE = 24  # windows of a simulated cube that are used: neighbours say the same
_SPREAD = 0.05  # of the mean variance, added to that of each axis
_RIDGE = 1e-4
_MANY = 0.2  # share of unusual windows from which a result is in doubt
_BRIGHTER = 1.5  # peak over the largest of the training that is worth a word
_CORRELATED = 0.1  # tolerance of the correlation of neighbouring channels
STEPS = 0.1  # typical step of sigma from channel to channel, relative: trainings have none, drifts and sky lines less


class Windows(NamedTuple):
    """What the windows of one block hold that see something.

    Attributes
    ----------
    at : ndarray of bool, shape (channel, y, x) of cells
        Which cells have one.
    values : ndarray, shape (window, feature)
    given : ndarray, shape (window, condition)
        Brightness and noise, as the regression takes them.
    weight, total : ndarray, shape of `at`
        Of each cell, and of the window around it.
    """

    at: NDArray[np.bool_]
    values: NDArray[np.float64]
    given: NDArray[np.float64]
    weight: NDArray[np.float64]
    total: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Guard:
    """The distribution of the windows of a training.

    Attributes
    ----------
    expected : ndarray, shape (condition, feature)
        Regression of the features.
    scale : ndarray, shape (feature,)
        Standard deviation of what is left.
    axes : ndarray, shape (feature, axis)
        Leading axes of it.
    variance : ndarray, shape (axis,)
        Along them.
    usual : ndarray, shape (5,)
        Logarithm of the distance that is usual, by brightness.
    limit : ndarray, shape ()
        Logarithm of the ratio to it that 1 % of held-out windows exceed.
    lines : ndarray, shape ()
        Widest lines, in channels, see ``lines.widest_line``; infinite: not known.
    """

    expected: Floats
    scale: Floats
    axes: Floats
    variance: Floats
    usual: Floats
    limit: Floats
    lines: Floats = field(default_factory=lambda: np.asarray(np.inf, np.float32))

    def ratios(self, windows: Windows) -> NDArray[np.float64]:
        """Distance of each window over the one that is unusual."""
        return np.exp(self._logarithms(windows.values, windows.given) - self.limit)

    def _logarithms(self, values: NDArray[Any], given: NDArray[Any]) -> NDArray[np.float64]:
        left = (values - given @ self.expected) / self.scale @ self.axes
        distance = np.sqrt(np.mean(left**2 / self.variance, axis=1))
        return np.asarray(np.log(distance + 1e-6) - given[:, : len(self.usual)] @ self.usual)


def windows_of(features: Array, inputs: Array, numbers: Array) -> Windows:
    """The windows of one block.

    Parameters
    ----------
    features : ndarray, shape (channel, y, x, feature)
        Of the bottleneck: cells.
    inputs : ndarray, shape (channel, y / 2, x / 2, 26)
        What the network saw, see ``scalespace.ScaleSpace``; every cell holds the same number of positions.
    numbers : ndarray, shape (8,)
        Of the noise.
    """
    most = _cell_maxima(inputs[..., :BANDS], features.shape[:3])
    brightest = most.max(axis=-1)
    weight = np.clip(brightest, _SEEN, _MOST) - _SEEN
    half = [_REACH * n // have for n, have in zip(features.shape[:3], inputs.shape[:3], strict=True)]
    total = _window_sums(weight, half)
    at = (weight > 0) & (total > _LEAST)
    shares = most / np.maximum(brightest, 1.0)[..., None]
    held = np.concatenate([features, shares], axis=-1) * weight[..., None]
    values = _window_sums(held, half)[at] / total[at][:, None]
    given = _conditions(total[at], _window_maxima(brightest, half)[at], numbers)
    return Windows(at, values, given, weight, total)


def _cell_maxima(bent: Array, cells: tuple[int, ...]) -> NDArray[np.float64]:
    """Largest significance of each band in each cell, unbent."""
    sizes = [n // m for n, m in zip(bent.shape[:3], cells, strict=True)]
    split = bent.reshape(cells[0], sizes[0], cells[1], sizes[1], cells[2], sizes[2], -1)
    most = split.max(axis=(1, 3, 5)).astype(np.float64)
    return np.asarray(most / np.maximum(1 - np.abs(most) / KNEE, 1e-2))


def _window_sums(values: NDArray[np.float64], half: list[int]) -> NDArray[np.float64]:
    """Sums over windows of 2 half + 1 cells; nothing lies beyond the block."""
    for axis, reach in enumerate(half):
        n = values.shape[axis]
        sums = np.concatenate([np.zeros_like(values.take([0], axis)), values.cumsum(axis)], axis)
        last, first = np.minimum(np.arange(n) + reach + 1, n), np.maximum(np.arange(n) - reach, 0)
        values = sums.take(last, axis) - sums.take(first, axis)
    return values


def _window_maxima(values: NDArray[np.float64], half: list[int]) -> NDArray[np.float64]:
    from scipy import ndimage

    size = [2 * reach + 1 for reach in half]
    return np.asarray(ndimage.maximum_filter(values, size, mode="constant"))


def _conditions(
    total: NDArray[np.float64], brightest: NDArray[np.float64], numbers: Array
) -> NDArray[np.float64]:
    a, b = np.log(total), np.log(brightest)
    told = np.broadcast_to(numbers, (len(a), NUMBERS))
    return np.column_stack([np.ones_like(a), a, b, a**2, b**2, a * b, told])


def assess(
    guard: Guard,
    network: ScaleSpaceUNet,
    inputs: Array,
    numbers: Array,
    *,
    both: bool,
    threads: int = 1,
) -> tuple[Array, int, int]:
    """Ratio of each cell, smooth, and how many windows there are and are unusual; nothing is computed without any.

    Parameters
    ----------
    guard : Guard
    network : ScaleSpaceUNet
        That it was fitted to.
    inputs, numbers
        As in ``windows_of``.
    both : bool
        Absorption counts as emission does, by what the network sees of the negative.
    threads : int
        Threads of torch.
    """
    ratio, windows, unusual = None, 0, 0
    for sign in (1, -1) if both else (1,):
        seen = inputs if sign == 1 else np.concatenate([-inputs[..., :BANDS], inputs[..., BANDS:]], axis=-1)
        if not _anything(seen):
            continue
        found = windows_of(encoded(network, seen, numbers, threads=threads), seen, numbers)
        ratios = guard.ratios(found)
        windows, unusual = windows + len(ratios), unusual + int((ratios > 1).sum())
        one = _smooth(found, ratios)
        ratio = one if ratio is None else np.maximum(ratio, one)
    cells = (1, 1, 1) if ratio is None else ratio.shape
    return (np.zeros(cells, np.float32) if ratio is None else ratio), windows, unusual


def _anything(inputs: Array) -> bool:
    return bool(inputs[..., :BANDS].max(initial=0) > _SEEN / (1 + _SEEN / KNEE))


def _smooth(windows: Windows, ratios: NDArray[np.float64]) -> Array:
    """Mean over neighbouring cells by weight, less where that is little: no step where a window begins to count."""
    own = np.zeros(windows.at.shape)
    own[windows.at] = ratios
    weight = windows.weight * np.clip(windows.total - _LEAST, 0, 1)
    half = [min(1, size - 1) for size in windows.at.shape]
    total = _window_sums(weight, half)
    return np.asarray(_window_sums(own * weight, half) / np.maximum(total, 1), np.float32)


def encoded(network: ScaleSpaceUNet, inputs: Array, numbers: Array, *, threads: int = 1) -> Array:
    """Features of the bottleneck, shape (channel, y, x, feature) of its cells."""
    import torch

    from denoise.networks.backend import torch_threads

    device = next(network.parameters()).device
    with torch_threads(torch, threads), torch.no_grad():
        told = torch.from_numpy(np.ascontiguousarray(numbers, np.float32))[None].to(device)
        seen = torch.from_numpy(np.ascontiguousarray(inputs, np.float32))[None].to(device)
        return np.asarray(network.encode(seen, told)[-1][0].float().cpu().numpy())


def spread_over(cells: Array, shape: tuple[int, int, int]) -> Array:
    """Values of cells at every voxel of a padded block of this shape, linear between their centres."""
    out = cells
    for axis in range(3):
        n = shape[axis]
        at = (np.arange(n) + 0.5) * (out.shape[axis] / n) - 0.5
        low = np.clip(np.floor(at).astype(int), 0, out.shape[axis] - 1)
        high = np.minimum(low + 1, out.shape[axis] - 1)
        share = np.clip(at - low, 0, 1).astype(np.float32)
        share = share.reshape([-1 if k == axis else 1 for k in range(3)])
        out = (1 - share) * out.take(low, axis) + share * out.take(high, axis)
    return np.asarray(out, np.float32)


def fit_guard(network: ScaleSpaceUNet, batches: Iterable[Batch], held: Iterable[Batch]) -> Guard | None:
    """The distribution of windows of simulations, its limit on others; None where too few hold anything."""
    values, given = _drawn(network, batches)
    held_values, held_given = _drawn(network, held)
    count, features = values.shape
    if count < 4 * given.shape[1] or len(held_values) < 1:
        return None
    ridge = math.sqrt(_RIDGE * count) * np.eye(given.shape[1])
    expected = np.linalg.lstsq(
        np.vstack([given, ridge]), np.vstack([values, np.zeros((len(ridge), features))]), rcond=None
    )[0]
    left = values - given @ expected
    scale = left.std(axis=0) + 1e-6
    size, axes = np.linalg.eigh(np.cov((left / scale).T))
    kept = slice(None, -1 - min(_AXES, features), -1)
    parts = (expected, scale, axes[:, kept], size[kept] + _SPREAD * size.mean())
    free = Guard(*parts, np.zeros(5), np.zeros(()))
    bright = given[:, :5]
    usual = np.linalg.lstsq(bright, free._logarithms(values, given), rcond=None)[0]
    limited = Guard(*parts, usual, np.zeros(()))
    limit = np.quantile(limited._logarithms(held_values, held_given), 1 - _EXCEED)
    return Guard(*(np.asarray(part, np.float32) for part in (*parts, usual, limit)))


def _drawn(network: ScaleSpaceUNet, batches: Iterable[Batch]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Windows of simulated cubes, some of each."""
    values, given = [np.empty((0, 0))], [np.empty((0, 0))]
    for number, batch in enumerate(batches):
        rng = np.random.default_rng(number)
        for inputs, numbers in zip(batch.inputs, batch.numbers, strict=True):
            seen = inputs.astype(np.float32)
            if not _anything(seen):
                continue
            found = windows_of(encoded(network, seen, numbers), seen, numbers)
            some = rng.permutation(len(found.values))[:_A_CUBE]
            values.append(found.values[some])
            given.append(found.given[some])
    full = [one for one in values if len(one)], [one for one in given if len(one)]
    if not full[0]:
        return np.empty((0, 1)), np.empty((0, 1))
    return np.concatenate(full[0]), np.concatenate(full[1])


def write_guard(guard: Guard, checksum: str, folder: Path) -> None:
    """Beside the weights of this checksum.

    Raises
    ------
    ResourceError
        It cannot be written.
    """
    from safetensors.numpy import save

    from denoise.atomic import put

    arrays = {one.name: np.ascontiguousarray(getattr(guard, one.name)) for one in fields(Guard)}
    put(folder / GUARD, save(arrays, {"weights": checksum}))


@cache
def load_guard(folder: Path, checksum: str) -> Guard | None:
    """The guard of a model; None where it has none.

    Raises
    ------
    InputError
        It cannot be read, or was fitted to other weights.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / GUARD
    if not path.is_file():
        return None
    try:
        with safe_open(path, "numpy") as file:
            made_for = (file.metadata() or {}).get("weights", "")
            arrays = {one.name: file.get_tensor(one.name) for one in fields(Guard)}
    except (OSError, SafetensorError) as err:
        raise InputError(
            f"{path} cannot be read as a guard",
            value=err,
            action="install astro-denoise again, or make the guard anew with denoise train --resume",
        ) from None
    if made_for != checksum:
        raise InputError(
            f"{folder.name}/{GUARD} was fitted to other weights",
            value=f"SHA-256 {made_for[:12]}, not {checksum[:12]}",
            action="fit it again: denoise train RECIPE --resume; or remove it",
        )
    return Guard(**arrays)


def noise_reach(noise: NoiseModel) -> float:
    """Pixels at which the correlation of the noise falls to a half, mean over directions."""
    return math.sqrt(float((np.asarray(noise.spatial_acf) > 0.5).sum()) / math.pi)


def channel_correlation(noise: NoiseModel) -> float:
    """Of neighbouring channels."""
    return float(noise.spectral_acf[1]) if len(noise.spectral_acf) > 1 else 0.0


def channel_steps(noise: NoiseModel) -> NDArray[np.float64]:
    """How much sigma differs from each channel to the next, relative: median within a reach, shape (channel,).

    Networks see data over sigma. Where sigma changes from channel to channel, as it does when an estimate follows the
    emission, lines have another shape there than any that was trained on, and what is faint in a channel of high sigma
    is taken for the wing of what is bright in its neighbour. Few channels apart, as those of sky lines, do no harm.
    """
    if len(noise.channel_sigma) < 2:
        return np.zeros(len(noise.channel_sigma))
    sigma = np.where(noise.channel_sigma > 0, noise.channel_sigma, np.nan)
    apart = np.abs(np.diff(np.log(sigma)))
    padded = np.pad(apart, _REACH, constant_values=np.nan)
    near = np.lib.stride_tricks.sliding_window_view(padded, 2 * _REACH)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where no sigma is known there is no step
        return np.asarray(np.nan_to_num(np.nanmedian(near, axis=1)))


class Ranges(NamedTuple):
    """What a training covered: (low, high) each, see ``noise_reach``, ``channel_correlation``, and peak SNR."""

    noise_reach: tuple[float, float]
    channel_correlation: tuple[float, float]
    brightest: tuple[float, float]


def ranges_of(recipe: SimulationRecipe) -> Ranges:
    """By its recipe: noise is half correlated at FWHM / sqrt 2 if convolved with the beam, at FWHM / 2 if imaged."""
    used = {family for family, share in recipe.noise.items() if share > 0}
    wide = math.sqrt(0.5) if "white_convolved" in used else 0.5
    beams = [*recipe.beam, *recipe.usual_beam] if recipe.usual < 1 else [*recipe.usual_beam]
    low = 0.0 if "white" in used else 0.5 * min(beams) * 0.8
    high = (wide if used != {"white"} else 0.3) * max(beams)
    correlated = 2 / 3 if recipe.hanning > 0 else 0.0
    bright = recipe.bright_snr[1] if recipe.bright > 0 else recipe.snr[1]
    return Ranges((low, 1.15 * high), (-_CORRELATED, correlated + _CORRELATED), (0.0, bright))


def doubts(
    recipe: TrainingRecipe, numbers: Mapping[str, float], *, guarded: bool, lines: float = math.inf
) -> list[str]:
    """What is unusual about a cube, one sentence each, from the merged diagnostics of a run.

    Parameters
    ----------
    recipe : TrainingRecipe
        Of the model.
    numbers : mapping
        As named in ``DIAGNOSTICS``.
    guarded : bool
        Whether the model has a guard.
    lines : float
        Widest lines of the training, in channels.
    """
    said, known, name = [], ranges_of(recipe.simulation), recipe.name
    windows = numbers.get("windows", 0.0)
    if not guarded:
        said.append(f"model {name} has no {GUARD}: it cannot tell whether the emission is like its training")
    elif windows and numbers["unusual_windows"] > _MANY * windows:
        share = 100 * numbers["unusual_windows"] / windows
        said.append(
            f"{share:.0f} % of the emission is unlike anything that model {name} was trained on: compare with -m ist"
        )
    said += _out_of_range(
        numbers.get("noise_reach"), known.noise_reach, "noise is correlated over {:.1f} pixels", name
    )
    said += _out_of_range(
        numbers.get("channel_correlation"),
        known.channel_correlation,
        "channels are correlated by {:.2f}",
        name,
    )
    said += _out_of_range(
        numbers.get("channel_steps"),
        (0.0, STEPS),
        "the noise differs by {:.2f} from channel to channel",
        name,
    )
    said += _out_of_range(
        numbers.get("line_width"), (0.0, lines), "lines are up to {:.0f} channels wide", name
    )
    most = _BRIGHTER * known.brightest[1]
    said += _out_of_range(numbers.get("brightest"), (0.0, most), "the peak SNR is {:.0f}", name)
    return said


def _out_of_range(value: float | None, limits: tuple[float, float], what: str, name: str) -> list[str]:
    if value is None or limits[0] <= value <= limits[1]:
        return []
    # one number where the other is no limit
    covered = f"up to {limits[1]:.2g}" if limits[0] <= 0 else f"{limits[0]:.2g} to {limits[1]:.2g}"
    return [f"{what.format(value)}; model {name} was trained for {covered}"]


def model_guard(folder: Path, checksum: str) -> Guard | None:
    """``load_guard`` of a folder, by its real path."""
    return load_guard(folder.resolve(), checksum)


def cube_numbers(
    noise: NoiseModel, brightest: float, windows: int, unusual: int, line_width: float = 0.0
) -> dict[str, float]:
    """The diagnostics of a block, see ``DIAGNOSTICS``."""
    noisy = noise_reach(noise), channel_correlation(noise), float(channel_steps(noise).max(initial=0.0))
    values = (windows, unusual, brightest, *noisy, line_width)
    return dict(zip(DIAGNOSTICS, map(float, values), strict=True))
