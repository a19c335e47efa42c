"""The Inspect dock: spectra, numbers, moments, residual and cuts, while the pointer moves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtWidgets import QFileDialog

from denoise.cube import Cube
from denoise.errors import DenoiseError
from napari_denoise.inspect.aperture import Aperture, Kind, point
from napari_denoise.inspect.live import CutRequest, Fits, Live
from napari_denoise.inspect.maps import MapRequest, moment_job
from napari_denoise.inspect.measure import Measured, Pair
from napari_denoise.inspect.pair import Chosen, choose_pair
from napari_denoise.inspect.pause import CanvasPause
from napari_denoise.inspect.picker import ChannelSlider
from napari_denoise.inspect.plots import Diagram
from napari_denoise.inspect.residual import Residual
from napari_denoise.inspect.rows import fit_rows, number_rows
from napari_denoise.inspect.save import FILTERS, TABLES, Shown, save_numbers, save_view
from napari_denoise.inspect.shapes import ApertureLayer, CutLayer
from napari_denoise.inspect.tables import Section
from napari_denoise.inspect.view import RESIDUAL, InspectView
from napari_denoise.jobs import Job
from napari_denoise.layers import entry_of
from napari_denoise.studies import studies_of


class InspectDock(InspectView):
    """Spectrum, line fit and numbers of an aperture that moves; moment maps; residual; position-velocity cut.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__(viewer)
        self.studies = studies_of(viewer)
        self.live = Live()
        self.slider = ChannelSlider(viewer)
        self.drawn, self.cut = ApertureLayer(viewer), CutLayer(viewer)
        self.canvas = CanvasPause(self)
        self.chosen: Chosen | None = None
        self.channels = slice(0, 0)
        self.measured: Measured | None = None
        self.whole: Measured | None = None
        self.fits: Fits | None = None
        self._maps: Job | None = None
        self._stale = True
        self._connect()

    @property
    def pair(self) -> Pair | None:
        """The cubes that are compared."""
        return None if self.chosen is None else self.chosen.pair

    @property
    def aperture(self) -> Aperture | None:
        """The aperture drawn in the viewer."""
        return self.drawn.aperture

    @property
    def aperture_words(self) -> str:
        """What it is."""
        if self.aperture is None or self.chosen is None:
            return ""
        world = self.chosen.entry.world
        return self.aperture.describe(world.matrix[1:, 1:], world.units[1])

    @property
    def sections(self) -> list[Section]:
        """The numbers shown: of the aperture and of the full field."""
        found = [("Aperture", self.measured), ("Full field", self.whole)]
        return [(name, number_rows(one, self.channels)) for name, one in found if one is not None]

    @property
    def fit_sections(self) -> list[Section]:
        """The fits shown."""
        if self.fits is None or self.fits.before is None:  # an image has none
            return []
        return [("", fit_rows(self.fits.measured, self.fits.lines))]

    @property
    def shown(self) -> Shown:
        """What can be saved."""
        lines = (None, None) if self.fits is None else self.fits.lines
        return Shown(self.pair, self.measured, lines, self.aperture_words)

    def _connect(self) -> None:
        self._connect_widgets()
        self.live.measured.connect(self._on_measured)
        self.live.field.connect(self._on_field)
        self.live.fitted.connect(self._on_fits)
        self.live.residual.connect(self._on_residual)
        self.live.diagram.connect(self._on_diagram)
        self.live.failed.connect(self._on_failed)
        self.studies.ready.connect(self._on_study)
        self.studies.failed.connect(self._on_no_study)
        self.slider.changed.connect(self.spectrum.show_channel)
        self.drawn.moved.connect(self._on_drawn)
        self.cut.moved.connect(self._on_cut)
        events = self.viewer.cursor.events.position
        events.connect(self._on_pointer)
        self.destroyed.connect(lambda: events.disconnect(self._on_pointer))

    def _connect_widgets(self) -> None:
        self.inputs.chosen.connect(lambda _layer: self.refresh())
        self.outputs.chosen.connect(self._on_output)
        self.picker.picked.connect(self.start_aperture)
        self.picker.follow.toggled.connect(self._on_follow)
        self.spectrum.clicked.connect(self.slider.go)
        self.spectrum.ranged.connect(self.choose_channels)
        self.range.all_wanted.connect(self._all_channels)
        self.moments.wanted.connect(self.make_moments)
        self.tabs.currentChanged.connect(lambda _tab: self._fill_tab())
        self.cut_button.clicked.connect(self.start_cut)
        self.cut_width.valueChanged.connect(lambda _width: self._on_cut())
        self.save_button.clicked.connect(lambda: self._ask_and_save(FILTERS, self.save_plot))
        self.numbers_button.clicked.connect(lambda: self._ask_and_save(TABLES, self.save_numbers))

    def showEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """What changed while the dock was hidden is taken up."""
        super().showEvent(event)
        if self._stale:
            self._on_output(self.outputs.layer)

    def refresh(self) -> None:
        """Take the chosen layers again."""
        self._stale = not self.isVisible()
        if self._stale:
            return
        chosen = choose_pair(self.inputs.entry, self.outputs.layer, self.viewer.layers, self.studies.of)
        same = (
            chosen is not None
            and self.pair is not None
            and chosen.pair.before.shape == self.pair.before.shape
        )
        self.chosen, self.measured, self.whole, self.fits = chosen, None, None, None
        self.message.say(" ".join(chosen.notes) if chosen is not None else "", "warning")
        if chosen is not None and not same:
            self.channels = slice(0, chosen.pair.before.shape[0])
        self._show_pair(chosen)

    def _show_pair(self, chosen: Chosen | None) -> None:
        pair = self.pair
        self.slider.take(None if chosen is None else chosen.entry)
        self.spectrum.show_pair(pair)
        self.spectrum.channel = self.slider.channel
        self.spectrum.show_range(self.channels)
        self.moments.show_pair(pair)
        self.range.show_range(pair, self.channels)
        self.residual.show_residual(None, self._why_no_residual())
        self.diagram.show_diagram(None)
        names = ("input", "denoised") if pair is None else (pair.name, "denoised")
        for table in (self.table, self.fit_table):
            table.names(*names)
            table.setColumnHidden(2, pair is None or pair.after is None)
        self._show_numbers()
        self.live.take(pair)
        if pair is not None and chosen is not None:
            if pair.noise is None and pair.name == "input":
                self.studies.want(chosen.pair.before)
            self._on_aperture()
            self._fill_tab()

    def _on_output(self, layer: Any) -> None:
        """The input that a denoised cube was made from is chosen with it."""
        entry = entry_of(layer)
        if entry is not None and entry.source is not None:
            for other in self.viewer.layers:
                found = entry_of(other)
                if found is not None and found.role == "input" and found.cube is entry.source:
                    self.inputs.blockSignals(True)
                    self.inputs.choose(other)
                    self.inputs.blockSignals(False)
        self.refresh()

    def _on_study(self, cube: Cube) -> None:
        if self.pair is not None and cube is self.pair.before and self._wants_noise():
            self.refresh()

    def _on_no_study(self, cube: Cube, text: str) -> None:
        if self.pair is not None and cube is self.pair.before and self._wants_noise():
            self.message.error(f"There are no error bars: {text}")

    def _wants_noise(self) -> bool:
        return self.pair is not None and self.pair.noise is None

    def start_aperture(self, kind: Kind) -> None:
        """Draw an aperture of this kind, to be moved by hand."""
        if self.chosen is None:
            self.message.error("There is no cube to draw an aperture on; open one first.")
            return
        self.picker.mark(kind)
        self.drawn.start(kind, self.chosen.entry)

    def _on_follow(self, on: bool) -> None:
        if on and self.chosen is not None:
            if self.aperture is None:
                self.start_aperture("point")
            self.drawn.select("pan_zoom")

    def _on_pointer(self, _event: Any = None) -> None:
        if not self.picker.follow.isChecked() or self.chosen is None or not self.isVisible():
            return
        if self.viewer.dims.ndisplay != 2:
            return
        where = self.chosen.entry.world.pixel(self.viewer.cursor.position)[1:]
        aperture = self.aperture
        if aperture is None or not self._inside(where):
            return
        moved = point(np.floor(where + 0.5)) if aperture.kind == "point" else aperture.at(where)
        if not np.array_equal(moved.corners, aperture.corners):
            self.drawn.lead(moved)
            self._on_aperture()

    def _inside(self, where: Any) -> bool:
        if self.pair is None:
            return False
        return all(-0.5 <= v < n - 0.5 for v, n in zip(where, self.pair.before.shape[1:], strict=True))

    def _on_drawn(self) -> None:
        """The shape was moved in the image: its numbers come before its picture."""
        self.canvas.hold()
        self._on_aperture()

    def _on_failed(self, text: str) -> None:
        self.canvas.release()
        self.message.error(text)

    def _on_aperture(self) -> None:
        pair, aperture = self.pair, self.aperture
        if pair is None:
            self.canvas.release()
            return
        foot = None if aperture is None else aperture.footprint(pair.before.shape[1:])
        if foot is None:
            self.canvas.release()
            self.measured, self.fits = None, None
            self.picker.words.setText(
                "No aperture" if aperture is None else "The aperture lies outside the field"
            )
            self.spectrum.show_curves(None)
            self._show_numbers()
            return
        self.live.at(pair, foot)

    def _on_measured(self, found: Measured) -> None:
        self.canvas.release()
        if found.pair is not self.pair:
            return
        self.measured, self.fits = found, None
        self.spectrum.show_curves(found)
        self._show_numbers()
        if self.aperture is not None:
            self.picker.mark(self.aperture.kind)
            many = "pixel" if found.pixels == 1 else "pixels"
            self.picker.words.setText(f"{self.aperture_words}; {found.pixels:,} {many}")
        self.drawn.catch_up()
        self._settle()

    def _settle(self) -> None:
        if self.measured is not None:
            self.live.settle(self.measured, self.channels)

    def _on_field(self, found: Measured) -> None:
        if found.pair is self.pair:
            self.whole = found
            self._show_numbers()

    def _on_fits(self, found: Fits) -> None:
        if found.first is not self.measured:
            return
        self.measured, self.fits = found.measured, found
        self.spectrum.show_fits(*found.lines)
        self._show_numbers()

    def _on_residual(self, found: Residual) -> None:
        self.residual.show_residual(found)

    def _on_diagram(self, found: Diagram | None) -> None:
        if found is None or found.pair is self.pair:
            self.diagram.show_diagram(found)

    def _show_numbers(self) -> None:
        self.table.show_sections(self.sections)
        self.table.setVisible(bool(self.sections))
        self.fit_table.show_sections(self.fit_sections)
        found = any(line is not None for line in self.fits.lines) if self.fits is not None else False
        self.fit_table.setVisible(found)
        words = "" if self.fits is None else self._fit_words(self.fits)
        self.fit_words.setText(words)
        self.fit_words.setVisible(bool(words))

    def _fit_words(self, fits: Fits) -> str:
        names = (fits.measured.pair.name, "denoised")
        said = [(name, one) for name, one in zip(names, (fits.before, fits.after), strict=True)]
        return "\n".join(f"{name.capitalize()}: {one}." for name, one in said if isinstance(one, str))

    def choose_channels(self, channels: slice) -> None:
        """Take a range of channels for the flux, the fit and the moments."""
        if self.pair is None:
            return
        self.channels = channels
        self.spectrum.show_range(channels)
        self.range.show_range(self.pair, channels)
        self._show_numbers()
        self._settle()

    def _all_channels(self) -> None:
        if self.pair is not None:
            self.choose_channels(slice(0, self.pair.before.shape[0]))

    def make_moments(self, denoised: bool, clip: float) -> None:
        """Make moment maps of the chosen channels as layers."""
        if self.chosen is None:
            return
        request = MapRequest(self.chosen.pair, self.chosen.entry, denoised, self.channels, clip)
        self._maps = moment_job(request)
        self._maps.done.connect(self._on_maps)
        self._maps.failed.connect(self.message.error)
        self.moments.button.setEnabled(False)
        for signal in (self._maps.done, self._maps.failed, self._maps.cancelled):
            signal.connect(lambda *_: self.moments.button.setEnabled(True))
        self._maps.start()

    def _on_maps(self, layers: list[tuple[Any, dict[str, Any]]]) -> None:
        for image, options in layers:
            if options["name"] in self.viewer.layers:
                self.viewer.layers.remove(options["name"])
            shown = options["name"].startswith("moment 0")
            added = self.viewer.add_image(image, visible=shown, **options)
            self._below_the_shapes(added)

    def _below_the_shapes(self, layer: Any) -> None:
        drawn = [one for one in (self.drawn.layer, self.cut.layer) if one is not None]
        if drawn:
            lowest = min(self.viewer.layers.index(one) for one in drawn)
            self.viewer.layers.move(self.viewer.layers.index(layer), lowest)

    def _fill_tab(self) -> None:
        pair, tab = self.pair, self.tabs.currentIndex()
        if pair is None or tab != RESIDUAL or self.residual.found is not None:
            return
        if pair.after is not None and pair.noise is not None:
            self.residual.show_residual(None, "The residual is measured…")
            self.live.look_at_residual(pair)

    def _why_no_residual(self) -> str:
        if self.pair is None or self.pair.after is None:
            return "Choose an input and its denoised cube."
        return "" if self.pair.noise is not None else "The noise of the input is not known yet."

    def start_cut(self) -> None:
        """Draw a cut, to be moved by its ends."""
        if self.chosen is None:
            self.message.error("There is no cube to cut; open one first.")
            return
        self.cut.start(self.chosen.entry, None if self.aperture is None else self.aperture.centre)

    def _on_cut(self) -> None:
        chosen, vertices = self.chosen, self.cut.vertices
        if vertices is None or chosen is None:
            self.diagram.show_diagram(None)
            return
        if not chosen.pair.before.is_image:
            self.live.cut(CutRequest(chosen.pair, chosen.entry, vertices, self.cut_width.value()))

    def save_plot(self, path: Path) -> None:
        """Write the plot of the tab (.png), or its curves (.csv, .ecsv)."""
        canvas = (self.spectrum, self.residual, self.diagram)[self.tabs.currentIndex()]
        save_view(canvas, self.shown, path)

    def save_numbers(self, path: Path) -> None:
        """Write the tables (.csv, .ecsv)."""
        fits = [("Line fit", rows) for _, rows in self.fit_sections]
        save_numbers([*self.sections, *fits], self.shown, path)

    def _ask_and_save(self, filters: str, save: Callable[[Path], None]) -> None:
        name, kind = QFileDialog.getSaveFileName(self, "Save", "", filters)
        if not name:
            return
        path = Path(name)
        if not path.suffix:
            path = path.with_suffix(kind[kind.rindex("*") + 1 : -1])
        self.save(save, path)

    def save(self, save: Callable[[Path], None], path: Path) -> None:
        """Save, and say how it went."""
        try:
            save(path)
        except DenoiseError as err:
            self.message.error(str(err))
        else:
            self.message.say(f"Saved {path.name}.")
