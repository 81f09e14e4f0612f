"""`python -m training`: a user's mistake ends in one line and a status, never in a stack trace."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from training import cli, lightning, mistakes, run_folder

ROOT = Path(cli.__file__).parents[1]
CROP = '--data.geometry=[{{"class_path":"albumentations.RandomCrop","init_args":{}}}]'


def crop(**arguments: Any) -> str:
    return CROP.format(json.dumps(arguments))


@pytest.fixture
def start(
    configs: Path,
    fast: tuple[str, ...],
    photos: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., None]:
    """Runs fit with a config on three photos, and more arguments."""
    monkeypatch.setattr("sys.argv", ["training"])
    photos(Path("photos"))

    def run(*more: str, command: str = "fit", config: str = "super_resolution_x2") -> None:
        data = ["--data.root", "photos"]
        cli.main([command, "--config", str(configs / f"{config}.yaml"), *data, *fast, *more])

    return run


def said(error: pytest.ExceptionInfo[SystemExit], capsys: pytest.CaptureFixture[str]) -> str:
    """The line that the command ended with, which came with a status that is not 0."""
    code = error.value.code
    assert code not in (0, None)
    lines = code if isinstance(code, str) else capsys.readouterr().err.strip().splitlines()[-1]
    assert "\n" not in lines
    assert "Traceback" not in lines
    return lines


MISTAKES = {
    "unknown key": (["--model.lerning_rate=1"], r"lerning_rate"),
    "unknown key of the data": (["--data.batchsize=1"], r"'batchsize' is not accepted"),
    "misspelt key of the data": (["--data.rot=x"], r"'rot' is not accepted; is root meant\?"),
    "key of the data that is like none": (["--data.xyz=1"], r"'xyz' is not accepted; see"),
    "a budget that looks like an option": (
        ["--budget", "-3min"],
        r"--budget: expected a value, got none; write one .* as --budget=VALUE",
    ),
    "unknown key of a part": (["--model.net.encoder.init_args.foo=1"], r"'foo' is not accepted"),
    "unknown class": (
        ["--model.task=training.tasks.No"],
        r"training\.tasks' has no attribute 'No'",
    ),
    "argument of no class": (
        ["--model.schedule.warmup_steps=9"],
        r"model\.schedule: expected which Schedule before its arguments",
    ),
    "unknown optimiser": (
        ["--model.optimizer=Adam"],
        r"optimizer: expected one of AdamW, Muon, SGD, Lion, or the path of a class, got Adam;",
    ),
    "unknown schedule": (
        ["--model.schedule=cosine"],
        r"schedule: expected one of Cosine, Polynomial, .*, or the path of a class, got cosine;",
    ),
    "no weights to begin with": (
        ["--model.initial_weights=bst.ckpt"],
        r"bst\.ckpt: expected a checkpoint such as .*, got no file",
    ),
    "wrong scale": (["--model.task.init_args.scale=7"], r"scale: expected 2, 3 or 4, got 7"),
    "missing config": (["--config", "nowhere.yaml"], r"does not exist: .*nowhere\.yaml"),
    "missing folder": (["--data.root", "nowhere"], r"a folder of pictures, got nowhere"),
    "no classes": (["--model.task=training.tasks.Segmentation"], r"class_names: .*classes\.txt"),
    "unknown transform": (
        ['--data.geometry=[{"class_path":"albumentations.Nope"}]'],
        r"albumentations' has no attribute 'Nope'",
    ),
    "unknown key of a transform": (
        [crop(height=32, width=32, hight=1)],
        r"'hight' is not accepted",
    ),
    "crop larger than the pictures": (
        [crop(height=640, width=64)],
        r"photo-1\.png \(.*\(640, 64\)",
    ),
    "crop that does not fit the net": ([crop(height=34, width=34)], r"multiples of 2, got 9×9"),
    "crop within the border": ([crop(height=16, width=16)], r"make the crop larger"),
    "batch larger than an epoch": (["--data.epoch_samples=1"], r"batch_size: expected 1 to"),
    "no end": (["--trainer.max_epochs=-1"], r"max_epochs: expected a number"),
    "no checkpoint there": (
        ["--ckpt_path=no.ckpt"],
        r"no\.ckpt: expected a checkpoint such as .*, got no file",
    ),
    "not a checkpoint": (
        ["--ckpt_path=bad.ckpt"],
        r"bad\.ckpt: expected a checkpoint, got another",
    ),
    "half a checkpoint": (["--ckpt_path=half.ckpt"], r"half\.ckpt: expected a checkpoint, got"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_ends_in_one_line_that_names_it(
    mistake: str,
    start: Callable[..., None],
    trained: Callable[[str], Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments, words = MISTAKES[mistake]
    Path("bad.ckpt").write_bytes(b"no checkpoint")
    if "half" in mistake:
        whole = trained("super_resolution_x2").checkpoint.read_bytes()
        Path("half.ckpt").write_bytes(whole[: len(whole) // 2])

    with pytest.raises(SystemExit) as error:
        start(*arguments)

    assert re.search(words, said(error, capsys))
    assert not list(Path().glob("runs/*")), "a run that never began leaves no folder"


def test_an_unknown_key_in_a_file_is_named(
    start: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("more.yaml").write_text("model:\n  lerning_rate: 1\n")

    with pytest.raises(SystemExit) as error:
        start("--config", "more.yaml")

    assert "lerning_rate" in said(error, capsys)


def test_a_folder_must_be_given(
    configs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["training"])

    with pytest.raises(SystemExit) as error:
        cli.main(["fit", "--config", str(configs / "super_resolution_x2.yaml")])

    assert "arguments are required: root; say --data.root FOLDER" in said(error, capsys)


@pytest.mark.parametrize("keys", [["--data.root=photos"], ["--data.batch_size=2"], []])
def test_a_fit_without_a_config_is_told_that_one_is_missing(
    keys: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["training"])

    with pytest.raises(SystemExit) as error:
        cli.main(["fit", *keys])

    assert "; say which config: --config training/configs/" in said(error, capsys)


def test_a_checkpoint_in_place_of_a_model_is_told_how_it_becomes_one() -> None:
    Path("best.ckpt").write_bytes(b"PK\x03\x04\x00\x80\xff")

    with pytest.raises(SystemExit) as error:
        cli.main(["evaluate", "--model", "best.ckpt", "--images", "photos"])

    told = "; `python -m training export --checkpoint best.ckpt --output MODEL` writes one"
    assert str(error.value.code).endswith(f"got best.ckpt{told}")


@pytest.mark.whole
@pytest.mark.parametrize(
    ("other", "words"),
    [
        ("depixelate", r"another task than the config's: task\.class_path: expected .*SuperRes"),
        (
            "super_resolution_x2",
            r"another net than .*encoder\.init_args\.depths: expected \[0, 1\]",
        ),
    ],
)
def test_resuming_with_another_config_names_the_difference(
    other: str,
    words: str,
    start: Callable[..., None],
    trained: Callable[[str], Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    checkpoint = trained(other).checkpoint

    with pytest.raises(SystemExit) as error:
        start("--ckpt_path", str(checkpoint), "--model.net.encoder.init_args.depths=[0, 1]")

    assert re.search(words, said(error, capsys))


@pytest.mark.whole
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ("--model.optimizer=SGD", r"optimisation\.optimizer.*: expected .*SGD, got .*AdamW"),
        ("--model.weight_decay=0.5", r"optimisation\.weight_decay: expected 0\.5, got 0\.0"),
        (
            "--model.optimizer={class_path: AdamW, init_args: {betas: [0.8, 0.9]}}",
            r"optimizer\.init_args\.betas: expected \[0\.8, 0\.9\], got \[0\.9, 0\.999\]",
        ),
        ("--seed_everything=5", "another seed: expected 0, got 5; say --seed_everything 0"),
    ],
)
def test_resuming_with_other_steps_names_the_difference(
    changed: str,
    words: str,
    fast: tuple[str, ...],
    trained: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = trained("demo_super_resolution")
    monkeypatch.setattr("sys.argv", ["training"])

    with pytest.raises(SystemExit) as error:
        cli.main(
            ["fit", "--ckpt_path", str(run.checkpoint), *fast, "--trainer.max_epochs=9", changed]
        )

    told = said(error, capsys)
    assert re.search(words, told)
    assert ("--model.initial_weights instead of --ckpt_path" in told) != ("seed" in changed)


def test_a_precision_that_the_loss_has_not_is_refused(
    start: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as error:
        start("--trainer.precision=bf16-true")

    assert "expected one of 32-true, bf16-mixed, 16-mixed, " in said(error, capsys)


def test_a_gpu_without_memory_is_told_what_to_lower(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(arguments: list[str]) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("sys.argv", ["training"])
    monkeypatch.setattr(lightning, "run", fail)
    with pytest.raises(SystemExit) as error:
        cli.main(["fit"])

    assert "lower --data.batch_size" in said(error, capsys)


def test_a_checkpoint_brings_the_config_of_its_run(
    trained: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    checkpoint = trained("demo_super_resolution").checkpoint
    monkeypatch.chdir(checkpoint.parents[3])
    monkeypatch.setattr("sys.argv", ["training"])

    cli.main(["validate", "--ckpt_path", str(checkpoint), "--trainer.enable_progress_bar=false"])

    assert "psnr_y" in capsys.readouterr().out


def test_an_unknown_command_ends_with_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        cli.main(["trian"])

    assert error.value.code == 2
    printed = capsys.readouterr()
    assert "unknown command: trian" in printed.err
    assert all(command in printed.out for command in cli.COMMANDS)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(arguments)

    printed = capsys.readouterr().out
    assert all(command in printed for command in cli.COMMANDS)


@pytest.mark.parametrize("command", ["fit", "evaluate", "export"])
def test_a_command_has_help(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["training"])
    with pytest.raises(SystemExit) as error:
        cli.main([command, "--help"])

    assert error.value.code == 0
    assert f"python -m training {command}" in capsys.readouterr().out.replace("[options] ", "")


@pytest.mark.whole
def test_a_run_that_had_ended_says_so_when_it_is_resumed(
    start: Callable[..., None],
    trained: Callable[[str], Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = shutil.copytree(trained("super_resolution_x2").checkpoint.parents[1], Path("run"))
    capsys.readouterr()

    start("--ckpt_path", str(run / "checkpoints" / "last.ckpt"), command="fit")

    assert "nothing was trained: the run had ended after" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_a_checkpoint_can_be_run_over_the_pictures(
    command: str,
    start: Callable[..., None],
    trained: Callable[[str], Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    checkpoint = trained("super_resolution_x2").checkpoint
    capsys.readouterr()  # what the training said, where this test is the first to need it

    start("--ckpt_path", str(checkpoint), command=command)

    assert ("psnr_y" in capsys.readouterr().out) == (command != "predict")


@pytest.mark.whole
def test_two_runs_get_two_folders(start: Callable[..., None]) -> None:
    for _ in range(2):
        start("--trainer.fast_dev_run=true")

    assert sorted(p.name for p in Path("runs").iterdir()) == [
        "super-resolution-001",
        "super-resolution-002",
    ]


def test_runs_begun_at_once_do_not_share_a_folder() -> None:
    Path("runs/task-002").mkdir(parents=True)

    assert [run_folder.next_run(Path("runs"), "task").name for _ in range(3)] == [
        "task-001",
        "task-003",
        "task-004",
    ]


def test_a_mistake_in_a_loaders_process_is_told_without_its_stack() -> None:
    stack = (
        "Caught ValueError in DataLoader worker process 0.\n"
        "Original Traceback (most recent call last):\n"
        '  File "crops.py", line 1, in f\n'
        "ValueError: photo: expected a larger picture\n"
    )

    assert mistakes.one_line(ValueError(stack)) == "photo: expected a larger picture"


def test_a_real_process_ends_with_a_line_and_a_status() -> None:
    command = [sys.executable, "-m", "training", "trian"]

    run = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )

    assert run.returncode == 2
    assert run.stderr.splitlines() == ["", "unknown command: trian"]
    assert "  fit " in run.stdout


def test_the_loss_and_the_bar_can_be_chosen(start: Callable[..., None]) -> None:
    start("--model.task.init_args.loss=torch.nn.L1Loss", "--data.seed=3")

    config = next(Path("runs").glob("*/config.yaml")).read_text()
    assert "torch.nn.L1Loss" in config
    assert np.genfromtxt(next(Path("runs").glob("*/metrics.csv")), delimiter=",").size
