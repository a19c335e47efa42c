"""What the guard of a network calls unusual: per cent of windows, by class of sources, and the trade-off.

Cubes are drawn as for the training of the model (in distribution), and as in the suite ``unseen-morphology``, with the
classes that its recipe leaves out. A window is one that sees something; see ``denoise.networks.guard``. A cube is in
doubt where a run would say so, for its windows, its lines or its noise. With ``--data`` the cubes of ``real-degraded``
are judged too.

    python benchmarks/guard_report.py --model unet3d-small --cubes 20
    python benchmarks/guard_report.py --model unet3d-small --cubes 40 --bound

With ``--bound``: how well the classes that were left out can be told from the others at all by what a window holds. A
logistic regression is told which windows are which (no guard is), and judged on cubes that it was not fitted to, all
drawn with the same noise, beams and brightness, so that only the shapes tell.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise.methods.unet import Unet
from denoise.networks.examples import draw_observed
from denoise.networks.guard import Guard, Windows, encoded, model_guard, windows_of
from denoise.networks.recipe import SimulationRecipe
from denoise.networks.scalespace import Grid, noise_numbers, scale_space
from denoise.networks.weights import Model, load_model, model_folder
from denoise.noise import NoiseModel
from denoise.simulate import ALL_KINDS
from denoise.transforms.detection import standardise
from denoise.transforms.whitening import whiten

SHAPE = (40, 96, 96)
FALSE = (0.01, 0.02, 0.05, 0.1)  # shares of in-distribution windows at which the trade-off is shown
SEED = 20_269
# as in the suite of unseen shapes
UNSEEN: dict[str, Any] = {
    "snr": (2.5, 20.0),
    "bright": 0.0,
    "usual": 1.0,
    "turbulent": 0.0,
    "hanning": 0.0,
    "noise": {"imaged_gaussian": 1.0},
}
A_CUBE = 12  # windows of a cube that a classifier is given: neighbours say the same
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Judged(NamedTuple):
    """What the guard says of the cubes of one class.

    Attributes
    ----------
    trained : bool
        Whether the training had it.
    ratios : list of ndarray
        Of the windows of each cube.
    doubts : list of bool
        Whether anything is said of a cube.
    """

    trained: bool
    ratios: list[Floats]
    doubts: list[bool]


def windows_in(model: Model, block: NDArray[np.float32], noise: NoiseModel) -> Windows:
    """Every window that sees something."""
    data, valid = standardise(block, noise.sigma())
    white = whiten(data, valid, noise)
    numbers = noise_numbers(white.noise)
    grid = Grid.of(block.shape, image=len(block) == 1)
    inputs = scale_space(white.data, numbers, grid).inputs
    features = encoded(model.network, inputs, numbers.numbers)
    return windows_of(features, inputs, numbers.numbers)


def judged(
    model: Model, guard: Guard, cubes: Iterable[tuple[NDArray[np.float32], NoiseModel]], *, trained: bool
) -> Judged:
    """The windows of each cube, and whether a run would say something."""
    method, found = Unet(model=str(model_folder(model.recipe.name))), Judged(trained, [], [])
    for block, noise in cubes:
        found.ratios.append(guard.ratios(windows_in(model, block, noise)))
        found.doubts.append(bool(method.remarks(method.apply(block, noise, None).diagnostics)))
    return found


def recipes(trained: SimulationRecipe) -> Iterator[tuple[str, bool, SimulationRecipe]]:
    """Each class: its name, whether the training had it, and how its cubes are drawn."""
    for kind in ALL_KINDS:
        seen = trained.kinds.get(kind, 0.0) > 0
        changes = {"kinds": {kind: 1.0}} | ({} if seen else UNSEEN)
        if kind != "empty":
            yield kind, seen, trained.model_copy(update=changes)


def simulated(model: Model, guard: Guard, cubes: int) -> dict[str, Judged]:
    """Cubes of every class."""
    found = {}
    for number, (kind, seen, recipe) in enumerate(recipes(model.recipe.simulation)):
        drawn = (draw_observed(recipe, SHAPE, SEED + 1000 * number + k) for k in range(cubes))
        found[kind] = judged(model, guard, ((one.noisy, one.model) for one in drawn), trained=seen)
    return found


def real(model: Model, guard: Guard, data: Path) -> dict[str, Judged]:
    """The same of the real cubes with noise added."""
    from denoise.benchmark.cases import list_cases, make_case
    from denoise.benchmark.suite import load_suite
    from denoise.noise import estimate_noise

    suite, found = load_suite("real-degraded", draws=1), {}
    for case in list_cases(suite, data):
        made = make_case(suite, case, data)
        block = np.asarray(made.cube.read(), np.float32)
        noise = made.noise or estimate_noise(made.cube)
        found[f"{case.name} {case.bin}"] = judged(model, guard, [(block, noise)], trained=False)
    return found


def bound(model: Model, cubes: int) -> None:
    """A table: area under the curve, per cent of the windows told where so many of the trained ones are, too."""
    values: list[Floats] = []
    drawn: list[tuple[int, str, bool]] = []
    for number, (kind, seen, recipe) in enumerate(recipes(model.recipe.simulation)):
        for seed in range(SEED + 1000 * number, SEED + 1000 * number + cubes):
            one = draw_observed(recipe.model_copy(update=UNSEEN), SHAPE, seed)
            found = windows_in(model, one.noisy, one.model)
            some = np.random.default_rng(seed).permutation(len(found.values))[:A_CUBE]
            values.append(np.column_stack([found.values, found.given])[some])
            drawn += [(seed, kind, seen)] * len(some)
    features = np.concatenate(values)
    cube, kinds, trained = (np.array(column) for column in zip(*drawn, strict=True))
    print(f"{'class':12s} windows  area  | told where the same is said of 2 %, 10 % of the trained")
    for kind in sorted(set(kinds[~trained])):
        print(told_apart(features, kinds == kind, trained, cube, kind))


def told_apart(features: Floats, own: Mask, trained: Mask, cube: NDArray[Any], kind: str) -> str:
    """One line of the table of ``bound``."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    used = own | trained
    fit = make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=500, class_weight="balanced"))
    sure = cross_val_predict(
        fit, features[used], own[used], groups=cube[used], cv=GroupKFold(5), method="predict_proba"
    )[:, 1]
    limits = np.quantile(sure[~own[used]], [0.98, 0.9])
    told = "  ".join(f"{100 * np.mean(sure[own[used]] > limit):4.0f} %" for limit in limits)
    return f"{kind:12s} {own.sum():7d}  {roc_auc_score(own[used], sure):.2f}  | {told}"


def show(found: dict[str, Judged], shares: Mapping[str, float]) -> None:
    """A table: per cent above the limit, of windows and of cubes; then at other limits.

    `shares` are those of the kinds in the training: all in distribution is by cubes as they come there.
    """
    inside = np.concatenate([ratios for one in found.values() if one.trained for ratios in one.ratios])
    limits = [1.0, *np.quantile(inside, 1 - np.array(FALSE))]
    print(
        f"{'class':28s} trained  windows  unusual %  in doubt %  | at "
        + ", ".join(f"{100 * f:.0f} %" for f in FALSE)
    )
    unusual = {}
    for name, one in found.items():
        every = np.concatenate(one.ratios) if one.ratios else np.empty(0)
        above = [100 * float(np.mean(every > limit)) if every.size else np.nan for limit in limits]
        each = [float(np.mean(ratios > 1)) for ratios in one.ratios if ratios.size]
        unusual[name] = float(np.mean(each)) if each else 0.0
        rest = "  ".join(f"{share:5.1f}" for share in above[1:])
        trained, doubt = "yes" if one.trained else "no", 100 * float(np.mean(one.doubts))
        print(f"{name:28s} {trained:7s}  {every.size:7d}  {above[0]:9.1f}  {doubt:10.0f}  | {rest}")
    known = {name: shares[name] for name, one in found.items() if one.trained}
    mean = sum(share * unusual[name] for name, share in known.items()) / sum(known.values())
    print(f"in distribution, each cube as often as in the training: {100 * mean:.1f} % of its windows")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="unet3d-small", help="name or folder")
    parser.add_argument("--cubes", type=int, default=10, help="of each class")
    parser.add_argument("--data", type=Path, help="folder of the real cubes")
    parser.add_argument("--bound", action="store_true", help="what a classifier could tell apart")
    asked = parser.parse_args()
    model = load_model(asked.model)
    if asked.bound:
        bound(model, asked.cubes)
        return
    guard = model_guard(model_folder(asked.model), model.checksum)
    if guard is None:
        raise SystemExit(f"model {asked.model} has no guard: denoise train RECIPE --resume fits one")
    found = simulated(model, guard, asked.cubes)
    more = real(model, guard, asked.data) if asked.data else {}
    show(found | more, model.recipe.simulation.kinds)


if __name__ == "__main__":
    main()
