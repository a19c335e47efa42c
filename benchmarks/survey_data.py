"""Every real and simulated cube or image of a folder through `denoise run` with its defaults.

    python benchmarks/survey_data.py FOLDER [--only WORD] [--keep OUTDIR] [--json FILE]

Each file runs in a process of its own, for its peak memory. The output is opened with astropy, and with
spectral-cube where that can open the input, and compared with the input: shape, WCS, unit, beams. Left out, and
named: companions that are no observation (primary beam, gain, PSF), and the folder of odd files, which has its own
test. Prints a table: shape, seconds, peak memory above the imports, noise before and after, flux of the emission
found and its change, share of the voxels called emission; then the warnings.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

ODD = "odd_fits_share"
COMPANIONS = (".pb.fits", "psf.fits", "gain.fits")  # ends of names
BEAM_CARDS = ("BMAJ", "BMIN", "BPA")
HEAD = (
    "file",
    "channel x y x x",
    "s",
    "MB",
    "noise",
    "after",
    "flux found",
    "change %",
    "error %",
    "found %",
)
WIDTHS = (40, 14, 7, 6, 10, 10, 11, 9, 8, 8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="files whose path holds this word")
    parser.add_argument("--keep", type=Path, help="where outputs stay")
    parser.add_argument("--json", type=Path, help="all numbers as JSON")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(run_one(asked.folder, asked.one)))
        return
    chosen, left_out = files(asked.folder, asked.only)
    print("left out:", ", ".join(path.name for path in left_out) or "nothing")
    print(row(HEAD))
    with tempfile.TemporaryDirectory() as scratch:
        rows = [survey(path, asked.keep or Path(scratch)) for path in chosen]
    for one in rows:
        for text in one.get("warnings", []):
            print(f"{one['file']}: {text}")
    print(
        f"{len(rows)} files, {sum('error' in one or bool(one['differs']) for one in rows)} failed or differ"
    )
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1))


def files(folder: Path, word: str) -> tuple[list[Path], list[Path]]:
    """FITS files to run, and companions to leave out."""
    found = sorted(path for path in folder.rglob("*.fits*") if ODD not in path.parts and word in str(path))
    left_out = [path for path in found if path.name.removesuffix(".gz").endswith(COMPANIONS)]
    return [path for path in found if path not in left_out], left_out


def survey(path: Path, folder: Path) -> dict[str, Any]:
    """Run one file and check its output; prints its row."""
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / f"{path.parent.name}__{path.name.removesuffix('.gz').removesuffix('.fits')}.fits"
    command = [sys.executable, __file__, str(path), "--one", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    numbers: dict[str, Any] = {"file": path.name}
    if done.returncode:
        numbers |= {"error": done.stderr.strip().splitlines()[-1], "differs": []}
        print(f"{path.name:40s} {numbers['error']}", flush=True)
        return numbers
    numbers |= json.loads(done.stdout)
    numbers["differs"] = differences(path, out)
    print(row(cells(numbers)), *numbers["differs"], flush=True)
    return numbers


def run_one(path: Path, out: Path) -> dict[str, Any]:
    """What the command does, in this process."""
    from denoise.engine import run_file, run_options

    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = run_file(path, out, run_options(overwrite=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "shape": result.cube.shape,
        "seconds": result.seconds,
        "megabytes": (peak - idle) / 1e3,
        "warnings": result.warnings,
        "origin": result.noise.origin,
        **result.metrics,
    }


def cells(numbers: dict[str, Any]) -> tuple[str, ...]:
    """The numbers of a run as the cells of its row."""
    flux, error = numbers["flux_before"], numbers["flux_before_error"]
    found = flux is not None
    return (
        numbers["file"],
        "x".join(map(str, numbers["shape"])),
        f"{numbers['seconds']:.1f}",
        f"{numbers['megabytes']:.0f}",
        f"{numbers['noise_before']:.3g}",
        f"{numbers['noise_after']:.3g}" if numbers["noise_after"] else "zero",
        f"{flux:.4g}" if found else "none",
        f"{numbers['flux_change_percent']:+.1f}" if found else "",
        f"{abs(100 * error / flux):.1f}" if found else "",
        f"{numbers['detected_percent']:.2f}",
    )


def row(values: tuple[str, ...]) -> str:
    """One line of the table."""
    return " ".join(
        f"{value:<{width}}" if n == 0 else f"{value:>{width}}"
        for n, (value, width) in enumerate(zip(values, WIDTHS, strict=True))
    )


def differences(given: Path, out: Path) -> list[str]:
    """What the output lacks or has changed, seen by astropy and by spectral-cube."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return by_astropy(given, out) + by_spectral_cube(given, out)


def by_astropy(given: Path, out: Path) -> list[str]:
    """Shape, WCS, unit, beam cards and BEAMS table of the data HDUs; voxels without coverage."""
    from denoise.cube import read

    before, after = read(given), read(out)
    assert before.layout is not None
    assert after.layout is not None
    wrong = []
    with fits.open(given) as old, fits.open(out) as new:
        one, other = old[before.layout.hdu], new[after.layout.hdu]
        if one.shape != other.shape:
            wrong.append(f"shape {other.shape}")
        if not WCS(one.header, old).wcs.compare(WCS(other.header, new).wcs):
            wrong.append("WCS")
        same = [card for card in ("BUNIT", *BEAM_CARDS) if one.header.get(card) != other.header.get(card)]
        if "BEAMS" in old and not np.array_equal(old["BEAMS"].data, new["BEAMS"].data):
            wrong.append("BEAMS")
    if not np.array_equal(np.isnan(before.checked().read()), np.isnan(after.read())):
        wrong.append("NaN")
    return wrong + same


def by_spectral_cube(given: Path, out: Path) -> list[str]:
    """The same through spectral-cube, for what it can open."""
    from spectral_cube import SpectralCube

    before = None
    with contextlib.suppress(Exception):  # images, axes and units that it does not know
        before = SpectralCube.read(given)
    if before is None:
        return []
    after = SpectralCube.read(out)
    wrong = [name for name in ("shape", "unit") if getattr(before, name) != getattr(after, name)]
    wrong += (
        [] if np.allclose(before.spectral_axis.value, after.spectral_axis.value, rtol=1e-12) else ["axis"]
    )
    wrong += [] if beam_of(before) == beam_of(after) else ["beam"]
    return [f"spectral-cube: {name}" for name in wrong]


def beam_of(cube: Any) -> str:
    """The beam or beams in words; empty if spectral-cube finds none."""
    from spectral_cube.utils import NoBeamError

    with contextlib.suppress(NoBeamError):
        return str(getattr(cube, "beams", None) or cube.beam)
    return ""


if __name__ == "__main__":
    main()
