"""What a run has cost, and may cost: core-minutes of process time, however busy the machine is."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from i2i.engines.engine import available_cpus

if TYPE_CHECKING:
    from training.module import ImageToImage

# Steps before the budget is planned: more than any run has, so that the rate has a far end.
UNPLANNED = 1_000_000
# The first steps allocate and fill caches; the next ones are measured.
SKIPPED_STEPS, MEASURED_STEPS = 2, 8
# Validations of a run, fewer where they would take more than this share of what is left.
VALIDATIONS, VALIDATION_SHARE = 20, 0.1


def core_minutes() -> float:
    """Processor minutes of this process and its loaders, of all threads, since they began."""
    process = psutil.Process()
    seconds = 0.0
    for each in (process, *process.children(recursive=True)):
        # A loader process may end meanwhile.
        with suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            seconds += times.user + times.system
    return seconds / 60


def parse_budget(text: str) -> float:
    """Core-minutes of "120 core-minutes", or of "60min": an hour of all cores of this machine.

    Raises:
        ValueError: the text is neither, or is nothing.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(core-minutes?|min)", text.strip())
    if found is None or float(found[1]) == 0:
        raise ValueError(
            "budget: expected core-minutes of processor time such as '120 core-minutes', or "
            f"minutes of all cores such as '60min', got {text!r}"
        )
    return float(found[1]) * (available_cpus() if found[2] == "min" else 1)


@dataclass(frozen=True)
class Plan:
    """The last step of a run, and the steps between two validations."""

    steps: int
    interval: int


def plan(left: float, step: float, validation: float, done: int, validations: int) -> Plan:
    """What fits into a budget.

    Args:
        left: core-minutes.
        step, validation: what one costs, in core-minutes.
        done: steps already done.
        validations: how many there shall be, the last at the end.
    """
    if validation > 0:
        validations = int(min(validations, VALIDATION_SHARE * left / validation))
    validations = max(1, validations)
    more = max(1, int((left - validations * validation) / step))
    return Plan(done + more, math.ceil(more / validations))


class Budget(Callback):
    """Ends a run when its core-minutes are spent, with the schedule at its end and a validation.

    The first steps are measured; they give the number of steps. Each validation corrects it, as it
    shows what a validation costs. A resumed run goes on with the plan, and with what was spent.

    Args:
        core_minutes: of process time, of the whole run: loaders, validations and start included.
    """

    def __init__(self, core_minutes: float) -> None:
        self.core_minutes = core_minutes
        self.plan: Plan | None = None
        self.validated_at = self.validations = 0
        # Step and cost from which on steps are measured; and what validations have cost since.
        self.mark: tuple[int, float] | None = None
        self.cost_of_validations = self.validation_began = 0.0

    @staticmethod
    def trainer_options() -> dict[str, Any]:
        """Arguments of the trainer that leave the end and the validations to the budget."""
        return {
            "max_epochs": -1,
            "max_steps": UNPLANNED,
            "val_check_interval": UNPLANNED,
            "check_val_every_n_epoch": None,
        }

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.strategy.root_device.type != "cpu":
            raise ValueError(
                "budget: expected a run on processors, which core-minutes measure, got one on "
                f"{trainer.strategy.root_device.type}; give --trainer.max_epochs instead"
            )
        self.first = trainer.global_step
        if self.plan is not None:
            self._follow(trainer, pl_module, self.plan)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: ImageToImage,  # type: ignore[override]
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        done = trainer.global_step
        if self.mark is None and done >= self.first + SKIPPED_STEPS:
            self.mark = done, pl_module.core_minutes
        elif self.mark is not None and self.plan is None and done >= self.mark[0] + MEASURED_STEPS:
            self._plan(trainer, pl_module)
        due = self.plan is not None and (
            done >= min(self.plan.steps, self.validated_at + self.plan.interval)
        )
        # Lightning validates after batches whose number this divides.
        batches = trainer.fit_loop.total_batch_idx + 1
        trainer.val_check_batch = batches if due and done > self.validated_at else batches + 1

    def on_validation_start(self, trainer: pl.Trainer, pl_module: ImageToImage) -> None:  # type: ignore[override]
        self.validation_began = pl_module.core_minutes

    def on_validation_end(self, trainer: pl.Trainer, pl_module: ImageToImage) -> None:  # type: ignore[override]
        if trainer.sanity_checking or self.plan is None:
            return
        self.cost_of_validations += pl_module.core_minutes - self.validation_began
        self.validations, self.validated_at = self.validations + 1, trainer.global_step
        if self.mark is not None and trainer.global_step < self.plan.steps:
            self._plan(trainer, pl_module)

    def _plan(self, trainer: pl.Trainer, module: ImageToImage) -> None:
        assert self.mark is not None
        done, spent = trainer.global_step, module.core_minutes
        steps = max(1, done - self.mark[0])
        # A clock of processor time may stand still for some milliseconds.
        step = max(1e-6, (spent - self.mark[1] - self.cost_of_validations) / steps)
        validation = self.cost_of_validations / max(1, self.validations)
        planned = plan(
            self.core_minutes - spent, step, validation, done, VALIDATIONS - self.validations
        )
        # Each of several processes has measured its own: the first knows them all.
        self._follow(trainer, module, trainer.strategy.broadcast(planned))

    def _follow(self, trainer: pl.Trainer, module: Any, planned: Plan) -> None:
        self.plan = planned
        trainer.fit_loop.epoch_loop.max_steps = planned.steps
        module.rate.end_at(planned.steps)

    def state_dict(self) -> dict[str, Any]:
        ends = None if self.plan is None else [self.plan.steps, self.plan.interval]
        return {"plan": ends, "validations": self.validations, "validated_at": self.validated_at}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.plan = None if state_dict["plan"] is None else Plan(*state_dict["plan"])
        self.validations = state_dict["validations"]
        self.validated_at = state_dict["validated_at"]
