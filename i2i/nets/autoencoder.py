"""The network: encoder, decoder and head as one module."""

from __future__ import annotations

from collections.abc import Sequence

import torch.fx
from torch import Tensor, nn

from i2i.nets.decoder import Decoder
from i2i.nets.encoder import FeatureEncoder
from i2i.nets.heads import ClassHead, PictureHead
from i2i.nets.style import Padding


class Autoencoder(nn.Module):
    """An encoder of strided convolutions, a decoder of transposed convolutions, and a head.

    (N, C, H, W), values in [0, 1] → (N, channels, scale · H, scale · W), not clamped, or class
    scores (N, classes, H, W). H and W are multiples of `size_multiple`.

    Examples:
        >>> import torch
        >>> from i2i.nets import Autoencoder, Decoder, Encoder, PictureHead
        >>> net = Autoencoder(
        ...     Encoder(widths=[8, 16], depths=[0, 1]),
        ...     Decoder(widths=[16, 8], depths=[0]),
        ...     PictureHead(features=8, stride=2, scale=2),
        ... )
        >>> tuple(net(torch.rand(1, 3, 32, 48)).shape)
        (1, 3, 64, 96)

    Args:
        auxiliary: stages of the decoder, counted from 0 at the deepest, whose results a head of
            their own brings to the output's size, for deep supervision (Lee et al., arXiv
            1409.5185). Training uses them only: the exported net has none.
    """

    def __init__(
        self,
        encoder: FeatureEncoder,
        decoder: Decoder,
        head: PictureHead | ClassHead,
        auxiliary: Sequence[int] = (),
    ) -> None:
        super().__init__()
        _check_joints(encoder, decoder, head)
        _check_auxiliary(auxiliary, len(decoder.ups) - 1)
        self.encoder, self.decoder, self.head = encoder, decoder, head
        self.auxiliary = list(auxiliary)
        self.auxiliary_heads = nn.ModuleList(
            head.at(decoder.widths[stage + 1], encoder.strides[-2 - stage] * head.scale)
            for stage in auxiliary
        )

    @property
    def size_multiple(self) -> int:
        """Height and width of an input are multiples of this."""
        return self.encoder.strides[-1]

    @property
    def scale(self) -> int:
        """Output pixels per input pixel along each axis."""
        return self.head.scale

    @property
    def padding(self) -> Padding:
        """The decoder's; `valid` where any part says so: outputs that see a border do not count."""
        parts = self.encoder, self.decoder, self.head
        return "valid" if any(part.padding == "valid" for part in parts) else self.decoder.padding

    def forward(self, image: Tensor) -> Tensor:
        check_size(image, self.size_multiple)
        output: Tensor = self.head(self.decoder(self.encoder(image)), image)
        return output

    def forward_with_auxiliary(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The output, and that of each auxiliary head, all of the same shape: for training."""
        check_size(image, self.size_multiple)
        results = self.decoder.stages(self.encoder(image))
        pairs = zip(self.auxiliary_heads, self.auxiliary, strict=True)
        return self.head(results[-1], image), [head(results[i + 1], image) for head, i in pairs]

    def encode(self, image: Tensor) -> Tensor:
        """The deepest feature, (N, widths[-1], H / size_multiple, W / size_multiple)."""
        check_size(image, self.size_multiple)
        code: Tensor = self.encoder(image)[-1]
        return code

    def decode(self, code: Tensor) -> Tensor:
        """The output for a code, of a net without any skips: `decode(encode(x))` is `forward(x)`.

        Raises:
            ValueError: decoder or head has a skip; they would need the picture too.
        """
        if self.decoder.skip != "none" or self.head.skip != "none":
            raise ValueError(
                "decode: expected a net without skips, got skip "
                f"{self.decoder.skip!r} in the decoder and {self.head.skip!r} in the head"
            )
        # A head without skip does not look at the picture.
        output: Tensor = self.head(self.decoder([code]), code)
        return output


def check_size(image: Tensor, multiple: int) -> None:
    height, width = image.shape[-2:]
    if height % multiple or width % multiple:
        raise ValueError(
            f"expected height and width to be multiples of {multiple}, got {height} x {width}; "
            "i2i.Predictor cuts windows that fit"
        )


# A leaf for symbolic tracing, which has no sizes to check.
torch.fx.wrap("check_size")


def _check_joints(encoder: FeatureEncoder, decoder: Decoder, head: PictureHead | ClassHead) -> None:
    mirrored = encoder.widths[::-1]
    if decoder.widths[0] != mirrored[0] or len(decoder.widths) != len(mirrored):
        raise ValueError(
            f"decoder widths: expected {len(mirrored)}, beginning with the encoder's deepest "
            f"{mirrored[0]}, got {decoder.widths}"
        )
    if decoder.skip_widths is not None and decoder.skip_widths != mirrored:
        raise ValueError(
            f"decoder skip_widths: expected the encoder's, deepest first, {mirrored}, "
            f"got {decoder.skip_widths}"
        )
    if decoder.skip != "none" and decoder.skip_widths is None and decoder.widths != mirrored:
        raise ValueError(
            f"decoder widths: expected the encoder's, mirrored, {mirrored} with skip "
            f"{decoder.skip!r}, got {decoder.widths}; or give the decoder skip_widths={mirrored}"
        )
    if head.features != decoder.widths[-1]:
        raise ValueError(
            f"head features: expected the decoder's last width {decoder.widths[-1]}, "
            f"got {head.features}"
        )
    added = isinstance(head, PictureHead) and head.skip != "none"
    # The identity of a gray picture is each channel of one in colour.
    coloured = added and head.scale == 1 and encoder.input_channels == 1
    if added and not coloured and head.channels != encoder.input_channels:
        raise ValueError(
            f"head channels: expected the encoder's {encoder.input_channels} with skip "
            f"{head.skip!r}, got {head.channels}"
        )
    if head.stride != encoder.stem_stride * head.scale:
        raise ValueError(
            f"head stride: expected stem_stride x scale = {encoder.stem_stride * head.scale}, "
            f"got {head.stride}"
        )


def _check_auxiliary(auxiliary: Sequence[int], last: int) -> None:
    """`last`: the decoder's last stage, which has the head."""
    if any(not 0 <= stage < last for stage in auxiliary) or len(set(auxiliary)) < len(auxiliary):
        raise ValueError(
            f"auxiliary: expected different stages of the decoder before its last, {last}, got "
            f"{list(auxiliary)}"
        )
