"""Compiled kernels: found again on disk, usable where nothing can be written, safe under many callers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import denoise
from denoise import compiled
from denoise.transforms import _jit, starlet

PROGRAM = """
import sys
import numpy as np
from denoise.transforms import _median_kernels as kernels
out = np.empty(1)
kernels.row_medians(np.arange(5.0)[None], out)
print(out[0], sum(kernels.row_medians.stats.cache_hits.values()))
"""


NOISE = """
import numpy as np
from denoise.noise import _boxes, _kernels, draws
print(bool(np.isfinite(draws.white((0, 0, 0), (2, 8, 8), seed=1, draw=0)).all()))
"""


def run(program, **environment):
    root = str(Path(denoise.__file__).parents[1])
    variables = {**os.environ, "PYTHONPATH": root, **environment}
    done = subprocess.run(
        [sys.executable, "-c", program], env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_second_process_finds_the_compiled_kernel(tmp_path):
    assert run(PROGRAM, NUMBA_CACHE_DIR=str(tmp_path)) == ["2.0", "0"]
    assert run(PROGRAM, NUMBA_CACHE_DIR=str(tmp_path)) == ["2.0", "1"]


def test_without_any_folder_to_write_it_still_compiles(monkeypatch):
    calls = []

    def no_cache(**options):
        calls.append(options)
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr(compiled, "njit", no_cache)

    def double(x):
        return 2 * x

    assert _jit.kernel(double)(4) == 8
    assert [bool(options.get("cache")) for options in calls] == [True, False]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_read_only_installation_without_a_home_estimates_noise(tmp_path):
    package = tmp_path / "denoise"
    shutil.copytree(
        Path(denoise.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__", "samples")
    )
    for folder in [package, *(path for path in package.rglob("*") if path.is_dir())]:
        folder.chmod(0o555)
    try:
        assert run(NOISE, PYTHONPATH=str(tmp_path), HOME="/nowhere", XDG_CACHE_HOME="/nowhere") == ["True"]
    finally:
        for folder in [package, *(path for path in package.rglob("*") if path.is_dir())]:
            folder.chmod(0o755)


def test_nothing_of_the_package_is_compiled_without_the_fallback():
    root = Path(denoise.__file__).parent
    users = [path.name for path in root.rglob("*.py") if "import njit" in path.read_text("utf-8")]
    assert users == ["compiled.py"]


def test_many_callers_at_once_get_the_same_bytes():
    cubes = np.random.default_rng(0).normal(size=(8, 9, 40, 37)).astype(np.float32)

    def work(cube):
        return starlet.fused(cube, level=0.4, spatial_scales=3, spectral_scales=2, threads=2).tobytes()

    alone = [work(cube) for cube in cubes]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, cubes)) == alone


@pytest.mark.parametrize("size", [0, 1, 7, 256, 1000])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_ranges_cover_everything_once(size, threads):
    seen = np.zeros(size, int)

    def task(first, last):
        seen[first:last] += 1
        assert first % 16 == 0

    _jit.run_ranges(task, size, threads=threads, grain=16)
    assert (seen == 1).all()


@pytest.mark.parametrize("threads", [1, 3])
def test_mapped_keeps_the_order_and_may_be_nested(threads):
    def inner(x):
        return sum(_jit.mapped(lambda y: x * y, range(4), threads=threads))

    assert _jit.mapped(inner, iter(range(20)), threads=threads) == [6 * x for x in range(20)]


@pytest.mark.parametrize("threads", [1, 3])
def test_mapped_passes_on_what_a_task_raises(threads):
    def task(x):
        if x == 7:
            raise KeyError(x)

    with pytest.raises(KeyError):
        _jit.mapped(task, range(20), threads=threads)
