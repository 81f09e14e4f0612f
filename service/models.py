"""The models of one process: loaded in the background, proved by golden sample, found by name."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from i2i.model_folder import models_in, shipped_models
from i2i.predictor import Predictor, load
from i2i.spec import ModelSpec
from service.errors import Problem
from service.settings import Settings

logger = logging.getLogger(__name__)


class Models:
    """Loads model folders one by one and serves those that repeat their golden sample.

    Of several versions of a model the bare name means the one in the last folder by name.

    Args:
        folders: by the name under which a failure is told.
        load: gives the predictor of a folder.
    """

    def __init__(self, folders: Mapping[str, Path], load: Callable[[Path], Predictor]) -> None:
        self._load = load
        self._folders = dict(sorted(folders.items()))
        self._by_name: dict[str, Predictor] = {}
        self._by_address: dict[str, Predictor] = {}
        self.loading = list(self._folders)
        self.failed: list[str] = []

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
        return cls(shipped_models() if root is None else models_in(root), load_folder)

    @property
    def ready(self) -> bool:
        """Every folder is loaded and proved, and there is at least one."""
        return bool(self._by_name) and not self.loading and not self.failed

    @property
    def predictors(self) -> list[Predictor]:
        return list(self._by_address.values())

    @property
    def specs(self) -> list[ModelSpec]:
        return [predictor.spec for predictor in self.predictors]

    def start(self) -> None:
        """Loads in the background, so that the process answers /livez meanwhile."""
        threading.Thread(target=self.load, name="load-models", daemon=True).start()

    def load(self) -> None:
        """Loads every folder; one that fails is logged and left out."""
        if not self._folders:
            logger.error("nothing to serve: expected model folders, got none; set I2I_MODELS")
        for name, folder in self._folders.items():
            try:
                predictor = self._load(folder)
                predictor.check_golden()
            except Exception:
                logger.exception("the model %s is not served", name)
                self.failed.append(name)
            else:
                spec, engine = predictor.spec, predictor.engine
                self._by_name[spec.name] = self._by_address[spec.address] = predictor
                logger.info(
                    "the model %s is served by %s in %s",
                    spec.address,
                    engine.name,
                    engine.precision,
                )
            self.loading.remove(name)

    def find(self, name: str) -> Predictor:
        """The predictor of `name` or `name@version`.

        Raises:
            Problem: unknown_model; model_failed where its folder failed; queue_full while loading.
        """
        predictor = self._by_name.get(name) or self._by_address.get(name)
        if predictor is not None:
            return predictor
        if name.partition("@")[0] in self.failed:
            raise Problem("model_failed", "this model failed its check at start")
        if self.loading:
            raise Problem("queue_full", "the models are being loaded")
        raise Problem(
            "unknown_model",
            "there is no such model",
            expected=f"one of {', '.join(self._by_name)}",
            got=name,
        )
