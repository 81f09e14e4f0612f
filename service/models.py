"""The models of one process: proved before they serve, followed on disk, found by name.

A folder that has changed is loaded and proved beside the model that serves; then the two are
exchanged. A request holds the predictor it has begun with, so none is dropped, and what is no
longer served leaves the memory with the last of its requests. What fails is told, and the model
before it serves on.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from i2i.model_folder import DIGESTED, SPEC, ModelError, ModelFolder, models_in, shipped_models
from i2i.predictor import Predictor, load
from i2i.spec import ModelSpec
from service.errors import Problem
from service.settings import Settings

# How often the folder of models is looked at. What has changed is loaded once it has stayed the
# same from one look to the next: the digest would refuse what is half copied, but noisily.
POLL_S = 5.0

# What failed by chance, for want of memory or of a folder on a network, is tried again after so
# long, then each time after twice as long, up to the second.
RETRY_S, LONGEST_RETRY_S = 60.0, 900.0

# Name, inode, time of change and size of each file that decides a prediction.
Stamp = tuple[tuple[str, int, int, int], ...]
_GONE: Stamp = ()

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of a folder when it was looked at.

    Attributes:
        folder: its name.
        model: name@version that is served from it now; empty where there is none.
        outcome: `waiting` for a first request, or until the folder stays as it is.
        detail: why it failed, without the paths of this machine.
    """

    folder: str
    model: str
    outcome: Literal["loaded", "unchanged", "waiting", "failed", "removed"]
    detail: str = ""


@dataclass(frozen=True)
class _Served:
    """A folder's model; without a predictor it waits for its first request."""

    folder: str
    stamp: Stamp
    spec: ModelSpec
    predictor: Predictor | None


@dataclass(frozen=True)
class _Failure:
    """Why and when a folder could not be loaded.

    Attributes:
        tries: how often it has failed as it is.
        again: moment of `time.monotonic()` for another try; None where a change has to come first.
    """

    stamp: Stamp
    tries: int
    again: float | None

    @classmethod
    def of(cls, error: Exception, stamp: Stamp, before: _Failure | None) -> _Failure:
        tries = before.tries + 1 if before is not None and before.stamp == stamp else 1
        if isinstance(error, ModelError):
            return cls(stamp, tries, None)
        wait_s = min(RETRY_S * 2 ** (tries - 1), LONGEST_RETRY_S)
        return cls(stamp, tries, time.monotonic() + wait_s)

    @property
    def is_over(self) -> bool:
        """Whether it is time for another try."""
        return self.again is not None and time.monotonic() >= self.again

    def problem(self) -> Problem:
        if self.again is None:
            return Problem("model_failed", "this model failed its check when it was loaded")
        left_s = max(1, math.ceil(self.again - time.monotonic()))
        detail = "this model could not be loaded; another try follows"
        return Problem("model_failed", detail, retry_after_s=left_s)


class Models:
    """Serves those model folders that repeat their golden sample.

    Of several versions of a model the bare name means the one in the last folder by name.

    Args:
        folders: gives what there is now, by the name under which it is told.
        load: gives the predictor of a folder.
        at_start: names of folders to load at once, the others at their first request; None: all.
    """

    def __init__(
        self,
        folders: Callable[[], Mapping[str, Path]],
        load: Callable[[Path], Predictor],
        at_start: Collection[str] | None = None,
    ) -> None:
        self._folders, self._load, self._at_start = folders, load, at_start
        self._served: dict[str, _Served] = {}
        self._by_name: dict[str, _Served] = {}
        self._by_address: dict[str, _Served] = {}
        self._failed: dict[str, _Failure] = {}
        self._seen: dict[str, Stamp] = {}
        self._proved = False
        self._one_at_a_time = threading.Lock()
        self._loading = {name for name in folders() if self._is_for_start(name)}

    @classmethod
    def of(cls, settings: Settings) -> Models:
        """Those of `I2I_MODELS`, or the shipped ones."""

        def load_folder(folder: Path) -> Predictor:
            return load(
                folder,
                engine=settings.engine,
                precision=settings.precision,
                threads=settings.threads,
            )

        root = settings.models
        folders = shipped_models if root is None else lambda: models_in(root)
        return cls(folders, load_folder, settings.load)

    @property
    def ready(self) -> bool:
        """There is a model, and there was a moment when every folder was proved.

        What fails later costs itself only: a bad copy must not take down every replica.
        """
        return self._proved and bool(self._served)

    @property
    def loading(self) -> list[str]:
        """Folders that are being loaded, or wait for their turn to be."""
        return sorted(self._loading)

    @property
    def failed(self) -> list[str]:
        """Folders that could not be loaded as they are now."""
        return sorted(self._failed)

    @property
    def predictors(self) -> list[Predictor]:
        """Of every model that is loaded."""
        return [served.predictor for served in self._by_address.values() if served.predictor]

    @property
    def specs(self) -> list[ModelSpec]:
        """Of every model that is served, loaded or waiting for its first request."""
        return [served.spec for served in self._by_address.values()]

    def start(self, *, watch: bool = False) -> None:
        """Loads in the background, so that the process answers /livez meanwhile.

        Args:
            watch: go on to follow what changes; what failed by chance is tried again anyway.
        """
        threading.Thread(target=self._serve, args=(watch,), name="models", daemon=True).start()

    def load(self) -> None:
        """Loads what is to be there at start; what fails is logged and left out."""
        folders = self._folders()
        if not folders:
            logger.error("nothing to serve: expected model folders in I2I_MODELS, got none")
        for name in set(self._at_start or ()) - set(folders):
            logger.error("I2I_LOAD: expected a model folder %s, got none", name)
        self.reload()

    def reload(self) -> list[Outcome]:
        """Loads what is new, has changed or had failed; drops what is gone."""
        return self._look(self._reload, self._remove)

    def follow(self) -> list[Outcome]:
        """As `reload`, for what has changed and been left so since it was followed last."""
        return self._look(self._follow, self._miss)

    def retry(self) -> None:
        """Loads what has failed by chance, where it is time for another try."""
        for name, failure in list(self._failed.items()):
            if failure.is_over and name not in self._loading:
                self._loading.add(name)
                self._load_one(name)

    def describe(self, name: str) -> ModelSpec:
        """The spec of `name` or `name@version`; loads nothing. Errors as of `find`."""
        return self._find(name).spec

    def find(self, name: str) -> Predictor:
        """The predictor of `name` or `name@version`.

        Raises:
            Problem: unknown_model; queue_full while it is loaded, which a first request begins;
                model_failed where its folder failed, until it is time for another try.
        """
        served = self._find(name)
        if served.predictor is not None:
            return served.predictor
        if served.folder not in self._loading:
            failure = self._failed.get(served.folder)
            if failure is not None and not failure.is_over:
                raise failure.problem()
            self._begin_loading(served.folder)
        raise Problem("queue_full", "the model is being loaded")

    def _find(self, name: str) -> _Served:
        served = self._by_name.get(name) or self._by_address.get(name)
        if served is not None:
            return served
        bare = name.partition("@")[0]
        failure = self._failed.get(bare)
        # While a version is served, others are unknown.
        if failure is not None and bare not in self._by_name:
            raise failure.problem()
        if self.loading and not self._proved:
            raise Problem("queue_full", "the models are being loaded")
        raise Problem(
            "unknown_model",
            "there is no such model",
            expected=f"one of {', '.join(self._by_name)}",
            got=name,
        )

    def _is_for_start(self, name: str) -> bool:
        return self._at_start is None or name in self._at_start

    def _serve(self, watch: bool) -> None:
        while not self._try(self.load):
            time.sleep(POLL_S)
        while True:
            time.sleep(POLL_S)
            self._try(self.retry)
            if watch:
                self._try(self.follow)

    def _try(self, step: Callable[[], object]) -> bool:
        """Whether a step went through: a folder on a network may fail for a moment."""
        try:
            step()
        except OSError:
            logger.exception("the folder of models cannot be read")
            return False
        return True

    def _begin_loading(self, name: str) -> None:
        """Raises RuntimeError where there is no thread to be had."""
        self._loading.add(name)
        try:
            threading.Thread(target=self._load_one, args=(name,), daemon=True).start()
        except RuntimeError:
            self._loading.discard(name)
            raise

    def _load_one(self, name: str) -> None:
        """Loads the model of a folder, also one that has waited for its first request."""
        with self._one_at_a_time:
            try:
                folder = self._folders().get(name)
                if folder is None:
                    logger.error("the model folder %s was gone before it was loaded", name)
                    self._note_failure(name, FileNotFoundError(name), _GONE)
                    return
                stamp, served = _stamp(folder), self._served.get(name)
                if served and served.predictor and self._is_current(name, stamp):
                    return  # another thread has loaded it meanwhile
                self._replace(name, folder, stamp, bool(served) or self._is_for_start(name))
                self._note_proved()
            except OSError:
                logger.exception("the folder of models cannot be read")
            finally:
                self._loading.discard(name)

    def _look(
        self, at: Callable[[str, Path, Stamp], Outcome], gone: Callable[[str], Outcome]
    ) -> list[Outcome]:
        with self._one_at_a_time:
            folders = dict(sorted(self._folders().items()))
            if self._served and not folders:
                logger.error("no model folder is left; those that are loaded serve on")
                return []
            outcomes = [at(name, folder, _stamp(folder)) for name, folder in folders.items()]
            missing = {*self._served, *self._failed, *self._loading} - set(folders)
            outcomes += [gone(name) for name in sorted(missing)]
            self._note_proved()
            return outcomes

    def _note_proved(self) -> None:
        self._proved |= bool(self._served) and not self._failed

    def _reload(self, name: str, folder: Path, stamp: Stamp) -> Outcome:
        served = self._served.get(name)
        if self._is_current(name, stamp):
            self._failed.pop(name, None)  # a change that failed was taken back
            return Outcome(name, self._address(name), "unchanged")
        loaded = served is not None and served.predictor is not None
        outcome = self._replace(name, folder, stamp, loaded or self._is_for_start(name))
        self._loading.discard(name)
        return outcome

    def _follow(self, name: str, folder: Path, stamp: Stamp) -> Outcome:
        settled = self._seen.get(name) == stamp
        self._seen[name] = stamp
        if self._is_current(name, stamp) or (settled and self._failed_stamp(name) != stamp):
            return self._reload(name, folder, stamp)
        return Outcome(name, self._address(name), "waiting")

    def _miss(self, name: str) -> Outcome:
        """Another folder may be about to take its place: `rm -r` and `cp`."""
        if self._seen.get(name) == _GONE:
            return self._remove(name)
        self._seen[name] = _GONE
        return Outcome(name, self._address(name), "waiting")

    def _is_current(self, name: str, stamp: Stamp) -> bool:
        served = self._served.get(name)
        return served is not None and served.stamp == stamp != self._failed_stamp(name)

    def _failed_stamp(self, name: str) -> Stamp | None:
        failure = self._failed.get(name)
        return None if failure is None else failure.stamp

    def _address(self, name: str) -> str:
        served = self._served.get(name)
        return served.spec.address if served else ""

    def _replace(self, name: str, folder: Path, stamp: Stamp, with_predictor: bool) -> Outcome:
        """Puts the folder's model into its place, or leaves the one before it there."""
        try:
            served = self._prove(name, folder, stamp, with_predictor)
        except Exception as error:
            logger.exception("the model %s cannot be loaded", name)
            self._note_failure(name, error, stamp)
            return Outcome(name, self._address(name), "failed", _reason(error, folder))
        self._failed.pop(name, None)
        self._put({**self._served, name: served})
        if served.predictor is None:
            return Outcome(name, served.spec.address, "waiting")
        engine = served.predictor.engine
        address = served.spec.address
        logger.info("the model %s is served by %s in %s", address, engine.name, engine.precision)
        return Outcome(name, address, "loaded")

    def _note_failure(self, name: str, error: Exception, stamp: Stamp) -> None:
        self._failed[name] = _Failure.of(error, stamp, self._failed.get(name))

    def _prove(self, name: str, folder: Path, stamp: Stamp, with_predictor: bool) -> _Served:
        if not with_predictor:
            return _Served(name, stamp, ModelFolder.open(folder).spec, None)
        predictor = self._load(folder)
        predictor.check_golden()
        # A model that nobody has asked for yet takes a third of what its proof took.
        predictor.engine.release_memory()
        return _Served(name, stamp, predictor.spec, predictor)

    def _remove(self, name: str) -> Outcome:
        self._failed.pop(name, None)
        self._seen.pop(name, None)
        self._loading.discard(name)
        self._put({other: served for other, served in self._served.items() if other != name})
        logger.info("the model folder %s is gone", name)
        return Outcome(name, "", "removed")

    def _put(self, served: Mapping[str, _Served]) -> None:
        # Whole dictionaries are exchanged: requests read them on another thread.
        self._served = dict(sorted(served.items()))
        self._by_name = {one.spec.name: one for one in self._served.values()}
        self._by_address = {one.spec.address: one for one in self._served.values()}


def _stamp(folder: Path) -> Stamp:
    """Changes with every file that decides a prediction; nothing is read for it."""
    files = [(folder / name) for name in (SPEC, *DIGESTED)]
    stats = [(file.name, file.stat()) for file in files if file.exists()]
    return tuple((name, stat.st_ino, stat.st_mtime_ns, stat.st_size) for name, stat in stats)


def _reason(error: Exception, folder: Path) -> str:
    if isinstance(error, ModelError):
        return str(error).replace(str(folder), folder.name)
    return "it could not be loaded; the log holds the reason"
