"""The one LightningModule: pair → net → loss → log. What differs between tasks is in the task."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from i2i.losses import with_auxiliary
from i2i.nets import Autoencoder
from i2i.nets.last_step import LastStep
from i2i.nets.margin import margin
from training.budget import core_minutes, minutes
from training.callbacks import (
    AveragedWeights,
    Baseline,
    BestCheckpoint,
    Diagnostics,
    LastCheckpoint,
    Patience,
    PictureLog,
    RunPage,
)
from training.initial_weights import begin_with
from training.optimisers import AdamW, Optimiser
from training.recipe import describe, first_difference, without_loss
from training.run_folder import checkpoints, last_checkpoint
from training.schedules import Cosine, Rate, Schedule
from training.seed import run_seed
from training.tasks import Task


class ImageToImage(pl.LightningModule):
    """Trains a net for a task.

    The weights that are validated, kept and exported are an exponential moving average.

    Args:
        net: its channels, scale and classes are the task's (`Task.net_arguments`).
        learning_rate: at its highest, after the warm-up.
        weight_decay: as a share of the rate, per step; SGD adds it to the gradient instead.
        optimizer: AdamW by default.
        schedule: of the rate; Cosine by default.
        auxiliary_weight: of the loss of each auxiliary output of the net, in training.
        initial_weights: a checkpoint, a model folder or a shipped model's name: the net begins
            with its weights where they fit.
        average_decay: of the moving average of the weights, per step; less in the first steps.
        patience: validations without a better score after which training stops.
        checkpoint_minutes: time between two checkpoints within an epoch: what a crash can cost.
        compile: whether training runs through torch.compile; needs a C++ compiler, and pays after
            some minutes.

    Raises:
        ValueError: a net that does not fit the task, or a number out of its range.
    """

    def __init__(
        self,
        task: Task,
        net: Autoencoder,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        optimizer: Optimiser | None = None,
        schedule: Schedule | None = None,
        auxiliary_weight: float = 0.4,
        initial_weights: str | None = None,
        average_decay: float = 0.999,
        patience: int = 20,
        checkpoint_minutes: float = 10.0,
        compile: bool = False,
    ) -> None:
        super().__init__()
        _check_numbers(learning_rate, weight_decay, auxiliary_weight, patience)
        task.check_net(net)
        self.task = task
        self.begun_with = None if initial_weights is None else begin_with(net, initial_weights)
        # torch's stubs lack `memory_format` beside no device.
        self.net: Autoencoder = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # Several processes would copy a lone buffer onto itself, which torch refuses where its
        # strides are those of channels_last.
        for buffer in self.net.buffers():
            buffer.data = buffer.data.clone(memory_format=torch.contiguous_format)
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.optimizer, self.schedule = optimizer or AdamW(), schedule or Cosine()
        self.auxiliary_weight, self.average_decay = auxiliary_weight, average_decay
        self.patience, self.checkpoint_minutes = patience, checkpoint_minutes
        self.compiles = compile
        # Input pixels at each side of a crop whose outputs do not count.
        self.border = margin(net) if net.padding == "valid" else 0
        self.outputs = LastStep(task.kind, map=task.map_info())
        self.scores = task.metrics()
        # Of the answer without a net, by name, once a validation has told.
        self.baseline: dict[str, float] = {}
        self.earlier_core_minutes = self.earlier_minutes = 0.0
        # What the run may cost, where it has such a limit.
        self.budget: str | None = None

    @property
    def core_minutes(self) -> float:
        """What the run has cost so far, the time before it was resumed included."""
        return self.earlier_core_minutes + core_minutes()

    @property
    def minutes(self) -> float:
        """How long the run has taken so far, the time before it was resumed included."""
        return self.earlier_minutes + minutes()

    def forward(self, image: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] → the net's output."""
        output: Tensor = self.net(image.contiguous(memory_format=torch.channels_last))
        return output

    def on_fit_start(self) -> None:
        # What no checkpoint can hold is told before the first epoch, not after it.
        describe(self.task)
        describe(self.net)
        # Of the function, not of the module: the names of the weights stay as they are.
        forward = self.net.forward_with_auxiliary
        self.trained = torch.compile(forward) if self.compiles else forward

    def on_train_start(self) -> None:
        # The loss is no part of the module, whose weights a checkpoint holds.
        self.task.loss.to(self.device)

    def on_train_batch_start(self, batch: Any, batch_index: int) -> None:
        """Dropout's random state follows from seed, epoch and batch: a resumed run repeats it."""
        key = [run_seed(), self.current_epoch, batch_index, self.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_index: int) -> None:
        """A run that ends at `max_steps` ends with a validation, as others do."""
        if self.trainer.global_step == self.trainer.max_steps and self.budget is None:
            self.trainer.val_check_batch = 1
            if self.trainer.check_val_every_n_epoch is not None:
                self.trainer.check_val_every_n_epoch = 1

    def training_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> Tensor:
        image, target = batch
        image = self.task.input_tensor(image).contiguous(memory_format=torch.channels_last)
        output, auxiliary = self.trained(image)
        # The loss in float32, what it convolves included, for bfloat16's steps near 1 are 4e-3, and
        # class by class in memory: a softmax over channels that lie side by side takes twice the
        # time.
        outputs = [self._inside(each.float().contiguous()) for each in (output, *auxiliary)]
        target, weight = self._inside(target), self.auxiliary_weight
        with torch.autocast(self.device.type, enabled=False):
            loss = with_auxiliary(self.task.loss_of, outputs[0], outputs[1:], target, weight)
        self.log("loss", loss)
        rate = max(group["lr"] for group in self.trainer.optimizers[0].param_groups)
        # Of a plain number Lightning makes a tensor on the GPU, and waits for it at each step.
        self.log("learning_rate", torch.tensor(rate))
        return loss

    def _inside(self, outputs: Tensor) -> Tensor:
        """Outputs or targets of a crop without those that its border would change."""
        if self.border == 0:
            return outputs
        cut = self.border * self.net.scale
        if min(outputs.shape[-2:]) <= 2 * cut:
            raise ValueError(
                f"geometry: expected crops that give inputs above {2 * self.border} pixels a side "
                f"for padding: valid, got {min(outputs.shape[-2:]) // self.net.scale}; make the "
                "crop larger, or choose another padding"
            )
        return outputs[..., cut:-cut, cut:-cut]

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:
        _, target = batch
        prediction = self.predict_step(batch, batch_index)
        if not self.is_repeated(batch_index):
            self.scores.update(*self.task.as_scored(prediction, target))

    def is_repeated(self, batch_index: int) -> bool:
        """Whether a picture is one of those that fill up the last round of several processes."""
        loaders: Any = self.trainer.val_dataloaders or self.trainer.test_dataloaders
        place = batch_index * self.trainer.world_size + self.global_rank
        return self.trainer.world_size > 1 and place >= len(loaders.dataset)

    def on_validation_epoch_end(self) -> None:
        scores = {name: value.float() for name, value in self.scores.compute().items()}
        self.scores.reset()
        # The metric has gathered the processes already; they agree.
        self.log_dict({f"val/{name}": value for name, value in scores.items()}, sync_dist=True)
        monitored = scores[self.task.monitor]
        self.log(self.task.monitor, monitored, logger=False, sync_dist=True)
        if self.trainer.state.fn == "fit" and not self.trainer.sanity_checking:
            self.rate.validated(float(monitored))

    test_step = validation_step
    on_test_epoch_end = on_validation_epoch_end

    def predict_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> Tensor:
        image, _ = batch
        prediction: Tensor = self.outputs(self(self.task.input_tensor(image)).float())[0]
        return prediction

    def configure_optimizers(self) -> Any:
        groups = self.optimizer.groups(self.net, self.learning_rate, self.weight_decay)
        optimizer = self.optimizer.build(groups)
        steps = self.trainer.estimated_stepping_batches
        self.rate = Rate(optimizer, self.schedule, steps, self.task.mode)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": self.rate, "interval": "step"},
        }

    def configure_callbacks(self) -> list[Callback]:
        if self.trainer.state.fn != "fit":
            return []
        monitor, mode = self.task.monitor, self.task.mode
        run = Path(self.trainer.default_root_dir)
        return [
            # Before the averaging, which takes its weights back at the end of the validation.
            PictureLog(),
            Baseline(),
            AveragedWeights(self.average_decay),
            BestCheckpoint(checkpoints(run), monitor, mode),
            LastCheckpoint(last_checkpoint(run), self.checkpoint_minutes),
            Patience(monitor, mode, self.patience),
            Diagnostics(),
            RunPage(),
        ]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The recipe beside the weights: what `training.export.export` builds net and task from."""
        data = getattr(self.trainer, "datamodule", None)
        checkpoint["recipe"] = {
            "task": describe(self.task),
            "net": describe(self.net),
            "optimisation": self._optimisation(),
            "data": data.provenance if data is not None else {},
            "source": data.source() if data is not None else None,
            "begun_with": self.begun_with,
            "steps": self.trainer.global_step,
            "core_minutes": self.core_minutes,
            "minutes": self.minutes,
            "device": device_name(self.device),
            "precision": self.trainer.precision,
            "budget": self.budget,
            "seed": run_seed(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        recipe = checkpoint.get("recipe")
        if recipe is None:
            raise ValueError("checkpoint: expected one of `python -m training fit`, got no recipe")
        parts = {"task": describe(self.task), "net": describe(self.net)}
        if self.trainer.state.fn == "fit":
            parts["optimisation"] = self._optimisation()
            _check_seed(recipe)
        else:
            recipe = recipe | {"task": without_loss(recipe["task"])}
            parts["task"] = without_loss(parts["task"])
        for name, mine in parts.items():
            # A checkpoint from earlier times does not tell of its optimisation.
            difference = first_difference(mine, recipe.get(name, mine), name)
            if difference is not None:
                raise ValueError(
                    f"checkpoint of another {name} than the config's: {difference}; use the "
                    "config.yaml beside the checkpoint, or begin a new run with "
                    "--model.initial_weights instead of --ckpt_path"
                )
        self._check_data(recipe["data"])
        # The weights are the checkpoint's, wherever a config says to begin.
        self.begun_with = recipe.get("begun_with")
        self.earlier_core_minutes = recipe["core_minutes"]
        self.earlier_minutes = recipe.get("minutes", 0.0)

    def _optimisation(self) -> dict[str, Any]:
        """What the optimiser's state is of."""
        return {"optimizer": describe(self.optimizer), "weight_decay": self.weight_decay}

    def _check_data(self, known: dict[str, Any]) -> None:
        """Raises ValueError where a run that is resumed has other pictures than before."""
        data = getattr(self.trainer, "datamodule", None)
        # Nothing is compared where nothing is trained, or where a checkpoint is from earlier times.
        mine = {} if data is None else data.provenance
        sides = {"digest": "train", "validation_digest": "validate"}
        both = sides.keys() & known.keys() & mine.keys()
        changed = [sides[key] for key in sorted(both) if mine[key] != known[key]]
        if changed:
            raise ValueError(
                "checkpoint of a run on other pictures: expected the same again, got others to "
                f"{' and '.join(changed)}, so that its scores would not compare; bring the earlier "
                "ones back, or begin a new run with --model.initial_weights instead of --ckpt_path"
            )


def _check_seed(recipe: dict[str, Any]) -> None:
    # A checkpoint from earlier times does not tell.
    if (begun := recipe.get("seed", run_seed())) != run_seed():
        raise ValueError(
            f"checkpoint of a run with another seed: expected {begun}, got {run_seed()}; say "
            f"--seed_everything {begun}"
        )


def device_name(device: torch.device) -> str:
    """What a run was made on: the GPU's name, or the kind of device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _check_numbers(rate: float, decay: float, auxiliary: float, patience: int) -> None:
    numbers = {"learning_rate": rate, "weight_decay": decay, "auxiliary_weight": auxiliary}
    for name, value in numbers.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name}: expected a number of at least 0, got {value}")
    if patience < 1:
        raise ValueError(f"patience: expected at least 1 validation, got {patience}")
