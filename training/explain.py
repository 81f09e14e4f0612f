"""`python -m training explain`: a page that looks inside a model."""

from __future__ import annotations

import argparse
import html
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from string import Template

import cv2
import numpy as np
import torch
from torch import Tensor

from i2i import explain
from i2i.explain import Region
from i2i.image import Picture, encode, read, write_bytes
from i2i.image.hidden import with_colours_carried_on
from i2i.model_folder import ModelFolder, find_model
from i2i.nets import Autoencoder
from i2i.nets.loading import load_net
from i2i.nets.margin import margin
from i2i.predictor import to_float, with_channels
from i2i.spec import ModelSpec
from i2i.windows import Window, cut
from training import explain_figures as figures
from training.data.files import find_pictures
from training.explain_figures import Figure, Place
from training.pages.html import class_legend, page
from training.passing_bar import passing
from training.pixels import brightness

# Of the region that is explained, of its picture's part at least, and of other pictures at most.
REGION, PART, LARGEST = 16, 192, 256
# The effective field is a mean over so many pictures, and seen so far at most.
FIELD_PICTURES, FIELD_SIDE = 4, 512

_FIGURE = Template("""<figure>
<figcaption>$heading</figcaption>
<p>$text</p>
<div class="row" tabindex="0"><a href="$file"><img src="$file" alt="$heading"></a></div>
</figure>""")
# The figures are drawn pixel by pixel; small screens show them whole, and open them.
_STYLE = """\
img { width: auto; image-rendering: pixelated; }
p { max-width: 60rem; }
@media (max-width: 800px) { img { max-width: 100%; } }
"""


def looks(
    folder: ModelFolder,
    picture: Path,
    others: Sequence[Path],
    at: tuple[int, int] | None = None,
    asked: str | None = None,
) -> list[Callable[[], Figure]]:
    """What makes each figure, in the order of the page.

    Args:
        picture: whose answer is explained.
        others: pictures that the net's channels are shown by.
        at: column and row of the explained place; by default where there is most detail.
        asked: name of the class whose evidence is shown; by default the likeliest there.

    Raises:
        ValueError: a picture cannot be read, `at` is outside of it, or there is no such class.
    """
    net, spec = load_net(folder).requires_grad_(False), folder.spec
    label = None if asked is None else _id_of(asked, spec)
    place = place_in(net, spec, picture, at)
    images = [_centre(net, spec, _read(spec, each), LARGEST) for each in others]
    side = min(2 * margin(net) + 4 * net.size_multiple, FIELD_SIDE)
    few = others[:FIELD_PICTURES]
    squares = [_centre(net, spec, _read(spec, each), side, square=True) for each in few]
    stages = explain.stages(net)
    classes = [partial(figures.class_maps, net, spec, place)] if spec.kind == "labels" else []
    return [
        partial(figures.answer, net, spec, place),
        partial(figures.rests_on, net, spec, place, label),
        *classes,
        partial(figures.field, net, spec, squares),
        partial(figures.kernels, net, spec),
        *(partial(figures.answers_of, net, stage, place) for stage in stages),
        *(partial(figures.looks_for, net, stage, images) for stage in stages),
    ]


def write_page(folder: Path, spec: ModelSpec, shown: Sequence[Figure]) -> Path:
    """Writes index.html and 01.png, 02.png … into the folder; gives the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for number, figure in enumerate(shown, start=1):
        file = f"{number:02d}.png"
        write_bytes(folder / file, encode(Picture(figure.pixels)))
        said = {"heading": html.escape(figure.heading), "text": html.escape(figure.text)}
        parts.append(_FIGURE.substitute(said, file=file))
    path = folder / "index.html"
    body = "\n".join((class_legend(spec.classes), *parts))
    write_bytes(path, page(spec.address, body, _STYLE))
    return path


def place_in(net: Autoencoder, spec: ModelSpec, path: Path, at: tuple[int, int] | None) -> Place:
    """The region around a place, on the net's grid, and all that its answer can see."""
    picture, multiple = _read(spec, path), net.size_multiple
    size = -(-REGION // multiple) * multiple
    context = max(margin(net), (PART - size) // 2)
    context = -(-context // multiple) * multiple
    column, row = at or _most_detail(picture, context + size // 2)
    if not (0 <= column < picture.width and 0 <= row < picture.height):
        raise ValueError(
            f"--at: expected a place inside of {path.name}, {picture.width} x {picture.height} "
            f"pixels, got {column},{row}"
        )
    top, left = (
        max(0, min(middle - size // 2, length - size) // multiple * multiple) - context
        for middle, length in ((row, picture.height), (column, picture.width))
    )
    side = size + 2 * context
    image = _cut(spec, picture, top, left, side, side)
    name = f"{path.name}, {size} × {size} pixels around column {column}, row {row}"
    if min(top, left) < 0 or top + side > picture.height or left + side > picture.width:
        name += ", mirrored at its border"
    return Place(name, image, Region(context, context, size, size))


def _read(spec: ModelSpec, path: Path) -> Picture:
    """A picture, its hidden pixels as a prediction fills them."""
    picture = read(path)
    if picture.alpha is None or spec.kind != "image":
        return picture
    return Picture(with_colours_carried_on(picture.pixels, picture.alpha))


def _id_of(name: str, spec: ModelSpec) -> int:
    """The id of a class; ValueError where the model has none of the name."""
    names = [each.name for each in spec.classes]
    if name not in names:
        expected = f"one of {', '.join(names)}" if names else "a model that gives classes"
        raise ValueError(f"--class: expected {expected}, got {name}")
    return names.index(name)


def _most_detail(picture: Picture, beside: int) -> tuple[int, int]:
    """Column and row where neighbours differ most, over a region.

    Args:
        beside: pixels that there are to be on each side, where the picture is large enough.
    """
    gray = brightness(picture.pixels)
    slope = np.abs(cv2.Laplacian(gray, cv2.CV_32F))
    busy = cv2.blur(slope, (REGION, REGION))
    top, left = (min(beside, (length - 1) // 2) for length in busy.shape)
    inner = busy[top : busy.shape[0] - top, left : busy.shape[1] - left]
    row, column = np.unravel_index(int(inner.argmax()), inner.shape)
    return int(column) + left, int(row) + top


def _centre(
    net: Autoencoder, spec: ModelSpec, picture: Picture, side: int, square: bool = False
) -> Tensor:
    """The middle of a picture, at most `side` a side; a square is continued by reflection."""
    multiple = net.size_multiple
    height, width = (
        side if square else -(-min(side, length) // multiple) * multiple
        for length in (picture.height, picture.width)
    )
    top, left = (
        (length - cut_length) // 2 // multiple * multiple
        for length, cut_length in ((picture.height, height), (picture.width, width))
    )
    return _cut(spec, picture, top, left, height, width)


def _cut(spec: ModelSpec, picture: Picture, top: int, left: int, height: int, width: int) -> Tensor:
    """A part of the plane around a picture, as the net takes it."""
    window = Window(top, left, height, width, (0, 0), (0, 0))
    pixels = with_channels(cut(picture.pixels, window), spec.input_channels)
    return torch.from_numpy(to_float(pixels))


def _at(text: str) -> tuple[int, int]:
    try:
        column, row = (int(number) for number in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected COLUMN,ROW, got {text!r}") from error
    return column, row


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m training explain",
        description="Looks inside a model: what its stages answer, which pixels an answer rests "
        "on, how far it looks, and what its channels look for, on one page.",
    )
    parser.add_argument("--model", required=True, help="model folder, or name of a shipped model")
    parser.add_argument(
        "--images", required=True, type=Path, help="folder of pictures as the model takes them"
    )
    parser.add_argument(
        "--picture", type=Path, help="whose answer is explained; default: the first of --images"
    )
    parser.add_argument(
        "--at",
        type=_at,
        metavar="COLUMN,ROW",
        help="the explained place, in its pixels; default: where there is most detail",
    )
    parser.add_argument(
        "--class",
        dest="asked",
        metavar="NAME",
        help="of a segmentation: the class whose evidence is shown; default: the likeliest there",
    )
    parser.add_argument(
        "--most", type=int, default=16, help="pictures of --images used (default: %(default)s)"
    )
    parser.add_argument("--output", required=True, type=Path, help="folder for the page")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    options = build_parser().parse_args(arguments)
    if options.most < 1:
        raise ValueError(f"--most: expected at least 1 picture, got {options.most}")
    folder = ModelFolder.open(find_model(options.model))
    others = find_pictures(options.images)[: options.most]
    picture = options.picture or others[0]
    if not picture.is_file():
        picture = options.images / picture
    if not picture.is_file():
        raise ValueError(f"--picture: expected a file, here or in --images, got {options.picture}")
    steps = looks(folder, picture, others, options.at, options.asked)
    options.output.mkdir(parents=True, exist_ok=True)
    shown = [look() for look in passing(steps, "Looking inside")]
    print(write_page(options.output, folder.spec, shown))
