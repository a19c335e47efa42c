"""What is in the 3D window: two volumes, their boxes, and words that name them and the axes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_denoise.theme import Colours
from napari_denoise.volume.small import Scene, Volume, drawn, scene_of, spectral_ends
from napari_denoise.world import World

Rendering = Literal["iso", "mip", "attenuated_mip"]
_BRIGHT = 99.9  # per cent of the denoised voxels above the threshold lie below the upper limit
_VIEW = (1.0, -0.35, -0.55)  # away, down, and from the left of the pair
_UP = (0.0, 1.0, 0.0)
_WORDS = 150  # pixels of the canvas that the words take
_COLOURS = {True: ("inferno", "additive"), False: ("gray_r", "minimum")}  # on dark and on light
_ATTENUATION = 0.5
_WIDE = 180.0  # line widths across a volume


@dataclass(frozen=True, eq=False)
class Pictures:
    """What the window shows.

    Attributes
    ----------
    before, after : Volume
        Small copies of the input and of the result, of one shape and unit.
    sigma : float
        Noise of the small input, in that unit.
    world : World
        Of the cubes.
    names : pair of str
        Of the layers.
    unit : str
        Of the data, as text.
    """

    before: Volume
    after: Volume
    sigma: float
    world: World
    names: tuple[str, str]
    unit: str


class VolumeScene:
    """The layers of a viewer in 3D.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        An empty one.
    pictures : Pictures
    """

    def __init__(self, viewer: Any, pictures: Pictures) -> None:
        self._viewer = viewer
        self._pictures = pictures
        self.scene = scene_of(pictures.world, pictures.before)
        data = [drawn(one, pictures.sigma) for one in (pictures.before, pictures.after)]
        self._top = _top(data[1])
        self.images = [self._image(i, name, data[i]) for i, name in enumerate(("input", "denoised"))]
        self.boxes = self._boxes()
        self.words = self._words()

    def set_threshold(self, n_sigma: float) -> None:
        """The surface, and the lower limit of the projections, at so many sigma of the small input."""
        top = max(self._top, 1.5 * n_sigma)
        for image in self.images:
            # first the wider range: limits outside of it are refused
            image.contrast_limits_range = (0.0, 2 * top)
            low = 0.0 if str(image.rendering) == "iso" else 0.5 * n_sigma
            image.contrast_limits = (low, top)
            image.iso_threshold = n_sigma

    def set_rendering(self, rendering: Rendering, n_sigma: float) -> None:
        """How the volumes are drawn."""
        for image in self.images:
            image.rendering = rendering
        self.set_threshold(n_sigma)

    def set_colours(self, colours: Colours) -> None:
        """What can be read on the background: bright emission on dark, dark emission on light."""
        for image in self.images:
            image.colormap, image.blending = _COLOURS[colours.dark]
        self.boxes.edge_color = colours.faint
        self.words.text.color = colours.text

    def look(self, width: int, height: int) -> None:
        """An oblique view of all there is, for a canvas of this size in pixels."""
        self._viewer.dims.ndisplay = 3
        camera = self._viewer.scene.camera
        camera.orientation = ("away", "up", "left")
        centre, across, high = framed(np.concatenate([*self.scene.boxes, self.words.data]), _VIEW)
        camera.set_view_direction(_VIEW, _UP)
        camera.perspective = 0.0
        camera.center = tuple(float(v) for v in centre)
        # the words are as wide as they are, at any zoom
        camera.zoom = min(max(100, width - _WORDS) / across, max(100, height - _WORDS / 4) / high)

    def _image(self, index: int, name: str, data: NDArray[np.float32]) -> Any:
        volume = (self._pictures.before, self._pictures.after)[index]
        return self._viewer.add_image(
            data,
            name=f"{name}: {self._pictures.names[index]}",
            affine=self.scene.affines[index],
            axis_labels=self.scene.names,
            contrast_limits=(0.0, self._top),
            colormap="inferno",
            blending="additive",
            attenuation=_ATTENUATION,
            metadata={
                "block": volume.factors,
                "shape": volume.shape,
                "spectral": self._pictures.world.spectral.values,
                "spectral unit": self._pictures.world.spectral.unit,
                "sigma": self._pictures.sigma,
                "unit": self._pictures.unit,
            },
        )

    def _boxes(self) -> Any:
        lines = np.concatenate([box_lines(corners) for corners in self.scene.boxes])
        return self._viewer.add_vectors(
            lines,
            edge_width=self.scene.depth / _WIDE,
            vector_style="line",
            name="boxes",
            axis_labels=self.scene.names,
        )

    def _words(self) -> Any:
        places, words = labels_of(self.scene, self._pictures.world)
        return self._viewer.add_points(
            places,
            size=self.scene.depth / 1000,
            face_color="transparent",
            border_width=0,
            border_color="transparent",
            features={"word": words},
            text={"string": "{word}", "size": 9, "anchor": "center", "blending": "translucent_no_depth"},
            name="labels",
            axis_labels=self.scene.names,
        )


def framed(
    points: NDArray[np.float64], view: tuple[float, float, float]
) -> tuple[NDArray[np.float64], float, float]:
    """Middle, width and height of points (n, 3) as seen along `view`, with the second axis upright on the screen."""
    away = np.array(view) / np.linalg.norm(view)
    upright = np.array(_UP) - away * (away @ np.array(_UP))
    upright /= np.linalg.norm(upright)
    sideways = np.cross(upright, away)
    base = np.stack([away, upright, sideways])
    seen = points @ base.T
    low, high = seen.min(axis=0), seen.max(axis=0)
    return ((low + high) / 2) @ base, float(high[2] - low[2]), float(high[1] - low[1])


def box_lines(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """The twelve edges of a box as vectors, shape (12, 2, 3): start and direction.

    Parameters
    ----------
    corners : ndarray, shape (8, 3)
        In the order of ``itertools.product``.
    """
    cube = np.array(list(product((0, 1), repeat=3)))
    ends = [(i, j) for i in range(8) for j in range(i + 1, 8) if np.abs(cube[i] - cube[j]).sum() == 1]
    return np.array([(corners[i], corners[j] - corners[i]) for i, j in ends])


def labels_of(scene: Scene, world: World) -> tuple[NDArray[np.float64], list[str]]:
    """Places (n, 3) in the scene and words: the names of both volumes, and the axes of the first with their ends."""
    room = 0.1 * scene.depth
    found = [_name(box, name, room) for name, box in zip(("input", "denoised"), scene.boxes, strict=True)]
    found += _axis_words(scene, world, room)
    return np.array([place for place, _ in found]), [word for _, word in found]


def _name(box: NDArray[np.float64], name: str, room: float) -> tuple[NDArray[np.float64], str]:
    """Above the far edge of the roof."""
    low, high = box.min(axis=0), box.max(axis=0)
    return np.array([high[0], high[1] + 1.2 * room, (low[2] + high[2]) / 2]), name


def _axis_words(scene: Scene, world: World, room: float) -> list[tuple[NDArray[np.float64], str]]:
    """Along the edges of the first box that are free: below its front, left of its front, below its left side."""
    low, high = scene.boxes[0].min(axis=0), scene.boxes[0].max(axis=0)
    middle, size = (low + high) / 2, high - low
    ends = spectral_ends(world)
    first, last = ends if world.matrix[0, 0] >= 0 else ends[::-1]
    unit = {"arcsec": "″"}.get(world.units[2], f" {world.units[2]}")
    below, left = low[1] - room, high[2] + room
    return [
        (np.array([low[0], below - room, middle[2]]), f"{world.names[2]}, {size[2]:.3g}{unit}"),
        (np.array([high[0], middle[1], high[2] + 2.6 * room]), f"{world.names[1]}, {size[1]:.3g}{unit}"),
        (np.array([low[0], below, left]), first),
        (np.array([high[0], below, left]), last),
    ]


def _top(data: NDArray[np.float32]) -> float:
    """Upper limit of the colours, sigma."""
    bright = data[data > 1]
    return max(5.0, float(np.percentile(bright, _BRIGHT))) if bright.size else 5.0
