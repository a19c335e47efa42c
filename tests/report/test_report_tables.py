"""The metrics as rows."""

from __future__ import annotations

from denoise.report.tables import metric_rows


def test_pairs_units_errors_and_reasons():
    metrics = {"noise_before": 0.02, "noise_after": None, "voxels": 1000.0, "components": 4.0}
    metrics |= {"flux_before": 10.0, "flux_before_error": 0.5, "flux_after": 9.0}
    metrics |= {"depth_before": 1.0, "depth_after": 2.0}
    rows = {row.name: row for row in metric_rows(metrics, "Jy beam⁻¹")}
    noise = rows["Noise (1 sigma)"]
    assert noise.cells()[:4] == ("Noise (1 sigma)", "0.0200", "undefined", "Jy beam⁻¹")
    assert "exact zeros" in noise.note
    flux = rows["Flux of the emission found"]
    assert "0.5" in flux.note
    assert flux.unit == "Jy beam⁻¹ × voxel"
    assert rows["Voxels with data"].cells()[1:3] == ("", "1,000")
    assert rows["Components"].cells()[1:3] == ("", "4")
    assert (rows["Depth"].before, rows["Depth"].after) == (1.0, 2.0)


def test_nothing_found_says_why():
    rows = metric_rows({"flux_before": None, "flux_after": None, "flux_change_percent": None}, "K")
    assert all("no emission was found" in row.note for row in rows)


def test_every_number_of_an_account_has_a_name():
    from denoise.engine.account import Account

    summary = Account().summary(1.0, 1.0, 0.0)
    rows = metric_rows(summary, "K")
    assert len({row.name for row in rows}) == len(rows)
    assert not [row.name for row in rows if "_" in row.name]
