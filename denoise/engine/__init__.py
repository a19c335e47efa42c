"""The engine: plan, run tile by tile, cancel, account for it; it knows no method."""

from denoise.engine.options import RunOptions, Stabilisation, run_options
from denoise.engine.plan import Plan, Tile
from denoise.engine.progress import CancelToken, Progress, ProgressEvent
from denoise.engine.result import Result
from denoise.engine.run import denoise, plan_file, run_file

__all__ = [
    "CancelToken",
    "Plan",
    "Progress",
    "ProgressEvent",
    "Result",
    "RunOptions",
    "Stabilisation",
    "Tile",
    "denoise",
    "plan_file",
    "run_file",
    "run_options",
]
