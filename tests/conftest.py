"""Shared by all tests: methods that a distribution made up for the test offers."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

import pytest

Offered = Callable[[str, str, Mapping[str, str]], AbstractContextManager[None]]


@pytest.fixture(scope="session")
def offered(tmp_path_factory: pytest.TempPathFactory) -> Offered:
    """A context in which a module of this name and code offers methods, each with the name of its object in the module.

    They are there as if the distribution were installed, also for workers that are started meanwhile.
    """
    from denoise.methods import registry

    @contextmanager
    def offer(module: str, code: str, methods: Mapping[str, str]) -> Iterator[None]:
        folder = tmp_path_factory.mktemp(module)
        (folder / f"{module}.py").write_text(code)
        info = folder / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        points = "".join(f"{name} = {module}:{made}\n" for name, made in methods.items())
        (info / "entry_points.txt").write_text(f"[denoise.methods]\n{points}")
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(folder)
            importlib.invalidate_caches()
            registry._entry_points.cache_clear()
            yield
            sys.modules.pop(module, None)
        importlib.invalidate_caches()
        registry._entry_points.cache_clear()

    return offer
