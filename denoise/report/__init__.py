"""The report of a run: one self-contained HTML page and its figures, and the metrics as plain rows."""

from __future__ import annotations

from denoise.report.page import ReportFiles, write_report
from denoise.report.tables import Row, metric_rows

__all__ = ["ReportFiles", "Row", "metric_rows", "write_report"]
