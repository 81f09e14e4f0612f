"""The checkpoint with the best score, wherever its run's folder has been moved to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import ModelCheckpoint


class BestCheckpoint(ModelCheckpoint):
    """Keeps `folder`/best.ckpt.

    Lightning's own knows its earlier best only by its absolute path: after a move, a resumed run
    would keep a worse one beside it. A best one that the resumed checkpoint does not know, because
    the run was killed between the two, is replaced.
    """

    def __init__(self, folder: Path, monitor: str, mode: str) -> None:
        super().__init__(
            folder, monitor=monitor, mode=mode, filename="best", enable_version_counter=False
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        assert self.dirpath is not None
        here = str(Path(self.dirpath) / Path(state_dict["best_model_path"]).name)
        if Path(here).is_file():
            moved = {"dirpath": self.dirpath, "best_model_path": here, "kth_best_model_path": here}
            score = {"best_k_models": {here: state_dict["best_model_score"]}}
            state_dict = state_dict | moved | score
        super().load_state_dict(state_dict)
