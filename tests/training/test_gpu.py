"""Runs on a GPU: only where there is one, by `pytest -m gpu`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from training import cli


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
@pytest.mark.parametrize("config", ["super_resolution_x2", "segmentation_erfnet"])
def test_a_run_trains_on_a_gpu_and_averages_there(
    config: str,
    precision: str,
    configs: Path,
    fast: tuple[str, ...],
    photos: Callable[..., Path],
    masked: Callable[[Path], Path],
) -> None:
    data = masked(Path("set")) if config.startswith("segmentation") else photos(Path("photos"))
    options = ["--config", str(configs / f"{config}.yaml"), "--data.root", str(data), *fast]
    options += ["--trainer.accelerator=gpu", "--trainer.devices=1"]
    cli.main(["fit", *options, f"--trainer.precision={precision}", "--run", "run"])

    # Weights lie in a checkpoint as they were: where they were trained.
    last = torch.load("run/checkpoints/last.ckpt", weights_only=True)
    assert last["recipe"]["device"] == torch.cuda.get_device_name()
    assert {value.device.type for value in last["state_dict"].values()} == {"cuda"}
    (averages,) = (v for k, v in last["callbacks"].items() if "AveragedWeights" in k)
    assert averages is not None
