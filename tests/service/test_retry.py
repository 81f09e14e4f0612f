"""Models that could not be loaded by chance, and those that could not by what they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from i2i.model_folder import ModelError, shipped_models
from i2i.predictor import Predictor
from service import models as module
from service.errors import Problem
from service.models import Models


class Flaky:
    """Loads `predictor`, but for the failures, one each time."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.failures: Iterator[Exception] = iter(())
        self.loads = 0

    def __call__(self, folder: Path) -> Predictor:
        self.loads += 1
        failure = next(self.failures, None)
        if failure is not None:
            raise failure
        return self.predictor


@pytest.fixture
def load(twice: Predictor) -> Flaky:
    return Flaky(twice)


@pytest.fixture
def lazy(load: Flaky) -> Models:
    """A shipped folder that waits for its first request, with the predictor of the test."""
    folders = {"lazy": min(shipped_models().values())}
    models = Models(lambda: folders, load, at_start=())
    models.load()
    return models


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another try may follow at once, and is looked for all the time."""
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    monkeypatch.setattr(module, "POLL_S", 0.01)


def refused(models: Models, name: str) -> Problem:
    with pytest.raises(Problem) as caught:
        models.find(name)
    return caught.value


def test_a_request_begins_another_try_once_it_is_time(
    lazy: Models, load: Flaky, twice: Predictor, wait_until: Callable[..., None], at_once: None
) -> None:
    name = lazy.specs[0].name
    load.failures = iter([MemoryError(), OSError("the network is gone")])
    for tries in (1, 2, 3):
        assert refused(lazy, name).code == "queue_full"
        wait_until(lambda: not lazy.loading)
        assert load.loads == tries
    assert lazy.find(twice.spec.name) is twice
    assert lazy.failed == []


def test_until_then_it_is_told_when_to_come_again(
    lazy: Models, load: Flaky, wait_until: Callable[..., None]
) -> None:
    name = lazy.specs[0].name
    load.failures = iter([MemoryError()])
    assert refused(lazy, name).code == "queue_full"
    wait_until(lambda: not lazy.loading)
    for _ in range(3):
        told = refused(lazy, name)
        assert (told.code, 0 < told.retry_after_s <= module.RETRY_S) == ("model_failed", True)
    lazy.retry()
    assert load.loads == 1


@pytest.mark.parametrize("watch", [False, True])
def test_the_process_tries_again_by_itself(
    load: Flaky, wait_until: Callable[..., None], at_once: None, watch: bool
) -> None:
    load.failures = iter([MemoryError(), OSError("the network is gone")])
    models = Models(lambda: {"twice": Path("twice")}, load)
    models.start(watch=watch)
    wait_until(lambda: models.ready)
    assert (models.failed, load.loads) == ([], 3)


def test_a_start_at_which_the_folder_cannot_be_read_is_made_good(
    load: Flaky, wait_until: Callable[..., None], at_once: None
) -> None:
    failures = iter([None, OSError("the network is gone"), OSError("not yet")])

    def folders() -> dict[str, Path]:
        failure = next(failures, None)
        if failure is not None:
            raise failure
        return {"twice": Path("twice")}

    models = Models(folders, load)
    models.start(watch=False)
    wait_until(lambda: models.ready)
    assert (models.failed, load.loads) == ([], 1)


def test_each_try_waits_longer_up_to_a_bound(load: Flaky, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_RETRY_S", 200.0)
    load.failures = iter([MemoryError() for _ in range(4)])
    models = Models(lambda: {"twice": Path("twice")}, load)
    waits_s = []
    for _ in range(4):
        models.reload()
        waits_s.append(refused(models, "twice").retry_after_s)
    assert waits_s == pytest.approx([60, 120, 200, 200], abs=10)


def test_a_model_that_is_wrong_waits_for_a_change(load: Flaky, at_once: None) -> None:
    load.failures = iter([ModelError("its digest differs")])
    models = Models(lambda: {"twice": Path("twice")}, load)
    models.load()
    models.retry()
    assert (load.loads, models.failed) == (1, ["twice"])
    assert refused(models, "twice").code == "model_failed"
    models.reload()
    assert models.ready


def test_a_model_that_two_threads_begin_to_load_is_loaded_once(
    lazy: Models, load: Flaky, wait_until: Callable[..., None]
) -> None:
    # Both have seen that nobody loads it.
    for _ in range(2):
        lazy._begin_loading("lazy")
    wait_until(lambda: not lazy.loading)
    lazy._load_one("lazy")
    assert load.loads == 1
