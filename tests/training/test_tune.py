"""A search for hyper-parameters."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from training import cli
from training.recipe import build
from training.search_space import Choices, Range, Space, as_options
from training.tune import Search, _in_a_process, draw_trials, show, sizes, whole_config

SPACE: Space = {
    "model.learning_rate": Range(1e-4, 1e-2, True),
    "model.optimizer": Choices(("SGD", "Lion")),
}


class Pretended:
    """Trains nothing: a run scores what its rate and its budget make of it, or fails."""

    def __init__(
        self, fails: Callable[[float], bool] = lambda rate: False, scales: Sequence[int] = ()
    ) -> None:
        self.fails, self.scales = fails, list(scales)
        self.asked: list[list[str]] = []

    def __call__(self, arguments: list[str]) -> None:
        self.asked.append(arguments)
        said = dict(each.split("=", 1) for each in arguments if "=" in each)
        rate = float(said.get("--model.learning_rate", 0.005))
        if self.fails(rate):
            raise ValueError("the loss is NaN")
        run = Path(arguments[arguments.index("--run") + 1])
        (run / "checkpoints").mkdir(parents=True)
        scale = self.scales.pop(0) if self.scales else 2
        task = {"class_path": "training.tasks.SuperResolution", "init_args": {"scale": scale}}
        parts = {
            "encoder": {
                "class_path": "i2i.nets.Encoder",
                "init_args": {"widths": [4], "depths": [0]},
            },
            "decoder": {
                "class_path": "i2i.nets.Decoder",
                "init_args": {"widths": [4], "depths": []},
            },
            "head": {
                "class_path": "i2i.nets.PictureHead",
                "init_args": {"features": 4, "stride": scale, "scale": scale},
            },
        }
        net = {"class_path": "i2i.nets.Autoencoder", "init_args": parts}
        state = {f"net.{name}": value for name, value in build(net).state_dict().items()}
        recipe = {"task": task, "net": net, "data": {"validation_digest": "0123"}}
        torch.save({"recipe": recipe, "state_dict": state}, run / "checkpoints" / "last.ckpt")
        rows = f"step,val/psnr_y\n1,{20 + 1000 * rate}\n1,\n2,{19 + 1000 * rate}\n"
        (run / "metrics.csv").write_text(rows)


def searched(folder: Path, train: Pretended, trials: int = 9) -> Search:
    search = Search(folder, ["--data.root=c"], draw_trials(SPACE, trials, 0), "54 min", 3, train)
    search.run()
    return search


def test_each_round_costs_the_same_and_keeps_the_best_and_the_recipe(tmp_path: Path) -> None:
    train = Pretended()
    search = searched(tmp_path, train)

    assert search.sizes == [9, 3]
    budgets = [each[each.index("--budget") + 1] for each in train.asked]
    assert budgets == ["3 min"] * 9 + ["9 min"] * 3
    assert all("--seed_everything=3" in each and "--data.root=c" in each for each in train.asked)
    rounds = [[run.trial for run in search.ended if run.round == number] for number in range(2)]
    rates = sorted((trial.drawn.get("model.learning_rate", 0) for trial in rounds[0]), reverse=True)
    assert [trial.drawn.get("model.learning_rate") for trial in rounds[1]] == [None, *rates[:2]]
    # The best of the curve counts.
    assert search.best_first()[0].score == pytest.approx(20 + 1000 * rates[0])


def test_a_search_goes_on_after_the_runs_that_have_ended(tmp_path: Path) -> None:
    whole = searched(tmp_path / "whole", Pretended())

    class Killed(Pretended):
        def __call__(self, arguments: list[str]) -> None:
            if len(self.asked) == 10:
                raise KeyboardInterrupt
            super().__call__(arguments)

    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path / "twice", Killed())
    rest = Pretended()
    search = searched(tmp_path / "twice", rest)

    assert len(rest.asked) == 2
    assert search.ended == whole.ended


def test_another_search_is_not_mixed_in(tmp_path: Path) -> None:
    searched(tmp_path, Pretended(), trials=3)
    with pytest.raises(ValueError, match="which holds another; choose another folder"):
        searched(tmp_path, Pretended(), trials=4)


def test_a_trial_that_fails_comes_last_and_a_recipe_that_fails_ends_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search = searched(tmp_path / "some", Pretended(lambda rate: rate > 0.0051))

    assert "the loss is NaN" in capsys.readouterr().err
    failed = [run for run in search.ended if run.score is None]
    assert failed
    assert all(run.round == 0 for run in failed)
    alone = searched(tmp_path / "alone", Pretended(lambda rate: rate != 0.005))
    assert [run.round for run in alone.ended] == [0] * 9
    with pytest.raises(ValueError, match="the loss is NaN"):
        searched(tmp_path / "all", Pretended(lambda rate: True))


def test_a_trial_that_is_asked_something_easier_does_not_win(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search = searched(tmp_path, Pretended(scales=[2, 3, 2]), trials=3)

    assert [run.score is None for run in search.ended] == [False, True, False]
    assert "validated as the recipe is" in capsys.readouterr().err


def test_a_search_goes_on_only_with_the_configs_that_it_began_with(tmp_path: Path) -> None:
    for option in ("--config", "--data", "--model"):
        Path("part.yaml").write_text("a: 1")
        trials = draw_trials(SPACE, 3, 0)
        Search(tmp_path / option, [option, "part.yaml"], trials, "54 min", 3, Pretended()).run()
        Path("part.yaml").write_text("a: 2")
        with pytest.raises(ValueError, match="which holds another"):
            Search(tmp_path / option, [option, "part.yaml"], trials, "54 min", 3)


def test_a_run_without_its_own_curves_is_told(tmp_path: Path) -> None:
    class Elsewhere(Pretended):
        def __call__(self, arguments: list[str]) -> None:
            super().__call__(arguments)
            next(tmp_path.rglob("metrics.csv")).unlink()

    with pytest.raises(ValueError, match=r"leave trainer\.logger as it is"):
        searched(tmp_path, Elsewhere())


def test_a_run_that_never_validated_is_told(tmp_path: Path) -> None:
    class Unasked(Pretended):
        def __call__(self, arguments: list[str]) -> None:
            super().__call__(arguments)
            next(tmp_path.rglob("metrics.csv")).write_text("step,loss\n1,0.5\n")

    with pytest.raises(ValueError, match=r"metrics\.csv: expected a validation of each trial"):
        searched(tmp_path, Unasked())


def test_the_page_says_what_was_best_and_that_it_is_flattered(tmp_path: Path) -> None:
    said = StringIO()
    show(searched(tmp_path, Pretended()), Console(file=said, width=160))

    assert re.search(
        r"best: --model.learning_rate=0.00\d+ --model.optimizer=(SGD|Lion)\n", said.getvalue()
    )
    assert "flatters it" in said.getvalue()
    assert "the recipe as it is" in said.getvalue()


def test_trials_differ_and_begin_with_the_recipe() -> None:
    few = draw_trials({"a": Choices((1, 2, 3))}, 9, 0)
    assert few[0].drawn == {}
    assert sorted(trial.drawn["a"] for trial in few[1:]) == [1, 2, 3]
    assert draw_trials(SPACE, 9, 1) == draw_trials(SPACE, 9, 1) != draw_trials(SPACE, 9, 2)
    assert sizes(2) == [2]


def test_a_draw_that_cannot_be_meant_is_left_out_unless_all_are() -> None:
    def meaning(drawn: dict[str, Any]) -> Any:
        if drawn.get("a") == 1:
            raise ValueError("no such thing")
        return drawn

    assert [each.drawn for each in draw_trials({"a": Choices((1, 2))}, 9, 0, meaning)] == [
        {},
        {"a": 2},
    ]
    with pytest.raises(ValueError, match="no such thing"):
        draw_trials({"a": Choices((1,))}, 9, 0, meaning)


def test_what_the_recipe_says_is_not_drawn_again(
    configs: Path, photos: Callable[..., Path]
) -> None:
    config = str(configs / "super_resolution_x2.yaml")
    fit = ["--config", config, "--data.root", str(photos(Path("photos"))), "--data.batch_size", "4"]
    space: Space = {
        "data.batch_size": Choices((4, 8)),  # typed
        "model.optimizer": Choices(("Muon", "AdamW")),  # in the config
        "trainer.min_epochs": Choices((None,)),  # by default
    }
    drawn = draw_trials(space, 9, 0, lambda drawn: whole_config([*fit, *as_options(drawn)]))

    assert drawn[0].drawn == {}
    values = {tuple(trial.drawn.values()) for trial in drawn[1:]}
    assert values == {(4, "AdamW", None), (8, "Muon", None), (8, "AdamW", None)}


@pytest.mark.parametrize(
    ("config", "key", "told"),
    [
        ("data: [", "data.batch_size", "config.yaml"),
        ("- 1", "data.batch_size", "config"),
        ("trainer: {max_epochs: 3}", "data.batchsize", "batchsize"),
    ],
)
def test_what_fit_would_refuse_is_told_before_a_run(
    config: str,
    key: str,
    told: str,
    configs: Path,
    photos: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("space.yaml").write_text(f"{key}: [4, 8]")
    Path("config.yaml").write_text(config)
    given = ["--config", str(configs / "super_resolution_x2.yaml"), "--config", "config.yaml"]
    given += ["--data.root", str(photos(Path("photos")))]
    search = ["--space", "space.yaml", "--budget", "1 core-minutes", "--output", "out"]
    with pytest.raises(SystemExit) as ended:
        cli.main(["tune", *search, *given])
    assert told in str(ended.value) + capsys.readouterr().err
    assert not Path("out").exists()


def test_a_trial_that_the_system_kills_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    python = Path("python")
    python.write_text("#!/bin/sh\necho of no account >&2\nkill -9 $$\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python.absolute()))
    with pytest.raises(ValueError, match=r"^killed by SIGKILL$"):
        _in_a_process(["fit"])


@pytest.mark.whole
def test_a_config_is_searched_by_real_runs(
    tmp_path: Path, photos: Callable[..., Path], fast: tuple[str, ...], configs: Path
) -> None:
    images = photos(tmp_path / "photos")
    fit = ["--config", str(configs / "super_resolution_x2.yaml"), "--data.root", str(images), *fast]
    fit += ["--model.net.encoder.depths=[0, 0]"]
    trials = draw_trials({"model.learning_rate": Choices((1e-4, 1e-3))}, 2, 0)

    search = Search(tmp_path / "search", fit, trials, "0.1 core-minutes", 0, cli.main)
    search.run()

    assert [run.trial.number for run in search.ended] == [0, 1]
    assert all(run.score is not None and run.score > 10 for run in search.ended)
    assert (search.monitor, search.mode) == ("psnr_y", "max")
    assert json.loads((tmp_path / "search" / "trials.json").read_text())["monitor"] == "psnr_y"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--trials", "1"], "--trials: expected at least 2, got 1"),
        (["--run", "x"], "expected options of fit but --run, --budget"),
        (["--space", "none.yaml"], "none.yaml"),
        (["--budget", "an hour"], "budget: expected core-minutes"),
    ],
)
def test_a_mistake_ends_in_one_line(
    options: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "space.yaml").write_text("a: [1, 2]")
    given = ["--space", "space.yaml", "--budget", "1 core-minutes", "--output", "out"]
    with pytest.raises(SystemExit) as ended:
        cli.main(["tune", *given, *options])
    assert told in str(ended.value)
