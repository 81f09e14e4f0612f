"""A run with a budget ends near it, with its schedule at the end."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from i2i.engines.engine import available_cpus
from training import cli
from training.budget import (
    MEASURED_STEPS,
    SKIPPED_STEPS,
    Budget,
    Limit,
    Plan,
    core_minutes,
    parse_budget,
    plan,
    share_of,
)
from training.curves import Curves
from training.schedules import Cosine

costs = st.floats(1e-4, 10)


@given(left=st.floats(0.1, 1000), step=costs, validation=st.floats(0, 10), done=st.integers(0, 99))
def test_what_is_planned_fits_into_what_is_left(
    left: float, step: float, validation: float, done: int
) -> None:
    planned = plan(left, step, validation, done, validations=20)

    more = planned.steps - done
    validations = math.ceil(more / planned.interval)
    assert 1 <= validations <= 20
    assert more == 1 or more * step + validations * validation <= left * (1 + 1e-9)
    assert (more + 1) * step + 20 * validation > left * (1 - 1e-9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("120 core-minutes", 120), ("0.5 core-minutes", 0.5), ("60min", 60 * available_cpus())],
)
def test_a_budget_of_processors_is_in_core_minutes(text: str, expected: float) -> None:
    assert parse_budget(text) == Limit(expected)


def test_a_budget_of_a_gpu_is_in_minutes_of_the_clock() -> None:
    assert parse_budget("20min", "cuda") == Limit(20, of_processors=False)
    with pytest.raises(ValueError, match="expected minutes such as '20min' of a run on cuda"):
        parse_budget("20 core-minutes", "cuda")


@pytest.mark.parametrize("text", ["60", "1 hour", "0 core-minutes", "-3min", "nan core-minutes"])
def test_what_could_be_misread_is_no_budget(text: str) -> None:
    with pytest.raises(ValueError, match=r"budget: expected core-minutes .* such as '120 core"):
        parse_budget(text)


@pytest.mark.parametrize("text", ["60min", "0.01 core-minutes"])
def test_a_share_of_a_budget_is_a_budget(text: str) -> None:
    whole, part = parse_budget(text), parse_budget(share_of(text, 1 / 27))
    assert part.minutes == pytest.approx(whole.minutes / 27, rel=0.01)


@pytest.fixture
def fit(
    configs: Path,
    fast: tuple[str, ...],
    photos: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., None]:
    monkeypatch.setattr("sys.argv", ["training"])
    photos(Path("photos"))
    config = ["--config", str(configs / "super_resolution_x2.yaml"), "--data.root", "photos"]

    def run(*more: str) -> None:
        cli.main(["fit", *config, *fast, "--trainer.precision=32-true", *more])

    return run


@pytest.mark.whole
def test_a_run_ends_near_its_budget_with_the_schedule_at_its_end(fit: Callable[..., None]) -> None:
    # This process has cost something already, which a run counts as its start.
    budget = core_minutes() + 0.06

    fit(f"--budget={budget} core-minutes")

    run = Path("runs/super-resolution-001")
    last = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    recipe, steps = last["recipe"], last["global_step"]
    assert recipe["budget"] == f"{budget} core-minutes"
    assert recipe["core_minutes"] == pytest.approx(budget, abs=0.02)
    (schedule,) = last["lr_schedulers"]
    assert schedule["last_epoch"] == steps > 10  # beyond those that are measured
    # Muon's part of the net, and AdamW's.
    assert schedule["rates"] == [pytest.approx(1e-3 * Cosine().final_share, rel=0.01)] * 2
    assert yaml.safe_load((run / "config.yaml").read_text())["budget"] is not None
    # The last step was validated.
    validated = [
        int(row["step"]) for row in Curves(str(run), steps)._earlier() if row["val/psnr_y"]
    ]
    assert validated[-1] == steps - 1
    assert 1 < len(set(validated)) <= 21


@pytest.mark.whole
def test_a_resumed_run_goes_on_with_its_plan(fit: Callable[..., None]) -> None:
    budget = core_minutes() + 0.02
    fit(f"--budget={budget} core-minutes")
    checkpoint = Path("runs/super-resolution-001/checkpoints/last.ckpt")
    before = torch.load(checkpoint, weights_only=True)
    steps, kept = before["global_step"], before["callbacks"]["Budget"]
    assert kept["validations"] >= 1
    # Or else a resumed run would take the mean of the next one over all of them.
    assert 0 < kept["cost_of_validations"] < 0.02

    fit(f"--budget={budget} core-minutes", f"--ckpt_path={checkpoint}")

    assert torch.load(checkpoint, weights_only=True)["global_step"] == steps

    # What the run has spent, and what this process, which is not its first, has.
    spent = before["recipe"]["core_minutes"] + core_minutes()
    fit(f"--budget={spent} core-minutes", f"--ckpt_path={checkpoint}")

    assert torch.load(checkpoint, weights_only=True)["global_step"] == steps

    more = spent + 0.1
    fit(f"--budget={more} core-minutes", f"--ckpt_path={checkpoint}")

    assert torch.load(checkpoint, weights_only=True)["global_step"] > steps


class Pretended:
    """A run whose steps and validations cost what they are said to, in core-minutes."""

    def __init__(self, budget: Budget, step: float, validation: float, done: int = 0) -> None:
        self.budget, self.step, self.validation = budget, step, validation
        self.strategy = SimpleNamespace(
            root_device=torch.device("cpu"), broadcast=lambda planned: planned
        )
        self.epoch_loop = SimpleNamespace(max_steps=0)
        self.fit_loop = SimpleNamespace(total_batch_idx=done - 1, epoch_loop=self.epoch_loop)
        self.rate = SimpleNamespace(end_at=lambda steps: None, hold=lambda: None)
        self.global_step, self.core_minutes, self.val_check_batch = done, 0.0, 0
        self.sanity_checking, self.num_val_batches, self.log_every_n_steps = False, [50], 50

    def validate(self, cost: float) -> None:
        self.budget.on_validation_start(self, self)  # type: ignore[arg-type]
        self.core_minutes += cost
        self.budget.on_validation_end(self, self)  # type: ignore[arg-type]

    def check_sanity(self, begin: float) -> None:
        """Two batches, the first of which costs more."""
        self.sanity_checking = True
        self.budget.setup(self, self, "fit")  # type: ignore[arg-type]
        self.budget.on_validation_start(self, self)  # type: ignore[arg-type]
        for cost in (begin + self.validation / 50, self.validation / 50):
            self.core_minutes += cost
            self.budget.on_validation_batch_end(self, self)  # type: ignore[arg-type]
        self.budget.on_validation_end(self, self)  # type: ignore[arg-type]
        self.sanity_checking = False

    def train(self, until: int = 10**5) -> None:
        self.budget.setup(self, self, "fit")  # type: ignore[arg-type]
        self.budget.on_train_start(self, self)  # type: ignore[arg-type]
        while self.global_step < until and not self.ended:
            self.global_step += 1
            self.fit_loop.total_batch_idx += 1
            self.core_minutes += self.step
            self.budget.on_train_batch_end(self, self, None, None, 0)  # type: ignore[arg-type]
            if self.val_check_batch == self.fit_loop.total_batch_idx + 1:
                self.validate(self.validation)

    @property
    def ended(self) -> bool:
        return self.budget.plan is not None and self.global_step >= self.budget.plan.steps


@pytest.mark.parametrize("before", range(1, 5))
def test_a_run_that_is_resumed_just_before_a_validation_keeps_its_plan(before: int) -> None:
    first = Pretended(Budget("60 core-minutes"), 0.01, 0.2)
    first.train(until=700)
    assert first.budget.plan is not None
    at = first.budget.validated_at + first.budget.plan.interval - before
    first.train(until=at)
    budget = Budget("60 core-minutes")
    budget.load_state_dict(first.budget.state_dict())
    resumed = Pretended(budget, 0.01, 0.2, done=at)
    resumed.core_minutes = first.core_minutes
    resumed.train()

    assert resumed.ended
    assert resumed.core_minutes == pytest.approx(60, abs=0.2)


@pytest.mark.parametrize("budget", [6, 20, 60])
@pytest.mark.parametrize("validation", [0.01, 1.0, 2.0, 4.0])
def test_a_costly_validation_is_foreseen(budget: int, validation: float) -> None:
    run = Pretended(Budget(f"{budget} core-minutes"), 0.01, validation)
    run.check_sanity(begin=0.1)
    run.train()

    assert run.core_minutes == pytest.approx(budget, abs=0.05)
    assert run.global_step * 0.01 > 0.85 * (budget - validation)


def test_a_budget_is_the_same_however_it_is_written() -> None:
    first = Budget("20min")
    first.plan = Plan(5000, 100)
    again, other = Budget("20.0 min"), Budget("21min")
    for each in (again, other):
        each.load_state_dict(first.state_dict())
    assert again.plan == Plan(5000, 100)
    assert other.plan is None


@pytest.mark.whole
def test_a_resumed_run_goes_on_at_its_rate_until_its_new_end_is_known(
    fit: Callable[..., None],
) -> None:
    short = ["--trainer.max_steps=12", "--model.schedule.warmup_steps=0"]
    fit("--model.schedule=Cosine", *short)
    checkpoint = Path("runs/super-resolution-001/checkpoints/last.ckpt")
    earlier = torch.load(checkpoint, weights_only=True)
    done, more = earlier["global_step"], earlier["recipe"]["core_minutes"] + core_minutes() + 0.1
    whole = ["--trainer.max_steps=-1", "--trainer.log_every_n_steps=1"]

    fit(f"--budget={more} core-minutes", f"--ckpt_path={checkpoint}", *whole)

    with Path("runs/super-resolution-001/metrics.csv").open() as file:
        rows = {int(r["step"]): r["learning_rate"] for r in csv.DictReader(file) if r["loss"]}
    measured = range(done, done + SKIPPED_STEPS + MEASURED_STEPS)
    rates = [float(rows[step]) for step in measured]
    assert max(rates) == pytest.approx(1e-3 * Cosine().final_share, rel=0.1)


def test_a_budget_is_the_one_end_of_a_run(
    fit: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    for other in ("--trainer.max_steps=3", "--trainer.max_time=00:01:00:00"):
        with pytest.raises(SystemExit) as error:
            fit("--budget=60min", other)
        assert "budget: expected it to be the run's one end" in str(error.value.code)
