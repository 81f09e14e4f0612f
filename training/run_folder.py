"""The folder of a run, and where things lie in it.

config.yaml     what was asked
checkpoints/    best.ckpt, of the best validation, and last.ckpt, from which the run goes on
metrics.csv     the curves; pictures/ what the net gave; index.html the page that shows both
"""

from __future__ import annotations

import itertools
from contextlib import suppress
from pathlib import Path

CONFIG = "config.yaml"
CURVES = "metrics.csv"


def checkpoints(run: Path) -> Path:
    return run / "checkpoints"


def best_checkpoint(run: Path) -> Path:
    return checkpoints(run) / "best.ckpt"


def last_checkpoint(run: Path) -> Path:
    return checkpoints(run) / "last.ckpt"


def run_of(checkpoint: Path) -> Path | None:
    """The folder of the run that wrote a checkpoint; None where it lies in no run's folder."""
    run = checkpoint.parent.parent
    return run if checkpoint.parent.name == checkpoints(run).name else None


def next_run(folder: Path, name: str) -> Path:
    """Makes `folder`/`name`-001, or the next that is free: runs begun at once get their own."""
    for number in itertools.count(1):
        run = folder / f"{name}-{number:03d}"
        with suppress(FileExistsError):
            run.mkdir(parents=True)
            break
    return run


def check_unused(run: Path, resumed: str | None) -> None:
    """Raises ValueError where `run` holds the checkpoints of another run than the resumed one.

    The new best one would be best-v1.ckpt, beside a best.ckpt that is the other's.
    """
    folder = checkpoints(run)
    if not any(folder.glob("*.ckpt")):
        return
    if resumed is None or Path(resumed).parent.resolve() != folder.resolve():
        raise ValueError(
            f"run: expected a folder without checkpoints, got {run}, which holds those of another "
            f"run; choose another folder, or go on with it: --ckpt_path {last_checkpoint(run)}"
        )
