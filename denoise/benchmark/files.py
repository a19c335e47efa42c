"""Cases from files: stored simulations, real cubes with noise added, pairs of independent halves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.benchmark.cases import Case, Half, Made
from denoise.benchmark.ranking import GROUPS
from denoise.benchmark.suite import Degraded, Halves, Stored, Suite
from denoise.cube import Cube, read
from denoise.errors import InputError
from denoise.metrics import Observation
from denoise.noise import NoiseModel, estimate_noise
from denoise.resources import resource
from denoise.transforms import detection

PACKAGED = "sample:"
NO_BEAM = (1.0, 1.0, 0.0)  # pixels: what has no beam is sharp


def list_cases(source: Any, data: Path | None) -> list[Case]:
    """Cases of a suite on files; every file must be there before anything is run."""
    if isinstance(source, Stored):
        paths = sorted(_folder(data).glob(source.files))
        if not paths:
            raise InputError(
                f"no {source.files} in {data}", action="name the folder that holds them with --data"
            )
        return [
            Case("all", f"{snr:g}", k, 0, path.stem, (snr, snr))
            for snr in source.peak_snr
            for k, path in enumerate(paths)
        ]
    if isinstance(source, Degraded):
        for name in source.files.values():
            _path(name, data)
        return [
            Case("real", f"{snr:g}", k, draw, name, (snr, snr))
            for snr in sorted({snr for each in source.peak_snr.values() for snr in each})
            for k, name in enumerate(source.files)
            if snr in source.peak_snr[name]
            for draw in range(source.draws)
        ]
    for pair in source.pairs.values():
        for name in pair:
            _path(name, data)
    return [
        Case(kind, name, 0, 0, name)
        for name, pair in source.pairs.items()
        for kind in (GROUPS if len(pair) == 3 else GROUPS[:1])
    ]


def make_case(suite: Suite, source: Any, case: Case, data: Path | None) -> Made:
    """Make one case from its files."""
    if isinstance(source, Stored):
        return _stored(source, case, data)
    if isinstance(source, Degraded):
        return _degraded(suite, source, case, data)
    return _half(source, case, data)


def _folder(data: Path | None) -> Path:
    if data is None:
        raise InputError("this suite needs a folder of data", action="name it with --data FOLDER")
    if not data.is_dir():
        raise InputError(f"{data} is not a folder", action="check the path after --data")
    return data


def _path(name: str, data: Path | None) -> Path:
    if name.startswith(PACKAGED):
        return resource("samples", name.removeprefix(PACKAGED))
    path = _folder(data) / name
    if not path.is_file():
        raise InputError(f"{path} is missing", action="the suite says which files it needs; check --data")
    return path


def _stored(source: Stored, case: Case, data: Path | None) -> Made:
    path = _folder(data) / source.files
    with np.load(path.parent / f"{case.name}.npz") as values:
        truth, unit, aperture = values["truth"], values["noise"], values["aperture"]
        minor, major, angle = (float(value) for value in values["beam"])
    if minor > major:
        minor, major = major, minor
    sigma, beam = 1.0 / case.snr[0], (major, minor, angle)
    one = Observation(case.name, truth, unit * np.float32(sigma), beam, aperture, sigma)
    noise = NoiseModel.from_beam(truth.shape, sigma, beam)
    return Made(
        Cube(one.noisy, beam=beam),
        one,
        noise,
        facts={"kind": case.name.split("_")[0], "peak_snr": case.snr[0]},
    )


def _degraded(suite: Suite, source: Degraded, case: Case, data: Path | None) -> Made:
    """The file is the truth; noise of its own correlation is added until its peak has the SNR asked for.

    Raises
    ------
    InputError
        The peak of the file is not bright enough.
    """
    cube = read(_path(source.files[case.name], data))
    truth = np.asarray(cube.read(), np.float32)
    own = estimate_noise(cube)
    sigma = own.sigma()
    ratio = np.where(sigma > 0, truth / sigma, np.nan)
    peak, wanted = float(np.nanmax(ratio)), case.snr[0]
    if peak < source.least * wanted:
        raise InputError(
            f"{case.name} is too faint to be a truth at peak SNR {wanted:g}",
            value=f"peak SNR {peak:.3g}",
            action=f"it needs {source.least * wanted:g}: leave it out, or ask for less",
        )
    factor = float(np.sqrt((peak / wanted) ** 2 - 1.0))
    added = own.sample(seed=suite.seed, draw=case.draw) * np.float32(factor)
    one = Observation(
        case.name, truth, added, _beam(cube), _bright(ratio), float(np.nanmedian(sigma)) * peak / wanted
    )
    noise = own.scaled(peak / wanted)
    # a file that brings its noise still does, and it is right; any other has to be measured
    given = None if cube.noise_source is None else noise.sigma()
    return Made(
        cube.with_pixels(one.noisy, noise=given),
        one,
        noise,
        observed=sigma,
        facts={"kind": "real", "peak_snr": wanted},
    )


def _half(source: Halves, case: Case, data: Path | None) -> Made:
    """The first half is denoised; the second (or, in the group "truth", the truth) judges."""
    pair = source.pairs[case.name]
    first, second = (read(_path(name, data)) for name in pair[:2])
    noisy = np.asarray(first.read(), np.float32)
    noise = estimate_noise(first)
    support = detection.support(noisy, noise)
    aperture = np.asarray(support.any(axis=0))
    sigma = float(np.nanmedian(noise.sigma()))
    if case.group == GROUPS[1] and len(pair) == 3:
        truth = np.asarray(read(_path(pair[2], data)).read(), np.float32)
        one = Observation(case.name, truth, noisy - truth, _beam(first), aperture, sigma)
        return Made(first, one, noise, facts={"kind": "half"})
    other = Half(np.asarray(second.read(), np.float32), np.square(estimate_noise(second).sigma()))
    one = Observation(case.name, np.zeros_like(noisy), noisy, _beam(first), aperture, sigma)
    return Made(first, one, noise, other=other, support=support, facts={"kind": "half"})


def _beam(cube: Cube) -> tuple[float, float, float]:
    beams = cube.beams
    return NO_BEAM if beams is None or beams.pixels is None else beams.pixels


def _bright(ratio: NDArray[Any]) -> NDArray[np.bool_]:
    """Pixels whose peak exceeds a tenth of the brightest, widened by two: the aperture of a real source."""
    from scipy.ndimage import binary_dilation

    highest = np.nanmax(np.nan_to_num(ratio), axis=0)
    return np.asarray(binary_dilation(highest > 0.1 * highest.max(), iterations=2))
