"""Denoise one cube: noise, plan, fit, then tile by tile from the source to the sink."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from denoise.cores import Spread, usable_cores
from denoise.cube import Cube, Provenance, inspect
from denoise.engine.chain import Chain
from denoise.engine.conditioning import Conditioned, condition, in_a_file, trusted
from denoise.engine.enhancing import check_enhancer
from denoise.engine.options import RunOptions
from denoise.engine.plan import make_plan, readable_bytes
from denoise.engine.prepared import Prepared
from denoise.engine.progress import Monitor
from denoise.engine.provenance import describe_run
from denoise.engine.result import Result, difference
from denoise.engine.runners import Runner, Serial
from denoise.engine.sinks import Finished, Sink, Told
from denoise.errors import DenoiseWarning, ParameterError
from denoise.methods import AUTO, Denoiser, choose, get_method, refuse_parameters
from denoise.noise import NoiseModel, estimate_noise

_HALO = 8.0  # voxels denoised for each of the cube; more is worth a remark
_MUCH = 30.0  # per cent of the voxels; more emission than that is worth a remark


def make_denoiser(options: RunOptions, *, positivity: bool, threads: int = 1) -> Denoiser:
    """The method of a run with its parameters.

    Raises
    ------
    UnknownMethodError, ParameterError
    """
    method = get_method(options.method)
    # not given where nothing was asked for: a method from outside need not know it
    device = {} if options.device == "auto" else {"device": options.device}
    return method(positivity=positivity, threads=threads, **device, **options.parameters)


def check_methods(options: RunOptions) -> None:
    """Refuse an unknown method or a wrong parameter of any step before anything is read.

    Raises
    ------
    UnknownMethodError, ParameterError
    """
    if options.method == AUTO:
        refuse_parameters(options.parameters)
    for one in (options, *map(options.stage, options.then)):
        if one.method != AUTO or one is not options:
            check_enhancer(make_denoiser(one, positivity=False).info, options)


def settled_options(options: RunOptions, prepared: Prepared) -> RunOptions:
    """The options of a run on its conditioned data, with everything decided that "auto" left to the data."""
    return options.model_copy(
        update={
            "method": prepared.denoiser.info.name,
            "continuum": "none",
            "vst": None,
            "positivity": "on" if prepared.denoiser.positivity else "off",
        }
    )


class Settled(NamedTuple):
    """What every method needs: the conditioned cube, its noise, and the largest voxel as it was read."""

    data: Conditioned
    noise: NoiseModel
    brightest: float


@dataclass
class Run:
    """One run, from a cube into a sink.

    Parameters
    ----------
    cube : Cube
        The input.
    options : RunOptions
        What to do.
    monitor : Monitor
        Progress and cancelling.
    noise : NoiseModel, optional
        Known noise; None: estimated.
    input_options : mapping, optional
        How the input was read, for the record.
    said : sequence of str
        Warnings of the reading.
    threads : int
        Threads that compute.
    runner : Runner
        Who does the tiles.
    scratch : Path, optional
        Where temporary files go; None: the system's folder.
    """

    cube: Cube
    options: RunOptions
    monitor: Monitor
    noise: NoiseModel | None = None
    input_options: Mapping[str, Any] | None = None
    said: Sequence[str] = ()
    threads: int = field(default_factory=usable_cores)
    runner: Runner = field(default_factory=Serial)
    scratch: Path | None = None

    def into(self, sink: Sink) -> Result:
        """Run, and return the result once the sink has all of it."""
        start = time.perf_counter()
        with collected_warnings() as said, self._scratch_folder() as scratch:
            prepared = self.prepare(Path(scratch))
            if prepared.denoiser.info.category == "enhancer":
                prepared.fit(self.options.seed)  # says whether the output has a unit
            told = Told(
                method=prepared.label,
                variance=prepared.error_bar,
                stabilised=prepared.data.stabiliser is not None,
                chosen=prepared.chosen,
                remarks=prepared.denoiser.info.remarks,
                display=prepared.display,
                resolution=prepared.resolution,
                limits=prepared.limits,
            )
            sink.open(self.cube, prepared.noise, told)
            try:
                done, provenance, doubts = self._filled(sink, prepared, start)
            except BaseException:
                sink.abort()
                raise
        return self._result(prepared, told, done, provenance, [*self.said, *said], doubts, start)

    def _filled(self, sink: Sink, prepared: Prepared, start: float) -> tuple[Finished, Provenance, list[str]]:
        """Every tile into an open sink, which is complete then; what the output records, and what the method doubts."""
        with closing(prepared.run(self.options.seed, keep=sink.keeper(), runner=self.runner)) as cores:
            for kept in cores:
                sink.take(kept)
        provenance = describe_run(self, prepared, time.perf_counter() - start)
        doubts = prepared.remarks()
        return sink.finish(provenance, history=doubts), provenance, doubts

    def _result(
        self,
        prepared: Prepared,
        told: Told,
        done: Finished,
        provenance: Provenance,
        said: Sequence[str],
        doubts: list[str],
        start: float,
    ) -> Result:
        metrics = prepared.metrics()
        found = remarks(metrics, continuum=prepared.data.continuum, image=self.cube.is_image)
        return Result(
            input=self.cube,
            cube=done.cube,
            residual=None if told.display else difference(self.cube, done.cube),
            uncertainty=done.uncertainty,
            noise=prepared.noise,
            stabiliser=prepared.data.stabiliser,
            support=prepared.support,
            drawn=prepared.drawn,
            flux_errors=prepared.flux_errors,
            metrics=metrics,
            warnings=list(dict.fromkeys([*said, *found, *doubts])),
            remarks=doubts,
            chosen=told.chosen,
            display=told.display,
            resolution=told.resolution,
            limits=told.limits,
            method=told.method,
            parameters=prepared.parameters,
            provenance=provenance,
            seconds=time.perf_counter() - start,
            path=done.path,
        )

    def settle(self, scratch: Path) -> Settled:
        """What every method needs: the cube checked and conditioned, and its noise.

        Raises
        ------
        InputError, NoiseError, ParameterError, ResourceError
        """
        budget = self._budget()
        cube = in_a_file(self.cube, scratch) if self.runner.separate else self.cube
        found = inspect(cube, spread=self._spread, check=self.monitor.check)
        for note in found.notes:
            warnings.warn(note, DenoiseWarning, stacklevel=2)
        cube = cube if found.blanks is None else cube.with_mask(found.blanks)
        data = condition(cube, self.options, budget, self.monitor, scratch, spread=self._spread)
        if self.noise is not None and self.noise.shape != cube.shape:
            raise ParameterError(
                "the noise model does not fit the cube",
                value=self.noise.shape,
                action=f"give one of shape {cube.shape}",
            )
        noise = self.noise or self._estimated(data.cube)
        return Settled(data, trusted(noise, data.continuum), found.maximum)

    def prepare(self, scratch: Path) -> Prepared:
        """Everything that comes before the first tile: checks, conditioning, noise, plan.

        Raises
        ------
        InputError, NoiseError, ParameterError, ResourceError
        """
        check_methods(self.options)
        data, noise, brightest = self.settle(scratch)
        options, why = self.options, ""
        if options.method == AUTO:
            chosen = choose(noise, peak_snr=None if data.changed else brightest / noise.typical)
            options, why = options.model_copy(update={"method": chosen.method}), chosen.reason
        prepared = self._step(data, noise, options, positivity_of=(noise, data.continuum))
        prepared.chosen = why
        if not options.then:
            return prepared

        def later(left: Cube, options: RunOptions) -> Prepared:
            measured = estimate_noise(
                left, threads=self.threads, spread=self._spread, check=self.monitor.check
            )
            unchanged = Conditioned(left, left, None, data.continuum)
            return self._step(
                unchanged, trusted(measured, data.continuum), options, positivity_of=(noise, data.continuum)
            )

        chain = Chain(prepared, options, later, scratch, self.monitor)
        chain.chosen = why
        return chain

    def _step(
        self,
        data: Conditioned,
        noise: NoiseModel,
        options: RunOptions,
        *,
        positivity_of: tuple[NoiseModel, str],
    ) -> Prepared:
        """One method on conditioned data; "auto" positivity asks the noise and the continuum of the input."""
        positive = self._positive(options, *positivity_of)
        denoiser = make_denoiser(options, positivity=positive, threads=self.threads)
        if not self.runner.separate:
            _ = denoiser.backend  # a device that is not there is told before the first tile
        plan = make_plan(
            data.cube,
            denoiser,
            noise,
            # the account of several steps against the input takes as much again as a step
            self._budget() // (2 if self.options.then else 1),
            conditioned=data.changed,
            estimated=self.noise is None,
            separate=self.runner.separate,
            draws=options.uncertainty,
        )
        if plan.work > _HALO:
            warnings.warn(
                DenoiseWarning(
                    f"with {readable_bytes(plan.budget)} the tiles are mostly halo: {plan.work:.0f} times the "
                    "voxels of the cube are denoised; more memory (--memory) is faster"
                ),
                stacklevel=2,
            )
        return Prepared(data, noise, denoiser, plan, self.monitor, draws=options.uncertainty)

    def _budget(self) -> int:
        return self.options.memory or self.runner.memory()

    def _scratch_folder(self) -> tempfile.TemporaryDirectory[str]:
        prefix = "denoise-" if self.scratch is None else ".denoise-"
        # the folder may have gone with everything in it: then that is the error to tell
        return tempfile.TemporaryDirectory(prefix=prefix, dir=self.scratch, ignore_cleanup_errors=True)

    def _estimated(self, cube: Cube) -> NoiseModel:
        return estimate_noise(
            cube,
            psf=self.cube.psf_image(),
            companion=self.options.companion,
            threads=self.threads,
            spread=self._spread,
            check=self.monitor.check,
        )

    @property
    def _spread(self) -> Spread | None:
        """Runs the passes before the first tile where the tiles run."""
        return partial(self.runner.map, check=self.monitor.check) if self.runner.separate else None

    @staticmethod
    def _positive(options: RunOptions, noise: NoiseModel, continuum: str) -> bool:
        info = get_method(options.method).info
        check_enhancer(info, options)
        if info.category == "enhancer":
            return False
        if options.positivity == "auto" and info.linear:
            return False  # clipping what noise a linear filter leaves would bias every sum upwards
        if options.positivity != "auto":
            return options.positivity == "on"
        if continuum != "none":
            return False  # what is left of a continuum has both signs, and so have lines before it
        return noise.tails is None or noise.tails.negative_tail_agrees


def remarks(metrics: Mapping[str, float | None], *, continuum: str, image: bool) -> list[str]:
    """What the numbers of a run give reason to doubt, in words for the user."""
    share = metrics["detected_percent"] or 0.0
    if share <= _MUCH:
        return []
    levels = "" if image or continuum != "none" else " (try --continuum median)"
    return [
        f"emission was found in {share:.0f} % of the voxels: unless the source fills the field, this is structure "
        f"that the noise model does not hold, as leftover continuum{levels}, sidelobes or ripples"
    ]


@contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Collect this package's warnings as text; everything else is passed on."""
    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield said
    for one in caught:
        if issubclass(one.category, DenoiseWarning):
            text = str(one.message)
            if text not in said:
                said.append(text)
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
