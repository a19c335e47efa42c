"""Cubes with known truth: galaxies and what surrounds them, beams, noise as in toy and in real observations."""

from denoise.simulate.beams import Beam, beam_area, beam_image, convolve_beam
from denoise.simulate.clouds import HANNING_ACF, Component
from denoise.simulate.discs import Galaxy, rotation_velocity, sersic_b
from denoise.simulate.fields import NoiseFamily, earth_rotation_tracks, noise_field
from denoise.simulate.morphologies import (
    ALL_KINDS,
    TOY_KINDS,
    UNSEEN_KINDS,
    Morphology,
    SceneKind,
    draw_scene,
)
from denoise.simulate.observations import Counts, Observation
from denoise.simulate.populations import Kind, draw_galaxies
from denoise.simulate.scenes import Scene, render_galaxies, render_scene
from denoise.simulate.simulations import Simulation, observe, repeat, simulate_cube, tuning_set
from denoise.simulate.structures import Halo, Outflow, Ring, Shell, Structure, Tail

__all__ = [
    "ALL_KINDS",
    "HANNING_ACF",
    "TOY_KINDS",
    "UNSEEN_KINDS",
    "Beam",
    "Component",
    "Counts",
    "Galaxy",
    "Halo",
    "Kind",
    "Morphology",
    "NoiseFamily",
    "Observation",
    "Outflow",
    "Ring",
    "Scene",
    "SceneKind",
    "Shell",
    "Simulation",
    "Structure",
    "Tail",
    "beam_area",
    "beam_image",
    "convolve_beam",
    "draw_galaxies",
    "draw_scene",
    "earth_rotation_tracks",
    "noise_field",
    "observe",
    "render_galaxies",
    "render_scene",
    "repeat",
    "rotation_velocity",
    "sersic_b",
    "simulate_cube",
    "tuning_set",
]
