"""Rows of an enhancer: no flux of what is for display; once restored every score, with the linearity error."""

from __future__ import annotations

import pytest

from denoise.benchmark.cases import list_cases
from denoise.benchmark.scoring import AUC, KEYS, LINEARITY, score_case
from denoise.benchmark.suite import Suite
from denoise.benchmark.tables import cells, summary, tidy

SUITE = Suite(
    suite="one",
    version=1,
    title="One cube",
    cubes=1,
    cases={
        "source": "simulated",
        "groups": {"discs": {"disc": 1}},
        "snr_bins": [(8, 9)],
        "shape": (4, 32, 32),
    },
    methods={
        "shown": {"method": "noiser"},
        "restored": {"method": "noiser", "parameters": {"restore": "photometric"}},
    },
)


@pytest.fixture(scope="module")
def rows():
    (case,) = list_cases(SUITE)
    return {row["row"]: row for row in score_case(SUITE, case, ["noisy", "smooth", "shown", "restored"])}


def test_what_is_for_display_has_its_contrast_alone(rows):
    assert rows["shown"]["category"] == "enhancer"
    assert {key for key in KEYS if rows["shown"][key] is not None} == {AUC}
    assert 0.5 < rows["shown"][AUC] <= 1


def test_what_is_restored_has_fluxes_and_the_linearity_error(rows):
    assert rows["restored"]["flux_aperture_percent"] is not None
    assert 0 < rows["restored"][LINEARITY] <= 10


def test_denoisers_have_no_linearity_error(rows):
    assert rows["smooth"]["category"] == "denoiser"
    assert rows["smooth"][LINEARITY] is None
    assert rows["noisy"]["category"] is None


def test_the_tables_bear_rows_without_flux(rows):
    (line,) = [line for line in summary(list(rows.values())) if line.row == "shown"]
    assert cells(line).count("-") == len(cells(line)) - 1
    assert [record["category"] for record in tidy(SUITE, rows.values())][2] == "enhancer"
