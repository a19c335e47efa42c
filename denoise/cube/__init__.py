"""Cubes and images: read, hold, write."""

from denoise.cube.arguments import NoiseSource
from denoise.cube.axes import AxisMap
from denoise.cube.beams import Beams
from denoise.cube.blockwriter import BlockWriter
from denoise.cube.core import Cube
from denoise.cube.inspection import Inspection, inspect, memory_of_inspection
from denoise.cube.io import read, read_checked, write
from denoise.cube.masks import ArrayMask, Mask, SourceMask, ZeroBlanks, excluded_channels
from denoise.cube.provenance import Provenance, read_provenance
from denoise.cube.regions import Region, Shape, blocks, check_region, full_region, region_shape
from denoise.cube.sources import ArraySource, MappedSource, PixelSource
from denoise.cube.spectral import SpectralAxis
from denoise.cube.writer import CubeWriter, Extension

__all__ = [
    "ArrayMask",
    "ArraySource",
    "AxisMap",
    "Beams",
    "BlockWriter",
    "Cube",
    "CubeWriter",
    "Extension",
    "Inspection",
    "MappedSource",
    "Mask",
    "NoiseSource",
    "PixelSource",
    "Provenance",
    "Region",
    "Shape",
    "SourceMask",
    "SpectralAxis",
    "ZeroBlanks",
    "blocks",
    "check_region",
    "excluded_channels",
    "full_region",
    "inspect",
    "memory_of_inspection",
    "read",
    "read_checked",
    "read_provenance",
    "region_shape",
    "write",
]
