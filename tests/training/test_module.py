"""The training module: rate, early stopping, and what its arguments may be."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import pytorch_lightning as pl
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import DataLoader

from i2i.nets import Autoencoder, ClassHead, Decoder, Encoder, PictureHead
from i2i.nets.margin import margin
from training.module import ImageToImage
from training.schedules import Cosine
from training.tasks import Depixelate, Segmentation, SuperResolution


def net(scale: int = 2) -> Autoencoder:
    return Autoencoder(
        Encoder([4, 4], [0, 0]), Decoder([4, 4], [0]), PictureHead(4, stride=scale, scale=scale)
    )


def rates(steps: int, **options: Any) -> Iterator[float]:
    """The learning rate of each step of a run."""
    rate = options.pop("learning_rate", 1e-3)
    module = ImageToImage(SuperResolution(2), net(), rate, schedule=Cosine(**options))
    trainer: Any = SimpleNamespace(estimated_stepping_batches=steps)
    module._trainer = trainer
    module.configure_optimizers()
    for step in range(steps):
        yield rate * module.rate.share(step)


@settings(deadline=None, max_examples=25)
@given(
    steps=st.integers(20, 3000),
    warmup=st.integers(0, 400),
    share=st.floats(0.001, 0.5),
)
def test_the_rate_rises_in_the_warm_up_and_falls_as_a_cosine(
    steps: int, warmup: int, share: float
) -> None:
    rate = list(rates(steps, learning_rate=0.01, warmup_steps=warmup, final_share=share))
    top = min(warmup, steps // 10)

    assert max(rate) == pytest.approx(0.01)
    assert rate[:top] == pytest.approx([0.01 * (i + 1) / top for i in range(top)])
    falling = rate[top:]
    assert all(a >= b for a, b in itertools.pairwise(falling))
    assert falling[0] == pytest.approx(0.01)
    half = falling[len(falling) // 2]
    assert half == pytest.approx(0.01 * (1 + share) / 2, rel=0.1)
    assert rate[-1] == pytest.approx(0.01 * share, rel=0.02 / share)
    assert rate[-1] >= 0.01 * share * (1 - 1e-9)


def test_a_run_without_end_is_refused_because_the_rate_falls_towards_it() -> None:
    with pytest.raises(ValueError, match=r"max_epochs: expected a number"):
        next(rates(math.inf))  # type: ignore[arg-type]


class Frozen(SuperResolution):
    """A task that never gets better: its loss has no slope."""

    validations: ClassVar[list[int]] = []

    def __init__(self) -> None:
        super().__init__(2)
        self.loss = _Flat()


class _Flat(torch.nn.Module):
    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        return 0 * output.mean()


def test_training_stops_when_the_score_does_not_get_better() -> None:
    image = torch.randint(256, (3, 16, 16), dtype=torch.uint8)
    target = torch.randint(256, (3, 32, 32), dtype=torch.uint8)
    pairs: Any = [(image, target)] * 2
    batches: DataLoader[Any] = DataLoader(pairs)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=50,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    module = ImageToImage(Frozen(), net(), patience=3)

    trainer.fit(module, batches, batches)

    # The first validation, and three that are no better.
    assert trainer.current_epoch == 4


def test_a_net_that_does_not_fit_the_task_is_refused() -> None:
    with pytest.raises(ValueError, match=r"multiple of the block 4, got 2; add a strided stage"):
        ImageToImage(Depixelate(4), net(scale=1))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", float("inf")),
        ("learning_rate", -1.0),
        ("weight_decay", -0.1),
        ("auxiliary_weight", float("nan")),
        ("patience", 0),
    ],
)
def test_a_number_out_of_range_is_refused(name: str, value: float) -> None:
    options: Any = {name: value}
    with pytest.raises(ValueError, match=f"{name}: expected .*, got {value}"):
        ImageToImage(SuperResolution(2), net(), **options)


def padded(padding: Any) -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(
        Encoder([4, 4], [0, 0], padding=padding),
        Decoder([4, 4], [0], padding=padding),
        PictureHead(4, stride=2, scale=2, padding=padding),
        auxiliary=[],
    )


def loss_of(module: ImageToImage, image: Tensor, target: Tensor) -> float:
    trainer: Any = SimpleNamespace(optimizers=[SimpleNamespace(param_groups=[{"lr": 0.0}])])
    module._trainer = trainer
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    module.on_fit_start()
    return float(module.training_step((image, target), 0).detach())


def test_outputs_that_see_the_border_do_not_count_with_valid_padding() -> None:
    module = ImageToImage(SuperResolution(2), padded("valid"))
    cut = 2 * margin(module.net)
    image = torch.randint(256, (1, 3, 48, 48), dtype=torch.uint8)
    target = torch.randint(256, (1, 3, 96, 96), dtype=torch.uint8)
    changed = target.clone()
    changed[..., :cut, :] = 0

    assert cut > 0
    assert loss_of(module, image, changed) == loss_of(module, image, target)
    changed[..., cut, cut] = 255 - target[..., cut, cut]
    assert loss_of(module, image, changed) != loss_of(module, image, target)
    with pytest.raises(ValueError, match=r"above \d+ pixels a side for padding: valid, got 8"):
        loss_of(module, image[..., :8, :8], target[..., :16, :16])


class _Convolving(torch.nn.Module):
    """A loss that compares what a convolution makes of both."""

    kinds: ClassVar[list[torch.dtype]] = []

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        edges = torch.nn.functional.conv2d(output - target, torch.ones(1, 3, 3, 3))
        self.kinds.append(edges.dtype)
        return edges.square().mean()


def test_a_loss_that_convolves_does_so_in_float32_in_a_run_of_bfloat16() -> None:
    image = torch.randint(256, (1, 3, 16, 16), dtype=torch.uint8)
    target = torch.randint(256, (1, 3, 32, 32), dtype=torch.uint8)
    module = ImageToImage(SuperResolution(2, loss=_Convolving()), net())

    with torch.autocast("cpu", torch.bfloat16):
        loss_of(module, image, target)

    assert _Convolving.kinds == [torch.float32]


def test_the_loss_goes_where_the_net_goes_and_is_in_no_checkpoint() -> None:
    head = ClassHead(4, classes=2)
    classes = Autoencoder(Encoder([4, 4], [0, 0]), Decoder([4, 4], [0]), head)
    task = Segmentation(["ground", "thing"], class_weights=[1.0, 2.0])
    module = ImageToImage(task, classes)
    assert [buffer.tolist() for buffer in task.loss.buffers()] == [[1.0, 2.0]]

    module.to("meta")
    module.on_train_start()

    assert {buffer.device.type for buffer in task.loss.buffers()} == {"meta"}
    assert all(name.startswith("net.") for name in module.state_dict())


def test_auxiliary_outputs_add_to_the_loss_by_their_weight() -> None:
    torch.manual_seed(0)
    deep = Autoencoder(
        Encoder([4, 4, 4], [0, 0, 0]),
        Decoder([4, 4, 4], [0, 0]),
        PictureHead(4, stride=2, scale=2),
        auxiliary=[0],
    )
    image = torch.randint(256, (1, 3, 16, 16), dtype=torch.uint8)
    target = torch.randint(256, (1, 3, 32, 32), dtype=torch.uint8)
    none, some, more = (
        loss_of(ImageToImage(SuperResolution(2), deep, auxiliary_weight=w), image, target)
        for w in (0.0, 0.4, 0.8)
    )

    assert some > none
    assert more - some == pytest.approx(some - none, rel=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit.:DeprecationWarning")  # torch's own, as it compiles
def test_a_compiled_run_trains_the_same_weights_under_the_same_names() -> None:
    image = torch.randint(256, (1, 3, 16, 16), dtype=torch.uint8)
    target = torch.randint(256, (1, 3, 32, 32), dtype=torch.uint8)
    losses, names = zip(
        *(
            (loss_of(module, image, target), list(module.state_dict()))
            for module in (
                ImageToImage(SuperResolution(2), padded("zeros"), compile=c) for c in (False, True)
            )
        ),
        strict=True,
    )

    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert names[0] == names[1]
    assert not any("_orig_mod" in name for name in names[1])
