"""How long a service takes from its start until it is ready, with one model.

A container of i2i:latest: scripts/with_podman.sh python -m benchmarks.service.cold_start podman
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from i2i import shipped_models
from scripts.container import running
from scripts.serving import serving

STARTS = 5
MODEL = "depixelate"


def measure(program: str | None = None, starts: int = STARTS) -> dict[str, Any]:
    """Seconds of some starts, the page cache warm; of a container where a program is given."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(shipped_models()[MODEL], Path(folder, "models", MODEL))
        # The user of the container is not ours.
        Path(folder).chmod(0o755)
        seconds = [_start(program, Path(folder)) for _ in range(starts)]
    return {"model": MODEL, "seconds": seconds, "median_s": statistics.median(seconds)}


def _start(program: str | None, folder: Path) -> float:
    """Seconds until ready."""
    service: AbstractContextManager[object]
    models = str(folder / "models")
    if program:
        mount = ["-v", f"{models}:/models:ro", "-e", "I2I_MODELS=/models"]
        service = running(program, "i2i:latest", *mount)
    else:
        environment = {"I2I_MODELS": models, "BENTOML_HOME": str(folder / "bentoml")}
        service = serving("service.service:I2I", environment, folder / "server.log")
    began = time.monotonic()
    with service:
        return time.monotonic() - began


if __name__ == "__main__":
    print(measure(sys.argv[1]))
