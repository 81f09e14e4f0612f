"""The shares of the rate over a run."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch

from training.schedules import (
    Constant,
    Cosine,
    MultiStep,
    OneCycle,
    Plateau,
    Polynomial,
    Rate,
    Schedule,
)

ALL = (Cosine(), Polynomial(), OneCycle(), MultiStep(), Plateau(), Constant())


def rate(schedule: Schedule, steps: float = 1000, mode: Any = "max") -> Rate:
    return Rate(torch.optim.SGD([torch.zeros(1)], lr=2.0), schedule, steps, mode)


@pytest.mark.parametrize("schedule", ALL, ids=lambda schedule: type(schedule).__name__)
def test_a_schedule_reaches_the_whole_rate_and_never_more(schedule: Schedule) -> None:
    shares = [rate(schedule).share(step) for step in range(1000)]

    assert max(shares) == pytest.approx(1.0, abs=1e-5)
    assert min(shares) >= 0
    # It rises once, and falls from there on.
    top = shares.index(max(shares))
    assert all(a <= b for a, b in itertools.pairwise(shares[: top + 1]))
    assert all(a >= b for a, b in itertools.pairwise(shares[top:]))
    if schedule.warmup_steps:
        assert shares[:100] == pytest.approx([(step + 1) / 100 for step in range(100)])


@pytest.mark.parametrize(
    ("schedule", "done", "share"),
    [
        (Cosine(final_share=0.2), 0.5, 0.6),
        (Polynomial(power=2.0), 0.5, 0.25),
        (OneCycle(rise=0.2, first_share=0.1), 0.0, 0.1),
        (OneCycle(rise=0.2), 0.6, 0.5),
        (MultiStep(at=[0.5, 0.75], factor=0.1), 0.49, 1.0),
        (MultiStep(at=[0.5, 0.75], factor=0.1), 0.5, 0.1),
        (MultiStep(at=[0.5, 0.75], factor=0.1), 0.9, 0.01),
    ],
)
def test_a_schedule_has_the_share_of_its_formula(
    schedule: Schedule, done: float, share: float
) -> None:
    assert schedule.share(done) == pytest.approx(share)


@pytest.mark.parametrize("mode", ["max", "min"])
def test_a_plateau_lowers_the_rate_when_the_score_gets_no_better(mode: str) -> None:
    falling = rate(Plateau(factor=0.5, patience=2, warmup_steps=0), math.inf, mode)
    sign = 1 if mode == "max" else -1

    shares = []
    for score in (1.0, 2.0, 2.0, 1.5, 1.9, 3.0, 0.0, 0.0):
        falling.validated(sign * score)
        shares.append(falling.share(10))

    assert shares == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25]


def test_every_group_goes_at_its_own_rate() -> None:
    groups = [{"params": [torch.zeros(1)], "lr": lr} for lr in (1.0, 0.1)]
    optimizer = torch.optim.SGD(groups)
    Rate(optimizer, Constant(warmup_steps=4), 1000, "max")

    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.025]


def test_a_rate_is_held_until_its_end_is_known() -> None:
    falling = rate(Cosine(warmup_steps=0), steps=10)
    for _ in range(5):
        falling.optimizer.step()
        falling.step()
    half = falling.get_last_lr()
    falling.end_at(1_000_000)
    falling.hold()
    falling.step()
    assert falling.get_last_lr() == half
    falling.end_at(12)
    falling.step()
    assert falling.get_last_lr() == [pytest.approx(lr) for lr in falling.get_lr()] != half


def test_a_state_goes_on_where_it_was_also_in_a_longer_run() -> None:
    first = rate(Plateau(patience=1, warmup_steps=0))
    for _ in range(7):
        first.optimizer.step()
        first.step()
    first.validated(1.0)
    first.validated(1.0)

    second = rate(Plateau(patience=1, warmup_steps=0), steps=5000)
    second.load_state_dict(first.state_dict())

    assert (second.last_epoch, second.lowered, second.steps) == (7, 0.5, 5000)


@pytest.mark.parametrize("schedule", ALL, ids=lambda schedule: type(schedule).__name__)
def test_a_run_without_end_suits_a_schedule_that_falls_towards_none(schedule: Schedule) -> None:
    if not schedule.needs_end:
        assert rate(schedule, math.inf).share(10**6) == 1.0
        return
    with pytest.raises(ValueError, match=r"max_epochs: expected a number"):
        rate(schedule, math.inf)


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        (Cosine, {"warmup_steps": -1}, "warmup_steps: expected 0 or more"),
        (Cosine, {"final_share": 2.0}, "final_share: expected a share"),
        (Polynomial, {"power": 0.0}, "power: expected above 0"),
        (OneCycle, {"rise": 1.0}, "rise: expected a share between"),
        (MultiStep, {"at": [0.8, 0.5]}, "at: expected rising shares"),
        (Plateau, {"patience": 0}, "patience: expected 1 or more"),
    ],
)
def test_an_argument_out_of_range_is_refused(kind: Any, options: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        kind(**options)
