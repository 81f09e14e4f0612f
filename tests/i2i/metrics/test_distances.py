from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from i2i.metrics.distances import distance_to
from tests.i2i.metrics.makers import seeds

sizes = st.tuples(st.integers(1, 12), st.integers(1, 17))


@settings(max_examples=50)
@given(seeds, sizes, st.sampled_from([0.02, 0.1, 0.5]))
def test_distances_are_exact(seed: int, size: tuple[int, int], share: float) -> None:
    mask = torch.rand(3, *size, generator=torch.Generator().manual_seed(seed)) < share

    for each, distance in zip(mask, distance_to(mask), strict=True):
        if each.any():
            expected = torch.from_numpy(ndimage.distance_transform_edt(~each.numpy()))
            torch.testing.assert_close(distance, expected.float())
        else:
            assert (distance == torch.inf).all()


@settings(max_examples=20)
@given(seeds, st.floats(0, 6, width=32))
def test_up_to_the_limit_distances_are_exact_and_beyond_it_not_below(
    seed: int, limit: float
) -> None:
    mask = torch.rand(1, 12, 17, generator=torch.Generator().manual_seed(seed)) < 0.03
    exact, limited = distance_to(mask), distance_to(mask, limit)

    assert torch.equal(limited[exact <= limit], exact[exact <= limit])
    assert (limited[exact > limit] > limit).all()


def test_no_mask_has_no_distances() -> None:
    assert distance_to(torch.zeros(0, 4, 5, dtype=torch.bool)).shape == (0, 4, 5)
    assert distance_to(torch.ones(1, 1, 1, dtype=torch.bool)).tolist() == [[[0]]]
