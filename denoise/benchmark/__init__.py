"""Benchmark suites: methods on cubes with known truth, or with an independent half; tables, figures, comparison."""

from denoise.benchmark.cases import Case, Made, list_cases, make_case
from denoise.benchmark.compare import Difference, compare, load_results
from denoise.benchmark.page import BenchmarkFiles, write_results
from denoise.benchmark.ranking import Agreement, agreements
from denoise.benchmark.runner import run_suite
from denoise.benchmark.suite import FLOORS, Suite, load_suite, suite_names
from denoise.benchmark.tables import Line, summary

__all__ = [
    "FLOORS",
    "Agreement",
    "BenchmarkFiles",
    "Case",
    "Difference",
    "Line",
    "Made",
    "Suite",
    "agreements",
    "compare",
    "list_cases",
    "load_results",
    "load_suite",
    "make_case",
    "run_suite",
    "suite_names",
    "summary",
    "write_results",
]
