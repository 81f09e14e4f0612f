"""What is told of how each part of a net learns."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from i2i.explain import stages
from i2i.nets import Autoencoder, Decoder, Encoder, PictureHead
from training.callbacks import Diagnostics
from training.callbacks.diagnostics import log_often, part_of, silent_channels
from training.tasks import SuperResolution

RATE = 0.01


def net_of(norm: str = "none") -> Autoencoder:
    torch.manual_seed(0)
    encoder = Encoder([4, 8], [1, 1], norm=norm)  # type: ignore[arg-type]
    return Autoencoder(encoder, Decoder([8, 4], [1]), PictureHead(4, stride=2, scale=2))


def told(net: Autoencoder, global_step: int = 9) -> dict[str, float]:
    """What is logged of one step of plain gradient descent, of which every tenth is."""
    values: dict[str, torch.Tensor] = {}
    trainer: Any = SimpleNamespace(loggers=[1], log_every_n_steps=10, global_step=global_step)
    module: Any = SimpleNamespace(net=net, task=SuperResolution(scale=2), log_dict=values.update)
    batch = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8), torch.zeros(0)
    optimizer, diagnostics = torch.optim.SGD(net.parameters(), RATE), Diagnostics()
    (net(batch[0].float() / 255) ** 2).mean().backward()
    diagnostics.on_before_optimizer_step(trainer, module, optimizer)
    optimizer.step()
    diagnostics.on_train_batch_end(trainer, module, None, batch, 0)
    return {name: float(value) for name, value in values.items()}


def test_gradients_and_updates_are_those_of_the_step() -> None:
    net = net_of()
    values = told(net)

    sizes: dict[str, float] = {}
    for name, weight in net.named_parameters():
        sizes[part_of(name)] = sizes.get(part_of(name), 0) + float(weight.detach().norm()) ** 2
    assert set(sizes) == {*(stage.name for stage in stages(net)), "head"}
    for part, size in sizes.items():
        step = values[f"update/{part}"] * size**0.5
        assert step == pytest.approx(RATE * values[f"gradient/{part}"], rel=1e-3, abs=1e-7)
    # The last layer begins at 0, so nothing reaches what is before it.
    assert values["gradient/head"] > 0 == values["gradient/encoder.0"]


@pytest.mark.parametrize(
    ("every", "steps", "expected"), [(50, 100_000, 50), (50, 200, 5), (50, 3, 1), (10, 200, 10)]
)
def test_a_short_run_logs_more_often_where_nobody_says_how_often(
    every: int, steps: int, expected: int
) -> None:
    trainer: Any = SimpleNamespace(log_every_n_steps=every)
    log_often(trainer, steps)
    assert trainer.log_every_n_steps == expected


def test_only_steps_that_are_logged_are_told_of() -> None:
    assert told(net_of(), global_step=8) == {}


def test_a_channel_that_never_opens_is_silent_and_nothing_notices_the_look() -> None:
    net = net_of(norm="batch").train()
    image = torch.rand(2, 3, 16, 16)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    assert set(silent_channels(net, image)) == {stage.name for stage in stages(net)}
    assert all(share == 0 for share in silent_channels(net, image).values())

    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())

    closed = net_of()
    for name, weight in closed.named_parameters():
        if name.startswith("encoder.stages.1"):
            weight.data[:2] = 0  # of each layer, the first two outputs
    assert silent_channels(closed, image)["encoder.1"] == pytest.approx(2 / 8)
