"""The laws. Each takes a Subject and raises ConformanceError where the method breaks it.

Data are small cubes in units of their noise, so that tolerances are in sigma.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from pydantic.fields import FieldInfo

from denoise.engine import denoise
from denoise.engine.plan import make_tiles
from denoise.engine.progress import CancelToken, Monitor, ProgressEvent
from denoise.errors import CancelledError, ParameterError
from denoise.methods import Denoiser
from denoise.methods.contract import Block, Estimate
from denoise.noise import NoiseModel
from denoise.testing.subject import (
    Array,
    Shape,
    Subject,
    blob,
    noise_model,
    observation,
    require,
    state_of,
)

Law = Callable[[Subject], None]

SHAPE: Shape = (16, 48, 40)
WIDE: Shape = (6, 20, 240)  # longer than most halos along x
LONG: Shape = (220, 9, 10)  # and along channels
SCALES = (1e-18, 1e6)
ROUNDING = 1e-5  # of the peak: float32 through a few hundred operations
ONE_PASS, ITERATIVE = 1e-5, 0.02  # sigma: tiles against the cube whole
FLUX_ERROR = 0.05  # at a peak SNR of 20
ODD_SHAPES: tuple[Shape, ...] = (
    (1, 20, 20),
    (1, 33, 7),
    (2, 20, 31),
    (2, 3, 3),
    (5, 2, 9),
    (3, 4, 1),
    (37, 19, 23),
    (1800, 8, 6),
)


def describes_itself(subject: Subject) -> None:
    """Name, summary, citation and every parameter are documented; the name is that of the entry point."""
    info = subject.info
    require(info.name == subject.name, "info.name differs from the entry point", value=info.name)
    require(
        bool(info.summary) and "\n" not in info.summary, "info.summary must be one line", value=info.summary
    )
    require(info.citation.lstrip().startswith("@"), "info.citation must be BibTeX", value=info.citation[:40])
    require(info.category in ("denoiser", "enhancer"), "unknown category", value=info.category)
    require(set(info.ndim) <= {2, 3} and bool(info.ndim), "info.ndim must hold 2, 3 or both", value=info.ndim)
    for name, field in subject.method.Parameters.model_fields.items():
        require(bool(field.description), f"parameter {name} has no description")


def refuses_bad_parameters(subject: Subject) -> None:
    """Unknown names and values out of range are refused; the message names what is valid."""
    method = subject.method
    message = _refusal(method, {"no_such_parameter": 1})
    require("no_such_parameter" in message, "the refusal does not name the parameter", value=message)
    for name in method.Parameters.model_fields:
        require(name in message, f"the refusal does not list parameter {name}", value=message)
    for name, field in method.Parameters.model_fields.items():
        for bad, bound in _out_of_range(field):
            message = _refusal(method, {name: bad})
            require(
                name in message and bound in message,
                f"the refusal of {name}={bad} does not name the limit {bound}",
                value=message,
            )


def _refusal(method: type[Denoiser], values: dict[str, Any]) -> str:
    try:
        method(**values)
    except ParameterError as err:
        return str(err)
    require(False, f"method {method.info.name} accepts parameters it should refuse", value=values)
    return ""


def _out_of_range(field: FieldInfo) -> Iterator[tuple[float, str]]:
    for rule in field.metadata:
        for key, beyond in (("gt", 0), ("ge", -1), ("lt", 0), ("le", 1)):
            bound = getattr(rule, key, None)
            if bound is not None:
                yield bound + beyond, f"{bound:g}"


def can_be_pickled(subject: Subject) -> None:
    """A denoiser and its state survive pickling: they travel to the workers of a cluster."""
    data, _, noise = observation(SHAPE)
    denoiser = subject.make()
    state = state_of(denoiser, data, noise)
    copy, copied = pickle.loads(pickle.dumps((denoiser, state)))  # noqa: S301
    same = _same_bytes(copy.apply(data, noise, copied).data, denoiser.apply(data, noise, state).data)
    require(same, "a pickled denoiser or state gives another result")


def keeps_types(subject: Subject) -> None:
    """float32 blocks in and out, variance and diagnostics as declared; float64 cubes stay float64."""
    data, _, noise = observation(SHAPE)
    estimate = subject.apply(data, noise)
    require(estimate.data.dtype == np.float32, "apply must return float32", value=estimate.data.dtype)
    require(estimate.data.shape == data.shape, "apply must keep the shape", value=estimate.data.shape)
    undeclared = set(estimate.diagnostics) - set(subject.info.diagnostics)
    require(not undeclared, "diagnostics without a declared reduction", value=undeclared)
    has = estimate.variance is not None
    require(has == subject.info.variance, "info.variance is not what apply returns", value=has)
    if estimate.variance is not None:
        require(
            estimate.variance.shape == data.shape, "variance of another shape", value=estimate.variance.shape
        )
        require(bool((estimate.variance >= 0).all()), "variance must be finite and >= 0")
    for kind in (np.float32, np.float64):
        out = denoise(data.astype(kind), subject.name, noise=noise, **subject.parameters).cube.data
        require(out.dtype == kind, f"{np.dtype(kind)} came out as another type", value=out.dtype)


def leaves_input_alone(subject: Subject) -> None:
    """The input is not written to, and need not be writeable or contiguous."""
    data, _, noise = observation(SHAPE)
    data[:, :5] = np.nan
    before = data.tobytes()
    expected = subject.apply(data, noise).data
    require(data.tobytes() == before, "the input was modified")
    data.flags.writeable = False
    require(_same_bytes(subject.apply(data, noise).data, expected), "a read-only input gives another result")
    strided = np.asfortranarray(data)
    require(_same_bytes(subject.apply(strided, noise).data, expected), "a strided input gives another result")


def is_deterministic(subject: Subject) -> None:
    """Same seed, same bytes, whatever the number of threads."""
    if not subject.info.deterministic:
        return
    data, _, noise = observation(SHAPE)
    first = subject.apply(data, noise, threads=1).data
    require(_same_bytes(subject.apply(data, noise, threads=1).data, first), "a second run differs")
    require(_same_bytes(subject.apply(data, noise, threads=2).data, first), "two threads give another result")


def scales_with_input(subject: Subject) -> None:
    """``f(a x) = a f(x)`` for fluxes of 1e-18 and 1e6, and for a = -1 (absorption).

    Of a denoiser; of an enhancer where its result has the unit of the data, for positive a.
    """
    data, _, noise = observation(SHAPE)
    if not subject.keeps_unit(data, noise):
        return
    expected = _unclipped(subject, data, 1.0)
    tolerance = max(ROUNDING * float(np.abs(expected).max()), subject.make().rounding)
    for factor in (*SCALES, -1.0) if subject.info.category == "denoiser" else SCALES:
        scaled = _unclipped(subject, (data.astype(np.float64) * factor).astype(np.float32), factor)
        worst = float(np.abs(scaled / factor - expected).max())
        require(
            worst <= tolerance, f"f({factor:g} x) is not {factor:g} f(x)", value=f"off by {worst:.2g} sigma"
        )


def is_affine_invariant(subject: Subject) -> None:
    """``f(a x + b) = f(x)`` for a of 1e-18 and 1e6 and any b: what is for display depends on no unit and no level.

    Of an enhancer whose result has no unit; within 1e-5 of its largest value.
    """
    data, _, noise = observation(SHAPE)
    if subject.keeps_unit(data, noise):
        return
    expected = _unclipped(subject, data, 1.0)
    tolerance = ROUNDING * float(np.abs(expected).max())
    for factor in (1.0, *SCALES):
        for level in (0.0, -3.0, 20.0):
            changed = ((data.astype(np.float64) + level) * factor).astype(np.float32)
            worst = float(np.abs(_unclipped(subject, changed, factor) - expected).max())
            require(
                worst <= tolerance,
                f"f({factor:g} (x + {level:g})) is not f(x)",
                value=f"off by {worst:.2g}, of {tolerance / ROUNDING:.2g}",
            )


def _unclipped(subject: Subject, data: Array, sigma: float) -> Array:
    noise = noise_model(data.shape, abs(sigma))
    result = denoise(data, subject.name, noise=noise, positivity="off", **subject.parameters)
    return np.asarray(result.cube.data, np.float64)


def keeps_missing_data(subject: Subject) -> None:
    """NaN in, NaN out, at the same voxels; also where whole channels, edges or nearly everything is missing."""
    data, _, noise = observation(SHAPE)
    holes = np.zeros(data.shape, bool)
    holes[:, 20:24, 18:21] = holes[:, :, :6] = holes[5] = True
    holes[2, 40, 30] = True
    nearly_all = np.ones(data.shape, bool)
    nearly_all[:, 20:23, 20:22] = False
    for missing in (holes, nearly_all):
        out = subject.tiled(np.where(missing, np.float32(np.nan), data), noise)
        require(np.array_equal(np.isnan(out), missing), "NaN are not where the input has them")


def stays_within_halo(subject: Subject) -> None:
    """Values, and missing values, do not matter further away than the halo (methods without a fit).

    Within the tolerance of tiles: a halo may leave out what cannot be seen.
    """
    allowed = ONE_PASS if subject.info.linear else ITERATIVE
    for shape, axis in ((WIDE, 2), (LONG, 0)):
        denoiser = subject.make()
        noise = noise_model(shape)
        reach = denoiser.halo(shape, noise)[axis]
        if denoiser.passes or reach is None or reach + 4 >= shape[axis]:
            continue
        data, _, _ = observation(shape, peak_snr=12.0)
        near: list[Any] = [slice(None)] * 3
        near[axis] = slice(0, 4)
        far: list[Any] = [slice(None)] * 3
        far[axis] = slice(4 + reach, None)
        expected = denoiser.apply(data, noise, None).data[tuple(far)]
        for value in (np.float32(np.nan), np.float32(0), np.float32(30)):
            changed = data.copy()
            changed[tuple(near)] = value
            out = denoiser.apply(changed, noise, None).data[tuple(far)]
            worst = float(np.nanmax(np.abs(out - expected)))
            require(worst <= allowed, f"looks further than its halo of {reach} on axis {axis}", value=worst)


def agrees_in_tiles(subject: Subject) -> None:
    """The cube in tiles with halo equals the cube whole: 1e-5 sigma if linear, 0.02 sigma if it iterates.

    As the engine cuts it, and with no more than the halo that the method asks for: the engine searches for emission
    itself, and often reads further for that. What is for display: 1e-5 of its largest value.
    """
    allowed = ONE_PASS if subject.info.linear else ITERATIVE
    for shape, cut in ((WIDE, (WIDE[0], 11, 61)), (LONG, (60, 9, 10)), (SHAPE, (16, 17, 40))):
        denoiser = subject.make()
        noise = noise_model(shape)
        whole_spectra = denoiser.halo(shape, noise).channel is None
        core = (shape[0] if whole_spectra else cut[0], cut[1], cut[2])
        # on the seam, where a difference would show
        seam = tuple(float(n // 2) for n in shape)
        data, _, _ = observation(shape, at=(seam[0], seam[1], seam[2]))
        whole = subject.tiled(data, noise)
        if not subject.keeps_unit(data, noise):
            allowed = ONE_PASS * float(np.abs(whole).max())
        state = state_of(denoiser, data, noise)
        alone = denoiser.apply(data, noise, state).data
        for tiled, expected, who in (
            (subject.tiled(data, noise, core=core), whole, "the halo of the engine"),
            (_by_its_halo(denoiser, state, data, noise, core), alone, "its own halo"),
        ):
            worst = float(np.abs(tiled - expected).max())
            require(
                worst < allowed,
                f"tiles of {core} with {who} differ from the whole {shape}",
                value=f"{worst:.2g} sigma",
            )


def _by_its_halo(denoiser: Denoiser, state: Any, data: Array, noise: NoiseModel, core: Shape) -> Array:
    """The data (channel, y, x) in tiles that are read no further than the halo of the method."""
    asked = denoiser.halo(data.shape, noise)
    c, y, x = (n if reach is None else reach for n, reach in zip(data.shape, asked, strict=True))
    out = np.empty_like(data)
    for tile in make_tiles(data.shape, core, (c, y, x)):
        block = np.ascontiguousarray(data[tile.outer])
        out[tile.core] = denoiser.apply(block, noise.window(tile.outer), state).data[tile.inner]
    return out


def takes_any_shape(subject: Subject) -> None:
    """Images, single rows, 1800 x 8 x 6, cubes smaller than any kernel: finite, same shape."""
    for shape in ODD_SHAPES:
        if 2 not in subject.info.ndim and shape[0] == 1:
            continue
        data, _, noise = observation(shape)
        out = subject.tiled(data, noise)
        require(out.shape == shape and bool(np.isfinite(out).all()), f"fails on {shape}", value=out.shape)


def bears_unknown_noise(subject: Subject) -> None:
    """Where sigma is unknown the output is finite, and elsewhere it stays reasonable."""
    data, truth, noise = observation(SHAPE)
    unknown = noise.relative.copy()
    unknown[:, :8] = np.nan
    model = NoiseModel(
        shape=SHAPE,
        channel_sigma=noise.channel_sigma,
        relative=unknown,
        spatial_acf=noise.spatial_acf,
        spectral_acf=noise.spectral_acf,
    )
    out = subject.tiled(data, model)
    require(bool(np.isfinite(out).all()), "not finite where sigma is unknown")
    if subject.keeps_unit(data, model):
        require(float(np.abs(out - truth).max()) < 10, "unknown sigma spoils its surroundings")


def stops_when_cancelled(subject: Subject) -> None:
    """Cancelling is the engine's: at most the tile at work is finished."""
    data, _, noise = observation(SHAPE)
    token, counted = CancelToken(), _Counting(subject)

    def cancel(event: ProgressEvent) -> None:
        if event.stage == "denoising" and event.done == 1:
            token.cancel()

    try:
        subject.tiled(
            data, noise, core=(16, 12, 10), denoiser=counted.denoiser, monitor=Monitor(cancel, token)
        )
    except CancelledError:
        require(counted.calls <= 2, "went on after cancelling", value=f"{counted.calls} tiles")
        return
    require(False, "cancelling did not stop the run")


class _Counting:
    def __init__(self, subject: Subject) -> None:
        self.calls = 0
        self.denoiser = subject.make()
        inner = self.denoiser.apply

        def apply(block: Block, noise: NoiseModel, state: Any) -> Estimate:
            self.calls += 1
            return inner(block, noise, state)

        self.denoiser.apply = apply  # type: ignore[method-assign]


def does_not_amplify_noise(subject: Subject) -> None:
    """Noise alone comes out with less power than it went in, where the result has the unit of the data."""
    noise = noise_model(SHAPE)
    data = noise.sample(seed=1)
    if not subject.keeps_unit(data, noise):
        return
    power = float(np.mean(np.square(subject.tiled(data, noise)))) / float(np.mean(np.square(data)))
    require(power < 1, "amplifies noise", value=f"{power:.3g} of its power")


def keeps_flux(subject: Subject) -> None:
    """A source with a peak SNR of 20 keeps its flux within 5 %, in emission and in absorption.

    In white noise, so that the aperture holds no more of it than one or two per cent of the flux. Not asked of what
    is for display.
    """
    truth, noise = np.float32(20) * blob(SHAPE), NoiseModel.white(SHAPE, 1.0)
    inside = truth > 1e-3
    for sign in (1, -1):
        data = sign * truth + noise.sample(seed=3)
        if not subject.keeps_unit(data, noise):
            continue
        out = subject.tiled(data, noise)
        kept = float(np.sum(sign * out[inside], dtype=np.float64) / truth.sum(dtype=np.float64))
        require(abs(kept - 1) <= FLUX_ERROR, "flux is not kept", value=f"{100 * kept - 100:+.1f} %")


LAWS: tuple[Law, ...] = (
    describes_itself,
    refuses_bad_parameters,
    can_be_pickled,
    keeps_types,
    leaves_input_alone,
    is_deterministic,
    scales_with_input,
    is_affine_invariant,
    keeps_missing_data,
    stays_within_halo,
    agrees_in_tiles,
    takes_any_shape,
    bears_unknown_noise,
    stops_when_cancelled,
    does_not_amplify_noise,
    keeps_flux,
)


def _same_bytes(first: Array, second: Array) -> bool:
    return np.ascontiguousarray(first).tobytes() == np.ascontiguousarray(second).tobytes()
