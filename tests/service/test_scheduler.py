"""Turns at the engine: fair, bounded, and invisible in the result."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from i2i.image import Picture
from i2i.predictor import Band, Cancelled, DeadlineExceeded, Predictor, Sweep
from service import scheduler as scheduling
from service.scheduler import Scheduler, Work
from service.turns import HEAD_START_S

FOREVER = 1e12


class Steps:
    """A predictor's engine: a window runs when the test lets it; its brightness is noted."""

    name = "openvino"
    precision = "f32"

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.failing: set[int] = set()
        self.allowed = threading.Semaphore(0)
        self.seconds = 0.0

    def run(self, image: NDArray[np.float32]) -> dict[str, NDArray[np.generic]]:
        self.allowed.acquire()
        marks = [round(float(one.mean()) * 255) for one in image]
        self.calls.append(marks)
        time.sleep(self.seconds)
        if self.failing & set(marks):
            raise RuntimeError("this window fails")
        return {"image": image}

    def release_memory(self) -> None:
        pass

    def allow(self, windows: int) -> None:
        self.allowed.release(windows)


@pytest.fixture
def steps() -> Steps:
    return Steps()


@pytest.fixture
def predictor(make_predictor: Callable[..., Predictor], steps: Steps) -> Predictor:
    predictor = make_predictor("plain")
    predictor.engine = steps  # type: ignore[assignment]
    return predictor


@pytest.fixture
def scheduler(steps: Steps) -> Iterator[Scheduler]:
    scheduler = Scheduler()
    yield scheduler
    steps.allow(10_000)
    scheduler.close()


def picture(mark: int, rows: int = 1, columns: int = 1) -> Picture:
    """Of `rows` x `columns` windows, of one brightness by which its windows are known."""
    return Picture(np.full((64 * rows, 64 * columns, 3), mark, np.uint8))


def work(predictor: Predictor, picture: Picture, **options: object) -> Work:
    given = {"deadline": FOREVER, "gone": lambda: False} | options
    return Work(Sweep(predictor, picture), **given)  # type: ignore[arg-type]


async def rows_of(work: Work) -> int:
    return sum([band.source.height async for band in work.bands()])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


def test_a_small_picture_comes_next_however_much_of_a_huge_one_is_left(
    predictor: Predictor, scheduler: Scheduler, steps: Steps
) -> None:
    async def scene() -> None:
        huge, small = work(predictor, picture(10, 3, 100)), work(predictor, picture(20))
        scheduler.submit(huge)
        steps.allow(3)
        await until(lambda: len(steps.calls) == 3)
        scheduler.submit(small)
        steps.allow(2)
        assert await rows_of(small) == 64

    asyncio.run(scene())
    # The window that was at the engine already, then the small picture's.
    assert steps.calls[3:5] in ([[10], [20]], [[20]], [[20], [10]])


def test_two_huge_pictures_get_equal_time(
    predictor: Predictor, scheduler: Scheduler, steps: Steps
) -> None:
    async def scene() -> tuple[Work, Work]:
        one, other = work(predictor, picture(10, 3, 50)), work(predictor, picture(20, 3, 50))
        scheduler.submit(one)
        scheduler.submit(other)
        steps.allow(40)
        await until(lambda: len(steps.calls) == 40)
        return one, other

    one, other = asyncio.run(scene())
    assert abs(one.engine_s - other.engine_s) <= HEAD_START_S + one.engine_s / 2
    assert {10, 20} == {mark for [mark] in steps.calls}


def test_a_stream_of_small_pictures_does_not_starve_a_huge_one(
    predictor: Predictor, scheduler: Scheduler, steps: Steps
) -> None:
    steps.seconds = 0.01

    async def stream(marks: range) -> None:
        for mark in marks:
            small = work(predictor, picture(mark))
            scheduler.submit(small)
            await rows_of(small)

    async def scene() -> None:
        huge = work(predictor, picture(10, 3, 100))
        scheduler.submit(huge)
        steps.allow(10_000)
        # Two at a time: one of them always waits.
        await asyncio.gather(stream(range(20, 80)), stream(range(100, 160)))
        assert huge.engine_s > 0.5 * (len(steps.calls) * steps.seconds / 3 - HEAD_START_S)

    asyncio.run(scene())


def test_a_request_of_an_administrator_goes_first(
    predictor: Predictor, scheduler: Scheduler, steps: Steps
) -> None:
    async def scene() -> None:
        others = [work(predictor, picture(10 + i)) for i in range(5)]
        urgent = work(predictor, picture(200), urgent=True)
        for each in (*others, urgent):
            scheduler.submit(each)
        steps.allow(6)
        await asyncio.gather(*map(rows_of, (*others, urgent)))

    asyncio.run(scene())
    assert [200] in steps.calls[:2]


def test_a_window_that_fails_ends_its_own_request_only(
    predictor: Predictor, scheduler: Scheduler, steps: Steps
) -> None:
    steps.failing = {10}

    async def scene() -> None:
        bad, good = work(predictor, picture(10)), work(predictor, picture(20))
        scheduler.submit(bad)
        scheduler.submit(good)
        steps.allow(2)
        with pytest.raises(RuntimeError, match="this window fails"):
            await rows_of(bad)
        assert await rows_of(good) == 64
        assert scheduler.works == []

    asyncio.run(scene())


def test_a_window_that_fails_says_nothing_of_how_long_one_takes(
    predictor: Predictor, steps: Steps
) -> None:
    measured: list[int] = []
    scheduler = Scheduler(measured=lambda model, pixels, seconds: measured.append(pixels))
    steps.failing = {10}
    steps.allow(2)

    async def scene() -> None:
        bad, good = work(predictor, picture(10)), work(predictor, picture(20))
        scheduler.submit(bad)
        scheduler.submit(good)
        with pytest.raises(RuntimeError, match="this window fails"):
            await rows_of(bad)
        await rows_of(good)

    asyncio.run(scene())
    scheduler.close()
    assert len(measured) == 1


def test_what_fails_outside_the_engine_ends_its_own_request_only(
    predictor: Predictor, scheduler: Scheduler, steps: Steps
) -> None:
    async def scene() -> None:
        bad, good = work(predictor, picture(10)), work(predictor, picture(20))
        del bad.sweep.picture
        scheduler.submit(bad)
        scheduler.submit(good)
        steps.allow(2)
        with pytest.raises(AttributeError, match="picture"):
            await rows_of(bad)
        assert await rows_of(good) == 64

    asyncio.run(scene())


def test_the_engine_does_not_run_ahead_of_a_slow_encoder(
    predictor: Predictor, scheduler: Scheduler, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A byte more than three bands have.
    monkeypatch.setattr(scheduling, "UNDELIVERED_BYTES", 3 * (64 * 64 * 3) + 1)

    async def scene() -> None:
        tall, small = work(predictor, picture(10, rows=20)), work(predictor, picture(20))
        scheduler.submit(tall)
        steps.allow(21)
        await until(lambda: tall.blocked)
        scheduler.submit(small)
        assert await rows_of(small) == 64
        assert steps.calls.count([10]) == 4
        assert await rows_of(tall) == 20 * 64

    asyncio.run(scene())


def test_windows_end_at_the_deadline(
    predictor: Predictor, scheduler: Scheduler, steps: Steps
) -> None:
    async def scene() -> None:
        late = work(predictor, picture(10, 3, 3), deadline=time.monotonic() - 1)
        scheduler.submit(late)
        with pytest.raises(DeadlineExceeded):
            await rows_of(late)

    asyncio.run(scene())
    assert steps.calls == []


def test_windows_of_a_client_that_has_gone_are_dropped(
    predictor: Predictor, scheduler: Scheduler, steps: Steps
) -> None:
    gone = threading.Event()

    async def scene() -> None:
        leaving = work(predictor, picture(10, 1, 50), gone=gone.is_set)
        scheduler.submit(leaving)
        steps.allow(2)
        await until(lambda: len(steps.calls) == 2)
        gone.set()
        steps.allow(48)
        with pytest.raises(Cancelled):
            await rows_of(leaving)

    asyncio.run(scene())
    assert len(steps.calls) <= 3


def test_bands_that_nobody_wants_any_more_end_the_work(
    predictor: Predictor, scheduler: Scheduler, steps: Steps
) -> None:
    async def scene() -> None:
        left = work(predictor, picture(10, rows=20))
        scheduler.submit(left)
        steps.allow(20)
        bands = left.bands()
        await anext(bands)
        await bands.aclose()
        await until(lambda: scheduler.works == [])

    asyncio.run(scene())


def test_turns_do_not_show_in_the_result(
    make_predictor: Callable[..., Predictor], scheduler: Scheduler
) -> None:
    predictor = make_predictor("twice", scale=2)
    random = np.random.default_rng(1)
    pictures = [
        Picture(random.integers(0, 256, (side, 3 * side, 3), np.uint8)) for side in (1, 70, 130)
    ]

    async def bands(each: Work) -> list[Band]:
        return [band async for band in each.bands()]

    async def scene() -> list[list[Band]]:
        works = [work(predictor, each) for each in pictures]
        for each in works:
            scheduler.submit(each)
        return await asyncio.gather(*map(bands, works))

    for each, made in zip(pictures, asyncio.run(scene()), strict=True):
        expected = predictor.predict(each).picture
        assert expected is not None
        rows = np.concatenate([band.picture.pixels for band in made if band.picture])
        np.testing.assert_array_equal(rows, expected.pixels)
