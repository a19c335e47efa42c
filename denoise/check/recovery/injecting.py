"""Put sources into fields, denoise these, and measure what came back, draw after draw."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from denoise.check.recovery.baseline import Baseline
from denoise.check.recovery.layout import Layout
from denoise.check.recovery.measuring import Measured, is_found, measure_source
from denoise.check.recovery.placing import Placed, Wanted, fill
from denoise.check.recovery.settings import Settings
from denoise.check.recovery.sources import Block
from denoise.check.regions.finding import MIN_SNR
from denoise.engine.progress import Monitor, ProgressEvent

_DRAWS = 10_000  # of the noise, from here: others use those below


@dataclass(frozen=True)
class Bench:
    """Where sources are put in and got back.

    Attributes
    ----------
    base : Baseline
        The method, and what it makes of the cube.
    layout : Layout
        Kinds and places.
    settings : Settings
        What is asked for.
    monitor : Monitor
        Progress and cancelling.
    """

    base: Baseline
    layout: Layout
    settings: Settings
    monitor: Monitor

    def sources(self) -> list[Measured]:
        """All sources, draw after draw, first in the cube itself, then in draws of its noise."""
        rng = np.random.default_rng([self.settings.seed, 2])
        waiting = self.layout.wanted(self.settings, rng)
        total, start = len(waiting), time.perf_counter()
        found: list[Measured] = []
        for placed, field, without, number in self._draws(waiting, rng):
            found += self._recovered(placed, field, without, number)
            left = (time.perf_counter() - start) / len(found) * (total - len(found))
            self.monitor.tell(ProgressEvent("injecting sources", len(found), total, left))
        return found

    def _draws(
        self, waiting: list[Wanted], rng: np.random.Generator
    ) -> Iterator[tuple[list[Placed], Block, Block, int]]:
        layout, rig, number = self.layout, self.base.rig, 0
        for kind_of_field in ("cube", "noise"):
            left = [one for one in waiting if layout.fields[one.kind] == kind_of_field]
            while left and number < self.settings.draws:
                placed, left = fill(
                    left,
                    layout.templates,
                    layout.places,
                    rig.shape,
                    gap=layout.gap,
                    most=layout.most,
                    rng=rng,
                )
                self.monitor.check()
                if kind_of_field == "cube":
                    yield placed, rig.data(), self.base.output, number
                else:
                    field = rig.sample(_DRAWS + number, seed=self.settings.seed)
                    yield placed, field, rig.apply(field), number
                number += 1

    def _recovered(
        self, placed: Sequence[Placed], field: Block, without: Block, number: int
    ) -> list[Measured]:
        rig = self.base.rig
        sigmas = [rig.noise.sigma(one.box) for one in placed]
        heights = [_height(one, sigma) for one, sigma in zip(placed, sigmas, strict=True)]
        for one, height in zip(placed, heights, strict=True):
            field[one.box] += np.float32(height) * one.values
        output = rig.apply(field)
        margin = (2, ceil(self.layout.gap[1] / 2), ceil(self.layout.gap[2] / 2))
        level = {"level": self.base.level, "min_snr": MIN_SNR}
        found = [is_found(one, field, output, rig.noise, margin=margin, **level) for one in placed]
        return [
            measure_source(one, height, output, without, sigma, draw=number, found=yes, margin=margin)
            for one, height, sigma, yes in zip(placed, heights, sigmas, found, strict=True)
        ]


def _height(source: Placed, sigma: Block) -> float:
    """Peak in the unit of the data: the wanted SNR over the noise at the brightest voxel of the source."""
    at = np.unravel_index(int(np.argmax(np.where(sigma > 0, source.values, -1.0))), source.values.shape)
    return source.wanted.snr * float(sigma[at])
