"""The stages of a net by name, and what each answers to a picture."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from i2i.nets.autoencoder import Autoencoder, check_size
from i2i.nets.margin import receptive_fields


@dataclass(frozen=True)
class Stage:
    """A stage of encoder or decoder.

    Attributes:
        name: `encoder.0` is the encoder's first stage, `decoder.0` the decoder's, its deepest.
        channels: of its feature.
        stride: input pixels per pixel of its feature.
        receptive_field: input pixels, (rows, columns), that one of its units depends on at most.
    """

    name: str
    channels: int
    stride: int
    receptive_field: tuple[int, int]


def stages(net: Autoencoder) -> list[Stage]:
    """The stages in the order of the data.

    Examples:
        >>> from i2i.nets import Autoencoder, Decoder, Encoder, PictureHead
        >>> net = Autoencoder(Encoder([8, 16], [0, 1]), Decoder([16, 8], [0]), PictureHead(8))
        >>> for stage in stages(net):
        ...     print(stage.name, stage.channels, stage.stride, stage.receptive_field)
        encoder.0 8 1 (3, 3)
        encoder.1 16 2 (14, 14)
        decoder.0 8 1 (16, 16)
    """
    fields = receptive_fields(net)
    strides = net.encoder.strides
    encoder = [
        Stage(f"encoder.{i}", width, stride, _widest(fields, f"encoder.stages.{i}."))
        for i, (width, stride) in enumerate(zip(net.encoder.widths, strides, strict=True))
    ]
    decoder = [
        Stage(
            f"decoder.{i}",
            width,
            strides[-2 - i],
            _widest(fields, *(f"decoder.{part}.{i}." for part in ("ups", "joins", "blocks"))),
        )
        for i, width in enumerate(net.decoder.widths[1:])
    ]
    return encoder + decoder


def _widest(fields: dict[str, tuple[int, int]], *parts: str) -> tuple[int, int]:
    """The field of what comes last in a stage: fields only grow on the way."""
    found = [field for name, field in fields.items() if f"{name}.".startswith(parts)]
    return max(field[0] for field in found), max(field[1] for field in found)


def find_stage(net: Autoencoder, name: str) -> Stage:
    """The stage of that name.

    Raises:
        ValueError: the net has none of that name.
    """
    found = {stage.name: stage for stage in stages(net)}
    if name not in found:
        raise ValueError(f"stage: expected one of {', '.join(found)}, got {name!r}")
    return found[name]


def activations(net: Autoencoder, image: Tensor) -> dict[str, Tensor]:
    """Stage name → its feature, (N, channels, H / stride, W / stride).

    Args:
        image: (N, C, H, W) in [0, 1], sides multiples of `size_multiple`.
    """
    check_size(image, net.size_multiple)
    features = net.encoder(image)
    decoded = net.decoder.stages(features)[1:]
    return {f"encoder.{i}": feature for i, feature in enumerate(features)} | {
        f"decoder.{i}": feature for i, feature in enumerate(decoded)
    }
