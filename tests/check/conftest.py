"""Methods whose answers are known beforehand, offered by a distribution that is made up for the tests."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from denoise.methods import registry

_CODE = """
import numpy as np
from denoise.methods.contract import Denoiser, Estimate, MethodInfo


class _Fake(Denoiser):
    def apply(self, block, noise, state):
        return Estimate(self.made(np.nan_to_num(block)).astype(np.float32))


def fake(name, made):
    info = MethodInfo(name=name, summary="For tests.", citation="", linear=True)
    return type(name.title(), (_Fake,), {"info": info, "made": staticmethod(made)})


Keeper = fake("keeper", lambda block: block)
Halver = fake("halver", lambda block: 0.5 * block)
Nothing = fake("nothing", lambda block: 0 * block)
Mover = fake("mover", lambda block: np.roll(block, 1, axis=2))
Cutter = fake("cutter", lambda block: np.where(block > 4.0 * np.std(block[block < 0]), 0.8 * block, 0))
"""
NAMES = ("Keeper", "Halver", "Nothing", "Mover", "Cutter")


@pytest.fixture(scope="module", autouse=True)  # other folders see the methods that are there
def _fakes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder: Path = tmp_path_factory.mktemp("fakes")
    (folder / "known_answers.py").write_text(_CODE)
    info = folder / "known_answers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: known-answers\nVersion: 1.0\n")
    points = "".join(f"{name.lower()} = known_answers:{name}\n" for name in NAMES)
    (info / "entry_points.txt").write_text(f"[denoise.methods]\n{points}")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        importlib.invalidate_caches()
        registry._entry_points.cache_clear()
        yield
        sys.modules.pop("known_answers", None)
    importlib.invalidate_caches()
    registry._entry_points.cache_clear()
