"""A run that Ctrl-C or a kill ends, and what is left to go on with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

import training
from tests.training.small_runs import (
    InterruptAt,
    check_equal,
    fit,
)

CONFIGS = Path(training.__file__).parent / "configs"


@pytest.fixture
def pythons_handler() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, whatever runs the tests has made of it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("pythons_handler")
@pytest.mark.filterwarnings("ignore:.*your dataloader is not resumable", "ignore:.*is not empty")
@pytest.mark.parametrize(
    ("place", "step", "number"),
    [
        ("step", 2, signal.SIGINT),
        ("validation", 3, signal.SIGINT),
        ("step", 2, signal.SIGTERM),
    ],
)
def test_ctrl_c_and_sigterm_end_a_step_and_leave_what_to_go_on_with(
    place: str,
    step: int,
    number: signal.Signals,
    photos: Callable[..., Path],
    capfd: pytest.CaptureFixture[str],
) -> None:
    root = photos(Path("photos"))
    _, straight = fit(root, "straight")

    with pytest.raises(SystemExit):
        fit(root, "half", InterruptAt(place, number))

    last = Path("half/checkpoints/last.ckpt")
    said = capfd.readouterr()
    assert "stops after this step, or the validation; Ctrl-C again: at once" in said.err
    assert f"stopped; go on with python -m training fit --ckpt_path {last}" in said.out
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
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


@pytest.mark.whole
@pytest.mark.parametrize(
    ("number", "of_ctrl_c"),
    [
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGTERM, signal.default_int_handler),
        # So a shell begins what it runs behind it.
        (signal.SIGTERM, signal.SIG_IGN),
    ],
)
def test_a_signal_to_all_processes_of_a_run_ends_it_with_its_number(
    number: signal.Signals, of_ctrl_c: Any, photos: Callable[..., Path]
) -> None:
    before = signal.signal(signal.SIGINT, of_ctrl_c)
    try:
        _ends_with_its_number(number, photos(Path("photos")))
    finally:
        signal.signal(signal.SIGINT, before)


def _ends_with_its_number(number: signal.Signals, root: Path) -> None:
    command = [sys.executable, "-m", "training", "fit", "--run", "run"]
    command += ["--config", str(CONFIGS / "super_resolution_x2.yaml")]
    command += ["--data.root", str(root)]
    command += ["--data.num_workers", "2", "--model.checkpoint_minutes", "0"]
    run = subprocess.Popen(
        command,
        cwd=Path.cwd(),
        env={**os.environ, "PYTHONPATH": str(CONFIGS.parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    )
    while not Path("run/checkpoints/last.ckpt").exists() and run.poll() is None:
        time.sleep(0.05)
    if run.poll() is None:
        os.killpg(run.pid, number)
    said, _ = run.communicate(timeout=120)

    assert run.returncode == 128 + number, said
    assert "stopped; go on with" in said
    assert "Traceback" not in said
    assert "Detected" not in said
