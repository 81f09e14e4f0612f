"""A run that Ctrl-C or a kill ends, and what is left to go on with."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from tests.training.small_runs import (
    InterruptAt,
    check_equal,
    fit,
)


@pytest.fixture
def pythons_handler() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, whatever runs the tests has made of it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("pythons_handler")
@pytest.mark.filterwarnings("ignore:.*your dataloader is not resumable", "ignore:.*is not empty")
@pytest.mark.parametrize(("place", "step"), [("step", 2), ("validation", 3)])
def test_ctrl_c_ends_a_step_and_leaves_what_to_go_on_with(
    place: str, step: int, photos: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    root = photos(Path("photos"))
    _, straight = fit(root, "straight")

    with pytest.raises(SystemExit):
        fit(root, "half", InterruptAt(place))

    last = Path("half/checkpoints/last.ckpt")
    said = capfd.readouterr()
    assert "stops after this step, or the validation; Ctrl-C again: at once" in said.err
    assert f"stopped; go on with python -m training fit --ckpt_path {last}" in said.out
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    middle = torch.load(last, weights_only=True)
    assert middle["global_step"] == step
    _, resumed = fit(root, "half", resume=last)
    check_equal(straight, resumed, middle)


class Validated(pl.Callback):
    """Notes the steps that were validated."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            self.steps.append(trainer.global_step)


@pytest.mark.whole
@pytest.mark.usefixtures("pythons_handler")
@pytest.mark.filterwarnings("ignore:.*your dataloader is not resumable", "ignore:.*is not empty")
def test_a_validation_within_an_epoch_is_not_left_out_by_a_resumed_run(
    photos: Callable[..., Path],
) -> None:
    root, before, after = photos(Path("photos")), Validated(), Validated()
    with pytest.raises(SystemExit):
        fit(root, "run", InterruptAt("step"), before, val_check_interval=2)
    # The step that was interrupted is validated before the run ends.
    last = Path("run/checkpoints/last.ckpt")
    _, last = fit(root, "run", after, resume=last, val_check_interval=2)

    assert before.steps + after.steps == [2, 5]


@pytest.mark.whole
@pytest.mark.usefixtures("pythons_handler")
@pytest.mark.filterwarnings("ignore:.*your dataloader is not resumable", "ignore:.*is not empty")
def test_a_best_checkpoint_that_a_killed_run_left_is_replaced(photos: Callable[..., Path]) -> None:
    root = photos(Path("photos"))
    with pytest.raises(SystemExit):
        fit(root, "run", InterruptAt("step"))
    # From before the first validation: it knows of no best one.
    earlier = Path("run/checkpoints/last.ckpt").rename("earlier.ckpt")

    for _ in range(2):
        _, last = fit(root, "run", resume=earlier)

    assert {path.name for path in last.parent.iterdir()} == {"best.ckpt", "last.ckpt"}


@pytest.mark.usefixtures("pythons_handler")
def test_a_second_ctrl_c_ends_at_once(photos: Callable[..., Path]) -> None:
    with pytest.raises(SystemExit):
        fit(photos(Path("photos")), "run", InterruptAt("step"), InterruptAt("step"))

    assert not Path("run/checkpoints/last.ckpt").exists()
