"""How each part of a net learns: gradients, updates, and channels that say nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn

from i2i.explain import activations

if TYPE_CHECKING:
    from training.module import ImageToImage

# Lightning logs each so many steps where nobody says otherwise.
LIGHTNINGS_EVERY = 50
LEAST_POINTS = 40
# Crops of the batch that channels are looked at on.
CROPS = 2
_STAGE = re.compile(r"(encoder)\.stages\.(\d+)|(decoder)\.(?:ups|joins|blocks)\.(\d+)")


class Diagnostics(Callback):
    """Curves of each part of the net, at the steps that are logged.

    - `gradient/PART`: norm of the loss's gradient by the part's weights, before it is clipped.
    - `update/PART`: norm of the step over that of the weights.
    - `silent/STAGE`: share of the channels that have one value at all pixels of some crops, as
      those have whose activation never opens.

    A part is a stage, as `i2i.explain.stages` names it, the head, or the auxiliary heads.
    """

    def __init__(self) -> None:
        self._before: dict[str, Tensor] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        log_often(trainer, trainer.estimated_stepping_batches)

    def on_before_optimizer_step(
        self,
        trainer: pl.Trainer,
        pl_module: ImageToImage,  # type: ignore[override]
        optimizer: torch.optim.Optimizer,
    ) -> None:
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if not trainer.loggers or not every or (trainer.global_step + 1) % every:
            return
        self._before = {name: each.detach().clone() for name, each in _learning(pl_module.net)}
        gradients = {name: each.grad for name, each in _learning(pl_module.net)}
        pl_module.log_dict(_named("gradient", _norms(gradients)))

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: ImageToImage,  # type: ignore[override]
        outputs: Any,
        batch: tuple[Tensor, Tensor],
        batch_idx: int,
    ) -> None:
        if not self._before:
            return
        now = {name: each.detach() for name, each in _learning(pl_module.net)}
        steps = _norms({name: now[name] - before for name, before in self._before.items()})
        sizes = _norms(now)
        self._before = {}
        updates = {part: steps[part] / sizes[part].clamp(min=1e-12) for part in steps}
        pl_module.log_dict(_named("update", updates))
        image = pl_module.task.input_tensor(batch[0][:CROPS])
        pl_module.log_dict(_named("silent", silent_channels(pl_module.net, image)))


def log_often(trainer: pl.Trainer, steps: float) -> None:
    """Has a short run log more often than Lightning's default, so that its curves have points.

    Args:
        steps: of the whole run.
    """
    every = trainer.log_every_n_steps  # type: ignore[attr-defined]
    if every == LIGHTNINGS_EVERY and steps < every * LEAST_POINTS:
        trainer.log_every_n_steps = max(1, int(steps) // LEAST_POINTS)  # type: ignore[attr-defined]


def silent_channels(net: Any, image: Tensor) -> dict[str, Tensor]:
    """For each stage the share of its channels that have one value at all pixels of the images.

    Args:
        image: (N, C, H, W) in [0, 1], sides multiples of `size_multiple`.
    """
    training = net.training
    net.eval()  # neither dropout nor a norm's statistics shall notice
    with torch.no_grad():
        features = activations(net, image)
    net.train(training)
    return {
        stage: (feature.amax((0, 2, 3)) - feature.amin((0, 2, 3)) < 1e-6).float().mean()
        for stage, feature in features.items()
    }


def part_of(name: str) -> str:
    """The part of the net that a parameter belongs to.

    Examples:
        >>> part_of("decoder.ups.1.weight"), part_of("head.up.bias")
        ('decoder.1', 'head')
    """
    if (stage := _STAGE.match(name)) is not None:
        return ".".join(group for group in stage.groups() if group is not None)
    return "auxiliary" if name.startswith("auxiliary") else name.split(".")[0]


def _learning(net: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, each) for name, each in net.named_parameters() if each.requires_grad]


def _norms(tensors: dict[str, Tensor | None] | dict[str, Tensor]) -> dict[str, Tensor]:
    """The norm of each part's tensors together."""
    parts: dict[str, list[Tensor]] = {}
    for name, tensor in tensors.items():
        if tensor is not None:
            parts.setdefault(part_of(name), []).append(tensor.float().norm())
    return {part: torch.stack(norms).norm() for part, norms in parts.items()}


def _named(what: str, values: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{what}/{part}": value for part, value in values.items()}
