"""A method that runs out of memory on large blocks: its tiles are done in halves, and the result is the same."""

import numpy as np
import pytest

from denoise.cube import read_provenance
from denoise.engine import open_runner, run_file
from denoise.engine.halving import out_of_memory
from denoise.errors import ResourceError

from .conftest import options

TOLERANCE = 1e-5  # sigma, of a linear method in tiles
WORDS = "CUDA out of memory. Tried to allocate 2.00 GiB"

_CODE = f"""
from typing import Literal
from math import prod
from pydantic import Field
from denoise.methods.smooth import Smooth


class OutOfMemoryError(RuntimeError):
    pass


ERRORS = {{"torch": OutOfMemoryError("{WORDS}"), "cuda": RuntimeError("{WORDS}"), "host": MemoryError(),
          "bug": RuntimeError("oops")}}


class TightParameters(Smooth.Parameters):
    most: int = Field(0, description="voxels that fit")
    error: Literal["torch", "cuda", "host", "bug"] = Field("torch", description="how it is said")


class Method(Smooth):
    info = Smooth.info.__class__(**{{**vars(Smooth.info), "name": "tight", "diagnostics": {{"blocks": "sum"}}}})
    Parameters = TightParameters

    def apply(self, block, noise, state):
        if 0 < self.parameters.most < block.size:
            raise ERRORS[self.parameters.error]
        done = super().apply(block, noise, state)
        return type(done)(done.data, done.variance, done.support, {{"blocks": 1}})
"""


@pytest.fixture(scope="module")
def _tight(offered):
    with offered("tight_method", _CODE, {"tight": "Method"}):
        yield


@pytest.fixture(scope="module")
def runner(_tight):
    pytest.importorskip("distributed", reason="the extra [cluster] is not installed")
    with open_runner(workers=2) as opened:
        yield opened


def tight(**parameters):
    return options(
        method="tight",
        parameters={"fwhm": 3.0, **parameters},
        save=("uncert", "residual", "noise"),
        memory=12_000_000,
    )


@pytest.fixture(scope="module")
def undisturbed(given, _tight):
    return run_file(given, given.with_name("undisturbed.fits"), tight())


@pytest.mark.parametrize(
    ("where", "error", "said"),
    [
        ("here", "torch", WORDS),
        ("here", "cuda", WORDS),
        ("here", "host", "MemoryError"),
        ("workers", "torch", WORDS),
    ],
)
def test_tiles_that_do_not_fit_are_halved(request, undisturbed, obs, where, error, said):
    used = request.getfixturevalue("runner") if where == "workers" else None
    out = obs.with_name("out.fits")
    result = run_file(obs, out, tight(most=15_000, error=error), runner=used)
    tiles = int(result.provenance.run["tiles"].split()[0])
    assert tiles > 1
    halved = f"{tiles} of {tiles} tiles, done in halves ({said})"
    assert read_provenance(out).run["short_of_memory"] == halved
    assert [text for text in result.warnings if "memory" in text] == [
        f"the memory did not hold {halved}; smaller tiles (--memory) save the time of the attempts"
    ]
    assert "short_of_memory" not in undisturbed.provenance.run
    sigma = undisturbed.noise.typical
    for one, other in ((result.cube, undisturbed.cube), (result.uncertainty, undisturbed.uncertainty)):
        assert np.array_equal(np.isnan(one.data), np.isnan(other.data))
        assert np.nanmax(np.abs(one.data - other.data)) < TOLERANCE * sigma
    assert np.array_equal(result.support.read(), undisturbed.support.read())
    assert result.metrics["blocks"] > undisturbed.metrics["blocks"] == tiles
    assert result.metrics["flux_after"] == pytest.approx(undisturbed.metrics["flux_after"], rel=1e-5)


@pytest.mark.usefixtures("_tight")
def test_a_tile_that_is_nearly_all_halo_is_one_error(obs):
    with pytest.raises(ResourceError) as caught:
        run_file(obs, obs.with_name("out.fits"), tight(most=10))
    assert str(caught.value).startswith("the memory does not hold a tile of ")
    assert str(caught.value).endswith(
        f"and its halves are nearly all halo (found: {WORDS}); "
        "free memory, or choose a method or parameters with a smaller halo"
    )
    assert [path.name for path in obs.parent.iterdir()] == ["obs.fits"]


@pytest.mark.parametrize(
    "words",
    [
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000 bytes. Error code 12",
        "DefaultCPUAllocator: not enough memory: you tried to allocate 4000 bytes.",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "std::bad_alloc",
        "CUDA out of memory. Tried to allocate 2.00 GiB",
    ],
)
def test_what_libraries_say_when_memory_runs_out(words):
    assert out_of_memory(RuntimeError(words))


@pytest.mark.usefixtures("_tight")
def test_other_errors_are_not_taken_for_it(obs):
    assert not out_of_memory(ValueError("out of memory"))
    with pytest.raises(RuntimeError, match="oops"):
        run_file(obs, obs.with_name("out.fits"), tight(most=10, error="bug"))


@pytest.mark.usefixtures("_tight")
def test_several_steps_each_say_what_they_had_to_halve(obs):
    asked = options(
        method="tight",
        parameters={"fwhm": 3.0, "most": 100_000},
        then=[{"method": "tight", "parameters": {"fwhm": 2.0, "most": 100_000}}],
    )
    result = run_file(obs, obs.with_name("out.fits"), asked)
    assert result.provenance.run["short_of_memory"].count("done in halves") == 2
