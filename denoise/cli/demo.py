"""``denoise demo``: a real MUSE line cube, and a simulated ALMA observation whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from denoise.cli import options as opt
from denoise.cli.asked import make_folder
from denoise.cli.batch import Job, stoppable
from denoise.cli.console import Messages, facts, out, table
from denoise.cli.jobs import run_job
from denoise.errors import OutputExistsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from denoise.engine import CancelToken, Result
    from denoise.simulate import Simulation

METHODS = ("smooth", "pca", "ica", "ist")
SEED = 2026
PEAK_SNR = 7.0
_AXIS: Literal["frequency"] = "frequency"
_SCORES = {
    "RMSE, aperture": "rmse_ratio_aperture",
    "RMSE, emission": "rmse_ratio_emission",
    "flux in the emission (%)": "flux_emission_percent",
    "peak kept": "peak_kept",
    "false regions": "false_regions",
}


def demo(
    folder: Annotated[Path, typer.Argument(metavar="OUTDIR", help="Where everything is written.")] = Path(
        "demo-output"
    ),
    overwrite: opt.Overwrite = False,
) -> int:
    """Denoise a packaged real MUSE cube and a simulated ALMA observation: tables, FITS, PNGs, HTML."""
    if folder.exists() and not overwrite:
        raise OutputExistsError(f"{folder} exists", action="name another folder, or allow --overwrite")
    make_folder(folder)
    messages = Messages()
    with stoppable(messages) as token, messages.working():
        muse = _denoise_muse(folder, messages, token)
        out()
        alma = _denoise_alma(folder, messages, token)
    out()
    facts("Written", {**_files(muse, "MUSE, real"), **_files(alma, "ALMA, simulated")})
    return 0


def _denoise_muse(folder: Path, messages: Messages, token: CancelToken) -> Job:
    from denoise.resources import resource

    job = _job(resource("samples", "muse_udf_line.fits"), folder)
    _run(job, messages, token)
    return job


def _denoise_alma(folder: Path, messages: Messages, token: CancelToken) -> Job:
    from denoise.simulate import simulate_cube
    from denoise.simulate.files import write_simulation

    simulation = simulate_cube(SEED, kind="disc", peak_snr=PEAK_SNR, noise="imaged")
    paths = write_simulation(simulation, folder, "alma_simulated", axis=_AXIS, overwrite=True)
    job = _job(paths["noisy"], folder)
    result = _run(job, messages, token)
    out()
    _against_truth(simulation, result, messages, token)
    return job


def _job(source: Path, folder: Path) -> Job:
    name = source.name.removesuffix(".fits").removesuffix("_noisy")
    return Job(source, folder / f"{name}_denoised.fits", folder / f"{name}_report")


def _run(job: Job, messages: Messages, token: CancelToken) -> Result:
    from denoise.engine import run_options

    return run_job(run_options(method="ist", overwrite=True), {}, messages, token, job)


def _against_truth(simulation: Simulation, result: Result, messages: Messages, token: CancelToken) -> None:
    """Every method on the same noisy cube, scored against the truth."""
    from denoise.engine import denoise
    from denoise.simulate.files import format_of

    scale = format_of(simulation, _AXIS).scale
    rows = [_row("as observed", simulation, simulation.noisy)]
    for method in METHODS:
        done = result
        if method != result.method:
            done = denoise(result.input, method, progress=messages.progress, cancel=token)
        rows.append(_row(method, simulation, done.cube.data / scale))
    title = f"Simulated ALMA observation against its truth (peak SNR {PEAK_SNR:g}; RMSE 1 = as observed)"
    table(title, ("method", *_SCORES), rows)


def _row(name: str, simulation: Simulation, data: NDArray[Any]) -> tuple[str, ...]:
    import numpy as np

    from denoise.metrics import score
    from denoise.noise import NoiseModel

    noise = NoiseModel.from_beam(
        simulation.truth.shape, simulation.sigma, simulation.beam_pixels, family="imaged"
    )
    found = score(
        simulation.truth,
        simulation.noisy,
        np.asarray(data, np.float32),
        aperture=simulation.aperture,
        beam=simulation.beam_pixels,
        noise=noise,
    )
    return name, *("-" if found[key] is None else f"{found[key]:.3g}" for key in _SCORES.values())


def _files(job: Job, label: str) -> dict[str, str]:
    report = job.report or job.output.parent
    pngs = sorted(path.name for path in report.glob("*.png"))
    return {
        f"{label}: input": str(job.source),
        f"{label}: FITS": str(job.output),
        f"{label}: HTML": ", ".join(str(path) for path in sorted(report.glob("*.html"))),
        f"{label}: PNGs": f"{report}/: {', '.join(pngs)}",
    }
