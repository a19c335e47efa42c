"""The engine: plan, run tile by tile, cancel, account for it; it knows no method."""

from denoise.engine.entry import denoise, plan_file, run_file
from denoise.engine.lazy import denoise_lazy
from denoise.engine.options import RunOptions, Stabilisation, run_options
from denoise.engine.plan import Plan, Tile
from denoise.engine.progress import CancelToken, Progress, ProgressEvent
from denoise.engine.result import Result
from denoise.engine.runners import Runner, open_runner

__all__ = [
    "CancelToken",
    "Plan",
    "Progress",
    "ProgressEvent",
    "Result",
    "RunOptions",
    "Runner",
    "Stabilisation",
    "Tile",
    "denoise",
    "denoise_lazy",
    "open_runner",
    "plan_file",
    "run_file",
    "run_options",
]
