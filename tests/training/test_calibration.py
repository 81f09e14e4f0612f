"""How sure a segmentation says it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from i2i.nets import Autoencoder, ClassHead, Decoder, Encoder
from training.export.calibration import SUREST, UNSUREST, least_cross_entropy, temperature
from training.tasks import Sample, Segmentation


@settings(deadline=None, max_examples=20)
@given(expected=st.floats(0.3, 4), classes=st.integers(2, 5), seed=st.integers(0, 99))
def test_scores_that_are_too_large_by_a_factor_are_divided_by_it(
    expected: float, classes: int, seed: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    honest = 2 * torch.randn(40_000, classes, generator=random)
    labels = honest.softmax(dim=1).multinomial(1, generator=random)[:, 0]

    assert least_cross_entropy(expected * honest, labels) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(("labels", "expected"), [([0, 0], SUREST), ([1, 1], UNSUREST)])
def test_of_always_right_and_always_wrong_it_makes_no_certainty(
    labels: list[int], expected: float
) -> None:
    scores = torch.tensor([[2.0, 0.0], [3.0, 0.0]])
    assert least_cross_entropy(scores, torch.tensor(labels)) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_that_are_ignored_are_not_asked(channels: int) -> None:
    net = Autoencoder(Encoder([4, 4], [0, 0]), Decoder([4, 4], [0]), ClassHead(4, classes=2))
    image = np.random.default_rng(0).integers(0, 256, (13, 10, channels), dtype=np.uint8)
    sample = Sample("cells", image, np.full((13, 10), 255, np.uint8))

    assert temperature(net, Segmentation(["ground", "thing"]), [sample] * 2, 2) == 1
