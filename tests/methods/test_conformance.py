"""Every installed method, in every mode, keeps the laws of the contract."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from denoise.errors import DenoiseError
from denoise.methods import Denoiser, Estimate, MethodInfo, Parameters, list_methods
from denoise.testing import Subject, conformance_checks
from denoise.testing.laws import ITERATIVE, ONE_PASS
from denoise.testing.subject import noise_model, observation

VARIANTS = [
    ("smooth", {}),
    ("smooth", {"spectral_fwhm": 3.0}),
    ("pca", {}),
    ("ica", {}),
    ("ist", {}),
    ("ist", {"penalty": "soft"}),
    ("ist", {"penalty": "hard"}),
    ("ist", {"penalty": "reweighted"}),
    ("ist", {"penalty": "l0"}),
    ("ist", {"selection": "fdr"}),
    ("ist", {"penalty": "soft", "wavelet": "biorthogonal"}),
    ("unet", {}),
    ("hybrid", {}),
    ("noiser", {}),
    ("noiser", {"restore": "photometric"}),
    ("lidia", {}),
]
# a network on patches takes a minute for each of these laws, on cubes of many small planes
LONG = {f"lidia-{law}" for law in ("agrees_in_tiles", "stays_within_halo", "takes_any_shape")}
CHECKS = [
    pytest.param(check, id=str(check), marks=[pytest.mark.full] if str(check) in LONG else [])
    for name, parameters in VARIANTS
    for check in conformance_checks(name, **parameters)
]
QUICK = [one for one in VARIANTS if one[0] != "lidia"]


@pytest.mark.parametrize("check", CHECKS)
def test_law(check):
    check()


def test_every_installed_method_is_checked():
    assert set(list_methods()) == {name for name, _ in VARIANTS}


@pytest.mark.parametrize("name", ["pca", "ica", "ist", "unet", "hybrid"])
def test_noise_alone_leaves_next_to_nothing(name):
    noise = noise_model((24, 64, 64))
    out = Subject(name).tiled(noise.sample(seed=11), noise)
    assert np.mean(np.square(out)) < 0.02


@st.composite
def _cut_cubes(draw):
    """A shape that is long on one axis, so that halos end inside it, and the largest core of a tile."""
    shape = [draw(st.integers(low, 12)) for low in (1, 2, 1)]
    shape[draw(st.integers(0, 2))] = draw(st.integers(20, 240))
    return tuple(shape), tuple(draw(st.integers(max(1, n // 4), n)) for n in shape)


@pytest.mark.parametrize(
    ("name", "parameters"), [*QUICK, pytest.param("lidia", {}, marks=pytest.mark.full)], ids=str
)
@settings(max_examples=5, deadline=None, derandomize=True)
@given(cut=_cut_cubes(), seed=st.integers(0, 9))
def test_random_shapes_in_random_tiles_equal_the_whole(name, parameters, cut, seed):
    """R9 and R10; an axis whose halo is all of it is never cut, as in a plan."""
    shape, core = cut
    subject = Subject(name, parameters)
    data, _, noise = observation(shape, seed=seed, at=tuple(n // 2 for n in shape))
    if subject.make().halo(shape, noise).channel is None:
        core = (shape[0], *core[1:])
    whole = subject.tiled(data, noise)
    tiled = subject.tiled(data, noise, core=core)
    assert tiled.shape == shape
    assert np.isfinite(tiled).all()
    assert np.abs(tiled - whole).max() < (ONE_PASS if subject.info.linear else ITERATIVE)


class _Mutant(Denoiser):
    """Passes every law but those that a subclass breaks: half of the data."""

    info = MethodInfo(name="mutant", summary="Half of the data", citation="@misc{mutant}", linear=True)

    def apply(self, block, noise, state):
        return Estimate(self.change(np.nan_to_num(block), block))

    def change(self, filled, block):
        return np.float32(0.99) * filled


class _Parameters(Parameters):
    level: float = Field(1.0, gt=0)


class _Undocumented(_Mutant):
    Parameters = _Parameters


class _Overwrites(_Mutant):
    def change(self, filled, block):
        block *= np.float32(0.99)
        return np.nan_to_num(block)


class _Clips(_Mutant):
    def change(self, filled, block):
        return np.maximum(filled, 0)


class _NotScaling(_Mutant):
    info = replace(_Mutant.info, linear=False)

    def apply(self, block, noise, state):
        return Estimate(np.nan_to_num(block) - np.float32(0.3))


class _Biased(_Mutant):
    def change(self, filled, block):
        return np.float32(0.9) * filled


class _Amplifies(_Mutant):
    def change(self, filled, block):
        return np.float32(1.01) * filled


class _Doubles(_Mutant):
    def change(self, filled, block):
        return filled.astype(np.float64)


class _LooksFurther(_Mutant):
    def change(self, filled, block):
        return np.float32(0.99) * (filled - np.float32(1e-3) * filled.mean())


class _NeedsAHalo(_Mutant):
    """Averages over neighbours along x, and asks for none of them."""

    def change(self, filled, block):
        beside = np.pad(filled, ((0, 0), (0, 0), (1, 1)), mode="edge")
        return np.float32(0.33) * (beside[..., :-2] + beside[..., 1:-1] + beside[..., 2:])


class _Random(_Mutant):
    def change(self, filled, block):
        return filled * np.float32(0.99 + 1e-6 * np.random.default_rng().normal())


class _Fails(_Mutant):
    def change(self, filled, block):
        return filled[:, :-1]


class _Enhancer(_Mutant):
    """Contrast by the largest value of the cube: passes every law."""

    info = replace(_Mutant.info, category="enhancer", passes=1, linear=False)

    def fit(self, source, noise, *, seed):
        ends = [(np.nanmin(one.data), np.nanmax(one.data)) for one in source]
        return float(min(low for low, _ in ends)), float(max(high for _, high in ends))

    def apply(self, block, noise, state):
        return Estimate(np.nan_to_num((block - state[0]) / np.float32(state[1] - state[0])))


class _SeesTheLevel(_Enhancer):
    def apply(self, block, noise, state):
        return Estimate(np.nan_to_num(block / np.float32(state[1] - state[0])))


class _SeesTheTile(_Enhancer):
    def apply(self, block, noise, state):
        return super().apply(block, noise, (np.nanmin(block), np.nanmax(block)))


class _ClaimsTheUnit(_Enhancer):
    def keeps_unit(self, state):
        return True


class _Clinging(_Mutant):
    def __init__(self, **options):
        super().__init__(**options)
        self.handle = lambda: None


class _SpreadsNan(_Mutant):
    def apply(self, block, noise, state):
        return Estimate(block - np.float32(0.01) * block.mean())


MUTANTS = {
    _Undocumented: "describes_itself",
    _Overwrites: "leaves_input_alone",
    _Clips: "scales_with_input",
    _NotScaling: "scales_with_input",
    _Biased: "keeps_flux",
    _Amplifies: "does_not_amplify_noise",
    _Doubles: "keeps_types",
    _LooksFurther: "stays_within_halo",
    _NeedsAHalo: "agrees_in_tiles",
    _Random: "is_deterministic",
    _Fails: "takes_any_shape",
    _Clinging: "can_be_pickled",
    _SpreadsNan: "keeps_missing_data",
    _SeesTheLevel: "is_affine_invariant",
    _SeesTheTile: "agrees_in_tiles",
    _ClaimsTheUnit: "keeps_flux",
}


@pytest.fixture
def installed(monkeypatch):
    """Function that makes a class the method "mutant" for one test."""

    def install(method):
        monkeypatch.setattr("denoise.testing.subject.get_method", lambda name: method)
        monkeypatch.setattr("denoise.engine.run.get_method", lambda name: method)

    return install


@pytest.mark.parametrize("method", [_Mutant, _Enhancer])
@pytest.mark.parametrize("check", conformance_checks("mutant"), ids=str)
def test_the_suite_has_nothing_against_a_good_method(installed, check, method):
    installed(method)
    check()


@pytest.mark.parametrize(
    ("mutant", "law"), MUTANTS.items(), ids=lambda value: getattr(value, "__name__", value)
)
def test_the_suite_notices(installed, mutant, law):
    installed(mutant)
    # a law's own message, or the error that the method made the engine, numpy or pickle raise
    with pytest.raises((DenoiseError, ValueError, AttributeError)):
        next(check for check in conformance_checks("mutant") if check.law.__name__ == law)()
