"""The viewer by a scripted session: opening, preview, live spectrum, the slider on a large cube.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/bench_viewer.py

Every line says what was measured, the goal, and whether it is met. Opening is measured in a process that has opened a
viewer before ("warm": the files of napari and Qt are in the system's cache). The large cube is a file that is sparse on
disk; its reads are counted.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from astropy.io import fits
from qtpy.QtWidgets import QApplication

os.environ["NAPARI_CONFIG"] = ""  # read when napari is imported, later: its settings would persist
warnings.simplefilter("ignore")

SMALL, LARGE = (64, 256, 256), (200, 1024, 1024)
REPEATS = 20


def say(what: str, seconds: float, goal: float) -> None:
    unit, factor = ("ms", 1e3) if goal < 0.5 else ("s", 1)
    met = "met   " if seconds <= goal else "MISSED"
    print(f"{met}  {what}: {seconds * factor:.3g} {unit} (goal {goal * factor:.3g} {unit})", flush=True)


def until(condition: Callable[[], bool], limit: float = 120.0) -> float:
    """Let the window work until a condition holds; seconds, and the longest time that it did not answer."""
    start = time.perf_counter()
    while not condition():
        QApplication.processEvents()
        if time.perf_counter() - start > limit:
            raise SystemExit("it did not happen in time")
        time.sleep(0.001)
    return time.perf_counter() - start


def written(path: Path, shape: tuple[int, int, int]) -> Path:
    """A disc in beam noise, repeated over the field."""
    from denoise.simulate import simulate_cube
    from denoise.simulate.files import header_of

    side = 128
    simulation = simulate_cube(5, shape=(shape[0], side, side), kind="disc", peak_snr=8.0)
    data = np.tile(simulation.noisy, (1, shape[1] // side, shape[2] // side)) * np.float32(5e-4)
    header = header_of(simulation, "velocity")
    fits.writeto(path, data, header)
    return path


def sparse(path: Path, shape: tuple[int, int, int]) -> Path:
    """Zeros that take no space, and one channel with noise in it for the limits."""
    header = fits.Header([("SIMPLE", True), ("BITPIX", -32), ("NAXIS", 3)])
    header.update({f"NAXIS{i + 1}": n for i, n in enumerate(shape[::-1])})
    header.tofile(path)
    start, size = path.stat().st_size, 4 * int(np.prod(shape))
    with path.open("r+b") as file:
        file.truncate(start + -(-size // 2880) * 2880)
        for channel in range(0, shape[0], 10):
            file.seek(start + 4 * channel * shape[1] * shape[2])
            plane = np.random.default_rng(channel).normal(size=shape[1:]).astype(">f4")
            file.write(plane.tobytes())
    return path


def opening(path: Path) -> None:
    """A fresh process, from its start to a window that shows the cube."""
    if "--opens" not in sys.argv:
        for name in ("first", "warm"):
            start = time.perf_counter()
            subprocess.run([sys.executable, __file__, "--opens", str(path)], check=True)
            seconds = time.perf_counter() - start
            print(f"        a process that opens it and ends, {name}: {seconds:.1f} s", flush=True)


def opens(path: Path) -> None:
    from napari_denoise.launch import open_viewer

    app = QApplication([])
    open_viewer().close()  # imports, Qt and GL are there then
    app.processEvents()
    start = time.perf_counter()
    viewer = open_viewer([path])
    until(lambda: viewer.layers[0].loaded and viewer.window._qt_viewer.isVisible())
    say(f"opening {' x '.join(map(str, SMALL))}, warm", time.perf_counter() - start, 3.0)
    viewer.close()


def session(path: Path) -> None:
    """Preview and live numbers on the smaller cube."""
    from napari_denoise.launch import open_viewer

    viewer = open_viewer([path])
    docks = dict(viewer.window.dock_widgets)
    denoise = docks["Denoise"]
    until(lambda: denoise.study is not None)
    viewer.reset_view()
    previews(viewer, denoise)
    denoise.run()
    seconds = until(lambda: denoise.job is None)
    print(f"        ist on all of it: {seconds:.1f} s")
    drags(viewer, docks["Inspect"])
    viewer.close()


def previews(viewer, dock) -> None:
    """Seconds from a moved parameter to the new layer."""
    dock.preview.live.setChecked(True)
    until(lambda: "preview" in viewer.layers and dock.preview.idle)
    taken = []
    for number in range(5):
        before = viewer.layers["preview"].data
        dock.method.form.field("threshold").widget.setValue(5.0 + 0.2 * number)
        start = time.perf_counter()
        until(lambda before=before: viewer.layers["preview"].data is not before)
        taken.append(time.perf_counter() - start)
    shape = " x ".join(map(str, viewer.layers["preview"].data.shape))
    say(f"preview of ist, {shape}, from the change to the layer", float(np.median(taken)), 1.0)
    dock.preview.live.setChecked(False)


def large(path: Path) -> None:
    """The slider of a large cube: how long the window does not answer, and what is read."""
    from denoise.cube.sources import RawSource
    from napari_denoise.launch import open_viewer
    from napari_denoise.reader import layers_of_file

    voxels = [0]
    plain = RawSource.read

    def counted(self, region):
        voxels[0] += int(np.prod([part.stop - part.start for part in region]))
        return plain(self, region)

    RawSource.read = counted
    start = time.perf_counter()
    viewer = open_viewer()
    for data, options, _ in layers_of_file(path):
        viewer.add_image(data, **options)
    until(lambda: viewer.layers[0].loaded)
    print(f"        opening {' x '.join(map(str, LARGE))}: {time.perf_counter() - start:.1f} s")
    share = voxels[0] / np.prod(LARGE)
    print(
        f"{'met   ' if share < 0.2 else 'MISSED'}  read of it when opened: {100 * share:.1f} % (no full read)"
    )
    worst = 0.0
    for channel in np.linspace(0, LARGE[0] - 1, REPEATS).astype(int):
        begun = time.perf_counter()
        viewer.dims.set_current_step(0, int(channel))
        QApplication.processEvents()
        worst = max(worst, time.perf_counter() - begun)
    say(f"longest freeze in {REPEATS} channel steps", worst, 0.2)
    viewer.close()
    RawSource.read = plain


def drags(viewer, dock) -> None:
    """From a moved aperture to the new spectrum and table on screen, for apertures of several sizes."""
    dock.window().activateWindow()
    until(lambda: dock.pair is not None and dock.pair.after is not None)
    from napari_denoise.aperture import circle

    dock.start_aperture("circle")
    for radius in (5, 10, 20, 40):
        side = dock.chosen.entry.world.matrix[1:, 1:]
        dock.drawn.show(circle((128.0, 128.0), radius * abs(side[0, 0]), side))
        dock.drawn.moved.emit()
        until(lambda: dock.live.idle and dock.measured is not None)
        taken = []
        for number in range(REPEATS):
            before = dock.measured
            dock.drawn.show(dock.aperture.at((100.0 + 2 * number, 120.0)))
            start = time.perf_counter()
            dock.drawn.moved.emit()
            until(lambda before=before: dock.measured is not before)
            QApplication.processEvents()
            taken.append(time.perf_counter() - start)
        pixels = dock.measured.foot.pixels
        say(f"spectrum and table after a drag, aperture of {pixels} pixels", float(np.median(taken)), 0.05)


def main() -> None:
    if "--opens" in sys.argv:
        opens(Path(sys.argv[-1]))
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        small = written(Path(folder) / "small.fits", SMALL)
        opening(small)
        app = QApplication([])
        session(small)
        large(sparse(Path(folder) / "large.fits", LARGE))
        app.processEvents()


if __name__ == "__main__":
    main()
