"""What more hours of training bring: networks of one kind, or snapshots of one, on the suite of toy discs.

    python benchmarks/training_trend.py small-1h=1.1 models/unet3d-small=2.6 models/unet3d-base=4.4 --figure trend.png

Each is the folder or name of a model and its hours of training, those of what it began with included. For each bin of
peak SNR: RMSE ratio in the aperture beside the published U-Net's (which was trained, and is scored, on centred
sources), flux in the aperture and in the emission; the figure has a line a bin against hours.

Beside the RMSE stands that of an oracle, which is given the true image of every channel and the true noise model and
fits nothing but the brightness of each channel: what is left for anyone who does not know the spectrum.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from denoise.benchmark import Suite, load_suite, run_suite, summary
from denoise.benchmark.cases import Made, list_cases, make_case
from denoise.benchmark.figure import load_published
from denoise.benchmark.tables import Line
from denoise.metrics import rmse_ratio
from denoise.transforms.whitening import whiten

SCORES = {
    "rmse_ratio_aperture": "RMSE ratio, aperture",
    "flux_aperture_percent": "flux, aperture (%)",
    "flux_emission_percent": "flux, emission (%)",
}
PUBLISHED = "U-Net"


def named(word: str) -> tuple[str, float]:
    """Model and hours."""
    model, _, hours = word.rpartition("=")
    try:
        return model, float(hours)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{word!r} is not MODEL=HOURS") from None


def suite_of(models: list[tuple[str, float]], cubes: int, seed: int) -> Suite:
    """Toy discs, a row a model named by its hours."""
    rows = {f"{hours:g} h": {"method": "unet", "parameters": {"model": model}} for model, hours in models}
    return load_suite("toy-discs", cubes=cubes, seed=seed, methods=rows)


def scored(suite: Suite) -> list[Line]:
    """The suite's summary."""
    with tempfile.TemporaryDirectory() as folder:
        return summary(run_suite(suite, Path(folder) / "run"))


def known_shapes(suite: Suite) -> dict[tuple[str, str], float]:
    """Median RMSE ratio in the aperture of the oracle, for every group and bin."""
    ratios: dict[tuple[str, str], list[float]] = {}
    for case in list_cases(suite):
        ratios.setdefault((case.group, case.bin), []).append(_oracle_ratio(make_case(suite, case)))
    return {where: float(np.median(each)) for where, each in ratios.items()}


def _oracle_ratio(made: Made) -> float:
    one, noise = made.observation, made.noise
    assert noise is not None
    sigma, valid = noise.sigma(), np.ones(one.truth.shape, np.bool_)
    data, shape = (
        whiten(cube / sigma, valid, noise).data.astype(np.float64) for cube in (one.noisy, one.truth)
    )
    energy = np.square(shape).sum(axis=(1, 2))
    brightness = (data * shape).sum(axis=(1, 2)) / np.maximum(energy, np.finfo(float).tiny)
    fitted = one.truth * brightness[:, None, None]
    ratio = rmse_ratio(one.truth, one.noisy, fitted, one.aperture)
    assert ratio is not None
    return ratio


def show(lines: list[Line], rows: list[str], oracle: dict[tuple[str, str], float]) -> None:
    """Tables: a line a bin, a column a model."""
    published = load_published("lahiry2026")
    for score, name in SCORES.items():
        print(f"{name:28}" + "".join(f"{row:>16}" for row in rows) + f"{'published':>12}{'oracle':>9}")
        for group in ("resolved", "unresolved"):
            theirs = published["rows"][PUBLISHED][group].get(score)
            for number, label in enumerate(published["bins"]):
                found = {
                    one.row: one.scores[score] for one in lines if (one.group, one.bin) == (group, label)
                }
                cells = "".join(
                    f"{found[row].value:9.3g} +- {found[row].error or 0:.2g}".rjust(16) for row in rows
                )
                limit = f"{oracle[group, label]:9.3f}" if score.startswith("rmse") else ""
                print(f"{group:13}{label:15}{cells}{'' if theirs is None else theirs[number]:>12}{limit}")
        print()


def draw(lines: list[Line], rows: list[str], path: Path) -> None:
    """The scores against hours."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    published = load_published("lahiry2026")
    hours = [float(row.split()[0]) for row in rows]
    fig = Figure(figsize=(9.5, 9), layout="constrained")
    axes = fig.subplots(len(SCORES), 2, sharex=True, sharey="row")
    for column, group in enumerate(("resolved", "unresolved")):
        for ax, (score, name) in zip(axes[:, column], SCORES.items(), strict=True):
            for number, label in enumerate(published["bins"]):
                color = colormaps["viridis"](number / (len(published["bins"]) - 0.5))
                found: dict[str, Any] = {
                    one.row: one.scores[score] for one in lines if (one.group, one.bin) == (group, label)
                }
                values, errors = (
                    [getattr(found[row], part) or 0 for row in rows] for part in ("value", "error")
                )
                ax.errorbar(hours, values, errors, marker="o", ms=4, capsize=2, color=color, label=label)
                theirs = published["rows"][PUBLISHED][group].get(score)
                if theirs is not None:
                    ax.plot(
                        [0.985], [theirs[number]], marker="<", color=color, transform=ax.get_yaxis_transform()
                    )
            if "flux" in score:
                ax.axhspan(97, 103, color="0.9", zorder=0)
            ax.set_ylabel(name if column == 0 else "")
        axes[0, column].set_title(group)
        axes[-1, column].set(xlabel="hours of training on two cores", xlim=(0, None))
    axes[0, 0].legend(title="peak SNR", fontsize=8, ncols=2)
    fig.suptitle("toy-discs against training; triangles: the published U-Net", fontsize=10)
    fig.savefig(path, dpi=130)


def main() -> None:
    """Score, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="+", type=named, metavar="MODEL=HOURS")
    parser.add_argument("--cubes", type=int, default=6, help="a bin")
    parser.add_argument(
        "--seed", type=int, default=515, help="not that of the suite, whose scores are quoted elsewhere"
    )
    parser.add_argument("--figure", type=Path, help="PNG")
    asked = parser.parse_args()
    models = sorted(asked.models, key=lambda one: one[1])
    rows = [f"{hours:g} h" for _, hours in models]
    suite = suite_of(models, asked.cubes, asked.seed)
    lines = scored(suite)
    show(lines, rows, known_shapes(suite))
    if asked.figure:
        draw(lines, rows, asked.figure)


if __name__ == "__main__":
    main()
