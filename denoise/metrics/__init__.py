"""Scores with and without a truth: each number is defined once, here."""

from denoise.metrics.accuracy import (
    bright_mean_kept,
    flux_percent,
    mad_gain,
    mad_sigma,
    peak_kept,
    peak_voxel_kept,
    rmse,
    rmse_ratio,
    snr_gain,
)
from denoise.metrics.apertures import aperture_diameter, circular_aperture, emission_mask, near_truth
from denoise.metrics.contrast import emission_auc
from denoise.metrics.errorbars import LEVELS, Coverage, coverage, scored
from denoise.metrics.fidelity import (
    FIDELITY_KEYS,
    SourceWindow,
    beam_broadening,
    blurred_moments,
    completeness,
    fidelity,
    moment_errors,
    spectrum_error,
)
from denoise.metrics.independent import half_rmse_ratio, observed_rmse_ratio
from denoise.metrics.moments import Moments, integrated_spectrum, moment_maps
from denoise.metrics.photometry import (
    Measurement,
    ResidualStatistics,
    background_noise,
    masked_flux,
    peak_snr,
    residual_statistics,
    sum_error,
)
from denoise.metrics.regions import FalseRegion, FalseStructure, expected_flukes, false_structure
from denoise.metrics.scores import SCORE_KEYS, Observation, Summary, score, score_function, summarise

__all__ = [
    "FIDELITY_KEYS",
    "LEVELS",
    "SCORE_KEYS",
    "Coverage",
    "FalseRegion",
    "FalseStructure",
    "Measurement",
    "Moments",
    "Observation",
    "ResidualStatistics",
    "SourceWindow",
    "Summary",
    "aperture_diameter",
    "background_noise",
    "beam_broadening",
    "blurred_moments",
    "bright_mean_kept",
    "circular_aperture",
    "completeness",
    "coverage",
    "emission_auc",
    "emission_mask",
    "expected_flukes",
    "false_structure",
    "fidelity",
    "flux_percent",
    "half_rmse_ratio",
    "integrated_spectrum",
    "mad_gain",
    "mad_sigma",
    "masked_flux",
    "moment_errors",
    "moment_maps",
    "near_truth",
    "observed_rmse_ratio",
    "peak_kept",
    "peak_snr",
    "peak_voxel_kept",
    "residual_statistics",
    "rmse",
    "rmse_ratio",
    "score",
    "score_function",
    "scored",
    "snr_gain",
    "spectrum_error",
    "sum_error",
    "summarise",
]
