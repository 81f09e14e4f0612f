"""The end of a run whose score no longer grows."""

from __future__ import annotations

from typing import Any

from pytorch_lightning.callbacks import EarlyStopping


class Patience(EarlyStopping):
    """Stops after `patience` validations without a better score.

    Lightning's own takes its patience, and the reason why it stopped, from a checkpoint: a resumed
    run could not be given more, and would end with the words of its first end.
    """

    def __init__(self, monitor: str, mode: str, patience: int) -> None:
        super().__init__(monitor, mode=mode, patience=patience, strict=False)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        known = {name: state_dict[name] for name in ("wait_count", "stopped_epoch", "best_score")}
        super().load_state_dict(known | {"patience": self.patience})
