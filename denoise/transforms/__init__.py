"""Transforms on arrays: the 2D-1D starlet, scale-space smoothing, continuum, variance stabilisation."""
