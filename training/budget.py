"""What a run has cost, and may cost.

On processors in core-minutes of process time, however busy the machine is; on a GPU in minutes.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from i2i.engines.engine import available_cpus
from training.callbacks.diagnostics import log_often

if TYPE_CHECKING:
    from training.module import ImageToImage

# Steps before the budget is planned: more than any run has, so that the rate has a far end.
UNPLANNED = 1_000_000
# The first steps allocate and fill caches; the next ones are measured.
SKIPPED_STEPS, MEASURED_STEPS = 2, 8
# Validations of a run, fewer where they would take more than this share of what is left.
VALIDATIONS, VALIDATION_SHARE = 20, 0.1
# What a run may cost beyond its budget without a word, for a last validation is not cut short.
EXCEEDED = 1.5


def core_minutes() -> float:
    """Processor minutes of this process and its loaders, of all threads, since they began."""
    process = psutil.Process()
    ended = process.cpu_times()
    seconds = ended.children_user + ended.children_system
    for each in (process, *process.children(recursive=True)):
        # A loader process may end meanwhile.
        with suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            seconds += times.user + times.system
    return seconds / 60


def minutes() -> float:
    """Minutes since this process began."""
    return (time.time() - psutil.Process().create_time()) / 60


def run_cost_in_words(cost: Mapping[str, Any]) -> str:
    """ "31 core-minutes, seed 0", or "20 minutes of NVIDIA H200, seed 1, begun with …".

    Args:
        cost: `core_minutes`, `minutes`, `device` of a run; `seed`, `begun_with` where known.
    """
    words = f"{_rounded(cost['core_minutes'])} core-minutes"
    if cost.get("device", "cpu") != "cpu":
        words = f"{_rounded(cost['minutes'])} minutes of {cost['device']}"
    if cost.get("seed") is not None:
        words += f", seed {cost['seed']}"
    return f"{words}, begun with {cost['begun_with']}" if cost.get("begun_with") else words


def _rounded(amount: float) -> str:
    return f"{amount:.0f}" if amount >= 1 else f"{amount:.1g}"


@dataclass(frozen=True)
class Limit:
    """What a run may cost: minutes of the clock, or core-minutes of its processes."""

    minutes: float
    of_processors: bool = True


def parse_budget(text: str, device: str = "cpu") -> Limit:
    """The limit that "120 core-minutes" or "60min" means on a device.

    On processors "60min" is an hour of all cores of this machine; on a GPU an hour of the clock,
    for there processor time says little.

    Raises:
        ValueError: the text is neither, or is nothing, or core-minutes are to limit a GPU.
    """
    amount, unit = _amount(text)
    if device == "cpu":
        return Limit(amount * (available_cpus() if unit == "min" else 1))
    if unit != "min":
        raise ValueError(
            f"budget: expected minutes such as '20min' of a run on {device}, got {text!r}, which "
            "are for runs on processors"
        )
    return Limit(amount, of_processors=False)


def share_of(text: str, share: float) -> str:
    """A share of a budget, as such a text.

    Examples:
        >>> share_of("60min", 0.125)
        '7.5 min'
    """
    amount, unit = _amount(text)
    return f"{amount * share:.6f}".rstrip("0").rstrip(".") + f" {unit}"


def _amount(text: str) -> tuple[float, str]:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(core-minutes?|min(?:utes?)?)", text.strip())
    if found is None or float(found[1]) == 0:
        raise ValueError(
            "budget: expected core-minutes of processor time such as '120 core-minutes', or "
            f"minutes of all cores such as '60min', got {text!r}"
        )
    return float(found[1]), found[2] if found[2].startswith("core") else "min"


@dataclass(frozen=True)
class Plan:
    """The last step of a run, and the steps between two validations."""

    steps: int
    interval: int


def plan(left: float, step: float, validation: float, done: int, validations: int) -> Plan:
    """What fits into a budget.

    Args:
        left: minutes of the limit's kind.
        step, validation: what one costs, in the same.
        done: steps already done.
        validations: how many there shall be, the last at the end.
    """
    if validation > 0:
        validations = int(min(validations, VALIDATION_SHARE * left / validation))
    validations = max(1, validations)
    more = max(1, int((left - validations * validation) / step))
    return Plan(done + more, math.ceil(more / validations))


class Budget(Callback):
    """Ends a run when its budget is spent, with the schedule at its end and a validation.

    The first steps are measured, and the batches that Lightning validates before them; they give
    the number of steps. Each validation corrects it, as it shows what a validation costs. A resumed
    run goes on with what was spent, and with the plan where its budget is the same.

    Args:
        text: see `parse_budget`; of the whole run: loaders, validations and start included.
    """

    def __init__(self, text: str) -> None:
        self.text, self.limit = text, parse_budget(text)
        self.plan: Plan | None = None
        self.validated_at = self.validations = 0
        # From which on steps are measured: their number, and what was spent but for validations.
        self.mark: tuple[int, float] | None = None
        self.cost_of_validations = self.validation_began = 0.0
        # What a validation may cost, by Lightning's few batches before the first step.
        self.foreseen_validation = 0.0
        self.sane_batches: list[float] = []

    @staticmethod
    def trainer_options() -> dict[str, Any]:
        """Arguments of the trainer that leave the end and the validations to the budget."""
        return {
            "max_epochs": -1,
            "max_steps": UNPLANNED,
            "val_check_interval": UNPLANNED,
            "check_val_every_n_epoch": None,
        }

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Before the first batches are validated: on a GPU other minutes count."""
        self.limit = parse_budget(self.text, trainer.strategy.root_device.type)

    def on_train_start(self, trainer: pl.Trainer, pl_module: ImageToImage) -> None:  # type: ignore[override]
        self.first = trainer.global_step
        if self.plan is not None:
            self._follow(trainer, pl_module, self.plan)
        elif self.first and self._spent(pl_module) >= self.limit.minutes:
            trainer.fit_loop.epoch_loop.max_steps = self.first
        elif self.first:
            # At its highest, the first steps would undo what the rate's end had settled.
            pl_module.rate.hold()

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
            self.mark = done, self._spent(pl_module) - self.cost_of_validations
        elif self.mark is not None and self.plan is None:
            # Steps may be so dear that to measure all would cost more than there is.
            dear = self._spent(pl_module) > self.limit.minutes
            if dear or done >= self.mark[0] + MEASURED_STEPS:
                self._plan(trainer, pl_module)
                self.validated_at = done  # from here on the plan's interval counts
        due = self.plan is not None and (
            done >= min(self.plan.steps, self.validated_at + self.plan.interval)
        )
        # Lightning validates after batches whose number this divides.
        batches = trainer.fit_loop.total_batch_idx + 1
        trainer.val_check_batch = batches if due and done > self.validated_at else batches + 1

    def on_train_end(self, trainer: pl.Trainer, pl_module: ImageToImage) -> None:  # type: ignore[override]
        spent = self._spent(pl_module)
        if spent > EXCEEDED * self.limit.minutes:
            logging.getLogger(__name__).warning(
                "the budget of %s was too small for this run, which took %.1f minutes in the same "
                "measure: its start, its first steps and a validation cost more",
                *(self.text, spent),
            )

    def on_validation_start(self, trainer: pl.Trainer, pl_module: ImageToImage) -> None:  # type: ignore[override]
        self.validation_began = self._spent(pl_module)

    def on_validation_batch_end(  # type: ignore[override]
        self, trainer: pl.Trainer, pl_module: ImageToImage, *_: Any
    ) -> None:
        if trainer.sanity_checking:
            self.sane_batches.append(self._spent(pl_module))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: ImageToImage) -> None:  # type: ignore[override]
        if trainer.sanity_checking and len(self.sane_batches) > 1:
            # The first one allocates and fills caches.
            batches, first, *_, last = sum(trainer.num_val_batches), *self.sane_batches
            self.foreseen_validation = batches * (last - first) / (len(self.sane_batches) - 1)
        if trainer.sanity_checking or self.plan is None:
            return
        self.cost_of_validations += self._spent(pl_module) - self.validation_began
        self.validations, self.validated_at = self.validations + 1, trainer.global_step
        # After a resume there may be too few steps to tell what one costs.
        measured = self.mark is not None and trainer.global_step - self.mark[0] >= MEASURED_STEPS
        if measured and trainer.global_step < self.plan.steps:
            self._plan(trainer, pl_module)

    def _spent(self, module: ImageToImage) -> float:
        return module.core_minutes if self.limit.of_processors else module.minutes

    def _plan(self, trainer: pl.Trainer, module: ImageToImage) -> None:
        assert self.mark is not None
        done, spent = trainer.global_step, self._spent(module)
        steps = max(1, done - self.mark[0])
        # A clock of processor time may stand still for some milliseconds.
        step = max(1e-6, (spent - self.mark[1] - self.cost_of_validations) / steps)
        validation = self.foreseen_validation
        if self.validations:
            validation = self.cost_of_validations / self.validations
        planned = plan(
            self.limit.minutes - spent, step, validation, done, VALIDATIONS - self.validations
        )
        # Each of several processes has measured its own: the first knows them all.
        self._follow(trainer, module, trainer.strategy.broadcast(planned))

    def _follow(self, trainer: pl.Trainer, module: Any, planned: Plan) -> None:
        self.plan = planned
        trainer.fit_loop.epoch_loop.max_steps = planned.steps
        module.rate.end_at(planned.steps)
        log_often(trainer, planned.steps)

    def state_dict(self) -> dict[str, Any]:
        ends = None if self.plan is None else [self.plan.steps, self.plan.interval]
        return {
            "budget": self.text,
            "plan": ends,
            "validations": self.validations,
            "validated_at": self.validated_at,
            "cost_of_validations": self.cost_of_validations,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.validated_at = state_dict["validated_at"]
        same = parse_budget(state_dict["budget"]) == parse_budget(self.text)
        if same and state_dict["plan"] is not None:
            self.plan = Plan(*state_dict["plan"])
            self.validations = state_dict["validations"]
            self.cost_of_validations = state_dict.get("cost_of_validations", 0.0)
