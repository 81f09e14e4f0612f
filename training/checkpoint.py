"""A checkpoint of `python -m training fit`, read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from i2i.nets import Autoencoder
from training.recipe import build, without_loss
from training.run_folder import best_checkpoint
from training.tasks import Task


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint as Lightning wrote it, with a recipe in it.

    Raises:
        ValueError: the file is no checkpoint, or not of this project.
    """
    if not path.is_file():
        best = best_checkpoint(path)
        got = f"a folder, which holds {best}" if best.is_file() else "no file"
        raise ValueError(
            f"{path}: expected a checkpoint such as runs/RUN/checkpoints/best.ckpt, got {got}"
        )
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch.load raises what its unpickler meets: there is no common class.
        raise ValueError(f"{path}: expected a checkpoint, got another or a damaged file") from error
    if not isinstance(checkpoint, dict) or "recipe" not in checkpoint:
        raise ValueError(
            f"{path}: expected a checkpoint of `python -m training fit`, got one without a recipe"
        )
    return checkpoint


def read_checkpoint(path: Path) -> tuple[Task, Autoencoder, dict[str, Any]]:
    """Task with its default loss, net with its averaged weights, and recipe of a checkpoint.

    Raises:
        ValueError: the file is no checkpoint, or not of this project, or its weights are of another
            net, or those of a training that has diverged.
    """
    checkpoint = load_checkpoint(path)
    recipe = checkpoint["recipe"]
    task, net = build(without_loss(recipe["task"])), build(recipe["net"])
    weights = {
        name.removeprefix("net."): value
        for name, value in checkpoint["state_dict"].items()
        if name.startswith("net.")
    }
    try:
        net.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"{path}: expected the weights of its net, got others: {error}") from error
    if not all(weight.isfinite().all() for weight in net.state_dict().values()):
        raise ValueError(
            f"{path}: expected finite weights, got some that are not: the training has diverged; "
            "train again with a lower learning rate"
        )
    return task, net.eval(), recipe
