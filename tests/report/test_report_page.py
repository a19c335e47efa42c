"""The page: complete, self-contained, honest about what the file does not say."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from denoise.errors import ResourceError
from denoise.report import panels, write_report
from denoise.report.scene import observe

from .conftest import ArrayCube, toy_header, toy_result


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.images, self.sections, self.links, self.tags = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        if tag == "img":
            self.images.append(attrs)
        if tag == "section":
            self.sections.append(attrs["id"])
        self.links += [attrs[k] for k in ("href", "src", "srcset", "data") if attrs.get(k)]


@pytest.fixture(autouse=True)
def _coarse_figures(monkeypatch):
    """Figures of a third of the resolution: the same layout in a fraction of the time."""
    monkeypatch.setattr(panels, "DPI", 60)


def written(result, folder):
    files = write_report(result, folder, stem="toy")
    text = files.html.read_text(encoding="utf-8")
    return files, text, Page(text)


def test_page_is_self_contained_and_holds_its_figures(result, tmp_path):
    files, text, page = written(result, tmp_path / "new" / "folder")
    assert files.html.name == "toy_report.html"
    names = ["moment0", "moment1", "spectrum", "channels", "residual", "leftover"]
    assert [p.name for p in files.pngs] == [f"toy_{name}.png" for name in names]
    assert page.sections == ["audit", *names, "metrics", "provenance"]
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    inline = [base64.b64decode(i["src"].split(",", 1)[1]) for i in page.images]
    assert inline == [p.read_bytes() for p in files.pngs]
    assert all(len(i["alt"]) > 30 for i in page.images)
    assert not re.search(r"url\(|@import|https?://", text)
    assert not list(tmp_path.rglob("*.part"))


def test_header_line(result, tmp_path):
    text = written(result, tmp_path)[1]
    for part in ("Toy disc", "toy.fits", "48 × 48 pixels, 24 channels", "Jy beam⁻¹", "2.50 × 1.75″",
                 "position angle 30°", "ist (threshold = 4.0)", "Radio velocity, LSRK (km/s)"):  # fmt: skip
        assert part in text


def test_how_the_error_bars_are_to_be_read(result, tmp_path):
    assert "Error bars" not in written(result, tmp_path)[1]
    result.limits = (2.05, 5.0)
    said = "68 % within 1σ, 95 % within 2.05σ where emission was found and 5σ elsewhere (UNCERT)"
    assert said in written(result, tmp_path)[1]


def test_warnings_are_words_and_never_markup(result, tmp_path):
    result.warnings = ["<b>flux</b> & noise"]
    text = written(result, tmp_path)[1]
    assert "&lt;b&gt;flux&lt;/b&gt; &amp; noise" in text
    assert 'data-level="warning"' in text


def test_nothing_detected_is_said_plainly(tmp_path):
    result = toy_result(peak=0.0)
    result.support[:] = False
    _, text, page = written(result, tmp_path)
    assert "Nothing was detected" in text
    assert "moment1" not in page.sections
    assert "not of a source" in text


def test_image_has_the_sensible_subset(tmp_path):
    files, _, page = written(toy_result((1, 64, 48)), tmp_path)
    assert page.sections == [
        "audit",
        "moment0",
        "residual_map",
        "residual",
        "leftover",
        "metrics",
        "provenance",
    ]
    assert len(files.pngs) == 4


@pytest.mark.parametrize(
    ("ctype", "specsys", "rest", "label"),
    [
        ("VRAD", "LSRK", 115e9, "Radio velocity, LSRK (km/s)"),
        ("VOPT", "BARYCENT", None, "Optical velocity, BARYCENT (km/s)"),
        ("VELO-LSR", None, None, "Velocity (convention not stated), LSRK (km/s)"),
        ("FREQ", "LSRK", 115.2712018e9, "Radio velocity, LSRK (km/s)"),
        ("FREQ", None, None, "Frequency, frame not stated (GHz)"),
        ("AWAV", "BARYCENT", None, "Air wavelength, BARYCENT (Å)"),
        ("WAVE", None, None, "Vacuum wavelength, frame not stated (Å)"),
        ("LINEAR", None, None, "Wavelength (air or vacuum not stated), frame not stated (Å)"),
    ],
)
def test_spectral_axis_states_convention_and_frame(ctype, specsys, rest, label):
    scene = observe(toy_result(header=toy_header(ctype, specsys=specsys, rest=rest)))
    assert scene.spectral.text == label


def test_frequency_far_from_its_rest_value_stays_a_frequency():
    scene = observe(toy_result(header=toy_header("FREQ", rest=900e9)))
    assert scene.spectral.text == "Frequency, LSRK (GHz)"


@pytest.mark.parametrize("unit", ["K", "erg / (s cm2 Angstrom)", "MJy / sr", "Jy / beam"])
def test_aperture_spectrum_says_what_it_is(unit):
    spectra = observe(toy_result(unit=unit)).spectra
    assert spectra.unit.name.startswith("Mean" if unit == "K" else "Flux")


def test_missing_unit_is_said_not_guessed(tmp_path):
    text = written(toy_result(unit=""), tmp_path)[1]
    assert "0.00100 (unit not stated)" in text
    assert "data unit × km/s" in text


def test_no_wcs_no_header(tmp_path):
    text = written(toy_result(wcs=False), tmp_path)[1]
    assert "5.00 × 3.50 pixels, position angle 30°" in text
    assert "<dd>Channel</dd>" in text


def test_nan_edges_and_excluded_channels(tmp_path):
    result = toy_result(nan_edge=6)
    excluded = np.zeros(result.input.shape, bool)
    excluded[3] = True
    result.input._data[3] += 1.0
    result.cube._data[3] = 0
    result.input._excluded = excluded
    scene = observe(result)
    assert np.isnan(scene.sums.moment0[0][:6]).all()
    assert scene.sums.outside.std == pytest.approx(1, abs=0.05)
    written(result, tmp_path)


def test_input_is_not_changed_and_bytes_repeat(result, tmp_path):
    before = [c.read().tobytes() for c in (result.input, result.cube)]
    first = written(result, tmp_path / "a")[1]
    assert before == [c.read().tobytes() for c in (result.input, result.cube)]
    assert first == written(result, tmp_path / "b")[1]


def test_unwritable_folder_is_one_clear_line(result, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="the report cannot be written"):
        write_report(result, tmp_path / "file", stem="toy")


def test_tiny_fluxes_give_the_same_page_measures():
    plain, tiny = observe(toy_result(sigma=1.0)), observe(toy_result(sigma=1e-20))
    assert tiny.sums.inside.std == pytest.approx(plain.sums.inside.std, rel=1e-4)
    assert tiny.flux.percent == pytest.approx(plain.flux.percent, rel=1e-3)
    assert tiny.flux.sigmas == pytest.approx(plain.flux.sigmas, rel=1e-3)
    assert [r.snr for r in tiny.regions] == pytest.approx([r.snr for r in plain.regions], rel=1e-3)


def test_stem_comes_from_the_input(result, tmp_path):
    result.input.name = "NGC4047.co.fits"
    assert write_report(result, tmp_path).html.name == "NGC4047_report.html"


def test_one_spaxel_fields_and_few_channels(tmp_path):
    result = toy_result((3, 2, 5))
    result.support = np.zeros((3, 2, 5), bool)
    result.support[1, 1, 2] = True
    written(result, tmp_path)


def test_missing_support_is_nothing_detected():
    result = toy_result()
    result.support = None
    assert not observe(result).where.any


def test_support_may_be_read_in_regions(result):
    plain = observe(result)
    result.support = ArrayCube(result.support)
    assert observe(result).where.voxels.tolist() == plain.where.voxels.tolist()
