"""The models of one process: proved before they serve, followed on disk, found by name.

A folder that has changed is loaded and proved beside the model that serves; then the two are
exchanged. A request holds the predictor it has begun with, so none is dropped, and what is no
longer served leaves the memory with the last of its requests. What fails is told, and the model
before it serves on.
"""

from __future__ import annotations

import logging
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

# Name, inode, time of change and size of each file that decides a prediction.
Stamp = tuple[tuple[str, int, int, int], ...]

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
        self._failed: dict[str, Stamp] = {}
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
            watch: go on to follow what changes.
        """
        threading.Thread(target=self._serve, args=(watch,), name="models", daemon=True).start()

    def load(self) -> None:
        """Loads what is to be there at start; what fails is logged and left out."""
        folders = self._folders()
        if not folders:
            logger.error("nothing to serve: expected model folders, got none; set I2I_MODELS")
        for name in set(self._at_start or ()) - set(folders):
            logger.error("I2I_LOAD: expected a model folder %s, got none", name)
        self.reload()

    def reload(self) -> list[Outcome]:
        """Loads what is new, has changed or had failed; drops what is gone."""
        return self._look(self._reload)

    def follow(self) -> list[Outcome]:
        """As `reload`, for what has changed and been left so since it was followed last."""
        return self._look(self._follow)

    def describe(self, name: str) -> ModelSpec:
        """The spec of `name` or `name@version`; loads nothing. Errors as of `find`."""
        return self._find(name).spec

    def find(self, name: str) -> Predictor:
        """The predictor of `name` or `name@version`.

        Raises:
            Problem: unknown_model; model_failed where its folder failed; queue_full while loading.
        """
        served = self._find(name)
        if served.predictor is not None:
            return served.predictor
        if served.folder in self._failed:
            raise _model_failed()
        if served.folder not in self._loading:
            self._loading.add(served.folder)
            threading.Thread(target=self._load_waiting, args=(served.folder,), daemon=True).start()
        raise Problem("queue_full", "the model is being loaded")

    def _find(self, name: str) -> _Served:
        served = self._by_name.get(name) or self._by_address.get(name)
        if served is not None:
            return served
        if name.partition("@")[0] in self._failed:
            raise _model_failed()
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
        self._try(self.load)
        while watch:
            time.sleep(POLL_S)
            self._try(self.follow)

    def _try(self, step: Callable[[], object]) -> None:
        """A folder on a network may fail for a moment, which ends nothing."""
        try:
            step()
        except OSError:
            logger.exception("the folder of models cannot be read")

    def _load_waiting(self, name: str) -> None:
        with self._one_at_a_time:
            try:
                folder = self._folders().get(name)
                if folder is not None:
                    self._replace(name, folder, _stamp(folder), with_predictor=True)
            except OSError:
                logger.exception("the folder of models cannot be read")
            finally:
                self._loading.discard(name)

    def _look(self, at: Callable[[str, Path, Stamp], Outcome]) -> list[Outcome]:
        with self._one_at_a_time:
            folders = dict(sorted(self._folders().items()))
            if self._served and not folders:
                logger.error("no model folder is left; those that are loaded serve on")
                return []
            outcomes = [at(name, folder, _stamp(folder)) for name, folder in folders.items()]
            gone = {*self._served, *self._failed, *self._loading} - set(folders)
            outcomes += [self._remove(name) for name in sorted(gone)]
            self._proved |= bool(self._served) and not self._failed
            return outcomes

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
        if self._is_current(name, stamp) or (settled and self._failed.get(name) != stamp):
            return self._reload(name, folder, stamp)
        return Outcome(name, self._address(name), "waiting")

    def _is_current(self, name: str, stamp: Stamp) -> bool:
        served = self._served.get(name)
        return served is not None and served.stamp == stamp != self._failed.get(name)

    def _address(self, name: str) -> str:
        served = self._served.get(name)
        return served.spec.address if served else ""

    def _replace(self, name: str, folder: Path, stamp: Stamp, with_predictor: bool) -> Outcome:
        """Puts the folder's model into its place, or leaves the one before it there."""
        try:
            served = self._prove(name, folder, stamp, with_predictor)
        except Exception as error:
            logger.exception("the model %s cannot be loaded", name)
            self._failed[name] = stamp
            return Outcome(name, self._address(name), "failed", _reason(error, folder))
        self._failed.pop(name, None)
        self._put({**self._served, name: served})
        if served.predictor is None:
            return Outcome(name, served.spec.address, "waiting")
        engine = served.predictor.engine
        address = served.spec.address
        logger.info("the model %s is served by %s in %s", address, engine.name, engine.precision)
        return Outcome(name, address, "loaded")

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


def _model_failed() -> Problem:
    return Problem("model_failed", "this model failed its check when it was loaded")
