"""The page's part about the reliability: outlines in their classes, the table, the numbers in words."""

from __future__ import annotations

import numpy as np
import pytest

from denoise.check.readers import readers_of
from denoise.check.regions.finding import find_regions
from denoise.check.regions.judge import judged
from denoise.check.regions.null import NullRegions
from denoise.report import write_report
from denoise.report.reliability import brightest, class_of, half_peak, table_rows, texts

from .conftest import toy_result


@pytest.fixture
def judgement(result):
    readers = readers_of(result)
    found, _ = find_regions(readers, result.noise, level=0.25)
    null = NullRegions(tuple(found[:1]), 8.5, 8, 1.0, 0.5, 0.25, 3.0)
    return judged(found, null, result, readers), readers


def test_the_page_shows_map_and_catalogue(result, judgement, tmp_path):
    files = write_report(result, tmp_path, judged=judgement[0])
    page = files.html.read_text()
    assert (tmp_path / "toy_reliability.png").is_file()
    assert 'id="catalogue"' in page
    assert "of the 1 found are expected to be noise" in page
    plain = write_report(result, tmp_path / "plain").html.read_text()
    assert 'id="catalogue"' not in plain


def test_the_table_says_where_and_how_sure(judgement):
    heads, rows, more = table_rows(judgement[0])
    assert heads[:3] == ["No.", "RA", "Dec"]
    assert heads[-1] == "Reliability"
    assert rows[0][1].startswith("12:00:0")
    assert rows[0][2].startswith("+45:00")
    assert "±" in rows[0][4]
    assert more == 0


def test_outlines_are_at_half_the_peak(result, judgement):
    whole, readers = judgement
    mask = half_peak(whole.regions[0], readers)
    projected = result.cube.read().max(axis=0)
    assert np.array_equal(mask, projected > 0.5 * projected.max())


def test_the_brightest_channel_is_kept_by_binning(judgement):
    _, readers = judgement
    full, small = brightest(readers, 1), brightest(readers, 3)
    assert small.shape == (16, 16)
    assert np.allclose(small, full.reshape(16, 3, 16, 3).max(axis=(1, 3)))


def test_classes_cover_all_probabilities():
    assert [class_of(p)[2] for p in (0.0, 0.5, 0.9, 1.0)] == [
        "below 0.5",
        "0.5 to 0.9",
        "0.9 or more",
        "0.9 or more",
    ]


def test_nothing_found_is_said(tmp_path):
    result = toy_result(peak=0.0)
    readers = readers_of(result)
    nothing = judged([], NullRegions((), 8.0, 8, 0.25, 0.0, 0.25, 3.0), result, readers)
    assert "25 % of the field each" in texts(nothing)[1]
    page = write_report(result, tmp_path, judged=nothing).html.read_text()
    assert "No region." in page
