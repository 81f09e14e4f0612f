"""Checkpoints written under a temporary name and renamed: a full disk costs no earlier one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pytorch_lightning.plugins.io import TorchCheckpointIO


class AtomicCheckpoints(TorchCheckpointIO):
    """Lightning's own checkpoint format; the file appears whole or not at all."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        path = Path(path)
        temporary = path.with_name(f".{path.name}.part")
        try:
            super().save_checkpoint(checkpoint, temporary, storage_options)
            temporary.replace(path)
        except OSError as error:
            raise OSError(
                error.errno,
                f"could not write the checkpoint ({error.strerror}); the earlier one is intact. "
                "Free some space and resume with --ckpt_path",
                str(path),
            ) from error
        finally:
            temporary.unlink(missing_ok=True)
