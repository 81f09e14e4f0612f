"""What a run says while it goes: a bar in a terminal, and a line for each validation anywhere."""

from __future__ import annotations

import math
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from training.tasks.scores import gain

if TYPE_CHECKING:
    from training.module import ImageToImage


class RunProgress(ProgressBar):
    """Step, loss, score, throughput, core-minutes and the time until the end of the whole run."""

    def __init__(self) -> None:
        super().__init__()
        self.console = Console(highlight=False, soft_wrap=True)
        self.bar = Progress(
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.description}"),
            console=self.console,
        )
        self.task = self.bar.add_task("", total=None)
        self.best = -math.inf

    def disable(self) -> None:
        """Lightning's way to silence all processes but the first."""
        self.console.quiet = True

    def enable(self) -> None:
        self.console.quiet = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.started, self.first = time.monotonic(), trainer.fit_loop.total_batch_idx + 1
        self.samples = self.pixels = self.batches = 0
        self.loss, self.told = 0.0, -math.inf
        data: Any = getattr(trainer, "datamodule", None)
        if data is not None:
            self.console.print(
                f"{len(data.training)} pictures train, {len(data.validation)} validate; "
                f"{sum(each.numel() for each in pl_module.parameters()):,} parameters"
            )
        if self.console.is_terminal:
            self.bar.start()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: ImageToImage,  # type: ignore[override]
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        count, _, height, width = batch[0].shape
        self.samples += count * trainer.world_size
        self.pixels += count * trainer.world_size * height * width
        self.batches += 1
        # Stays on the device: to read it would wait for the step. Lightning has divided it.
        self.loss += outputs["loss"].detach() * trainer.accumulate_grad_batches
        # Once a second: to read the processor time of all processes takes milliseconds.
        if self.console.is_terminal and time.monotonic() - self.told >= 1:
            self.told = time.monotonic()
            done, total = self._batches(trainer)
            said = f"{self._pace(pl_module)}, {self._left(trainer)} left"
            self.bar.update(self.task, completed=done, total=total, description=said)

    def on_validation_end(
        self,
        trainer: pl.Trainer,
        pl_module: ImageToImage,  # type: ignore[override]
    ) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking or not self.batches:
            return
        task = pl_module.task
        score = float(trainer.callback_metrics[task.monitor])
        sign = 1 if task.mode == "max" else -1
        better, self.best = sign * score > self.best, max(self.best, sign * score)
        steps = trainer.estimated_stepping_batches
        told = [
            f"step {trainer.global_step}{'' if math.isinf(steps) else f'/{steps}'}",
            f"loss {float(self.loss) / self.batches:.4g}",
            f"{task.monitor} {score:.4f}{' (best)' if better else ''}",
            self._pace(pl_module),
            f"{self._left(trainer)} left",
        ]
        if (baseline := pl_module.baseline.get(task.monitor)) is not None:
            told.insert(3, f"{gain(task.monitor, score, baseline):+.4f} on the baseline")
        self.console.print(*told, sep=", ")
        self.loss, self.batches = 0.0, 0

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        # A bar that never began would end with an empty line.
        if self.bar.live.is_started:
            self.bar.stop()

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]

    def _batches(self, trainer: pl.Trainer) -> tuple[int, float | None]:
        """Batches done of the whole run, and all of it, where that is known."""
        ends = []
        if trainer.max_epochs is not None and trainer.max_epochs > 0:
            ends.append(trainer.max_epochs * trainer.num_training_batches)
        if trainer.max_steps > 0:
            ends.append(trainer.max_steps * trainer.accumulate_grad_batches)
        return trainer.fit_loop.total_batch_idx + 1, min(ends, default=None)

    def _left(self, trainer: pl.Trainer) -> str:
        """Time to the end at the pace so far, validations included: h:mm:ss."""
        done, total = self._batches(trainer)
        if total is None or done <= self.first:
            return "?"
        pace = (time.monotonic() - self.started) / (done - self.first)
        return str(timedelta(seconds=round(pace * max(0.0, total - done))))

    def _pace(self, module: ImageToImage) -> str:
        seconds = time.monotonic() - self.started
        return (
            f"{self.samples / seconds:.0f} samples/s, {self.pixels / seconds / 1e6:.2f} MP/s, "
            f"{module.core_minutes:.1f} core-min"
        )
