"""Robust continuum of spectra, and smooth background of images, that leave lines and sources alone.

- ``estimate_continuum(block, mode) -> ndarray``: same shape and dtype as the block (channel, y, x), to
  subtract and to add back. Modes: ``"none"``, ``"median"``, ``"polynomial:ORDER"``, ``"smooth"``,
  ``"smooth:CHANNELS"``

A block of one channel is an image: ``"median"`` is the level of its sky, ``"smooth[:PIXELS]"`` a spline
through clipped medians of a mesh, ``"polynomial:ORDER"`` a clipped 2D polynomial.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.errors import ParameterError
from denoise.transforms import _median_kernels as kernels
from denoise.transforms._jit import run_ranges
from denoise.transforms.background import image_polynomial, mesh_background, sky_level

Floats = NDArray[np.float64]

_MODES = ("none", "median", "polynomial", "smooth")
_SPAXELS = 1024  # taken at a time: bounds the float64 copies
_CLIP = 3.0  # sigma; both signs, so that absorption is treated as emission is
_ROUNDS = 4
_WIDTHS = (1, 3, 9, 27)  # channels averaged when looking for lines
_DAMPING = 0.02  # of the mean diagonal of the normal equations
_MIN_WIDTH, _MAX_ORDER = 5, 15


def estimate_continuum(block: NDArray[Any], mode: str, *, threads: int = 1) -> NDArray[Any]:
    """Continuum of each spaxel of a block.

    Parameters
    ----------
    block : ndarray, shape (channel, y, x)
        All channels; NaN = no data. One channel: an image.
    mode : str
        ``"none"`` (zeros); ``"median"``, one level a spaxel; ``"polynomial:ORDER"``; ``"smooth"`` or
        ``"smooth:CHANNELS"``, a running median of that width about a polynomial (default a quarter of the
        axis, at least 51 channels): the width should be several times that of the widest line. Each is
        fitted with lines clipped at 3 sigma of the residual, wings included, until nothing changes.
    threads : int
        Threads of this call.

    Returns
    -------
    ndarray, shape and dtype of `block`
        In its unit, finite wherever the spaxel has any data, NaN elsewhere (0 with ``"none"``).

    Raises
    ------
    ParameterError
        Unknown mode, order or width out of range, block not 3D.
    """
    kind, number = parse_mode(mode)
    if block.ndim != 3 or block.size == 0:
        raise ParameterError(
            "the continuum needs a non-empty block (channel, y, x)",
            value=block.shape,
            action="give a cube with at least one channel and one pixel",
        )
    if kind == "none":
        return np.zeros_like(block)
    if block.shape[0] == 1:
        return np.asarray(_image(block[0], kind, number)[None], block.dtype)
    level = np.empty_like(block)
    flat, out = block.reshape(len(block), -1), level.reshape(len(block), -1)

    def task(first: int, last: int) -> None:
        for start in range(first, last, _SPAXELS):
            part = slice(start, min(last, start + _SPAXELS))
            out[:, part] = _spectra(np.ascontiguousarray(flat[:, part].T, np.float64), kind, number).T

    run_ranges(task, flat.shape[1], threads=threads, grain=_SPAXELS)
    return level


def parse_mode(mode: str) -> tuple[str, int | None]:
    """Kind and number of a mode such as ``"polynomial:2"``.

    Raises
    ------
    ParameterError
        Unknown kind, or a number that is missing or out of range.
    """
    kind, _, text = mode.partition(":")
    valid = kind in _MODES and (text.isdigit() if text else kind != "polynomial")
    if not valid or (text and kind in ("none", "median")):
        raise ParameterError(
            "unknown continuum mode",
            value=mode,
            action="use none, median, smooth, smooth:CHANNELS or polynomial:ORDER",
        )
    number = int(text) if text else None
    if number is not None and kind == "polynomial" and number > _MAX_ORDER:
        raise ParameterError(
            "order of the continuum is too high", value=number, action=f"at most {_MAX_ORDER}"
        )
    if number is not None and kind == "smooth" and number < _MIN_WIDTH:
        raise ParameterError(
            "width of the running median is too small", value=number, action=f"at least {_MIN_WIDTH}"
        )
    return kind, number


def _image(image: NDArray[Any], kind: str, number: int | None) -> Floats:
    pixels = np.asarray(image, np.float64)
    if kind == "median":
        return np.full(pixels.shape, sky_level(pixels))
    if kind == "polynomial":
        return image_polynomial(pixels, number or 0)
    return mesh_background(pixels, number)


def _spectra(spectra: Floats, kind: str, number: int | None) -> Floats:
    """Continuum of spectra (spaxel, channel)."""
    widest = spectra.shape[1] // 8
    if kind == "median":
        return _clipped(spectra, lambda kept: _nanmedian(kept)[:, None] + np.zeros_like(kept), widest)
    if kind == "polynomial":
        return fit_polynomials(spectra, number or 0)
    # about a polynomial: near the ends the window is one-sided, which would follow a slope wrongly
    base = _rough_polynomials(spectra, min(5, spectra.shape[1] // 30))
    width = number or max(51, spectra.shape[1] // 4)
    half = min(width, spectra.shape[1]) // 2
    return base + _clipped(spectra - base, lambda kept: _running_median(kept, half), half // 2)


def _running_median(spectra: Floats, half: int) -> Floats:
    medians = np.empty_like(spectra)
    kernels.running_medians(np.ascontiguousarray(spectra), half, max(1, half // 2), medians)
    kernels.fill_gaps(medians)
    return np.nan_to_num(medians)  # too few channels for any window: the polynomial alone


def _clipped(spectra: Floats, estimate: Callable[[Floats], Floats], widest: int) -> Floats:
    """Iterate an estimate on the line-free channels; their mask is made anew each round.

    Each spaxel stops on its own, so that its continuum does not depend on what is beside it in the block.
    """
    level, free = estimate(spectra), np.isfinite(spectra)
    active = np.arange(len(spectra))
    for _ in range(_ROUNDS):
        mask = line_free(spectra[active] - level[active], widest)
        changed = (mask != free[active]).any(axis=1)
        active, mask = active[changed], mask[changed]
        if active.size == 0:
            break
        free[active] = mask
        level[active] = estimate(np.where(mask, spectra[active], np.nan))
    return level


def line_free(residual: Floats, widest: int) -> NDArray[np.bool_]:
    """Channels of residuals (spaxel, channel) whose running means of 1 to `widest` are within 3 sigma."""
    free = np.empty(residual.shape, np.bool_)
    widths = np.array([width for width in _WIDTHS if width <= max(1, widest)])
    kernels.line_masks(np.ascontiguousarray(residual), widths, _CLIP, free)
    return free


def _nanmedian(values: Floats) -> Floats:
    """Median of each row, NaN left out; NaN for an empty row."""
    medians = np.empty(len(values))
    kernels.row_medians(np.ascontiguousarray(values), medians)
    return medians


def fit_polynomials(spectra: Floats, order: int) -> Floats:
    """Clipped polynomial of each spectrum (spaxel, channel); its median where channels are too few."""
    basis = _basis(spectra.shape[1], order)
    fitted = np.isfinite(spectra).sum(axis=1) >= 2 * (order + 1)
    level = _rough_polynomials(spectra, order)
    kept = spectra[fitted]
    for _ in range(_ROUNDS if fitted.any() else 0):
        mask = line_free(kept - level[fitted], spectra.shape[1] // 8)
        level[fitted] = _weighted_fit(kept, mask.astype(np.float64), basis)
    return level


def _basis(size: int, order: int) -> Floats:
    x = (2 * np.arange(size) + 1) / size - 1
    return np.asarray(np.polynomial.legendre.legvander(x, order), np.float64)


def _rough_polynomials(spectra: Floats, order: int) -> Floats:
    """Polynomials through medians of groups of channels, robust against narrow and wide lines."""
    size = spectra.shape[1]
    groups = min(size, 12 * (order + 1))
    edges = np.linspace(0, size, groups + 1).round().astype(np.int64)
    binned = np.stack([_nanmedian(spectra[:, a:b]) for a, b in pairwise(edges)], axis=1)
    level = np.repeat(_nanmedian(spectra)[:, None], size, axis=1)
    enough = np.isfinite(binned).sum(axis=1) >= 2 * (order + 1)
    if enough.any():
        level[enough] = _binned_fit(binned[enough], _basis(groups, order), _basis(size, order))
    return level


def _binned_fit(spectra: Floats, basis: Floats, wanted: Floats) -> Floats:
    """Least absolute deviations, corrected by least squares on what is free of lines; evaluated on `wanted`.

    Each correction is damped: where no channel is left near an end, the polynomial must not run away.
    """
    weights = _absolute_weights(spectra, basis)
    residual = spectra - _weighted_fit(spectra, weights, basis)
    level = _weighted_fit(spectra, weights, basis, wanted)
    for _ in range(_ROUNDS):
        free = line_free(residual, len(basis) // 8).astype(np.float64)
        level += _weighted_fit(residual, free, basis, wanted, damping=_DAMPING)
        residual = residual - _weighted_fit(residual, free, basis, damping=_DAMPING)
    return level


def _absolute_weights(spectra: Floats, basis: Floats) -> Floats:
    """Weights with which least squares minimises absolute deviations."""
    weights = np.isfinite(spectra).astype(np.float64)
    for _ in range(8):
        size = np.abs(spectra - _weighted_fit(spectra, weights, basis))
        floor = 0.05 * _nanmedian(size)[:, None] + np.finfo(np.float64).tiny
        weights = np.where(np.isfinite(size), 1 / np.fmax(size, floor), 0.0)
    return weights


def _weighted_fit(
    spectra: Floats, weights: Floats, basis: Floats, wanted: Floats | None = None, *, damping: float = 1e-10
) -> Floats:
    terms = basis.shape[1]
    largest = np.maximum(weights.max(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    scaled = np.asarray(weights / largest, np.float64)
    products = (basis[:, :, None] * basis[:, None, :]).reshape(len(basis), -1)
    matrix = (scaled @ products).reshape(-1, terms, terms)
    matrix += damping / terms * np.trace(matrix, axis1=1, axis2=2)[:, None, None] * np.eye(terms)
    vector = (scaled * np.nan_to_num(spectra)) @ basis
    solution = np.linalg.solve(matrix, vector[:, :, None])[:, :, 0]
    return np.asarray(solution @ (basis if wanted is None else wanted).T)
