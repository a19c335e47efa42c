"""Tiles against the cube whole (R9): for every method on odd shapes, how far the results differ, and if seams show.

    python benchmarks/tile_report.py             # every method with its usual parameters
    python benchmarks/tile_report.py ist pca     # these alone

Each cube holds correlated noise of sigma 1 and sources on and between the seams. Differences are in sigma: the largest
anywhere, and the root mean square of those beside a seam and of those elsewhere. The seam energy is that of the steps
across the seams in the tiled result over that of the same steps in the whole one, where there is no seam; "steps" are
differences between neighbouring voxels. Goals: a largest difference below 1e-5 (linear) or 0.02, a ratio of 1.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

import numpy as np

from denoise.methods import list_methods
from denoise.testing.laws import ITERATIVE, ONE_PASS
from denoise.testing.subject import Subject, blob, noise_model

# shape, and the largest core of a tile
CUTS = (
    ((1, 301, 97), (1, 60, 97)),
    ((7, 211, 13), (7, 53, 13)),
    ((37, 119, 123), (37, 60, 62)),
    ((24, 64, 240), (24, 64, 49)),
    ((220, 9, 10), (55, 9, 10)),
    ((1800, 8, 6), (450, 8, 6)),
)
SAME = 0.01  # by which the ratio of the seam energies may miss 1


@dataclass(frozen=True)
class Row:
    """One method on one shape; differences in sigma. `ratio`: None where the steps are all zero."""

    method: str
    shape: tuple[int, int, int]
    tiles: int
    largest: float
    at_seams: float
    elsewhere: float
    ratio: float | None
    allowed: float

    @property
    def met(self) -> bool:
        """Whether the goals are met."""
        return self.largest < self.allowed and (self.ratio is None or abs(self.ratio - 1) < SAME)

    def line(self) -> str:
        """As the table shows it."""
        ratio = "-" if self.ratio is None else f"{self.ratio:.5f}"
        shape = " x ".join(map(str, self.shape))
        return (
            f"{self.method:8} {shape:>15} {self.tiles:5d} {self.largest:9.1e} {self.at_seams:9.1e} "
            f"{self.elsewhere:9.1e} {ratio:>9} {'yes' if self.met else 'NO'}"
        )


def compare(name: str, shape: tuple[int, int, int], core: tuple[int, int, int]) -> Row:
    """Denoise one cube whole and in tiles."""
    subject = Subject(name)
    noise = noise_model(shape)
    if subject.make().halo(shape, noise).channel is None:
        core = (shape[0], *core[1:])
    data = noise.sample(seed=1)
    for part, snr in ((0.5, 15.0), (0.25, 8.0), (0.7, 5.0)):
        data = data + np.float32(snr) * blob(shape, at=tuple(part * (n - 1) for n in shape))
    whole, tiled = subject.tiled(data, noise), subject.tiled(data, noise, core=core)
    difference = np.abs(tiled.astype(float) - whole)
    edges = [_edges(n, k) for n, k in zip(shape, core, strict=True)]
    beside = _beside(shape, edges)
    return Row(
        name,
        shape,
        int(np.prod([len(cuts) + 1 for cuts in edges])),
        float(difference.max()),
        _rms(difference[beside]),
        _rms(difference[~beside]),
        _ratio(_seam_energy(tiled, edges), _seam_energy(whole, edges)),
        ONE_PASS if subject.info.linear else ITERATIVE,
    )


def _edges(length: int, core: int) -> list[int]:
    """Where a plan cuts an axis: in equal parts."""
    parts = -(-length // core)
    return [round(i * length / parts) for i in range(1, parts)]


def _beside(shape: tuple[int, ...], edges: list[list[int]]) -> np.ndarray:
    beside = np.zeros(shape, bool)
    for axis, cuts in enumerate(edges):
        view = np.moveaxis(beside, axis, 0)
        for cut in cuts:
            view[cut - 1 : cut + 1] = True
    return beside


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0


def _seam_energy(result: np.ndarray, edges: list[list[int]]) -> float:
    total = 0.0
    for axis, cuts in enumerate(edges):
        view = np.moveaxis(result, axis, 0).astype(float)
        total += sum(float(np.square(view[cut] - view[cut - 1]).sum()) for cut in cuts)
    return total


def _ratio(seams: float, same_steps: float) -> float | None:
    return None if seams == same_steps == 0 else seams / same_steps if same_steps else float("inf")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("methods", nargs="*", help="default: all that are installed")
    asked = parser.parse_args().methods or sorted(list_methods())
    print(
        f"{'method':8} {'shape':>15} {'tiles':>5} {'max':>9} {'at seams':>9} {'elsewhere':>9} {'energy':>9} met"
    )
    rows = []
    for name in asked:
        for shape, core in CUTS:
            rows.append(compare(name, shape, core))
            print(rows[-1].line(), flush=True)
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
