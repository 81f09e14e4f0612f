"""The precision of a run: what the machine is faster at, where the config leaves it open."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from training import cli
from training.precision import fastest_precision, gains


@pytest.mark.parametrize(("speed", "expected"), [(2.0, True), (1.05, False), (0.5, False)])
def test_bfloat16_is_taken_where_it_is_worth_its_rounding(speed: float, expected: bool) -> None:
    # Whatever else the machine does, sometimes.
    busy = itertools.cycle([1.0, 3.0, 1.5])

    assert gains(lambda dtype: next(busy) / (speed if dtype == torch.bfloat16 else 1)) == expected


def test_a_machine_is_tried_once() -> None:
    # A module of its own, which remembers nothing and whose answer nobody else is given.
    spec = importlib.util.find_spec("training.precision")
    assert spec is not None
    assert spec.loader is not None
    fresh: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    tried: list[torch.dtype] = []

    def convolution_s(dtype: torch.dtype) -> float:
        tried.append(dtype)
        return 1.0

    fresh._convolution_s = convolution_s

    assert [fresh.fastest_precision("cpu") for _ in range(3)] == ["32-true"] * 3
    assert tried == [torch.float32, torch.bfloat16] * fresh._TRIES


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


@pytest.mark.whole
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


@pytest.mark.whole
def test_a_plugin_of_a_precision_is_taken_alone(
    photos: Callable[..., Path], configs: Path, fast: tuple[str, ...], tmp_path: Path
) -> None:
    config = ["--config", str(configs / "super_resolution_x2.yaml")]
    where = ["--data.root", str(photos(tmp_path / "photos")), "--run", str(tmp_path / "run")]
    arguments = "init_args: {precision: bf16-mixed, device: cpu}"
    plugin = f"{{class_path: pytorch_lightning.plugins.MixedPrecision, {arguments}}}"

    cli.main(["fit", *config, *where, *fast, f"--trainer.plugins=[{plugin}]"])

    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["recipe"]["precision"] == "bf16-mixed"
