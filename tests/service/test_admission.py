"""What a request is told before its work: how long it takes, and what is before it."""

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2i.predictor import Predictor
from service.admission import Admission, Claim, Speed, wait_s
from service.errors import Problem
from service.scheduler import Scheduler
from service.turns import Turns


@pytest.fixture
def admission(twice: Predictor) -> Iterator[Admission]:
    """Of an idle engine that takes a microsecond a pixel, and patience of half a second."""
    speed = Speed()
    speed.note(twice.spec.address, 10**6, 1.0)
    scheduler = Scheduler()
    yield Admission(scheduler, speed, queue_s=0.5)
    scheduler.close()


def test_what_is_admitted_counts_before_it_comes_to_the_engine(admission, twice):
    first = admission.estimate(twice, 1000, 1000)
    assert first.wait_s == 0 < first.claim.seconds

    with admission.admitted(first) as at_engine:
        second = admission.estimate(twice, 1000, 1000)
        assert second.wait_s == second.claim.seconds
        with pytest.raises(Problem, match="other requests are before this one"):
            admission.check(second, deadline=1e12)
        # What is urgent goes before it.
        assert admission.estimate(twice, 1000, 1000, urgent=True).wait_s == 0
        at_engine()
        assert admission.estimate(twice, 1000, 1000).wait_s == 0


def test_where_no_time_is_left_that_is_what_is_told(admission, twice):
    with pytest.raises(Problem, match="the work was not done in time"):
        admission.check(admission.estimate(twice, 5, 7), deadline=0.0)


def test_windows_of_one_size_say_nothing_of_whether_another_would_be_too_slow(admission, twice):
    large = admission.estimate(twice, 1000, 1000)
    assert large.own_s == 0 < large.claim.seconds
    admission.check(large, deadline=time.monotonic() + 1e-2)


def test_what_is_known_to_take_too_long_is_refused_while_that_is_new(twice, monkeypatch):
    speed, scheduler = Speed(), Scheduler()
    admission = Admission(scheduler, speed, queue_s=9)
    plan = twice.plan(1000, 1000)
    window = plan.rows.side * plan.columns.side

    def check() -> None:
        admission.check(admission.estimate(twice, 1000, 1000), time.monotonic() + 5)

    speed.note(twice.spec.address, window, 100.0)
    check()  # of the first call most goes into compiling
    speed.note(twice.spec.address, window, 1.0)
    with pytest.raises(Problem, match="takes longer") as refused:
        check()
    assert refused.value.got == f"about {len(plan)} s"
    monkeypatch.setattr("service.admission._FRESH_S", 0.0)
    check()
    scheduler.close()


@given(st.lists(st.floats(1e-3, 1), min_size=2))
def test_what_is_expected_of_windows_lies_between_what_they_took(seconds):
    speed = Speed()
    for each in seconds:
        speed.note("model", 100, each)
    assert min(seconds[1:]) * 0.999 <= speed.seconds("model", 100, 1) <= max(seconds[1:]) * 1.001
    assert speed.seconds("model", 50, 4) == pytest.approx(speed.seconds("model", 100, 2))
    assert speed.seconds("another", 100, 1) == 0


def test_what_fails_before_the_engine_counts_no_more(admission, twice):
    estimate = admission.estimate(twice, 1000, 1000, urgent=True)
    with contextlib.suppress(RuntimeError), admission.admitted(estimate):
        assert admission.estimate(twice, 1000, 1000, urgent=True).wait_s > 0
        raise RuntimeError
    assert admission.estimate(twice, 1000, 1000, urgent=True).wait_s == 0


def test_a_busy_model_does_not_keep_another_back():
    busy = [Claim("busy", 0.1) for _ in range(20)]
    assert wait_s(Claim("idle", 0.1), busy) == pytest.approx(0.1)


def test_requests_of_the_same_model_let_another_model_in_between():
    others = [Claim("mine", 0.1) for _ in range(12)] + [Claim("other", 60.0)]
    assert wait_s(Claim("mine", 0.1), others) == pytest.approx(1.2 + 1.3)


def test_what_is_urgent_is_waited_for_to_its_end():
    urgent = Claim("other", 60.0, urgent=True)
    assert wait_s(Claim("mine", 0.1), [urgent]) == 60.0
    assert wait_s(Claim("mine", 0.1, urgent=True), [urgent]) == pytest.approx(0.1)
    assert wait_s(urgent, [Claim("mine", 0.1)]) == 0.0


WINDOW_S = 0.01


def _waited_s(claim: Claim, others: list[Claim]) -> float:
    """What others get before the claim is met, by the scheduler's turns, window by window."""
    models = Turns()
    requests: defaultdict[str, Turns] = defaultdict(Turns)
    windows = {i: round(each.seconds / WINDOW_S) for i, each in enumerate([claim, *others])}
    model_of = {i: each.model for i, each in enumerate([claim, *others])}
    waited = 0
    while windows[0]:
        left = [i for i in windows if windows[i]]
        models.seat(dict.fromkeys(model_of[i] for i in left))
        for model in {model_of[i] for i in left}:
            requests[model].seat([i for i in left if model_of[i] == model])
        model = models.next(dict.fromkeys(model_of[i] for i in left), tie=str)
        mine = [i for i in left if model_of[i] == model]
        who = requests[model].next(mine, tie=lambda i: windows[i])
        models.served(model, WINDOW_S)
        requests[model].served(who, WINDOW_S)
        windows[who] -= 1
        waited += who != 0
    return waited * WINDOW_S


CLAIMS = st.builds(Claim, st.sampled_from("abc"), st.integers(1, 40).map(lambda n: n * WINDOW_S))


@settings(max_examples=300)
@given(claim=CLAIMS, others=st.lists(CLAIMS, max_size=8))
def test_the_wait_foreseen_is_what_the_turns_give(claim: Claim, others: list[Claim]) -> None:
    # Each request of its model may be a window ahead, and each other model as many.
    beside = sum(other.model == claim.model for other in others)
    slack_s = WINDOW_S * (beside + 1) * (len({other.model for other in others}) + 1)
    assert abs(wait_s(claim, others) - _waited_s(claim, others)) <= slack_s
