"""``denoise doctor``: what is installed, what the machine offers, what is missing and how to get it."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version

from denoise._version import __version__
from denoise.cli import console
from denoise.cores import usable_cores

REQUIRED = (
    "numpy", "scipy", "astropy", "PyWavelets", "scikit-learn", "numba", "radio-beam", "pydantic", "typer",
    "rich", "PyYAML", "matplotlib", "jinja2", "psutil", "safetensors", "threadpoolctl",
)  # fmt: skip

OPTIONAL = {  # distribution: (what it is for, the extra that brings it)
    "spectral-cube": ("SpectralCube in and out", "cube"),
    "zarr": ("Zarr in and out", "cluster"),
    "dask": ("clusters", "cluster"),
    "distributed": ("clusters", "cluster"),
    "dask-jobqueue": ("SLURM, PBS and other batch systems", "cluster"),
    "torch": ("neural networks", "networks"),
    "openvino": ("neural networks, faster on CPUs", "openvino"),
    "napari": ("the viewer", "gui"),
    "PySide6-Essentials": ("the viewer's windows", "gui"),
}

LIBRARIES = {  # shared library or program: the apt package that holds it
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-shape.so.0": "libxcb-shape0",
    "Xvfb": "xvfb",
    "xauth": "xauth",
}


def doctor() -> None:
    """Versions, devices, viewer libraries, what is missing and how to get it."""
    console.facts("Machine", _machine())
    required = {name: _version(name) for name in REQUIRED}
    optional = {name: _version(name) for name in OPTIONAL}
    console.out()
    console.table(
        "Packages", ("package", "version", "for", "how to get it"), _package_rows(required, optional)
    )
    missing = (
        [] if sys.platform != "linux" else [apt for name, apt in LIBRARIES.items() if not _present(name)]
    )
    console.out()
    console.out(_viewer_line(missing))
    broken = [name for name, found in required.items() if found is None]
    console.out(
        "ready to denoise"
        if not broken
        else f"broken: {', '.join(broken)} missing; pip install astro-denoise"
    )


def _machine() -> dict[str, str]:
    return {
        "denoise": __version__,
        "Python": f"{platform.python_version()} ({sys.executable})",
        "system": f"{platform.system()} {platform.machine()}",
        "cores": f"{usable_cores()} usable of {os.cpu_count()}",
        "memory": _memory(),
        "numba": _numba(),
        "GPU": _gpu(),
        "display": os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or "none",
    }


def _package_rows(
    required: dict[str, str | None], optional: dict[str, str | None]
) -> list[tuple[str, str, str, str]]:
    rows = [
        (name, found or "missing", "needed", "" if found else "pip install astro-denoise")
        for name, found in required.items()
    ]
    for name, found in optional.items():
        purpose, extra = OPTIONAL[name]
        rows.append(
            (name, found or "missing", purpose, "" if found else f'pip install "astro-denoise[{extra}]"')
        )
    return rows


def _viewer_line(missing: list[str]) -> str:
    if sys.platform != "linux":
        return "viewer libraries: not checked on this system"
    if not missing:
        return "viewer libraries: all there"
    command = f"apt-get install -y --no-install-recommends {' '.join(missing)}"
    return f"viewer libraries missing (Debian names): {command}"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _present(name: str) -> bool:
    if not name.startswith("lib"):
        return shutil.which(name) is not None
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _memory() -> str:
    import psutil

    memory = psutil.virtual_memory()
    return f"{memory.available / 1e9:.1f} GB free of {memory.total / 1e9:.1f} GB"


def _numba() -> str:
    try:
        import numba
    except ImportError as err:
        return f"cannot be imported: {err}"
    return (
        f"{numba.get_num_threads()} threads (NUMBA_NUM_THREADS changes it), llvmlite {_version('llvmlite')}"
    )


def _gpu() -> str:
    if _version("torch") is None:
        return "none (torch is not installed)"
    import torch

    if not torch.cuda.is_available():
        return "none (torch sees no CUDA device)"
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return f"{', '.join(names)} (CUDA {torch.version.cuda})"
