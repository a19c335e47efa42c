"""Packages that we know nothing of add methods through the entry points ``denoise.methods``."""

import numpy as np
import pytest

import denoise
from denoise.errors import ParameterError, UnknownMethodError
from denoise.methods import get_method, list_methods
from denoise.testing import conformance_checks

_CODE = """
import numpy as np
from pydantic import Field
from denoise.methods import Denoiser, Estimate, MethodInfo, Parameters


class HalfParameters(Parameters):
    share: float = Field(1.0, gt=0, le=1, description="share of the data that is kept")


class Half(Denoiser):
    info = MethodInfo(name="half", summary="Keeps a share of the data", citation="@misc{half}", linear=True)
    Parameters = HalfParameters

    def apply(self, block, noise, state):
        return Estimate(np.float32(self.parameters.share) * np.nan_to_num(block))


NOT_A_METHOD = 3
"""


@pytest.fixture
def outside_package(offered):
    """A distribution with one method and a broken entry point, on the path for one test."""
    with offered("outside_half", _CODE, {"half": "Half", "wrong": "NOT_A_METHOD"}):
        yield


def test_an_outside_method_runs_like_our_own(outside_package):
    data = np.random.default_rng(0).normal(size=(4, 24, 24)).astype(np.float32)
    result = denoise.denoise(data, "half", share=0.25)
    assert np.allclose(result.cube.data, 0.25 * data, rtol=1e-6)
    assert result.parameters == {"share": 0.25}


def test_an_outside_method_passes_the_conformance_suite(outside_package):
    checks = conformance_checks("half", share=1.0)
    for check in checks:
        if check.law.__name__ != "does_not_amplify_noise":  # the identity does not denoise
            check()
    with pytest.raises(AssertionError, match="amplifies noise"):
        next(check for check in checks if check.law.__name__ == "does_not_amplify_noise")()


def test_a_broken_entry_point_is_named_and_what_it_holds(outside_package):
    with pytest.raises(ParameterError, match=r"entry point 'wrong'.*outside_half:NOT_A_METHOD"):
        get_method("wrong")


def test_unknown_methods_list_those_that_exist(outside_package):
    message = (
        "unknown method (found: nope); choose one of half, hybrid, ica, ist, "
        "lidia, noiser, pca, smooth, unet, wrong"
    )
    with pytest.raises(UnknownMethodError) as caught:
        get_method("nope")
    assert str(caught.value) == message


def test_our_own_methods():
    assert set(list_methods()) >= {"smooth", "pca", "ica", "ist"}
    assert "half" not in list_methods()


def test_list_methods_survives_a_broken_entry_point(outside_package):
    with pytest.warns(denoise.errors.DenoiseWarning, match="wrong"):
        assert "half" in list_methods()
