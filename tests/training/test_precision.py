"""The precision of a run: what the machine is faster at, where the config leaves it open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from training import cli
from training.precision import fastest_precision

PROCESSOR = Path("/proc/cpuinfo")


@pytest.mark.skipif(not PROCESSOR.exists(), reason="runs on Linux, which tells what it has")
def test_what_a_processor_cannot_do_is_not_chosen_and_what_it_is_made_for_is() -> None:
    flags = PROCESSOR.read_text().split()

    if "amx_bf16" in flags:
        assert fastest_precision("cpu") == "bf16-mixed"
    elif "avx512_bf16" not in flags:
        assert fastest_precision("cpu") == "32-true"


def test_a_machine_is_tried_once() -> None:
    assert len({fastest_precision("cpu") for _ in range(20)}) == 1


def test_without_a_gpu_the_processor_decides() -> None:
    if not torch.cuda.is_available():
        assert fastest_precision("auto") == fastest_precision("cpu")
    assert fastest_precision("mps") == "32-true"


def test_the_kept_config_and_the_checkpoint_say_what_a_run_computed_in(
    trained: Callable[[str], Any],
) -> None:
    run = trained("super_resolution_x2")

    config = yaml.safe_load((run.folder / "config.yaml").read_text())
    recipe = torch.load(run.checkpoint, weights_only=True)["recipe"]
    assert config["trainer"]["precision"] == recipe["precision"] == fastest_precision("auto")


def test_a_precision_that_a_config_names_is_taken_and_kept_when_the_run_is_resumed(
    photos: Callable[..., Path], configs: Path, fast: tuple[str, ...], tmp_path: Path
) -> None:
    other = ({"bf16-mixed", "32-true"} - {fastest_precision("auto")}).pop()
    config = ["--config", str(configs / "super_resolution_x2.yaml")]
    where = ["--data.root", str(photos(tmp_path / "photos")), "--run", str(tmp_path / "run")]

    cli.main(["fit", *config, *where, *fast, f"--trainer.precision={other}"])
    cli.main(["fit", *config, *where, *fast, "--ckpt_path=last", "--trainer.max_epochs=2"])

    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["recipe"]["precision"] == other
    assert checkpoint["recipe"]["steps"] == 4
