"""One study: its runs, and what they say, as a file."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.ablations.border import border_and_inside
from benchmarks.service.results import Machine
from i2i.image import write_bytes
from i2i.model_folder import ModelFolder
from training.data.files import find_pictures
from training.evaluation.comparison import compared, read_results
from training.evaluation.cost import size
from training.evaluation.evaluate import task_of
from training.precision import fastest_precision
from training.run_folder import last_checkpoint

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "training" / "configs"
# The export compares its engines on so many pictures.
EXPORTED_ON = 3
FOLDER = ROOT / "benchmarks" / "results" / "ablations"
# What a variant's result is called that tells the border of its pictures from their inside.
BORDER = "border_and_inside"


def run_study(name: str, study: dict[str, Any], data: Path, work: Path, seeds: list[int]) -> None:
    """Runs what is not finished yet, and writes FOLDER/`name`.json."""
    machine, precision = Machine(), fastest_precision("cpu")
    measured_on = study["measured_on"]
    images = data / measured_on["images"]
    sets = work / "sets" / _digest([str(images.absolute()), measured_on])
    few = _pictures(images, EXPORTED_ON, sets / "few")
    pictures = _pictures(images, measured_on["pictures"], sets / "all")
    first: list[dict[str, Any]] = []
    variants = {}
    for variant, options in study["variants"].items():
        # Runs of several studies that are the same run are run once.
        recipe = (CONFIGS / f"{study['config']}.yaml").read_text(encoding="utf-8")
        trained_on = [str(data.absolute()), study["data"]]
        place = work / _digest([recipe, trained_on, study["budget"], options, precision])
        all_options = [*options, "--trainer.precision", precision]
        runs = [_run(place, study, all_options, data, few, pictures, seed) for seed in seeds]
        first = first or runs
        variants[variant] = _told(runs, first, study["score"]) | {"options": options}
        if study.get("border", False):
            both = [border_and_inside(run["checkpoint"], pictures) for run in runs]
            variants[variant] |= {BORDER: np.mean(both, axis=0).tolist()}
    results = {
        "machine": machine.about(),
        "score": study["score"],
        "unit": study["unit"],
        "budget": study["budget"],
        "config": study["config"],
        "measured_on": study["measured_on"],
        "precision": precision,
        "seeds": seeds,
        "variants": variants,
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_bytes(FOLDER / f"{name}.json", (json.dumps(results, indent=2) + "\n").encode())


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]


def _pictures(images: Path, count: int, chosen: Path) -> Path:
    """A folder with the first pictures of a set."""
    chosen.mkdir(parents=True, exist_ok=True)
    for picture in find_pictures(images)[:count]:
        link = chosen / picture.relative_to(images)
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(picture.absolute())
    return chosen


def _run(
    place: Path,
    study: dict[str, Any],
    options: list[str],
    data: Path,
    few: Path,
    pictures: Path,
    seed: int,
) -> dict[str, Any]:
    """Trains, exports and evaluates; where that is done already, reads what came of it."""
    place = place / f"seed-{seed}"
    run, model = place / "run", place / "model"
    results = place / f"results-{_digest(study['measured_on'])}.json"
    checkpoint = last_checkpoint(run)
    folder = study["measured_on"].get("masks")
    masks = ["--masks", str(data / folder)] if folder else []
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another study may have the same run
        if not run.exists():
            _train(run, study, options, data, seed)
        if not model.exists():
            exported = ["--checkpoint", str(checkpoint), "--output", str(model)]
            _training("export", *exported, "--images", str(few), *masks)
        if not results.exists():
            measured = ["--model", str(model), "--images", str(pictures), *masks]
            _training("evaluate", *measured, "--no-cost", "--output", str(results))
    recipe = torch.load(checkpoint, map_location="cpu", weights_only=True)["recipe"]
    return read_results(results) | {"folder": model, "trained": recipe, "checkpoint": checkpoint}


def _train(run: Path, study: dict[str, Any], options: list[str], data: Path, seed: int) -> None:
    """A training whose folder is there once it has ended."""
    unfinished = run.with_name("unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    also = [f"{data.absolute()}/{folder}" for folder in study["data"].get("also", [])]
    fit = ["--config", str(CONFIGS / f"{study['config']}.yaml")]
    fit += ["--data.root", f"{data.absolute()}/{study['data']['root']}"]
    fit += [f"--data.also={json.dumps(also)}"] if also else []
    fit += [f"--seed_everything={seed}", f"--data.seed={seed}", *options]
    fit += ["--budget", study["budget"], "--run", str(unfinished)]
    _training("fit", *fit, "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false")
    unfinished.rename(run)


def _training(*arguments: str) -> None:
    """A command of `python -m training` on one thread."""
    print("python -m training", shlex.join(arguments), flush=True)
    command = [sys.executable, "-m", "training", *arguments]
    one_thread = {"OMP_NUM_THREADS": "1", "I2I_THREADS": "1"}
    run = subprocess.run(command, cwd=ROOT, env=os.environ | one_thread, capture_output=True)
    if run.returncode:
        raise RuntimeError(run.stderr.decode()[-2000:])


def _told(runs: list[dict[str, Any]], first: list[dict[str, Any]], score: str) -> dict[str, Any]:
    """The scores of a variant's seeds, and their differences to the first variant's."""
    differences, intervals = [], []
    for run, other in zip(runs, first, strict=True):
        task = task_of(ModelFolder.open(run["folder"]))
        difference, interval = compared(run, other, task)[score]
        differences.append(difference)
        intervals.append(interval)
    cost = size(ModelFolder.open(runs[0]["folder"]).spec)
    return {
        "scores": [run["scores"][score] for run in runs],
        "differences": differences,
        "intervals": intervals,
        "parameters": cost["parameters"],
        "multiply_adds": cost["multiply_adds_per_input_pixel"],
        "steps": [run["trained"]["steps"] for run in runs],
        "core_minutes": [run["trained"]["core_minutes"] for run in runs],
    }
