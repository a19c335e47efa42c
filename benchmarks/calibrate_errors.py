"""Fit and score error bars: those that draws of the noise give (``models/METHOD-errors``), or those of a U-Net.

    python benchmarks/calibrate_errors.py ist                    # 120 cubes to fit to, 120 to score on, 16 draws
    python benchmarks/calibrate_errors.py pca --fit 40 --score 40 --out FOLDER
    python benchmarks/calibrate_errors.py unet3d-small           # calibration and card of the model, as its training

The cubes are simulated as those that unet3d-small was trained on, or the U-Net, of every range of peak SNR alike.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import yaml

from denoise import list_methods
from denoise.cli.train import examiner
from denoise.methods.errorbars import FILE, DrawnSide, ErrorCurves
from denoise.networks.calibration import write_calibration
from denoise.networks.card import rewrite_errors
from denoise.networks.conformal import calibrate
from denoise.networks.recipe import load_recipe
from denoise.networks.weights import RECIPE as MODEL_RECIPE
from denoise.networks.weights import model_folder, recipe_of
from denoise.uncertainty.fit import BRIGHT, fit_errors

RECIPE = "unet3d-small"


def card(found: ErrorCurves, seconds: float) -> str:
    """Model card: what the curves are for, and how errors did on cubes that they were not fitted to."""
    rows = "\n".join(
        f"| {'non-negative' if one.positivity else 'both signs'} | {one.snr[0]:g} to {one.snr[1]:g} | {one.cubes} | "
        f"{one.within_1[0]:.2f} ± {one.within_1[1]:.2f} | {one.within_2[0]:.2f} ± {one.within_2[1]:.2f} | "
        f"{one.pull_mean[0]:+.2f} | {one.pull_width[0]:.2f} | {one.flux_pull[0]:+.2f} ± {one.flux_pull[1]:.2f} |"
        for one in found.held
    )
    made = f"{found.method} --draws {found.draws} --fit {found.cubes[0]} --score {found.cubes[1]}"
    return f"""# {found.method}-errors

Curves that make a 1 sigma error of the spread of `{found.method}` over draws of the noise (`--uncertainty`).

- **Fitted to** emission above {BRIGHT:g} sigma of the noise in {found.cubes[0]} cubes for each sign convention, with
  {found.draws} draws each, simulated as the training set of `{RECIPE}` (see its recipe.yaml); default parameters.
- **What they promise**: 68 % of emission brighter than the noise lies within 1 sigma. On empty sky they are far too
  wide: there they say how bright emission may be that was not found.
- **Known failures**: emission unlike the simulations; parameters other than the defaults; faint emission, whose
  results are biased low, so that pulls are not centred.
- **Made with** `python benchmarks/calibrate_errors.py {made}`, in {seconds / 60:.0f} minutes.
- **Licence**: BSD-3, as the package.

Scored on {found.cubes[1]} other cubes, where the truth exceeds {BRIGHT:g} sigma: shares within 1 error and within the
limits of 95 % (asked .68, .95), mean and width of the pulls (asked 0, 1), and the pull of the flux found (mean and
width over cubes). The limits are {limits(found.both_signs)} for results of both signs,
{limits(found.positive)} for those without negatives.

| result | peak SNR | cubes | within 1 | within the limit | pull | width | flux pull |
|---|---|---|---|---|---|---|---|
{rows}
"""


def limits(side: DrawnSide) -> str:
    """In errors."""
    return f"{side.limits[0]:g} errors in the emission found and {side.limits[1]:g} elsewhere"


def recalibrate(folder: Path, workers: int) -> None:
    """Calibration and card of a U-Net, as its training made them, with the method as it is now."""
    recipe = load_recipe(folder / MODEL_RECIPE)

    def tell(done: int, total: int) -> None:
        if done % 60 == 0:
            print(f"{done} of {total} cubes", flush=True)

    found = calibrate(recipe, str(recipe.sha256), partial(examiner, folder), workers=workers, report=tell)
    write_calibration(found, folder)
    rewrite_errors(folder, found)


def main() -> None:
    """Fit, score, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("method", help="ist, pca or ica; or a U-Net by name or folder")
    parser.add_argument("--draws", type=int, default=16)
    parser.add_argument("--fit", type=int, default=120)
    parser.add_argument("--score", type=int, default=120)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, help="default: models/METHOD-errors")
    asked = parser.parse_args()
    if asked.method not in list_methods():
        recalibrate(model_folder(asked.method), asked.workers)
        return
    start, recipe = time.perf_counter(), recipe_of(RECIPE)
    sizes = {"draws": asked.draws, "fit": asked.fit, "score": asked.score}
    with ProcessPoolExecutor(asked.workers, mp_context=get_context("spawn")) as pool:
        found = fit_errors(recipe, asked.method, mapped=pool.map, **sizes)
    folder = asked.out or Path(__file__).parent.parent / "models" / f"{asked.method}-errors"
    folder.mkdir(parents=True, exist_ok=True)
    plain = yaml.safe_dump(found.model_dump(mode="json"), sort_keys=False, default_flow_style=None, width=110)
    (folder / FILE).write_text(plain)
    (folder / "CARD.md").write_text(card(found, time.perf_counter() - start))
    print((folder / "CARD.md").read_text())


if __name__ == "__main__":
    main()
