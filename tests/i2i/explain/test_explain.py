"""Looking inside a net: what is told of it is true of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from i2i.explain import (
    Region,
    activations,
    amount,
    attribution,
    class_activation,
    detail,
    diffusion_index,
    drawn_by_head,
    effective_field,
    evidence,
    exemplars,
    find_stage,
    first_kernels,
    maximize,
    radius,
    saliency,
    stages,
)
from i2i.explain.attribution import Quantity
from i2i.nets import Autoencoder, ClassHead, Decoder, Encoder, PictureHead
from i2i.nets.margin import extents, margin

Make = Callable[[], Autoencoder]

REGION = Region(24, 32, 8, 16)


def enlarging() -> Autoencoder:
    torch.manual_seed(0)
    net = Autoencoder(
        Encoder([6, 8], [1, 1]), Decoder([8, 6], [0]), PictureHead(6, stride=2, scale=2)
    )
    nn.init.normal_(net.head.get_parameter("residual.weight"), std=0.1)
    return net.eval()


def labelling() -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(
        Encoder([6, 8], [0, 1]), Decoder([8, 6], [0]), ClassHead(6, classes=3)
    ).eval()


def picture(seed: int = 0, side: int = 64) -> Tensor:
    return torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(seed))


def test_the_answers_of_the_stages_are_those_the_net_computes_with() -> None:
    net, image = enlarging(), picture()

    found = activations(net, image)

    assert list(found) == [stage.name for stage in stages(net)]
    for stage in stages(net):
        side = 64 // stage.stride
        assert found[stage.name].shape == (1, stage.channels, side, side)
    assert torch.equal(net.head(found["decoder.0"], image), net(image))


def test_a_unit_sees_no_further_than_its_stage_says() -> None:
    net, image = enlarging(), picture()
    for stage in stages(net):
        leaf = image.clone().requires_grad_()
        middle = 32 // stage.stride
        unit = activations(net, leaf)[stage.name][0, :, middle, middle].abs().sum()
        (derivatives,) = torch.autograd.grad(unit, leaf)
        seen = derivatives.abs().sum(dim=(0, 1)).nonzero()
        rows, columns = (seen.max(dim=0).values - seen.min(dim=0).values + 1).tolist()
        for seen_side, told in zip((rows, columns), stage.receptive_field, strict=True):
            assert told // 2 < seen_side <= told


def test_a_stage_of_another_name_is_told() -> None:
    with pytest.raises(
        ValueError, match=r"expected one of encoder\.0, encoder\.1, decoder\.0, got"
    ):
        find_stage(enlarging(), "encoder.2")


@pytest.mark.parametrize(
    ("make", "quantity"),
    [(enlarging, detail), (enlarging, amount), (labelling, evidence(1))],
    ids=["detail", "amount", "evidence"],
)
def test_what_the_pixels_add_is_the_whole(make: Make, quantity: Quantity) -> None:
    found = attribution(make(), picture(), REGION, quantity, steps=24)

    assert abs(found.explained) > 1e-4
    assert found.pixels.sum().item() == pytest.approx(found.explained, rel=0.05)


def test_what_an_answer_cannot_see_has_no_part_in_it() -> None:
    net = enlarging()
    reach = margin(net)
    near = torch.zeros(64, 64, dtype=torch.bool)
    near[24 - reach : 32 + reach, 32 - reach : 48 + reach] = True

    for found in (
        attribution(net, picture(), REGION, detail, steps=4).pixels.abs(),
        saliency(net, picture(), REGION, detail),
    ):
        assert found[near].sum() > 0
        assert found[~near].sum() == 0


def test_saliency_is_the_change_of_the_answer() -> None:
    net, image = labelling(), picture()
    salient = saliency(net, image, REGION, evidence(2))
    row, column = divmod(int(salient.argmax()), 64)

    changes = []
    for channel in range(3):
        moved = [image.clone(), image.clone()]
        for each, sign in zip(moved, (1, -1), strict=True):
            each[0, channel, row, column] += sign * 1e-3
        ends = [evidence(2)(REGION.of(net(each), 1)).item() for each in moved]
        changes.append(abs(ends[0] - ends[1]) / 2e-3)

    assert max(changes) == pytest.approx(salient.max().item(), rel=0.05)


def test_one_pixel_is_not_diffuse_and_equal_ones_are() -> None:
    one = torch.zeros(10, 10)
    one[3, 4] = -2
    assert diffusion_index(one) == pytest.approx(1.0)  # 100 / pixels
    assert diffusion_index(torch.full((10, 10), 0.3)) == pytest.approx(100.0)
    assert diffusion_index(torch.zeros(10, 10)) == 100.0


@given(st.lists(st.integers(0, 255), min_size=2, max_size=30), st.floats(0.1, 10))
def test_the_diffusion_index_is_a_share_and_knows_no_unit(values: list[int], unit: float) -> None:
    index = diffusion_index(torch.tensor(values, dtype=torch.float64))
    assert 0 <= index <= 100 + 1e-9
    scaled = diffusion_index(unit * torch.tensor(values, dtype=torch.float64))
    assert scaled == pytest.approx(index, abs=1e-6)


@pytest.mark.parametrize("make", [enlarging, labelling])
def test_the_effective_field_lies_within_the_margin(make: Make) -> None:
    net = make()
    field = effective_field(net, [picture(seed) for seed in range(2)])

    assert field.shape[0] == field.shape[1] == 64 - 2 * net.size_multiple + 1
    assert field.sum().item() == pytest.approx(1)
    assert radius(field, 1.0) <= max(max(extents(net, axis)) for axis in (0, 1))
    assert radius(field, 0.5) <= radius(field, 0.9) <= radius(field, 1.0)
    middle = field.shape[0] // 2
    assert field[middle - 2 : middle + 3, middle - 2 : middle + 3].sum() > 0.1


def test_each_picture_counts_alike_in_the_field() -> None:
    net, both = enlarging(), [picture(0), picture(1)]
    one, other = (effective_field(net, [each]) for each in both)

    torch.testing.assert_close(effective_field(net, both), (one + other) / 2)


def test_a_field_needs_square_pictures() -> None:
    with pytest.raises(ValueError, match=r"expected square ones, .* got 64 x 32"):
        effective_field(enlarging(), [torch.rand(1, 3, 64, 32)])
    for sides in ([64, 32], [enlarging().size_multiple]):
        with pytest.raises(ValueError, match="all of one side of at least"):
            effective_field(enlarging(), [torch.rand(1, 3, side, side) for side in sides])
    with pytest.raises(ValueError, match="expected at least one, got none"):
        effective_field(enlarging(), [])


def test_a_class_is_seen_where_the_channel_is_that_speaks_for_it() -> None:
    # The deepest feature is the picture's brightness; it alone decides for class 1.
    net = labelling()
    with torch.no_grad():
        for weights in net.parameters():
            weights.zero_()
        net.get_parameter("encoder.stages.0.0.0.weight")[0] = 1 / 27
        net.get_parameter("encoder.stages.1.0.0.weight")[3, 0] = 1 / 16
        net.get_parameter("decoder.ups.0.0.weight")[3, 2] = 1
        net.get_parameter("head.scores.weight")[1, 2, 1, 1] = 1
    image = torch.zeros(1, 3, 64, 64)
    image[:, :, 16:32, 40:56] = 1

    speaks = class_activation(net, image, 1)
    against = class_activation(net, image, 0)

    assert speaks.shape == (32, 32)
    inside = torch.zeros(32, 32, dtype=torch.bool)
    inside[7:17, 19:29] = True
    assert speaks[10:14, 22:26].min() > 0.5 * speaks.max() > 0
    assert speaks[~inside].max() == 0
    assert against.max() == 0


def test_a_class_or_a_stage_that_does_not_exist_is_told() -> None:
    net, image = labelling(), torch.rand(1, 3, 32, 32)
    with pytest.raises(ValueError, match="label: expected one of the net's 3 classes, got 3"):
        class_activation(net, image, 3)
    with pytest.raises(ValueError, match="label: expected one of the net's 0 classes"):
        class_activation(enlarging(), image, 0)
    with pytest.raises(ValueError, match="stage: expected one of the encoder's 2, got 2"):
        class_activation(net, image, 0, stage=2)
    net.decoder.skip = "none"
    with pytest.raises(ValueError, match="expected the deepest of a net without skips, got 0"):
        class_activation(net, image, 0, stage=0)


def test_a_picture_made_for_a_channel_excites_it_more_than_others_do() -> None:
    net = enlarging()
    channels = [2, 5]
    made = maximize(net, "encoder.1", channels, side=32, steps=24)

    assert made.shape == (2, 3, 32, 32)
    assert made.min() >= 0
    assert made.max() <= 1

    others = torch.cat([picture(seed, 32) for seed in range(20)])
    excited = activations(net, torch.cat([made, others]))["encoder.1"].mean(dim=(2, 3))
    for i, channel in enumerate(channels):
        assert excited[:, channel].argmax() == i
    assert torch.equal(made, maximize(net, "encoder.1", channels, side=32, steps=24))


def test_a_channel_of_brightness_does_not_end_in_white() -> None:
    net = enlarging()
    with torch.no_grad():
        net.get_parameter("encoder.stages.0.0.0.weight")[0] = 1 / 27
    made = maximize(net, "encoder.0", [0], side=32, steps=24)
    assert made.mean().item() == pytest.approx(0.5, abs=0.05)
    assert made.std() > 0.15


def test_a_channel_that_is_not_there_is_told() -> None:
    with pytest.raises(
        ValueError, match=r"channels: expected some of 0 to 7 of encoder\.1, got \[0, 8\]"
    ):
        maximize(enlarging(), "encoder.1", [0, 8])


def test_the_places_that_excite_a_channel_most_are_found() -> None:
    net = enlarging()
    images = [picture(seed) for seed in range(4)]

    found = exemplars(net, "encoder.1", images, count=3)

    assert len(found) == 8
    # Half of the input pixels that a unit sees lie at each side of it, two of them a unit.
    rim = -(-find_stage(net, "encoder.1").receptive_field[0] // 4)
    for channel, places in enumerate(found):
        values = [activations(net, image)["encoder.1"][0, channel] for image in images]
        inner = [value[rim:-rim, rim:-rim] for value in values]
        strongest = sorted((value.max().item() for value in inner), reverse=True)[:3]
        assert [place.activation for place in places] == pytest.approx(strongest)
        assert len({place.picture for place in places}) == 3
        for place in places:
            at = values[place.picture][place.row // 2, place.column // 2].item()
            assert at == pytest.approx(place.activation)


def test_pictures_smaller_than_what_a_unit_sees_have_exemplars_too() -> None:
    found = exemplars(enlarging(), "encoder.1", [picture(0, 4)], count=3)
    assert all(len(places) == 1 for places in found)


def test_the_field_of_classes_is_that_of_the_lead_and_not_of_the_scores() -> None:
    # The same added to each score changes no answer: neither may it change the field.
    net = labelling()
    before = effective_field(net, [picture()])
    with torch.no_grad():
        scores = net.get_parameter("head.scores.weight")
        scores.add_(torch.randn(scores[:1].shape, generator=torch.Generator().manual_seed(0)))
    assert torch.allclose(effective_field(net, [picture()]), before, atol=1e-6)


@pytest.mark.parametrize("make", [enlarging, labelling])
def test_what_a_unit_draws_is_what_the_output_changes_by(make: Make) -> None:
    net = make()
    drawn = drawn_by_head(net)
    features, image = torch.zeros(1, 6, 16, 16), torch.zeros(1, 3, 16, 16)
    unit = features.clone()
    unit[0, 4, 8, 8] = 1

    difference = (net.head(unit, image) - net.head(features, image))[0]

    kernel = drawn.shape[-1]
    rows, columns = (difference.abs().sum(dim=axes) > 0 for axes in ((0, 2), (0, 1)))
    shown = difference[:, rows][..., columns]
    assert shown.shape[1:] == (kernel, kernel)
    assert torch.allclose(shown, drawn[4], atol=1e-6)
    assert first_kernels(net).shape == (6, 3, 3, 3)
