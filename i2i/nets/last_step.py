"""From a net's output to what a prediction needs: the last step of every graph and engine."""

from __future__ import annotations

from torch import Tensor, nn

from i2i.spec import Kind, MapInfo


class LastStep(nn.Module):
    """Clamps a picture; picks the class of the highest score; gives a map its unit.

    Args:
        kind: `image`: (N, C, H, W) → (the same clamped to [0, 1],). `labels`: scores (N, K, H, W) →
            (labels (N, H, W) uint8, confidence (N, H, W) float32 in [0, 1]). `map`: (N, 1, H, W) in
            [0, 1] → (low + (high - low) · output, (N, H, W),), not clamped.
        temperature: the scores are divided by it before the softmax.
        map: low and high of kind `map`.
    """

    def __init__(self, kind: Kind, temperature: float = 1.0, map: MapInfo | None = None) -> None:
        super().__init__()
        if (kind == "map") != (map is not None):
            raise ValueError(f"map: expected one with kind 'map' alone, got {map} with {kind!r}")
        self.kind, self.temperature, self.map = kind, temperature, map

    def forward(self, output: Tensor) -> tuple[Tensor, ...]:
        if self.kind == "image":
            return (output.clamp(0, 1),)
        if self.kind == "labels":
            confidence, labels = (output / self.temperature).softmax(dim=1).max(dim=1)
            return labels.byte(), confidence
        assert self.map is not None
        return (self.map.low + (self.map.high - self.map.low) * output[:, 0],)
