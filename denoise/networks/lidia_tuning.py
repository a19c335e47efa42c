"""Go on training LIDIA on one cube without truth; the loop and the gate are those of every network (`tuning`, `gate`).

Targets are the data with noise of their own (Recorrupted2Recorrupted, see `pairs`), or what the network itself makes
of the data, which then gets fresh noise (the internal adaptation of Vaksman, Elad, Milanfar 2020, arXiv:1911.07167,
section 4): that can teach it to drop what it drops already. The gate judges both by pairs of independent noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from math import log
from typing import Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from denoise.networks.backend import torch_threads
from denoise.networks.blocks import TRAIN, check_judges
from denoise.networks.cells import Cell, Cells, framed, gather
from denoise.networks.examples import colour_transfer
from denoise.networks.feed import Make
from denoise.networks.gate import Injected, Squares, flux_of, injections, summed
from denoise.networks.lidia import Lidia, Seen, seen_of
from denoise.networks.lidia_examples import GRAIN, UNIT, Images, make_images
from denoise.networks.lidia_inference import Folded, folded_network, less_noise
from denoise.networks.lidia_training import LEAST, LidiaTask
from denoise.networks.lidia_weights import LidiaModel
from denoise.networks.losses import coloured
from denoise.networks.neighbours import Array, find_neighbours, with_border
from denoise.networks.pairs import Sky
from denoise.networks.training import Event
from denoise.networks.tuning import Tuning, TuningRun, Verdict, tune
from denoise.transforms.whitening import filters_for

Targets = Literal["r2r", "internal"]
One = TypeVar("One")
Other = TypeVar("Other")

TUNING = Tuning(steps=100, rate=3e-4, pairs=4, rehearsal=1.0, validate_every=25, patience=2, sources=48)
_DRAWS = 2  # of the noise, for each cell that scores
_USUAL = 0.1  # mean squared error in sigma squared: over it, an error weighs about as its logarithm does


@dataclass(frozen=True, eq=False)
class LidiaSubject:
    """A LIDIA network and cells of cubes.

    Attributes
    ----------
    model : LidiaModel
        That it begins with.
    fields : tuple of Cells
        Of every cube.
    targets : {"r2r", "internal"}
        What it learns.
    tuning : Tuning
        Pairs a step, and what the simulations weigh.
    both : bool
        The result is made odd in the data, as in use.
    threads : int
        The numbers do not depend on it.
    """

    model: LidiaModel
    fields: tuple[Cells, ...]
    targets: Targets
    tuning: Tuning
    both: bool
    threads: int = 1
    _truths: dict[int, Array] = field(default_factory=dict)

    @property
    def make(self) -> Make[Images]:
        """Simulated images, as in the training."""
        return partial(make_images, self.model.recipe.images, self.tuning.seed)

    def build(self) -> Lidia:
        """The network as it begins."""
        # frozen statistics, as in use: what becomes of an image does not depend on others
        network = deepcopy(self.model.network.network)
        network.requires_grad_(True).eval()
        return network

    def add_gradients(
        self, network: torch.nn.Module, batch: Images, rng: np.random.Generator, step: int
    ) -> float:
        """Of some cells, and of the simulations, each by itself and summed in a fixed order."""
        odds = self._odds
        numbers = rng.choice(len(odds), self.tuning.pairs, p=odds).tolist() if len(odds) else []
        signs = rng.choice((-1.0, 1.0), self.tuning.pairs).tolist()
        tasks: list[Callable[[], Tensor]] = [
            partial(self._learnt, network, number, sign, step * self.tuning.pairs + k)
            for k, (number, sign) in enumerate(zip(numbers, signs, strict=False))
        ]
        if self.tuning.rehearsal:
            tasks += [partial(self._rehearsed, network, batch, k) for k in range(len(batch.near))]
        weights = list(network.parameters())

        def gradients(task: Callable[[], Tensor]) -> tuple[float, tuple[Tensor, ...]]:
            value = task()
            return float(value.detach()), torch.autograd.grad(value, weights)

        total = 0.0
        for value, parts in self._each(gradients, tasks):
            total += value
            for weight, part in zip(weights, parts, strict=True):
                weight.grad = part if weight.grad is None else weight.grad + part
        return total

    def squares(self, network: torch.nn.Module, use: int) -> Squares:
        """On the cells for a use, with the correlation put back."""
        folded = _folded(network)
        drawn = [(*one, draw) for one in self.kept(use) for draw in range(_DRAWS)]

        def errors(one: tuple[Cells, Cell, int]) -> tuple[Array, NDArray[np.int64]]:
            cells, cell, draw = one
            white = cell.pair(seed=4 * self.tuning.seed + use, draw=draw)
            wrong = (self._said(folded, white.planes, cell.own) - white.target) * white.valid
            return _coloured(wrong, cells), cells.numbers(cell, white.valid)

        return summed(self._each(errors, drawn))

    def faint_flux(self, network: torch.nn.Module, count: int, seed: int) -> NDArray[np.float64]:
        """In planes of noise."""
        folded, skies = _folded(network), [cells.sky for cells in self.fields]
        of = dict(zip(skies, self.fields, strict=True))
        margin = max(cells.margin for cells in self.fields)

        def measured(injected: Injected) -> tuple[float, float]:
            inner, middle, cells = injected.inner[1:], len(injected.truth) // 2, of[injected.sky]
            said = self._said(folded, framed(injected.white.data, inner), middle)
            truth = injected.truth[middle][inner]
            wrong = _coloured(said - truth, cells)
            return flux_of(_coloured(truth, cells), wrong, injected.bright[middle][inner])

        found = injections(skies, lambda sky: of[sky].size, count, seed, around=margin)
        return np.array(list(self._each(measured, list(found))))

    def kept(self, use: int) -> list[tuple[Cells, Cell]]:
        """Cells for a use, each with those of its cube."""
        return [(cells, cell) for cells in self.fields for cell in cells.of(use)]

    @property
    def _odds(self) -> NDArray[np.float64]:
        """Half of the draws where it is bright."""
        bright = np.array([cell.bright for _, cell in self.kept(TRAIN)])
        even = np.full(len(bright), 1 / max(1, len(bright)))
        return even if not bright.any() else 0.5 * even + 0.5 * bright / bright.sum()

    def _learnt(self, network: torch.nn.Module, number: int, sign: float, draw: int) -> Tensor:
        """Loss of a cell: the squared error against noise, the logarithm of that against a truth."""
        (cells, cell), seed = self.kept(TRAIN)[number], 4 * self.tuning.seed + TRAIN
        if self.targets == "r2r":
            white = cell.pair(seed=seed, draw=draw)
        else:
            white = cell.renoised(self._truth(number, cell), seed=seed, draw=draw)
        planes = np.float32(sign) * white.planes * UNIT
        near = [find_neighbours(planes, scale, cell.own, grain=GRAIN) for scale in (0, 1)]
        seen: tuple[Seen, Seen] = (seen_of(near[0]), seen_of(near[1]))
        wrong = network(seen) / float(UNIT) - torch.from_numpy(np.float32(sign) * white.target)
        valid = torch.from_numpy(white.valid)
        back = coloured((wrong * valid)[:, None], _transfer(cells, white.target.shape))[0, 0]
        energy = (back.square() * valid).sum() / valid.sum()
        # the logarithm of a noisy energy has its least value elsewhere
        known = self.targets == "internal"
        loss = torch.log10(energy + LEAST) if known else energy / (_USUAL * log(10))
        return loss / self.tuning.pairs

    def _rehearsed(self, network: torch.nn.Module, batch: Images, number: int) -> Tensor:
        one = slice(number, number + 1)
        image = Images(batch.near[one], batch.truth[one], batch.colour[one], batch.strength[one])
        weight = self.tuning.rehearsal / len(batch.near)
        return weight * LidiaTask(self.model.recipe).loss(network, image, "cpu")

    def _truth(self, number: int, cell: Cell) -> Array:
        """What the network makes of all planes of a cell and of what is around it; kept."""
        if number not in self._truths:
            planes = cell.data().planes
            wide = with_border(planes)
            found = [self._said(self.model.network, wide, own) for own in range(len(planes))]
            self._truths[number] = np.stack(found)
        return self._truths[number]

    def _said(self, network: Folded, planes: Array, own: int) -> Array:
        return less_noise(network, planes, own, both=self.both)

    def _each(self, task: Callable[[One], Other], items: list[One]) -> Iterator[Other]:
        """Results in order; every task on one thread of torch."""

        def alone(item: One) -> Other:
            # threads of torch are counted in each thread
            torch.set_num_threads(1)
            return task(item)

        with ThreadPoolExecutor(self.threads) as pool:
            yield from pool.map(alone, items)


def adapt(subject: LidiaSubject, tell: Callable[[int, int, float | None], None]) -> Verdict:
    """Go on training, and judge.

    Parameters
    ----------
    subject : LidiaSubject
        The network and the data.
    tell : callable
        Told of steps done, of how many, and of the seconds that are left.
    """

    def report(event: Event) -> None:
        tell(event.step, event.steps, event.seconds_left)

    with torch_threads(torch, 1):
        return tune(subject, subject.tuning, TuningRun(report=report))


def lidia_subject(model: LidiaModel, skies: Sequence[Sky], tuning: Tuning, threads: int) -> LidiaSubject:
    """A LIDIA network and cells of fields that are read by region.

    Raises
    ------
    InputError
        Fewer than 8 blocks of all fields would judge.
    """
    fields: list[Cells] = []
    for sky in skies:
        fields.append(gather(sky, tuning.seed, first=sum(one.blocks.uses.size for one in fields)))
    check_judges(sum(one.blocks.judges for one in fields))
    return LidiaSubject(model, tuple(fields), "r2r", tuning, True, threads)


def _folded(network: torch.nn.Module) -> Folded:
    assert isinstance(network, Lidia)
    return folded_network(deepcopy(network).requires_grad_(False).eval())


def _coloured(white: Array, cells: Cells) -> Array:
    values = torch.from_numpy(np.ascontiguousarray(white))[None, None]
    return np.asarray(coloured(values, _transfer(cells, white.shape))[0, 0])


def _transfer(cells: Cells, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(colour_transfer(filters_for(cells.noise), (shape[0], shape[1])))[None]
