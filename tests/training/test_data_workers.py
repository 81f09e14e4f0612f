"""The processes that make batches: how many, and that they begin."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from training.data.module import workers_beside_gpu

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("gpus", "cores", "workers"), [(1, 2, 1), (1, 6, 5), (1, 64, 8), (2, 8, 3), (8, 4, 1)]
)
def test_each_gpu_has_its_part_of_the_cores_and_at_least_one_worker(
    gpus: int, cores: int, workers: int
) -> None:
    assert workers_beside_gpu(gpus, cores) == workers


LOADER_AFTER_OPENCV = """
import time
import cv2
import numpy as np
from torch.utils.data import DataLoader
from training.data.module import begin_worker

cv2.setNumThreads(2)
cv2.resize(np.zeros((720, 960, 3), np.uint8), (640, 480))
time.sleep(0.5)
print(len(list(DataLoader(range(4), num_workers=1, worker_init_fn=begin_worker, timeout=30))))
"""


@pytest.mark.whole
def test_a_worker_begins_although_opencv_has_threads_already() -> None:
    # In a process of its own, which can be ended where it hangs.
    command = [sys.executable, "-c", LOADER_AFTER_OPENCV]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == "4\n"
