"""The pictures of the README and the guide that need no window; those of the viewer: ``docs/screenshots.py``.

    make pictures            # before, after, residual and spectrum of the simulated observation of `denoise demo`
    make benchmark-figure    # the figure of `denoise benchmark toy-discs`, with fewer cubes than the suite has

Pictures go to ``docs/pictures``; the numbers they show are printed.
"""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from numpy.typing import NDArray

import denoise
from denoise.cli.demo import PEAK_SNR, SEED
from denoise.report.panels import AFTER, BEFORE, SECOND
from denoise.simulate import simulate_cube
from denoise.simulate.files import format_of, write_simulation

HERE = Path(__file__).resolve().parent / "pictures"
DRAWS = 16
CUBES = 8
KMS = 10.0  # of a channel in the files of simulated observations
METHODS = ("pca", "ica", "ist", "unet")
SUBSET = "benchmark-toy-discs"
QUOTED = ("rmse_ratio_aperture", "flux_aperture_percent", "false_regions")

Floats = NDArray[np.floating]


def main(words: list[str]) -> None:
    """One picture."""
    HERE.mkdir(exist_ok=True)
    if words == ["benchmark"]:
        benchmark()
    elif not words:
        before_and_after()
    else:
        sys.exit("python docs/pictures.py [benchmark]")


def benchmark() -> None:
    """Run a part of the suite and keep its figure."""
    rows = [word for name in METHODS for word in ("-m", name)]
    command = [
        sys.executable,
        "-m",
        "denoise.cli.app",
        "benchmark",
        "toy-discs",
        "--cubes",
        str(CUBES),
        *rows,
    ]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*command, "-o", folder, "--overwrite"], check=True)
        shutil.copy(next(Path(folder).glob("*.png")), HERE / f"{SUBSET}.png")
        sys.stdout.write(scores(Path(folder, "table.csv")))


def scores(path: Path) -> str:
    """What the README quotes: mean and standard error of each bin, for `ist`, `unet` and an output of zeros."""
    found: dict[tuple[str, ...], list[list[float]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["row"] in ("ist", "unet", "zeros"):
                key = (row["group"], row["bin"], row["row"])
                found.setdefault(key, []).append([float(row[name]) for name in QUOTED])
    lines = [f"{'group, peak SNR, method':36}{'RMSE ratio':>12}{'flux %':>14}{'false regions':>15}\n"]
    for key, values in found.items():
        mean, error = np.mean(values, axis=0), np.std(values, axis=0, ddof=1) / len(values) ** 0.5
        flux = f"{mean[1]:.0f} +- {error[1]:.0f}"
        lines.append(f"{', '.join(key):36}{mean[0]:12.2f}{flux:>14}{mean[2]:15.2f}\n")
    return "".join(lines)


def before_and_after() -> None:
    """The observation that ``denoise demo`` simulates, by `ist` with its errors."""
    simulation = simulate_cube(SEED, kind="disc", peak_snr=PEAK_SNR, noise="imaged")
    with tempfile.TemporaryDirectory() as folder:
        paths = write_simulation(simulation, Path(folder), "observation")
        result = denoise.denoise(paths["noisy"], "ist", uncertainty=DRAWS)
        before = np.asarray(result.input.data)
    truth = simulation.truth * format_of(simulation).scale
    _say(result)
    cubes = {"before": before, "after": np.asarray(result.cube.data), "truth": truth}
    _draw(result, cubes, simulation.beam_pixels).savefig(HERE / "before-after.png")


def _say(result: Any) -> None:
    found = result.metrics
    sys.stdout.write(
        f"emission found in {found['detected_percent']:.1f} % of the voxels; its flux: "
        f"{found['flux_before']:.4g} +- {found['flux_before_error']:.2g} before, "
        f"{found['flux_after']:.4g} +- {found['flux_after_error']:.2g} after ({DRAWS} draws)\n"
    )


def _draw(result: Any, cubes: dict[str, Floats], beam: tuple[float, float, float]) -> Figure:
    fig = Figure(figsize=(9.6, 5.6), dpi=150, facecolor="white", layout="constrained")
    FigureCanvasAgg(fig)
    grid = fig.add_gridspec(2, 4, height_ratios=(1.15, 1))
    shown, before, after = _brightest(result), cubes["before"], cubes["after"]
    maps = {"before": before, "after": after, "residual": before - after, "truth": cubes["truth"]}
    limit = 1e3 * float(np.nanmax(after[shown]))
    for number, (name, cube) in enumerate(maps.items()):
        ax = fig.add_subplot(grid[0, number])
        image = ax.imshow(1e3 * cube[shown], origin="lower", cmap="inferno", vmin=-limit / 3, vmax=limit)
        ax.set_title(name, loc="left", fontsize=11)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.add_patch(Ellipse((7, 7), beam[1], beam[0], angle=beam[2], fc="none", ec="white", lw=1.2))
    fig.colorbar(image, ax=fig.axes, location="right", label="mJy/beam", shrink=0.9, pad=0.01)
    _spectra(fig.add_subplot(grid[1, :]), result, cubes, area=_pixels(beam), shown=shown)
    return fig


def _brightest(result: Any) -> int:
    """The channel with most emission found."""
    return int(np.argmax(result.support.read().sum(axis=(1, 2))))


def _pixels(beam: tuple[float, float, float]) -> float:
    """Pixels in a beam."""
    return float(np.pi * beam[0] * beam[1] / (4 * np.log(2)))


def _spectra(ax: Any, result: Any, cubes: dict[str, Floats], *, area: float, shown: int) -> None:
    """Sums over the spaxels in which emission was found; the band is the error that draws of the noise give."""
    where = result.support.any_channel()
    before, after, truth = (1e3 * np.nansum(cube[:, where], axis=1) / area for cube in cubes.values())
    error = 1e3 * result.flux_errors / area
    x = KMS * (np.arange(before.size) - (before.size - 1) / 2)
    ax.axhline(0, color="black", lw=0.6)
    ax.axvline(x[shown], color="#bbbbbb", lw=0.8, ls=":")
    ax.step(x, before, where="mid", color=BEFORE, lw=1.0, label="before")
    ax.fill_between(x, after - error, after + error, step="mid", color=AFTER, alpha=0.3, lw=0)
    ax.step(x, after, where="mid", color=AFTER, lw=1.6, label="after, ± 1σ")
    ax.step(x, truth, where="mid", color=SECOND, lw=1.1, ls="--", label="truth")
    ax.set_xlabel("radio velocity (km/s); dotted: the channel above")
    ax.set_ylabel("flux density (mJy)")
    ax.margins(x=0.01)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, ncols=3, loc="upper left", fontsize=9)


if __name__ == "__main__":
    main(sys.argv[1:])
