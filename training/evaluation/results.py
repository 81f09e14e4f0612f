"""`python -m training results`: models on every set that fits them, as files; and a page of them.

The files are benchmarks/results/MODEL/SET.json, the page is docs/results.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.progress import track

from i2i.image import write_bytes
from i2i.model_folder import ModelFolder, find_model, shipped_models
from i2i.predictor import Predictor, load
from training.data.file_data import read_classes
from training.degradations import GaussianNoise
from training.evaluation.bootstrap import Tally, intervals
from training.evaluation.comparison import Results, other_pictures, read_results, show, to_json
from training.evaluation.cost import cost
from training.evaluation.evaluate import evaluate, task_of
from training.evaluation.protocol import differences, stamp
from training.evaluation.questions import Questions
from training.evaluation.results_page import page
from training.evaluation.sample_folders import find_samples
from training.tasks import Restoration, Sample, Task

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
REFERENCES = ROOT / "benchmarks" / "references.yaml"
PAGE = ROOT / "docs" / "results.md"


@dataclass(frozen=True)
class Place:
    """A set that was found: pictures, and for a segmentation their masks and classes."""

    name: str
    images: Path
    masks: Path | None = None
    classes: tuple[str, ...] = ()

    def fits(self, task: Task) -> bool:
        """Whether the task can be measured here: on any photographs, or on masks of its classes."""
        if self.masks is None:
            return task.needs == "none"
        return task.needs == "masks" and self.classes == tuple(c.name for c in task.classes())


def find_sets(data: Path) -> Iterator[Place]:
    """The sets of benchmarks/references.yaml that there are in a folder."""
    for name, entry in references()["sets"].items():
        folder = data / entry["folder"]
        if (folder / "masks").is_dir():
            classes = tuple(read_classes(folder.parent))
            yield Place(name, folder / "images", folder / "masks", classes)
        elif folder.is_dir():
            yield Place(name, folder)


def measure(
    data: Path, output: Path, models: Sequence[str], console: Console, replace: bool = False
) -> None:
    """Writes a file for each model and each set that fits it.

    Args:
        replace: whether a file of other pictures, measured alike, may be replaced.

    Raises:
        ValueError: the folder has none of the sets, or there is such a file.
    """
    places = list(find_sets(data))
    if not places:
        expected = ", ".join(entry["folder"] for entry in references()["sets"].values())
        above = data.absolute().parent
        meant = f"; is {above} meant?" if any(find_sets(above)) else ""
        told = f"--data: expected a folder with some of {expected}, got none in {data}{meant}"
        raise ValueError(told)
    work = []
    # All that is wrong is told before any of the work.
    for model in models:
        folder = ModelFolder.open(find_model(model))
        name, task = folder.spec.name, task_of(folder)
        fitting = [place for place in places if place.fits(task)]
        wanted = [
            (output / name / f"{place.name}{kind}.json", place, kind != "")
            for place, kind in product(fitting, _inputs(task))
        ]
        for path, place, unclipped in wanted:
            if path.is_file() and not replace:
                _check_pictures(path, task, place, unclipped)
        if wanted:
            work.append((model, task, wanted))
        else:
            console.print(f"{name}: none of the sets in {data} fits it", highlight=False)
    for model, task, wanted in work:
        predictor = load(model)
        costs = cost(predictor)
        for path, place, unclipped in wanted:
            results = _results(predictor, task, place, unclipped) | {"cost": costs}
            provenance = predictor.spec.provenance
            results["trained"] = provenance["budget"] | {"data": provenance["licence"]}
            show(results, task, console)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, to_json(results))


def _inputs(task: Task) -> list[str]:
    """What a file's name says of the input: noise both ways, as files have it and as papers do."""
    noise = isinstance(task, Restoration) and isinstance(task.degradation, GaussianNoise)
    return ["", ".unclipped"] if noise else [""]


def _check_pictures(path: Path, task: Task, place: Place, unclipped: bool) -> None:
    """Raises ValueError where a file holds scores on other pictures, measured alike."""
    kept = read_results(path)
    if differences(stamp(task, unclipped=unclipped), kept["protocol"]):
        return
    asked = Questions(task, _samples(place, task, f"{place.name} as before?"), unclipped).read()
    if differing := other_pictures(asked, kept):
        raise ValueError(
            f"{path}: expected the pictures that it was measured on, got {differing}; mend "
            f"{place.images}, or give --replace"
        )


def _samples(place: Place, task: Task, title: str) -> Iterable[Sample]:
    return (load() for load in track(find_samples(place.images, place.masks, None, task), title))


def _results(predictor: Predictor, task: Task, place: Place, unclipped: bool) -> Results:
    samples = _samples(place, task, f"{predictor.spec.name} on {place.name}")
    results = evaluate(predictor, task, samples, unclipped=unclipped)
    return {**results, "intervals": intervals(Tally(task, results["pictures"]))}


@cache
def references() -> dict[str, Any]:
    """Sets and figures of the literature."""
    content: dict[str, Any] = yaml.safe_load(REFERENCES.read_text(encoding="utf-8"))
    return content


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m training results",
        description="Measures models on the sets in a folder, and writes the page.",
    )
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="folder of sets; measures")
    parser.add_argument(
        "--models",
        nargs="+",
        metavar="MODEL",
        help="names or model folders; default: the shipped ones",
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="let --data replace results of other pictures than a set's folder holds",
    )
    parser.add_argument("--page", action="store_true", help="write docs/results.md from the files")
    parser.add_argument(
        "--output", type=Path, default=RESULTS, help="default: benchmarks/results in the checkout"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.data is None and not options.page:
        parser.error("expected --data FOLDER, --page, or both")
    if options.data is not None:
        models = options.models or sorted(shipped_models())
        measure(options.data, options.output, models, Console(), options.replace)
    if options.page:
        write_bytes(PAGE, page(options.output, references()).encode())
        print(PAGE.relative_to(ROOT))
