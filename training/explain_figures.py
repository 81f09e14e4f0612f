"""The figures of `explain`: what a net did with a picture, drawn, and said in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from i2i import explain
from i2i.explain import Exemplar, Region, Stage
from i2i.explain.attribution import Quantity
from i2i.nets import Autoencoder
from i2i.nets.margin import margin
from i2i.spec import ModelSpec
from i2i.views import false_colours, overlay
from training.pixels import Pixels, in_colour, to_8_bit

# Shown at least so large, in pixels.
TILE = 128
CHANNELS, LOOKED_FOR = 12, 4
# Of the effective field, in squares around its middle.
SHARES = (0.5, 0.9, 0.99)
# Its weakest colour, as a share of the strongest: the field falls like a bell.
_FAINTEST = 1e-4
_FRAME = (230, 40, 40)
# What adds and what takes away, told apart by those who tell few colours apart.
_FOR, _AGAINST = np.array((255, 150, 30)), np.array((50, 120, 255))
_PAPER = 128


@dataclass(frozen=True, eq=False)
class Figure:
    """A picture (H, W, 3), under a heading, with what it shows in plain text."""

    heading: str
    text: str
    pixels: Pixels


@dataclass(frozen=True, eq=False)
class Place:
    """What is explained: the answer in a region of a picture.

    Attributes:
        name: of the picture, and where in it, in words.
        image: the picture's part around the region, (1, C, H, W), wide enough for all that the
            answer there can see.
        region: in the part's pixels.
    """

    name: str
    image: Tensor
    region: Region

    def near(self, reach: int) -> Place:
        """The same, with no more around the region than `reach` pixels."""
        region = self.region
        top, left = max(0, region.top - reach), max(0, region.left - reach)
        rows = slice(top, region.top + region.height + reach)
        columns = slice(left, region.left + region.width + reach)
        moved = Region(region.top - top, region.left - left, region.height, region.width)
        return Place(self.name, self.image[..., rows, columns], moved)


def answer(net: Autoencoder, spec: ModelSpec, place: Place) -> Figure:
    """The input and the answer, with a frame around the region."""
    with torch.no_grad():
        output = net(place.image)
    shown = [picture_of(place.image), _answer_drawn(output, spec, place)]
    both = [_framed(enlarged(each, 2 * TILE), place) for each in shown]
    text = f"Left what the net was given, right its answer: {place.name}. The frame is explained."
    return Figure("The answer", text, grid([both]))


def rests_on(net: Autoencoder, spec: ModelSpec, place: Place, label: int | None = None) -> Figure:
    """The input, its saliency and its attribution, as far as the answer can see.

    Args:
        label: id of the class that is asked for; by default the likeliest of the region.
    """
    place = place.near(margin(net))
    quantity, in_words = _quantity(net, spec, place, label)
    salient = explain.saliency(net, place.image, place.region, quantity)
    attributed = explain.attribution(net, place.image, place.region, quantity).pixels
    heat = false_colours(_normalised(salient.numpy()), 0, 1)
    tiles = [picture_of(place.image), heat, two_sided(attributed.numpy())]
    adds, takes = attributed.clamp(min=0).sum().item(), attributed.clamp(max=0).sum().item()
    text = (
        f"Which pixels decide {in_words}. Middle, saliency: where a small change of the input "
        "would change it most. Right, attribution: what adds to it (orange) or takes from it "
        f"(blue), on the way from a blurred picture to this one: {adds:+.3g} and {takes:+.3g}, "
        f"together {adds + takes:+.3g}. Both show roots of the numbers, for the weak ones. "
        f"Diffusion index {explain.diffusion_index(attributed.abs()):.1f}: 0 is one pixel, 100 all "
        "of these alike."
    )
    framed = [_framed(enlarged(tile, 2 * TILE), place) for tile in tiles]
    return Figure("What it rests on", text, grid([framed]))


def class_maps(net: Autoencoder, spec: ModelSpec, place: Place) -> Figure:
    """Where the deepest feature saw what speaks for each class that is in the answer."""
    with torch.no_grad():
        labels = net(place.image)[0].argmax(dim=0)
    picture = picture_of(place.image)
    found = labels.unique().tolist()[:CHANNELS]
    tiles = [enlarged(picture, 2 * TILE)]
    for label in found:
        seen = explain.class_activation(net, place.image, label).numpy()
        times = picture.shape[0] // seen.shape[0]
        heat = false_colours(seen.repeat(times, 0).repeat(times, 1), 0, max(seen.max(), 1e-9))
        tiles.append(enlarged(heat, 2 * TILE))
    names = ", ".join(spec.classes[label].name for label in found)
    text = (
        "Class activation: the deepest feature of the encoder, each channel weighted by what it "
        f"means to a class. Left the picture; right of it, in this order: {names}. Black is "
        "nothing, white the most of that class."
    )
    return Figure("What speaks for each class", text, grid([tiles]))


def field(net: Autoencoder, spec: ModelSpec, images: Iterable[Tensor]) -> Figure:
    """How far an output pixel looks, beside the margin that windows keep."""
    looked_at = list(images)
    seen = explain.effective_field(net, looked_at)
    radii = {share: explain.radius(seen, share) for share in SHARES}
    values = seen.numpy()
    strength = np.log10(np.maximum(values / values.max(), _FAINTEST))
    times = max(1, 3 * TILE // len(seen))
    drawn = false_colours(strength, np.log10(_FAINTEST), 0).repeat(times, 0).repeat(times, 1)
    for r in radii.values():
        first, last = (times * (len(seen) // 2 + end) for end in (-r, r + 1))
        _draw_frame(drawn, first, first, last, last)
    far = (
        f" (looked for up to {len(seen) // 2} pixels away)" if len(seen) // 2 < margin(net) else ""
    )
    held = ", ".join(f"{share:.0%} within {r} pixels" for share, r in radii.items())
    text = (
        "Effective receptive field: how much one output pixel depends on the input pixels around "
        f"its own, from black (a {1 / _FAINTEST:,.0f}th of the strongest or less) to white; the "
        f"mean of {len(looked_at)} places. Of all dependence{far}, {held} (the frames). "
        f"{_kept(spec)}"
    )
    return Figure("How far it looks", text, drawn)


def kernels(net: Autoencoder, spec: ModelSpec) -> Figure:
    """The first convolution's kernels above what one unit of the head draws."""
    drawn, what = explain.drawn_by_head(net), "draws"
    if spec.kind == "labels":
        # A score counts by its lead over the others.
        drawn, what = drawn - drawn.mean(dim=1, keepdim=True), "says for the class it decides most"
        most = drawn.flatten(2).norm(dim=2).argmax(dim=1)
        drawn = drawn[range(len(drawn)), most][:, None]
    rows = []
    for weights in (explain.first_kernels(net), drawn):
        strongest = weights.flatten(1).norm(dim=1).argsort(descending=True)[:CHANNELS]
        rows.append([enlarged(_signed(weights[i]), TILE // 2) for i in strongest.tolist()])
    text = (
        "Above, what the first convolution looks for: the kernels of its strongest channels. Below,"
        f" what one unit of each of the decoder's strongest channels {what}. Middle gray is 0."
    )
    return Figure("The weights beside the picture", text, grid(rows))


def answers_of(net: Autoencoder, stage: Stage, place: Place) -> Figure:
    """A stage's channels that vary most."""
    with torch.no_grad():
        feature = explain.activations(net, place.image)[stage.name][0]
    # Not at the rim, where a net sees its own padding.
    rim = feature.shape[-1] // 4
    inner = feature[:, rim : feature.shape[-2] - rim, rim : feature.shape[-1] - rim]
    order = inner.flatten(1).std(dim=1).argsort(descending=True)[:CHANNELS].tolist()
    low, high = np.percentile(feature[order].numpy(), (0.5, 99.5))
    drawn = (false_colours(feature[i].numpy(), low, max(high, low + 1e-9)) for i in order)
    tiles = [enlarged(each, TILE) for each in drawn]
    half = -(-len(tiles) // 2)
    text = (
        f"Stage {stage.name}: {stage.channels} channels, a value for every {stage.stride} × "
        f"{stage.stride} input pixels, which sees {_by(stage)} of them. Those that vary most "
        f"here, the most first: channels {', '.join(map(str, order))}. All on one scale: black is "
        f"{low:.2g} or less, white {high:.2g} or more."
    )
    return Figure(f"What {stage.name} answers", text, grid([tiles[:half], tiles[half:]]))


def looks_for(net: Autoencoder, stage: Stage, images: Sequence[Tensor]) -> Figure:
    """For the channels of a stage that are excited most: a picture made for it, and real places."""
    places = explain.exemplars(net, stage.name, images)
    strongest = sorted(range(stage.channels), key=lambda i: places[i][0], reverse=True)
    multiple = net.size_multiple
    side = min(max(stage.receptive_field), TILE)
    side = max(-(-side // multiple) * multiple, -(-32 // multiple) * multiple)
    shown = strongest[:LOOKED_FOR]
    rows = []
    for channel, made in zip(shown, explain.maximize(net, stage.name, shown, side), strict=True):
        row = [enlarged(picture_of(made[None]), TILE)]
        for each in places[channel]:
            picture = picture_of(images[each.picture])
            row.append(_seen(picture, each, stage, side))
        rows.append(row)
    text = (
        f"Channels {', '.join(map(str, shown))} of {stage.name}, a row each. Left a picture made "
        "from noise to excite the channel; right of it the places of the pictures that excite it "
        "most, where a frame is what a unit sees, if that is less."
    )
    return Figure(f"What {stage.name} looks for", text, grid(rows))


def picture_of(image: Tensor) -> Pixels:
    """A tensor (1, 1 or 3, H, W) in [0, 1] as a picture (H, W, 3)."""
    return in_colour(to_8_bit(image[0].permute(1, 2, 0).float().numpy()))


def enlarged(pixels: Pixels, side: int) -> Pixels:
    """Each pixel repeated, as often as makes the longer side at least `side`."""
    times = -(-side // max(pixels.shape[:2]))
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


def grid(rows: Sequence[Sequence[Pixels]], gap: int = 4) -> Pixels:
    """Rows of pictures on gray, each in a cell of the size of the largest."""
    tiles = [tile for row in rows for tile in row]
    height, width = (max(tile.shape[axis] for tile in tiles) + gap for axis in (0, 1))
    columns = max(map(len, rows))
    paper = np.full((len(rows) * height - gap, columns * width - gap, 3), _PAPER, np.uint8)
    for i, row in enumerate(rows):
        for j, tile in enumerate(row):
            top, left = i * height, j * width
            paper[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return paper


def _quantity(
    net: Autoencoder, spec: ModelSpec, place: Place, label: int | None
) -> tuple[Quantity, str]:
    """What of the answer is explained, and its words."""
    if spec.kind == "image":
        return explain.detail, "how much detail there is in the frame"
    if spec.kind == "map":
        return explain.amount, "the mean value in the frame"
    with torch.no_grad():
        scores = place.region.of(net(place.image), net.scale)
    if label is None:
        label = int(scores.mean(dim=(0, 2, 3)).argmax())
    share = (scores.argmax(dim=1) == label).float().mean().item()
    name = spec.classes[label].name
    return explain.evidence(label), f"how much speaks for {name}, which {share:.0%} of the frame is"


def _answer_drawn(output: Tensor, spec: ModelSpec, place: Place) -> Pixels:
    if spec.kind == "labels":
        labels = output[0].argmax(dim=0).numpy().astype(np.uint8)
        return overlay(picture_of(place.image), labels, [each.colour for each in spec.classes])
    if spec.kind == "map":
        return false_colours(output[0, 0].numpy(), 0, 1)
    return picture_of(output.clamp(0, 1))


def _framed(pixels: Pixels, place: Place) -> Pixels:
    """A picture of the whole part, with a frame around the region."""
    times = pixels.shape[0] / place.image.shape[-2]
    region = place.region
    corners = region.top, region.left, region.top + region.height, region.left + region.width
    framed = pixels.copy()
    _draw_frame(framed, *(round(times * corner) for corner in corners))
    return framed


def _draw_frame(pixels: Pixels, top: int, left: int, bottom: int, right: int) -> None:
    for rows, columns in (
        (slice(top, top + 2), slice(left, right)),
        (slice(bottom - 2, bottom), slice(left, right)),
        (slice(top, bottom), slice(left, left + 2)),
        (slice(top, bottom), slice(right - 2, right)),
    ):
        pixels[rows, columns] = _FRAME


def _normalised(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """To 0 … 1; the root shows the weak ones too."""
    return np.sqrt(values / max(float(values.max()), 1e-12))


def two_sided(values: NDArray[np.float32]) -> Pixels:
    """Numbers (H, W) around gray as (H, W, 3); the root shows the weak ones too."""
    size = np.abs(values)
    # Few pixels are so strong that beside them nothing else would show.
    strength = _normalised(np.minimum(size, np.percentile(size, 99.5)))[..., None]
    ends = np.where(values[..., None] > 0, _FOR, _AGAINST)
    return np.round(_PAPER + strength * (ends - _PAPER)).astype(np.uint8)


def _signed(kernel: Tensor) -> Pixels:
    """A kernel (C, rows, columns) around gray: in colour where C is 3, else the channels' mean."""
    values = kernel if len(kernel) == 3 else kernel.mean(dim=0, keepdim=True)
    share = 0.5 + values / (2 * values.abs().max().clamp(min=1e-12))
    return picture_of(share[None])


def _seen(picture: Pixels, place: Exemplar, stage: Stage, side: int) -> Pixels:
    """The square around a place, moved inwards at the border, and a frame around what is seen."""
    top, left = (
        min(max(0, at - side // 2), max(0, length - side))
        for at, length in ((place.row, picture.shape[0]), (place.column, picture.shape[1]))
    )
    drawn = enlarged(picture[top : top + side, left : left + side], TILE)
    rows, columns = stage.receptive_field
    if max(rows, columns) < side:
        times = drawn.shape[0] // min(side, picture.shape[0])
        middle = place.row - top, place.column - left
        first = middle[0] - rows // 2, middle[1] - columns // 2
        corners = *first, first[0] + rows, first[1] + columns
        ends = drawn.shape[:2] * 2
        inside = (min(max(0, times * at), end) for at, end in zip(corners, ends, strict=True))
        _draw_frame(drawn, *inside)
    return drawn


def _kept(spec: ModelSpec) -> str:
    if spec.tiling == "whole":
        return "Pictures are taken as a whole, without windows."
    return f"Windows keep a margin of {spec.margin} pixels ({spec.margin_kind})."


def _by(stage: Stage) -> str:
    return " × ".join(map(str, stage.receptive_field))
