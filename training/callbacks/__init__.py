"""Callbacks and plugins of the trainer."""

from training.callbacks.atomic_checkpoints import AtomicCheckpoints
from training.callbacks.averaged_weights import AveragedWeights
from training.callbacks.baseline import Baseline
from training.callbacks.best_checkpoint import BestCheckpoint
from training.callbacks.diagnostics import Diagnostics
from training.callbacks.last_checkpoint import LastCheckpoint
from training.callbacks.patience import Patience
from training.callbacks.picture_log import PictureLog
from training.callbacks.progress import RunProgress
from training.callbacks.run_page import RunPage

__all__ = [
    "AtomicCheckpoints",
    "AveragedWeights",
    "Baseline",
    "BestCheckpoint",
    "Diagnostics",
    "LastCheckpoint",
    "Patience",
    "PictureLog",
    "RunPage",
    "RunProgress",
]
