"""Cubes with known truth: rotating discs, beams, noise correlated as in toy and in imaged observations."""

from denoise.simulate.beams import Beam, beam_area, beam_image, convolve_beam
from denoise.simulate.discs import Galaxy, rotation_velocity, sersic_b
from denoise.simulate.fields import NoiseFamily, earth_rotation_tracks, noise_field
from denoise.simulate.populations import Kind, draw_galaxies
from denoise.simulate.simulations import Simulation, render_galaxies, simulate_cube, tuning_set

__all__ = [
    "Beam",
    "Galaxy",
    "Kind",
    "NoiseFamily",
    "Simulation",
    "beam_area",
    "beam_image",
    "convolve_beam",
    "draw_galaxies",
    "earth_rotation_tracks",
    "noise_field",
    "render_galaxies",
    "rotation_velocity",
    "sersic_b",
    "simulate_cube",
    "tuning_set",
]
