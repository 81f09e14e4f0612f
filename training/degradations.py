"""What spoils a picture: noise, compression, blur, holes. A restoration learns to undo it.

Each is called with a picture (H, W, 1 or 3) and a random generator, and gives one of the same
height and width. Pictures are uint8, uint16, or float32 with black at 0 and white at 1, which noise
may exceed. Unless a class says otherwise, the type stays what it was.
"""

from __future__ import annotations

import inspect
import io
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2i.nets.style import check_choice
from training.pixels import Pixels, Values, brightness, from_float, in_colour, to_8_bit, to_float

# A number, or (low, high) between which one is drawn for each picture.
Range = float | tuple[float, float]
Shape = Literal["rectangles", "strokes", "both"]


class Degradation(ABC):
    """Spoils a picture; the same random state gives the same result.

    A subclass keeps each argument of its constructor as an attribute of the same name: its words
    stand in the protocol of a model's scores.
    """

    @abstractmethod
    def __call__(self, image: Values, random: np.random.Generator) -> Values:
        """The picture spoiled, of the same height and width."""

    def __repr__(self) -> str:
        values = {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}
        # A checkpoint gives a list back for a pair.
        plain = {n: list(v) if isinstance(v, tuple) else v for n, v in values.items()}
        return f"{type(self).__name__}({', '.join(f'{n}={v}' for n, v in plain.items())})"


class GaussianNoise(Degradation):
    """Adds independent normal noise to each value; the result is float32.

    Args:
        sigma: standard deviation, in steps of 8 bit.
        clip: clip and round to 8 bit, as a file would hold it; the result is uint8.
    """

    def __init__(self, sigma: Range, clip: bool = False) -> None:
        self.sigma, self.clip = as_range("sigma", sigma, 0, 255), clip

    def __call__(self, image: Values, random: np.random.Generator) -> Values:
        sigma = np.float32(draw(self.sigma, random) / 255)
        noise = random.standard_normal(image.shape, np.float32)
        noisy = to_float(image) + sigma * noise
        return to_8_bit(noisy) if self.clip else noisy


class Jpeg(Degradation):
    """Compresses as JPEG, colour at half the resolution (4:2:0); the result is uint8.

    Args:
        quality: of libjpeg, 1 to 95.
    """

    def __init__(self, quality: Range) -> None:
        self.quality = as_range("quality", quality, 1, 95)

    def __call__(self, image: Values, random: np.random.Generator) -> Values:
        pixels = to_8_bit(image)
        file = io.BytesIO()
        picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        quality = round(draw(self.quality, random))
        picture.save(file, "JPEG", quality=quality, subsampling="4:2:0")
        with Image.open(file, formats=["JPEG"]) as compressed:
            return np.array(compressed).reshape(pixels.shape)


class Blur(Degradation):
    """Blurs by a Gaussian; the picture goes on by reflection.

    Args:
        sigma: standard deviation, in pixels; below 0.3 a pixel is hardly blurred, and an axis of so
            little leaves the other one, at an angle, with less than its own.
        anisotropic: draw one sigma for each of two axes, at a random angle.
    """

    def __init__(self, sigma: Range, anisotropic: bool = False) -> None:
        self.sigma, self.anisotropic = as_range("sigma", sigma, 0, 20), anisotropic

    def __call__(self, image: Values, random: np.random.Generator) -> Values:
        along = draw(self.sigma, random)
        across = draw(self.sigma, random) if self.anisotropic else along
        angle = random.uniform(0, np.pi) if self.anisotropic else 0.0
        # 1e-3 pixels is no blur, and no division by 0.
        along, across = max(along, 1e-3), max(across, 1e-3)
        u, v = rotated_grid(int(np.ceil(3 * max(along, across))), angle)
        return convolve(image, np.exp(-((u / along) ** 2 + (v / across) ** 2) / 2))


class MotionBlur(Degradation):
    """Blurs along a straight line at a random angle, as a moving camera does.

    Args:
        length: of the line, in pixels.
    """

    def __init__(self, length: Range) -> None:
        self.length = as_range("length", length, 1, 100)

    def __call__(self, image: Values, random: np.random.Generator) -> Values:
        half = draw(self.length, random) / 2
        u, v = rotated_grid(int(np.ceil(half)), random.uniform(0, np.pi))
        # The share of a pixel that a line of width 1 covers, nearly.
        beyond = np.maximum(np.abs(u) - half + 0.5, 0)
        return convolve(image, np.clip(1 - np.abs(v), 0, 1) * np.clip(1 - beyond, 0, 1))


class Resize(Degradation):
    """Shrinks or enlarges, and brings back to the size; each by a kernel drawn at random.

    The kernels are area, bilinear and bicubic without antialiasing, as programs in the wild use.

    Args:
        factor: of the size in between.
    """

    def __init__(self, factor: Range) -> None:
        self.factor = as_range("factor", factor, 0.05, 4)

    def __call__(self, image: Values, random: np.random.Generator) -> Values:
        height, width = image.shape[:2]
        factor = draw(self.factor, random)
        between = max(1, round(factor * width)), max(1, round(factor * height))
        values = to_float(image)
        for size in (between, (width, height)):
            kernel = random.choice([cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC])
            values = cv2.resize(values, size, interpolation=int(kernel)).astype(np.float32)
        return from_float(values.reshape(image.shape), image.dtype)


class Gray(Degradation):
    """Takes the colours away: brightness (BT.601) in each channel."""

    def __call__(self, image: Values, random: np.random.Generator) -> Values:
        if image.shape[2] == 1:
            return image
        return from_float(in_colour(brightness(image)[..., None]), image.dtype)


class Light(Degradation):
    """Less or more light: linear values times a factor, clipped, as another exposure gives them.

    Args:
        factor: below 1 darker, above 1 brighter.
    """

    def __init__(self, factor: Range) -> None:
        self.factor = as_range("factor", factor, 0, 16)

    def __call__(self, image: Values, random: np.random.Generator) -> Values:
        factor = np.float32(draw(self.factor, random))
        values = to_float(image).clip(0, 1)
        # The curves of sRGB (IEC 61966-2-1).
        light = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
        light = np.minimum(factor * light, 1)
        shown = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
        return from_float(shown.astype(np.float32), image.dtype)


class Contrast(Degradation):
    """Brings each value nearer to the picture's mean, or away from it, and clips it.

    Args:
        factor: of the distance.
    """

    def __init__(self, factor: Range) -> None:
        self.factor = as_range("factor", factor, 0, 16)

    def __call__(self, image: Values, random: np.random.Generator) -> Values:
        values = to_float(image)
        mean, factor = values.mean(), np.float32(draw(self.factor, random))
        return from_float((mean + factor * (values - mean)).clip(0, 1), image.dtype)


class Holes(Degradation):
    """Paints holes in one colour; a gray picture becomes one of three channels.

    The colour marks what is to be filled in: magenta hardly occurs in photographs.

    Args:
        share: of the picture's area that the holes cover together, about.
        shape: rectangles, strokes of a thick brush, or both.
        size: of a rectangle's sides, and about a stroke's length, in pixels.
        colour: (red, green, blue), 0 to 255.
    """

    def __init__(
        self,
        share: Range,
        shape: Shape = "both",
        size: Range = (4, 48),
        colour: tuple[int, int, int] = (255, 0, 255),
    ) -> None:
        check_choice("shape", shape, Shape)
        if len(colour) != 3 or not all(0 <= value <= 255 for value in colour):
            raise ValueError(f"colour: expected three of 0 to 255, got {colour}")
        self.share, self.size = as_range("share", share, 0, 0.9), as_range("size", size, 1, 1000)
        self.shape, self.colour = shape, colour

    def __call__(self, image: Values, random: np.random.Generator) -> Values:
        height, width = image.shape[:2]
        wanted = draw(self.share, random) * height * width
        holes = np.zeros((height, width), np.uint8)
        covered = 0
        while covered < wanted:
            rectangle = (
                random.random() < 0.5 if self.shape == "both" else self.shape == "rectangles"
            )
            middle = random.uniform(0, (height, width))
            sides = np.array([draw(self.size, random), draw(self.size, random)])
            if rectangle:
                first = np.floor(middle - sides / 2).astype(int)
                hole = _box(holes, np.array((first, first + np.rint(sides).astype(int) - 1)))
                covered += hole.size - int(np.count_nonzero(hole))
                hole[:] = 1
            else:
                # A random walk, whose six steps lead about `size` away.
                walk = np.cumsum(random.normal(0, sides.mean() / 2.5, (6, 2)), axis=0)
                points = (middle + walk - walk[0]).astype(np.int32)
                thickness = 1 + round(sides.min() / 5)
                around = _box(holes, points, thickness)
                covered -= int(np.count_nonzero(around))
                cv2.polylines(holes, [points[:, ::-1]], False, color=1, thickness=thickness)
                covered += int(np.count_nonzero(around))
        spoiled: Values = in_colour(image).copy()
        colour = np.array(self.colour, np.float32) / np.float32(255)
        spoiled[holes == 1] = from_float(colour, image.dtype)
        return spoiled


def _box(plane: Pixels, points: NDArray[np.integer], beyond: int = 0) -> Pixels:
    """The part of a plane that holds points (row, column), and `beyond` pixels around them."""
    first, last = points.min(axis=0) - beyond, points.max(axis=0) + beyond
    (top, left), (bottom, right) = np.maximum(0, first), np.maximum(0, last + 1)
    return plane[top:bottom, left:right]


class Chain(Degradation):
    """One degradation after another, each with its probability.

    With blur, resizing, noise and compression, shuffled: pictures as they come from the wild, after
    BSRGAN (arXiv 2103.14006) and Real-ESRGAN (arXiv 2107.10833), whose kernels and noises are more.

    Args:
        degradations: in their order.
        probabilities: of each; by default all happen.
        shuffle: draw the order for each picture.
    """

    def __init__(
        self,
        degradations: list[Degradation],
        probabilities: list[float] | None = None,
        shuffle: bool = False,
    ) -> None:
        if not degradations or not isinstance(degradations, list):
            raise ValueError(f"degradations: expected a list of at least one, got {degradations}")
        for degradation in degradations:
            check_degradation(degradation)
        if probabilities is not None and (
            len(probabilities) != len(degradations) or not all(0 <= p <= 1 for p in probabilities)
        ):
            raise ValueError(
                f"probabilities: expected {len(degradations)} of 0 to 1, got {probabilities}"
            )
        self.degradations, self.probabilities = degradations, probabilities
        self.shuffle = shuffle

    def __call__(self, image: Values, random: np.random.Generator) -> Values:
        count = len(self.degradations)
        order: Sequence[int] = random.permutation(count).tolist() if self.shuffle else range(count)
        for index in order:
            if self.probabilities is None or random.random() < self.probabilities[index]:
                image = self.degradations[index](image, random)
        return image


def check_degradation(value: object) -> None:
    """Raises ValueError where `value` is no degradation."""
    if not isinstance(value, Degradation):
        raise ValueError(
            f"degradation: expected an object of a class of training.degradations, got {value!r}"
        )


def as_range(name: str, value: Range, low: float, high: float) -> Range:
    """A number or a pair as floats: 25 and 25.0 are one protocol.

    Raises:
        ValueError: it leaves low..high, or the pair is not in order.
    """
    ends = list(value) if isinstance(value, tuple | list) else [value, value]
    if len(ends) != 2 or not low <= ends[0] <= ends[1] <= high:
        raise ValueError(
            f"{name}: expected a number or a pair (low, high) within {low} to {high}, got {value}"
        )
    return (float(ends[0]), float(ends[1])) if isinstance(value, tuple | list) else float(value)


def draw(value: Range, random: np.random.Generator) -> float:
    """The number itself, or one drawn uniformly between the pair's."""
    return random.uniform(*value) if isinstance(value, tuple | list) else value


def rotated_grid(radius: int, angle: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates of a kernel's pixels along two axes at an angle, 0 in the middle."""
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float64)
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def convolve(image: Values, kernel: NDArray[np.float64]) -> Values:
    """The picture under a symmetric kernel, which is scaled to the sum 1."""
    kernel = (kernel / kernel.sum()).astype(np.float32)
    blurred = cv2.filter2D(to_float(image), -1, kernel, borderType=cv2.BORDER_REFLECT)
    return from_float(blurred.reshape(image.shape).astype(np.float32), image.dtype)
