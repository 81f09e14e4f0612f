"""Lanes of threads: what is in one holds up nobody in another, nor the end of the process."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

from i2i.image import Picture, encode
from service.lanes import Lane
from service.routes import create_app
from service.settings import Settings


@pytest.mark.whole
def test_small_pictures_do_not_wait_for_results_that_are_encoded_in_one_piece(
    models_of, make_predictor, client_of, png, wait_until
):
    # Pictures of a quarter of a megapixel, and results of 17, seconds of work as WebP.
    enlarging = make_predictor("enlarging", scale=8, window=512)
    models = models_of(enlarging)
    models.load()
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    webp = {"params": {"format": "webp"}, "content": encode(Picture(noise))}
    path = "/v1/models/enlarging/predict"
    with client_of(create_app(models, Settings())) as client:
        large = [client.begin("POST", path, **webp) for _ in range(3)]
        wait_until(lambda: enlarging.engine.windows == 1 + len(large))  # one proved it
        assert client.post(path, content=png).status_code == 200
        assert sum(reply.done() for reply in large) <= 1
        assert {reply.result().status_code for reply in large} == {200}


def test_a_lane_runs_calls_in_their_order_and_gives_what_they_give_or_raise():
    lane, done = Lane(1, "lane"), []
    calls = [lane.submit(done.append, number) for number in range(9)]
    failing = lane.submit(lambda: 1 // 0)
    after = lane.submit(threading.get_ident)
    assert isinstance(failing.exception(), ZeroDivisionError)
    assert after.result() != threading.get_ident()
    assert done == list(range(9))
    assert all(call.done() for call in calls)


def test_what_failed_in_a_lane_leaves_the_memory_with_its_failure():
    class Picture:
        def fail(self) -> None:
            raise ValueError

    lane, picture = Lane(1, "lane"), Picture()
    held = weakref.ref(picture)
    gc.disable()
    try:
        failing = lane.submit(picture.fail)
        del picture
        assert isinstance(failing.exception(), ValueError)
        del failing
        lane.submit(int).result()  # the thread has left the call
        assert held() is None
    finally:
        gc.enable()


def test_a_lane_has_no_more_threads_than_it_may_have():
    lane, meeting = Lane(3, "lane"), threading.Barrier(3)
    calls = [lane.submit(meeting.wait, 30) for _ in range(6)]
    assert sorted(call.result() for call in calls) == [0, 0, 1, 1, 2, 2]


def test_a_call_that_is_cancelled_before_its_turn_is_not_run():
    lane, free, done = Lane(1, "lane"), threading.Event(), []
    lane.submit(free.wait)
    assert lane.submit(done.append, 1).cancel()
    free.set()
    lane.submit(done.append, 2).result()
    assert done == [2]


def test_a_lane_that_is_closed_ends_its_threads_once_they_are_idle(wait_until):
    lane, free = Lane(1, "ending"), threading.Event()
    last = lane.submit(free.wait)
    lane.shutdown()
    with pytest.raises(RuntimeError, match="the lane ending is closed"):
        lane.submit(free.wait)
    assert not last.done()
    free.set()
    wait_until(lambda: not any(thread.name == "ending" for thread in threading.enumerate()))
    assert last.result()


def test_a_process_ends_whatever_hangs_in_its_lanes():
    hanging = "import time; from service.lanes import Lane; Lane(1, 'lane').submit(time.sleep, 600)"
    subprocess.run([sys.executable, "-c", hanging], check=True, timeout=60)
