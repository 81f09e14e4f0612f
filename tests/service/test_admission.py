"""What a request is told before its work: how long it takes, and what is before it."""

import contextlib
from collections.abc import Iterator

import pytest

from i2i.predictor import Predictor
from service.admission import Admission, Speed
from service.errors import Problem
from service.scheduler import Scheduler


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
    assert first.wait_s == 0 < first.work_s

    with admission.admitted(first, urgent=False) as at_engine:
        second = admission.estimate(twice, 1000, 1000)
        assert second.wait_s == second.work_s
        with pytest.raises(Problem, match="other requests are before this one"):
            admission.check(second, deadline=1e12)
        # What is urgent goes before it.
        assert admission.estimate(twice, 1000, 1000, urgent=True).wait_s == 0
        at_engine()
        assert admission.estimate(twice, 1000, 1000).wait_s == 0


def test_what_fails_before_the_engine_counts_no_more(admission, twice):
    estimate = admission.estimate(twice, 1000, 1000)
    with contextlib.suppress(RuntimeError), admission.admitted(estimate, urgent=True):
        assert admission.estimate(twice, 1000, 1000, urgent=True).wait_s > 0
        raise RuntimeError
    assert admission.estimate(twice, 1000, 1000, urgent=True).wait_s == 0
