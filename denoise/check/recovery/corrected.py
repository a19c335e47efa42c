"""A run whose fluxes are corrected by a check: nothing appears under the output's name before it is."""

from __future__ import annotations

import secrets
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from denoise.check.readers import Readers, readers_of
from denoise.check.recovery.correction import Amplifier, FluxCorrection, account_of, amplifier
from denoise.check.recovery.study import asked_of
from denoise.check.regions.finding import find_regions
from denoise.cube import Provenance, Region, Shape, blocks, read
from denoise.cube.writer import check_output
from denoise.engine import CancelToken, Progress, Result, Runner, RunOptions, run_file
from denoise.engine.account import Account, flux_error
from denoise.engine.progress import Monitor
from denoise.engine.result import difference
from denoise.engine.run import make_denoiser
from denoise.errors import DenoiseWarning
from denoise.methods import AUTO

_BLOCK = 1 << 22  # voxels


def run_corrected(
    path: str | Path,
    output: str | Path,
    options: RunOptions,
    *,
    rule: FluxCorrection,
    input_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
    runner: Runner | None = None,
) -> Result:
    """As ``denoise.engine.run_file``, and then correct the flux of each region of the output.

    Memory stays that of a run: the output is read, corrected and written block by block.

    Parameters
    ----------
    path, output, options, input_options, progress, cancel, runner
        As for ``run_file``.
    rule : FluxCorrection
        From a check of this input with this method and these parameters.

    Returns
    -------
    Result
        Its warnings, remarks (HISTORY) and provenance say what was corrected; its metrics are of the corrected output.

    Raises
    ------
    UsageError
        The check is of another input, method, parameters or options: before the run where that is known.
    DenoiseError
        As ``run_file``; nothing is left under the name of the output.
    """
    output = Path(output)
    check_output(output, overwrite=options.overwrite)
    asked = asked_of(options, input_options)
    if options.method != AUTO:
        made = make_denoiser(options, positivity=False).parameters.model_dump(mode="json")
        rule.refuse_others(options.method, made, asked)
    with _quiet():
        rule.refuse_input(read(path, **dict(input_options or {})).checksum(), rule.check.weights)
    before = options.model_copy(update={"save": tuple(s for s in options.save if s == "uncert")})
    with _hidden(output) as hidden:
        result = run_file(
            path, hidden, before, input_options=input_options, progress=progress, cancel=cancel, runner=runner
        )
        science = result.provenance.science
        rule.refuse_others(result.method, dict(result.parameters), asked)
        rule.refuse_input(science["input_checksum"], science.get("weights", ""))
        return write_corrected(result, output, options, rule, Monitor(progress, cancel))


@contextmanager
def _hidden(output: Path) -> Iterator[Path]:
    """A name beside the output that is gone in the end."""
    hidden = output.with_name(f".{secrets.token_hex(4)}.uncorrected.{output.name}")
    try:
        yield hidden
    finally:
        if hidden.is_dir():
            shutil.rmtree(hidden, ignore_errors=True)
        hidden.unlink(missing_ok=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """What is odd about the input is said by the run itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DenoiseWarning)
        yield


def write_corrected(
    result: Result, output: Path, options: RunOptions, rule: FluxCorrection, monitor: Monitor
) -> Result:
    """Correct a result and write it.

    Raises
    ------
    ResourceError, OutputExistsError
        It cannot be written.
    """
    readers, check = readers_of(result), rule.check
    found, _ = find_regions(readers, result.noise, level=check.level, min_snr=check.min_snr)
    monitor.check()
    source = replace(
        amplifier(rule, readers, found, max(check.axes.beam[:2])), dtype=np.dtype(result.cube.dtype)
    )
    said, record = account_of(rule, found)
    science = {**result.provenance.science, "flux_correction": yaml.safe_dump(record).rstrip()}
    cube = result.cube.with_pixels(source)
    made = replace(
        result,
        cube=cube,
        residual=difference(result.input, cube),
        uncertainty=None
        if result.uncertainty is None
        else result.uncertainty.with_pixels(_Scaled(source, result.uncertainty.read)),
        provenance=Provenance(science, result.provenance.run),
        metrics={**result.metrics, **_metrics(result, readers, source, monitor)},
        remarks=[said, *result.remarks],
        warnings=[said, *result.warnings],
    )
    made.write(output, save=options.save, overwrite=options.overwrite, layout=options.layout)
    with _quiet():
        final = read(output)
    error = None
    if made.uncertainty is not None and final.noise_source is not None:
        error = final.with_pixels(final.noise_source.pixels)
    return replace(made, cube=final, residual=difference(result.input, final), uncertainty=error, path=output)


class _Scaled:
    """The error of a corrected output: times the same factors."""

    def __init__(self, source: Amplifier, error: Any) -> None:
        self._source, self._error = source, error
        self.shape: Shape = source.shape
        self.dtype = np.dtype(np.float32)

    def read(self, region: Region) -> NDArray[Any]:
        """1 sigma of a region."""
        return np.asarray(self._error(region) * self._source.gain(region), self.dtype)


def _metrics(
    result: Result, readers: Readers, source: Amplifier, monitor: Monitor
) -> dict[str, float | None]:
    """The account of a run, of the corrected output."""
    account, typical = Account(), result.noise.typical
    parts = list(blocks(readers.shape, voxels=_BLOCK))
    for region in monitor.track(parts, stage="correcting the flux", total=len(parts)):
        before, after = (
            np.asarray(readers.before(region) / typical, np.float32),
            source.read(region) / np.float32(typical),
        )
        sigma = np.nan_to_num(readers.sigma(region) / typical).astype(np.float32)
        account.add(before, after.astype(np.float32), sigma, readers.found(region))
    return account.summary(typical, typical, flux_error(result.support, result.noise))
