"""The Inspect dock: an aperture that moves, its spectra and numbers, moments, residual, cuts."""
