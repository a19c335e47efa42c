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
from functools import partial
from pathlib import Path

import numpy as np
from astropy.io import fits
from qtpy.QtCore import QEvent, QObject, QPointF, Qt, QTimer
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QDockWidget, QOpenGLWidget

os.environ["NAPARI_CONFIG"] = ""  # read when napari is imported, later: its settings would persist
warnings.simplefilter("ignore")
from napari_denoise.inspect.aperture import circle  # noqa: E402 - the settings come before anything of napari

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


def pause(seconds: float) -> None:
    """Let the window work for a while."""
    end = time.perf_counter() + seconds
    until(lambda: time.perf_counter() > end)


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
    for method in ("hybrid", "ist"):
        denoise.method.set(method, {})
        previews(viewer, denoise, goal=1.0 if method == "ist" else None)
    denoise.run()
    seconds = until(lambda: denoise.job is None)
    print(f"        ist on all of it: {seconds:.1f} s")
    drags(viewer, docks["Inspect"])
    viewer.close()


def previews(viewer, dock, *, goal: float | None) -> None:
    """Seconds from a change of what is asked for to the new layer."""
    dock.preview.live.setChecked(True)
    until(lambda: "preview" in viewer.layers and dock.preview.idle)
    taken = []
    for number in range(6):
        before = viewer.layers["preview"].data
        dock.around.positivity.setCurrentText("on" if number % 2 else "off")
        start = time.perf_counter()
        until(lambda before=before: viewer.layers["preview"].data is not before)
        taken.append(time.perf_counter() - start)
    dock.around.positivity.setCurrentText("auto")
    until(lambda: dock.preview.idle)
    shape = " x ".join(map(str, viewer.layers["preview"].data.shape))
    what = f"preview of {dock.method.name}, {shape}, from the change to the layer"
    if goal is None:
        print(f"        {what}: {np.median(taken):.3f} s")
    else:
        say(what, float(np.median(taken)), goal)
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
    pause(0.5)  # the docks get their places
    steps = []
    for channel in np.linspace(0, LARGE[0] - 1, REPEATS).astype(int):
        begun, busy = time.perf_counter(), time.thread_time()
        viewer.dims.set_current_step(0, int(channel))
        QApplication.processEvents()
        steps.append((time.perf_counter() - begun, time.thread_time() - busy))
    (worst, most), (median, usual) = np.max(steps, axis=0), np.median(steps, axis=0)
    say(f"longest freeze in {REPEATS} channel steps", worst, 0.2)
    print(
        f"        computing {1e3 * most:.0f} ms at most; median {1e3 * median:.0f} ms, computing {1e3 * usual:.0f} ms"
    )
    viewer.close()
    RawSource.read = plain


class Watch(QObject):
    """When the numbers of an aperture, and its shape on the canvas, were on the screen: seconds (wall, CPU)."""

    def __init__(self, dock, canvas) -> None:
        super().__init__()
        self.dock, self.canvas = dock, canvas
        self.times: dict[str, np.ndarray] = {}
        dock.drawn.moved.connect(lambda: self.mark("moved", self.times))
        for widget in (dock.spectrum, dock.table.viewport(), canvas):
            widget.installEventFilter(self)

    def start(self) -> None:
        """Before a move."""
        self.times = {}
        self.mark("start", self.times)

    def mark(self, what: str, times: dict[str, np.ndarray]) -> None:
        times.setdefault(what, np.array([time.perf_counter(), time.process_time()]))

    def eventFilter(self, widget, event) -> bool:  # noqa: N802 - Qt's name
        if event.type() == QEvent.Type.Paint and "moved" in self.times:
            if widget is self.canvas:
                name = "canvas" if widget.updatesEnabled() else ""
            else:
                name = ("spectrum" if widget is self.dock.spectrum else "table") if self.known else ""
            if name:  # on the screen when the frame is done
                QTimer.singleShot(0, partial(self.mark, name, self.times))
        return False

    @property
    def known(self) -> bool:
        """Whether the aperture is measured where it is."""
        found, aperture = self.dock.measured, self.dock.aperture
        shape = self.dock.pair.before.shape[1:]
        return found is not None and found.foot.same_as(aperture.footprint(shape))

    @property
    def done(self) -> bool:
        return {"spectrum", "table", "canvas"} <= self.times.keys()

    @property
    def spans(self) -> np.ndarray:
        """Up to the change of the aperture, from there to the numbers, and to the picture; shape (3, wall or CPU)."""
        of = self.times
        numbers = max(of["spectrum"], of["table"], key=lambda one: one[0])
        return np.stack([of["moved"] - of["start"], numbers - of["moved"], of["canvas"] - of["moved"]])


class Mouse:
    """A drag in the canvas, by events of Qt as a hand makes them."""

    def __init__(self, viewer, canvas) -> None:
        self.viewer, self.canvas = viewer, canvas

    def send(self, kind, world, button, held) -> None:
        camera, size = self.viewer.scene.camera, self.canvas.size()
        y, x = (np.asarray(world) - np.asarray(camera.center)[-2:]) * camera.zoom
        place = QPointF(size.width() / 2 - x, size.height() / 2 - y)  # north up, east left
        there = self.canvas.mapToGlobal(place)
        none = Qt.KeyboardModifier.NoModifier
        QApplication.sendEvent(self.canvas, QMouseEvent(kind, place, there, button, held, none))

    def press(self, world) -> None:
        left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
        self.send(QEvent.Type.MouseMove, world, none, none)
        self.send(QEvent.Type.MouseButtonPress, world, left, left)
        pause(0.05)  # vispy leaves out moves that follow one within 10 ms

    def move(self, world) -> None:
        self.send(QEvent.Type.MouseMove, world, Qt.MouseButton.NoButton, Qt.MouseButton.LeftButton)

    def release(self, world) -> None:
        self.send(QEvent.Type.MouseButtonRelease, world, Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton)


def drags(viewer, dock) -> None:
    """A hand drags the aperture: from its change to the new spectrum and table on screen, and to its new picture."""
    top = dock.window()
    top.resize(1500, 950)  # both are seen
    top.activateWindow()
    frame = dock.parentWidget()
    while not isinstance(frame, QDockWidget):
        frame = frame.parentWidget()
    frame.raise_()
    until(lambda: dock.pair is not None and dock.pair.after is not None and dock.live.idle)
    viewer.reset_view()
    dock.start_aperture("circle")
    canvas = top.findChildren(QOpenGLWidget)[0]
    watch, mouse = Watch(dock, canvas), Mouse(viewer, canvas)
    for radius in (5, 10, 20, 40):
        drag(dock, radius, watch, mouse)


def drag(dock, radius: int, watch: Watch, mouse: Mouse) -> None:
    """An aperture of some pixels' radius over the field."""
    world = dock.chosen.entry.world
    side = world.matrix[1:, 1:]

    def at(y: float) -> np.ndarray:
        return side @ [y, 120.0] + world.origin[1:]

    dock.drawn.show(circle((100.0, 120.0), radius * abs(side[0, 0]), side))
    dock.drawn.select("select")
    watch.start()
    dock.drawn.moved.emit()
    until(lambda: watch.known and dock.live.idle)
    pause(0.3)  # everything is drawn
    mouse.press(at(100.0))
    spans = []
    for number in range(1, REPEATS + 1):
        watch.start()
        mouse.move(at(100.0 + 2 * number))
        until(lambda: watch.done, 10.0)
        spans.append(watch.spans)
    mouse.release(at(100.0 + 2 * REPEATS))
    pixels = dock.measured.foot.pixels
    (moving, _), (wall, busy), (picture, drawing) = np.median(spans, axis=0)
    least, most = (1e3 * function([one[1, 0] for one in spans]) for function in (min, max))
    say(f"spectrum and table after a drag, aperture of {pixels} pixels", wall, 0.05)
    print(
        f"        {1e3 * busy:.0f} ms of it computing; best {least:.0f}, worst {most:.0f} ms. napari itself: to move "
        f"the shape {1e3 * moving:.0f} ms before; the canvas shows it {1e3 * picture:.0f} ms after the change "
        f"({1e3 * (drawing - busy):.0f} ms computing)",
        flush=True,
    )


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
