"""The seed of a run."""

from __future__ import annotations

import os


def run_seed() -> int:
    """`--seed_everything`, which Lightning keeps in the environment; 0 where there is none."""
    return int(os.environ.get("PL_GLOBAL_SEED", 0))
