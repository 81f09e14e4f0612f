"""How the learning rate goes over a run, in steps of the optimiser.

A config names one by `model.schedule`: `Cosine`, `Polynomial`, `OneCycle`, `Plateau`, `MultiStep`,
`Constant`, or the class path of a subclass of `Schedule`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch.optim.lr_scheduler import LRScheduler


class Schedule(ABC):
    """The share of the learning rate at each step: a linear warm-up from 0, then `share`.

    Args:
        warmup_steps: over which the rate rises; at most a tenth of all steps.
    """

    # Whether the rate falls towards the end of the run, which must then be known.
    needs_end: ClassVar[bool] = True

    def __init__(self, warmup_steps: int = 200) -> None:
        if warmup_steps < 0:
            raise ValueError(f"warmup_steps: expected 0 or more, got {warmup_steps}")
        self.warmup_steps = warmup_steps

    @abstractmethod
    def share(self, done: float) -> float:
        """The share of the rate when `done` of the run after the warm-up, 0 to 1, is done."""


class Cosine(Schedule):
    """Falls as a cosine to `final_share` of the rate (Loshchilov and Hutter, arXiv 1608.03983)."""

    def __init__(self, final_share: float = 0.01, warmup_steps: int = 200) -> None:
        super().__init__(warmup_steps)
        self.final_share = check_share("final_share", final_share)

    def share(self, done: float) -> float:
        return self.final_share + (1 - self.final_share) * (1 + math.cos(math.pi * done)) / 2


class Polynomial(Schedule):
    """Falls to 0 as (1 - done)^power: "poly" in segmentation (DeepLab, arXiv 1606.00915)."""

    def __init__(self, power: float = 0.9, warmup_steps: int = 200) -> None:
        super().__init__(warmup_steps)
        if power <= 0:
            raise ValueError(f"power: expected above 0, got {power}")
        self.power = power

    def share(self, done: float) -> float:
        return float((1 - done) ** self.power)


class OneCycle(Schedule):
    """Rises by half a cosine, falls by another to nothing (Smith and Topin, arXiv 1708.07120).

    The rise is the warm-up. Momentum stays as it is.

    Args:
        rise: share of the run in which the rate rises.
        first_share: of the rate at the first step.
    """

    def __init__(self, rise: float = 0.3, first_share: float = 0.04) -> None:
        super().__init__(warmup_steps=0)
        if not 0 < rise < 1:
            raise ValueError(f"rise: expected a share between 0 and 1, got {rise}")
        self.rise, self.first_share = rise, check_share("first_share", first_share)

    def share(self, done: float) -> float:
        if done < self.rise:
            risen = (1 - math.cos(math.pi * done / self.rise)) / 2
            return self.first_share + (1 - self.first_share) * risen
        return (1 + math.cos(math.pi * (done - self.rise) / (1 - self.rise))) / 2


class MultiStep(Schedule):
    """Falls to `factor` of itself at each of some points of the run.

    Args:
        at: shares of the run, rising.
    """

    def __init__(
        self, at: Sequence[float] = (0.5, 0.75), factor: float = 0.1, warmup_steps: int = 200
    ) -> None:
        super().__init__(warmup_steps)
        if list(at) != sorted(at) or not all(0 < point < 1 for point in at):
            raise ValueError(f"at: expected rising shares between 0 and 1, got {list(at)}")
        self.at, self.factor = list(at), check_share("factor", factor)

    def share(self, done: float) -> float:
        return float(self.factor ** sum(done >= point for point in self.at))


class Plateau(Schedule):
    """Falls to `factor` of itself after `patience` validations without a better score.

    The module stops after a patience of its own: choose a smaller one here.
    """

    needs_end = False

    def __init__(self, factor: float = 0.5, patience: int = 5, warmup_steps: int = 200) -> None:
        super().__init__(warmup_steps)
        if patience < 1:
            raise ValueError(f"patience: expected 1 or more validations, got {patience}")
        self.factor, self.patience = check_share("factor", factor), patience

    def share(self, done: float) -> float:
        return 1.0


class Constant(Schedule):
    """Stays where the warm-up has brought it."""

    needs_end = False

    def share(self, done: float) -> float:
        return 1.0


def check_share(name: str, value: float) -> float:
    """`value`, a share of something; ValueError where it is not from 0 to 1."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name}: expected a share from 0 to 1, got {value}")
    return value


class Rate(LRScheduler):
    """Sets the rate of each group of an optimiser at every step, as a schedule says.

    Its state is what the number of steps does not tell: how far a plateau has lowered the rate. A
    resumed run may so be given more epochs.

    Args:
        steps: of the optimiser in the whole run; may be infinite where the schedule needs no end.
        mode: whether a better score is a larger or a smaller one.

    Raises:
        ValueError: the schedule needs an end and there is none.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        steps: float,
        mode: Literal["min", "max"],
    ) -> None:
        if schedule.needs_end and not math.isfinite(steps):
            raise ValueError(
                "max_epochs: expected a number of epochs, over which the rate falls, got none; set "
                "--trainer.max_epochs or --budget, or --model.schedule Constant"
            )
        self.schedule, self.mode = schedule, mode
        self.held: list[float | torch.Tensor] | None = None
        self.end_at(steps)
        self.lowered, self.best, self.waited = 1.0, -math.inf, 0
        super().__init__(optimizer)

    def end_at(self, steps: float) -> None:
        """Sets the steps of the whole run, from the next step on."""
        self.steps, self.held = steps, None
        self.warmup = int(min(self.schedule.warmup_steps, steps // 10))

    def hold(self) -> None:
        """Stays as it is until the end is set."""
        self.held = self.get_last_lr()

    def share(self, step: int) -> float:
        """The share of the rate at a step, counted from 0."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.lowered * self.schedule.share(min(1.0, done))

    def get_lr(self) -> list[float | torch.Tensor]:
        return self.held or [base * self.share(self.last_epoch) for base in self.base_lrs]

    def validated(self, score: float) -> None:
        """Takes note of a validation: a plateau lowers the rate of the steps that follow."""
        if not isinstance(self.schedule, Plateau):
            return
        score = score if self.mode == "max" else -score
        if score > self.best:
            self.best, self.waited = score, 0
            return
        self.waited += 1
        if self.waited >= self.schedule.patience:
            self.lowered, self.waited = self.lowered * self.schedule.factor, 0

    def state_dict(self) -> dict[str, Any]:
        kept = ("last_epoch", "lowered", "best", "waited")
        return {name: getattr(self, name) for name in kept} | {"rates": self.get_last_lr()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        rates = state_dict["rates"]
        self.__dict__.update({k: v for k, v in state_dict.items() if k != "rates"})
        self._last_lr = rates
