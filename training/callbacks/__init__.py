"""Callbacks and plugins of the trainer."""

from training.callbacks.atomic_checkpoints import AtomicCheckpoints
from training.callbacks.picture_log import PictureLog

__all__ = ["AtomicCheckpoints", "PictureLog"]
