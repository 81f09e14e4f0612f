"""From a net's output to what a prediction needs: the last step of every graph and engine."""

from __future__ import annotations

from torch import Tensor, nn

from i2i.spec import Kind


class Outputs(nn.Module):
    """Clamps a picture; picks the class of the highest score and its probability.

    Args:
        kind: `image`: (N, C, H, W) → (the same clamped to [0, 1],). `labels`: scores (N, K, H, W) →
            (labels (N, H, W) uint8, confidence (N, H, W) float32 in [0, 1]). `map`: unchanged.
        temperature: the scores are divided by it before the softmax.
    """

    def __init__(self, kind: Kind, temperature: float = 1.0) -> None:
        super().__init__()
        self.kind, self.temperature = kind, temperature

    def forward(self, output: Tensor) -> tuple[Tensor, ...]:
        if self.kind == "image":
            return (output.clamp(0, 1),)
        if self.kind == "labels":
            confidence, labels = (output / self.temperature).softmax(dim=1).max(dim=1)
            return labels.byte(), confidence
        return (output,)
