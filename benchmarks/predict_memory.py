"""How much memory `i2i predict` holds at its peak, and how long it takes, on a picture of any size.

python -m benchmarks.predict_memory MODEL [--width 12000 --height 8000] [--format png]

Constant but for the picture that is read: png and tiff are written as they are predicted. Any
model folder will do; a net of a few channels shows the same memory in a fraction of the time.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from i2i.image import SUFFIXES, open_writer

ROWS = 64


def main() -> None:
    parser = argparse.ArgumentParser(description="Peak memory of i2i predict on this machine.")
    parser.add_argument("model")
    parser.add_argument("--width", type=int, default=12_000)
    parser.add_argument("--height", type=int, default=8_000)
    parser.add_argument("--depth", type=int, choices=[8, 16], default=8)
    parser.add_argument("--alpha", action="store_true")
    parser.add_argument("--format", choices=list(SUFFIXES), default="png")
    parser.add_argument("--threads", default="2")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "picture.png")
        write_picture(source, options)
        command = [sys.executable, "-m", "i2i", "predict", str(source), "--model", options.model]
        command += ["--output", str(Path(folder, "out")), "--format", options.format]
        command += ["--threads", options.threads, "--max-memory", "64G"]
        began = time.perf_counter()
        process = subprocess.Popen(command)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        if status:
            sys.exit(f"i2i predict: status {os.waitstatus_to_exitcode(status)}")
        written = Path(folder, "out", f"picture{SUFFIXES[options.format]}").stat().st_size
    print(
        f"{options.model}, {options.width} x {options.height}, {options.depth} bit, "
        f"{options.format}: peak {usage.ru_maxrss / 2**20:.2f} GiB, {seconds:.0f} s, "  # Linux: KiB
        f"wrote {written / 2**20:.0f} MiB"
    )


def write_picture(path: Path, options: argparse.Namespace) -> None:
    """Slopes under noise: a file about as large as that of a photograph."""
    random = np.random.default_rng(0)
    dtype = np.uint8 if options.depth == 8 else np.uint16
    most, channels = np.iinfo(dtype).max, 4 if options.alpha else 3
    across = np.linspace(0, 0.9, options.width)[None, :, None]
    with open_writer(path, "png", options.height, options.width, channels, dtype) as writer:
        for top in range(0, options.height, ROWS):
            rows = min(ROWS, options.height - top)
            noise = 0.1 * random.random((rows, options.width, channels), np.float32)
            writer.write(((across + noise) * most).astype(dtype))


if __name__ == "__main__":
    main()
