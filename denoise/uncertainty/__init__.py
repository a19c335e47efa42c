"""Error bars: calibrated on simulations with known truth."""
