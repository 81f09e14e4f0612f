"""`make demo`: the whole way on pictures that need no download.

Trains both tasks for some minutes, exports, serves, asks over HTTP, and leaves before/after
pictures in demo/. A small net trained so briefly shows the way, not the quality; the shipped
models show that.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from i2i.image import Picture, decode, encode, write_bytes
from i2i.predictor import Predictor, load
from scripts.serving import ask, serving
from training.data.embedded import EmbeddedPhotos, EmbeddedShapes
from training.data.module import ImageData
from training.evaluation.evaluate import evaluate, task_of
from training.run_folder import best_checkpoint
from training.tasks import Sample, Task

FOLDER = Path("demo")
MODELS = FOLDER / "models"
REQUESTS = 20


@dataclass(frozen=True)
class Part:
    """One task of the demonstration."""

    model: str
    config: str
    data: ImageData


PARTS = (
    Part(
        "demo-x2",
        "training/configs/demo_super_resolution.yaml",
        EmbeddedPhotos(geometry=[]),
    ),
    Part("demo-shapes", "training/configs/demo_segmentation.yaml", EmbeddedShapes(geometry=[])),
)


def main() -> None:
    console = Console()
    started = time.monotonic()
    shutil.rmtree(FOLDER, ignore_errors=True)
    for part in PARTS:
        console.rule(f"training {part.model}")
        _train(part)
    table = Table("model", "score", "trivial", "gain", "HTTP median", "= library")
    environment = {
        "I2I_MODELS": str(MODELS.absolute()),
        "BENTOML_HOME": str((FOLDER / "bentoml").absolute()),
    }
    with serving("service.service:I2I", environment, FOLDER / "server.log") as url:
        for part in PARTS:
            table.add_row(part.model, *_measure(part, url))
    console.print(table)
    console.print(f"before/after pictures: {FOLDER}/*.png")
    console.print(f"in {time.monotonic() - started:.0f} s")


def _train(part: Part) -> None:
    run = FOLDER / "runs" / part.model
    _training("fit", "--config", part.config, "--run", str(run))
    checkpoint = best_checkpoint(run)
    _training("export", "--checkpoint", str(checkpoint), "--output", str(MODELS / part.model))


def _training(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "training", *arguments], check=True)


def _measure(part: Part, url: str) -> tuple[str, ...]:
    """Score, trivial score, gain, latency and whether HTTP gives the pixels of the library."""
    predictor = load(MODELS / part.model)
    task = task_of(predictor.folder)
    samples = [read() for read in part.data.validation_loads(task)]
    results = evaluate(predictor, task, samples)
    image, _ = task.pair(samples[0], np.random.default_rng(0))
    request = encode(Picture(image, None))
    answers, seconds = [], []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        answers.append(ask(f"{url}/v1/models/{part.model}/predict", request))
        seconds.append(time.perf_counter() - began)
    same = answers[0] == predictor.predict(decode(request)).encode()
    _show(predictor, task, samples, part)
    score = results["scores"][task.monitor]
    return (
        f"{task.monitor} {score:.2f}",
        f"{results['baseline'][task.monitor]:.2f}",
        f"{results['gain'][task.monitor]:+.2f}",
        f"{1000 * statistics.median(seconds):.0f} ms at {image.shape[1]}×{image.shape[0]}",
        "yes" if same else "NO",
    )


def _show(predictor: Predictor, task: Task, samples: list[Sample], part: Part) -> None:
    """Writes before, after and original of the first pictures side by side."""
    for index, sample in enumerate(samples[:2]):
        image, target = task.pair(sample, np.random.default_rng(0))
        prediction = predictor.predict(Picture(image, None))
        output: Any = prediction.labels if prediction.picture is None else prediction.picture.pixels
        shown = task.show(image, output, target)
        write_bytes(FOLDER / f"{part.model}-{index}.png", encode(Picture(shown, None)))


if __name__ == "__main__":
    main()
