"""`python -m training tune`: a search for hyper-parameters, at equal cost.

Random search (Bergstra and Bengio, JMLR 13, 2012) with successive halving (Jamieson and Talwalkar,
arXiv 1502.07943): each round costs the same, has about a third of the trials of the one before, and
so about three times the budget for each. A trial begins each round anew, because its schedule is
made for its budget. The recipe as it is stays in every round, to be compared with.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import io
import json
import math
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from i2i.image import write_bytes
from training.budget import parse_budget, share_of
from training.checkpoint import read_checkpoint
from training.evaluation.protocol import digest, stamp
from training.own_config import named_files
from training.run_folder import CURVES, last_checkpoint
from training.search_space import Space, as_options, read_space

RESULTS = "trials.json"
# What trial 0 is called.
RECIPE = "the recipe as it is"
# A round has one in so many of the trials before it, and at least these; the last so many at most.
KEPT, LEAST = 3, 2
# Of `fit`, what the search itself says.
OWN = ("--run", "--budget", "--ckpt_path", "--seed_everything")

Fit = Callable[[list[str]], None]


@dataclass(frozen=True)
class Trial:
    """A set of values: trial 0 is the recipe as it is."""

    number: int
    drawn: dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A trial in a round, counted from 0.

    Attributes:
        score: the best of its validations; None where the run failed.
    """

    round: int
    trial: Trial
    score: float | None


def sizes(trials: int) -> list[int]:
    """Trials of each round.

    Examples:
        >>> sizes(9), sizes(18)
        ([9, 3], [18, 6, 2])
    """
    rounds = [trials]
    while rounds[-1] > KEPT:
        rounds.append(max(LEAST, -(-rounds[-1] // KEPT)))
    return rounds


def draw_trials(
    space: Space,
    count: int,
    seed: int,
    meaning: Callable[[dict[str, Any]], Any] = lambda drawn: drawn,
) -> list[Trial]:
    """The recipe, and `count` - 1 different draws of the space (fewer where it holds fewer).

    Args:
        meaning: what a draw comes to: one that says what the recipe, or another, says is left out,
            as is one that cannot be meant.

    Raises:
        ValueError, ArgumentError: of `meaning`, for the recipe or for all draws.
    """
    random = np.random.default_rng(seed)
    drawn: list[dict[str, Any]] = [{}]
    known, tried = [meaning({})], list(drawn)
    refused: Exception | None = None
    for _ in range(100 * count):
        if len(drawn) == count:
            break
        values = {key: dimension.draw(random) for key, dimension in space.items()}
        if values in tried:
            continue
        tried.append(values)
        try:
            told = meaning(values)
        except (ValueError, argparse.ArgumentError) as error:
            refused = error
            continue
        if told not in known:
            known.append(told)
            drawn.append(values)
    if len(drawn) == 1 and refused is not None:
        raise refused
    return [Trial(number, values) for number, values in enumerate(drawn)]


def whole_config(fit: list[str]) -> str:
    """What `fit` would train with these options, with all defaults, as YAML.

    Raises:
        ValueError, ArgumentError: as `fit`.
    """
    from training import lightning

    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        lightning.main(["fit", *fit, "--print_config"])
    return text.getvalue()


class Search:
    """A search in a folder; begun again, it goes on after the runs that have ended.

    Args:
        fit: options of `fit` that all runs have.
        budget: of all runs together, as `fit` takes it.
        train: runs `fit`, by default in a process of its own; ValueError where that fails.

    Attributes:
        ended: the runs that have ended.
        monitor, mode: the score, and whether "max" or "min" of it is best, once a run has ended.
        asks: digest of what validates, which is the same for all runs.

    Raises:
        ValueError: the folder holds another search.
    """

    def __init__(
        self,
        folder: Path,
        fit: list[str],
        trials: list[Trial],
        budget: str,
        seed: int,
        train: Fit | None = None,
    ) -> None:
        self.folder, self.fit, self.trials, self.seed = folder, fit, trials, seed
        self.budget, self.sizes = budget, sizes(len(trials))
        self.monitor, self.mode, self.asks = "score", "max", ""
        self.ended: list[Run] = []
        self._train = train or _in_a_process
        self._asked = self._digest()
        self._read()

    def run(self) -> None:
        """All rounds; a line is printed for each run that has ended.

        Raises:
            ValueError: the recipe as it is fails.
        """
        now = self.trials
        for number, size in enumerate(self.sizes):
            if number:
                now = self._chosen(number - 1, size)
            if len(now) < LEAST:
                break  # nothing to compare the recipe with
            for trial in now:
                self._run(number, trial)

    def best_first(self) -> list[Run]:
        """The runs, those of the last round first."""
        return sorted(self.ended, key=lambda run: (-run.round, self._badness(run)))

    def budget_of(self, number: int) -> str:
        """Of each run of a round, as `fit` takes it."""
        return share_of(self.budget, 1 / len(self.sizes) / self.sizes[number])

    def _chosen(self, number: int, size: int) -> list[Trial]:
        """The recipe, and the best of a round beside it."""
        others = [run for run in self.ended if run.round == number and run.trial.number]
        well = [run for run in others if run.score is not None]
        best = sorted(well, key=self._badness)[: size - 1]
        return [self.trials[0], *(run.trial for run in best)]

    def _badness(self, run: Run) -> float:
        if run.score is None:
            return math.inf
        return -run.score if self.mode == "max" else run.score

    def _run(self, number: int, trial: Trial) -> None:
        if any((run.round, run.trial) == (number, trial) for run in self.ended):
            return
        place = self.folder / f"round-{number + 1}" / f"trial-{trial.number:02d}"
        last = last_checkpoint(place)
        options = [*self.fit, *as_options(trial.drawn), f"--seed_everything={self.seed}"]
        options += ["--budget", self.budget_of(number), "--run", str(place)]
        if last.is_file():  # of a search that was interrupted here
            options += ["--ckpt_path", str(last)]
        else:
            shutil.rmtree(place, ignore_errors=True)
        what = shlex.join(as_options(trial.drawn)) or RECIPE
        rounds = f"round {number + 1} of {len(self.sizes)}"
        print(f"{rounds}, trial {trial.number}, {what}: ", end="", flush=True)
        score = None
        try:
            self._train(["fit", *options])
            score = self._score_of(place)
        except ValueError as error:
            if trial.number == 0:
                raise
            print(error, file=sys.stderr)
        self.ended.append(Run(number, trial, score))
        self._write()
        print("failed" if score is None else f"{self.monitor} {score:.4f}", flush=True)

    def _score_of(self, run: Path) -> float:
        """The best score in the curves of a run."""
        task, _, recipe = read_checkpoint(last_checkpoint(run))
        pictures = recipe["data"]["validation_digest"]
        asks = digest({**stamp(task), "monitor": task.monitor, "pictures": pictures})
        if self.ended and asks != self.asks:
            raise ValueError(
                "expected a trial that is validated as the recipe is, on the same pictures, got "
                "another question; take what makes it another out of --space"
            )
        self.asks, self.monitor, self.mode = asks, task.monitor, task.mode
        curves = run / CURVES
        if not curves.is_file():
            raise ValueError(
                f"expected the curves of a run in {curves}, got none; a search reads them: leave "
                "trainer.logger as it is"
            )
        with curves.open(newline="") as file:
            column = [row.get(f"val/{self.monitor}") for row in csv.DictReader(file)]
        scores = [float(score) for score in column if score]
        if not scores:
            raise ValueError(f"{curves}: expected a validation of each trial, got none")
        return max(scores) if self.mode == "max" else min(scores)

    def _digest(self) -> str:
        """What makes this search another than others."""
        drawn = [trial.drawn for trial in self.trials]
        files = [file for _, file in named_files(self.fit)]
        configs = [Path(name).read_text(encoding="utf-8") for name in files]
        asked = json.dumps([self.fit, configs, drawn, self.budget, self.seed])
        return hashlib.sha256(asked.encode()).hexdigest()[:12]

    def _write(self) -> None:
        rows = [
            {"round": run.round, "trial": run.trial.number, "options": run.trial.drawn}
            | {"score": run.score}
            for run in self.ended
        ]
        content = {"search": self._asked, "asks": self.asks}
        content |= {"monitor": self.monitor, "mode": self.mode}
        write_bytes(self.folder / RESULTS, json.dumps(content | {"runs": rows}, indent=2).encode())

    def _read(self) -> None:
        path = self.folder / RESULTS
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            return
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["search"] != self._asked:
            raise ValueError(
                f"--output: expected a new folder, or one of the same search, got {self.folder}, "
                "which holds another; choose another folder"
            )
        self.asks, self.monitor, self.mode = content["asks"], content["monitor"], content["mode"]
        self.ended = [
            Run(row["round"], self.trials[row["trial"]], row["score"]) for row in content["runs"]
        ]


def _in_a_process(arguments: list[str]) -> None:
    """`python -m training` with these arguments; ValueError with its last words where it fails."""
    command = [sys.executable, "-m", "training", *arguments, "--trainer.enable_progress_bar=false"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            _, said = process.communicate()
        except KeyboardInterrupt:
            # It has heard it too, and writes where it can go on.
            process.communicate()
            raise
    if process.returncode < 0:  # what it said before is not why
        raise ValueError(f"killed by {signal.Signals(-process.returncode).name}")
    if process.returncode:
        raise ValueError(said.strip().splitlines()[-1] if said.strip() else "fit failed")


def show(search: Search, console: Console) -> None:
    """The trials, those of the last round first, and what to train with."""
    runs = search.best_first()
    table = Table("round", "trial", search.monitor, "options")
    for run in runs:
        options = shlex.join(as_options(run.trial.drawn)) or RECIPE
        score = "failed" if run.score is None else f"{run.score:.4f}"
        table.add_row(str(run.round + 1), str(run.trial.number), score, options)
    console.print(table)
    if not runs[0].trial.number:
        console.print("Nothing that was drawn did better than the recipe as it is.")
        return
    console.print(
        f"best: {shlex.join(as_options(runs[0].trial.drawn))}\n"
        "Its score flatters it, as the best of many: train it with another seed beside the recipe, "
        "and measure both on pictures that chose nothing.",
        soft_wrap=True,
    )


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m training tune",
        usage="%(prog)s --space FILE --budget BUDGET --output FOLDER [options of fit]",
        description="Trains a config with values drawn from a space, in rounds of fewer trials and "
        "more time for each. All other options are those of fit. Run again, it goes on.",
    )
    parser.add_argument(
        "--space",
        required=True,
        type=Path,
        metavar="FILE",
        help="YAML of keys, each with [values] or {low: 1.0e-4, high: 3.0e-3, log: true}",
    )
    parser.add_argument(
        "--budget", required=True, metavar="BUDGET", help="of all runs together: '60 core-minutes'"
    )
    parser.add_argument(
        "--output", required=True, type=Path, metavar="FOLDER", help="of the runs, and trials.json"
    )
    parser.add_argument(
        "--trials",
        type=int,
        default=9,
        help="of the first round, the recipe among them (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the draws and of all runs (default: 0)"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    options, fit = build_parser().parse_known_args(arguments)
    if options.trials < LEAST:
        raise ValueError(f"--trials: expected at least {LEAST}, got {options.trials}")
    if taken := [each for each in fit if each.split("=")[0] in OWN]:
        raise ValueError(f"expected options of fit but {', '.join(OWN)}, got {taken[0]}")
    parse_budget(options.budget)
    if not options.space.is_file():
        raise ValueError(f"--space: expected a YAML file, got {options.space}")
    trials = draw_trials(
        read_space(options.space),
        options.trials,
        options.seed,
        meaning=lambda drawn: whole_config([*fit, *as_options(drawn)]),
    )
    if len(trials) < LEAST:
        raise ValueError(f"{options.space}: expected other values than the recipe's, got none")
    search = Search(options.output, fit, trials, options.budget, options.seed)
    print(f"{len(trials)} trials, {sum(search.sizes)} runs", flush=True)
    try:
        search.run()
    except KeyboardInterrupt:
        sys.exit("\nstopped; the same command goes on")
    show(search, Console())
