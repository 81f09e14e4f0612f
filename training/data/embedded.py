"""Pictures that need no download: scikit-image's photographs, and shapes generated over them."""

from __future__ import annotations

import functools
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from training.data.cache import Load
from training.data.files import Entry, read_entry
from training.data.module import ImageData
from training.tasks.task import Sample, Task

# In scikit-image's wheel; its data/README.txt and docstrings state their origin, all free to use.
TRAINING = ("astronaut", "motorcycle_left", "rocket", "ihc", "hubble_deep_field", "retina", "brick")
VALIDATION = ("coffee", "chelsea")

SHAPES = ("background", "disc", "box", "triangle")
SHAPES_SIDE = 192


class EmbeddedPhotos(ImageData):
    """Seven photographs to train on and two to validate: to see the way, not to judge a net."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)

    def training_loads(self, task: Task) -> list[Load]:
        return [functools.partial(read_entry, Entry(path)) for path in photographs(TRAINING)]

    def validation_loads(self, task: Task) -> list[Load]:
        return [functools.partial(read_entry, Entry(path)) for path in photographs(VALIDATION)]


class EmbeddedShapes(ImageData):
    """Discs, boxes and triangles drawn over parts of the photographs, with their masks.

    Args:
        count: pictures to train on; an eighth as many validate, over other photographs.
    """

    def __init__(self, count: int = 160, **options: Any) -> None:
        super().__init__(**options)
        self.count = count

    def class_names(self) -> list[str]:
        return list(SHAPES)

    def where(self) -> dict[str, Any]:
        return {"count": self.count}

    def training_loads(self, task: Task) -> list[Load]:
        return self._loads(TRAINING, range(self.count))

    def validation_loads(self, task: Task) -> list[Load]:
        # Other shapes in other places too.
        return self._loads(VALIDATION, range(self.count, self.count + max(1, self.count // 8)))

    def _loads(self, names: tuple[str, ...], indices: range) -> list[Load]:
        photos = photographs(names)
        return [
            functools.partial(generate_shapes, photos[index % len(photos)], index)
            for index in indices
        ]


def photographs(names: tuple[str, ...]) -> list[Path]:
    """The files of these photographs in scikit-image's package."""
    package = find_spec("skimage")
    assert package is not None
    assert package.origin is not None
    folder = Path(package.origin).parent / "data"
    return [next(folder.glob(f"{name}.*")) for name in names]


def generate_shapes(photo: Path, index: int) -> Sample:
    """A part of a photograph under up to five shapes, and their mask; an index gives the same."""
    random = np.random.default_rng([1, index])
    pixels = _read(photo)
    side = SHAPES_SIDE
    top = int(random.integers(pixels.shape[0] - side + 1))
    left = int(random.integers(pixels.shape[1] - side + 1))
    image = pixels[top : top + side, left : left + side].copy()
    mask = np.zeros((side, side), np.uint8)
    for _ in range(int(random.integers(2, 6))):
        label = int(random.integers(1, len(SHAPES)))
        inside = _shape(label, random)
        colour = random.integers(256, size=3)
        texture = random.normal(0, 12, (side, side, 1))
        # Partly see-through: the photograph's texture shows, so that colour alone does not tell.
        painted = 0.7 * colour + 0.3 * image + texture
        image[inside] = np.clip(painted[inside], 0, 255).astype(np.uint8)
        mask[inside] = label
    return Sample(f"generated-shapes-{photo.stem}-{index:04d}", image, mask)


def _shape(label: int, random: np.random.Generator) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Where a shape of this class covers the picture: size, place and turn are random."""
    radius = float(random.uniform(14, 40))
    x, y = random.uniform(radius, SHAPES_SIDE - radius, size=2)
    canvas = Image.new("1", (SHAPES_SIDE, SHAPES_SIDE))
    draw = ImageDraw.Draw(canvas)
    if SHAPES[label] == "disc":
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=1)
    else:
        turn = float(random.uniform(0, 360))
        corners = 4 if SHAPES[label] == "box" else 3
        draw.regular_polygon((x, y, radius), corners, rotation=turn, fill=1)
    return np.asarray(canvas)


@functools.lru_cache(maxsize=len(TRAINING) + len(VALIDATION))
def _read(photo: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return read_entry(Entry(photo)).in_colour().image
