"""What a step of training costs in each precision, in milliseconds of processor time.

python -m benchmarks.training_step CONFIG ROOT   (one thread; the machine otherwise idle)

Each precision runs as a user runs it, for few steps and for more: the difference is that of the
steps, their loader's work included.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from training.run_folder import last_checkpoint

# So many that the start, which differs by a second or two, says little.
FEW, MORE = 20, 140
PRECISIONS = ("bf16-mixed", "32-true")


def main() -> None:
    parser = argparse.ArgumentParser(description="The cost of a training step.")
    parser.add_argument("config", type=Path)
    parser.add_argument("root", help="data.root: the pictures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for precision in PRECISIONS:
            few, more = (
                core_seconds(options.config, options.root, precision, steps, Path(folder))
                for steps in (FEW, MORE)
            )
            print(f"{precision}: {1000 * (more - few) / (MORE - FEW):.0f} ms a step", flush=True)


def core_seconds(config: Path, root: str, precision: str, steps: int, folder: Path) -> float:
    """What a run of so many steps says that it has cost."""
    run = folder / f"{precision}-{steps}"
    command = [sys.executable, "-m", "training", "fit", "--config", str(config)]
    command += ["--data.root", root, "--trainer.precision", precision, "--run", str(run)]
    command += ["--trainer.accelerator", "cpu"]
    command += ["--trainer.max_steps", str(steps), "--trainer.limit_val_batches", "1"]
    command += ["--trainer.enable_progress_bar", "false", "--trainer.num_sanity_val_steps", "0"]
    subprocess.run(
        command, check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    checkpoint = torch.load(last_checkpoint(run), weights_only=True)
    return 60 * float(checkpoint["recipe"]["core_minutes"])


if __name__ == "__main__":
    main()
