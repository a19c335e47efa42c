"""Methods whose answers are known beforehand, offered by a distribution that is made up for the tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

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
def _fakes(offered: Callable[..., AbstractContextManager[None]]) -> Iterator[None]:
    with offered("known_answers", _CODE, {name.lower(): name for name in NAMES}):
        yield
