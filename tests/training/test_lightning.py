"""A run's folder: where it is, what is in it, and that a resumed run goes on there."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import yaml

from training import cli
from training.callbacks import AtomicCheckpoints
from training.curves import Curves

ROOT = Path(cli.__file__).parents[1]


@pytest.fixture
def fit(
    configs: Path,
    fast: tuple[str, ...],
    photos: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., None]:
    monkeypatch.setattr("sys.argv", ["training"])
    photos(Path("photos"))
    config = ["--config", str(configs / "super_resolution_x2.yaml"), "--data.root", "photos"]

    def run(*more: str) -> None:
        cli.main(["fit", *config, *fast, *more])

    return run


@pytest.fixture
def mine(trained: Callable[[str], Any], workplace: Path) -> Path:
    """A copy of an earlier run of the same config, of two steps."""
    return Path(shutil.copytree(trained("super_resolution_x2").folder, workplace / "mine"))


def steps(run: Path) -> list[int]:
    with (run / "metrics.csv").open() as file:
        return [int(row["step"]) for row in csv.DictReader(file)]


def test_without_loggers_all_is_in_the_runs_folder(fit: Callable[..., None]) -> None:
    fit("--trainer.logger=false", "--run", "mine")

    assert sorted(path.name for path in Path().iterdir()) == ["mine", "photos"]
    assert {p.name for p in Path("mine").iterdir()} == {"checkpoints", "config.yaml", "pictures"}
    kept = yaml.safe_load(Path("mine/config.yaml").read_text())
    assert kept["run"] is None


@pytest.mark.whole
def test_a_resumed_run_goes_on_in_its_folder_with_its_curves_and_its_best_score(
    fit: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    # The second epoch undoes what the first has learnt.
    fit("--model.average_decay=0.0")
    run = Path("runs/super-resolution-001")
    best = torch.load(run / "checkpoints/best.ckpt", weights_only=True)["global_step"]
    # What was logged after the checkpoint comes again.
    with (run / "metrics.csv").open("a") as file:
        file.write(
            ",".join("99" for _ in (run / "metrics.csv").read_text().split("\n")[0].split(","))
        )

    last = str(run / "checkpoints/last.ckpt")
    fit("--ckpt_path", last, "--trainer.max_epochs=2", "--model.learning_rate=10")

    assert [path.name for path in Path("runs").iterdir()] == [run.name]
    found = steps(run)
    assert found == sorted(found)
    assert set(found) == {0, 1, 2, 3}
    assert torch.load(run / "checkpoints/best.ckpt", weights_only=True)["global_step"] == best == 2
    assert torch.load(last, weights_only=True)["global_step"] == 4
    assert "next: python -m training export" in capsys.readouterr().out


@pytest.mark.whole
def test_a_run_does_not_mix_its_checkpoints_with_those_of_another(
    fit: Callable[..., None], mine: Path
) -> None:
    shutil.copytree(mine, "other")
    best, last = Path("mine/checkpoints/best.ckpt"), Path("mine/checkpoints/last.ckpt")
    before = best.read_bytes()

    for more in ((), ("--ckpt_path", "other/checkpoints/last.ckpt")):
        with pytest.raises(SystemExit) as error:
            fit("--run", "mine", *more)
        assert error.value.code == (
            "fit: run: expected a folder without checkpoints, got mine, which holds those of "
            f"another run; choose another folder, or go on with it: --ckpt_path {last}"
        )
    assert best.read_bytes() == before

    fit("--run", "mine", "--ckpt_path", str(last.absolute()), "--trainer.max_epochs=2")
    assert torch.load(last, weights_only=True)["global_step"] == 4
    assert {path.name for path in best.parent.iterdir()} == {"best.ckpt", "last.ckpt"}


def test_a_run_that_was_moved_keeps_its_best_score(
    fit: Callable[..., None], mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine.rename("moved")

    # "last" is the one in the run's folder. The second epoch undoes what the first has learnt.
    more = ("--trainer.max_epochs=2", "--model.learning_rate=10", "--model.average_decay=0.0")
    fit("--run", "moved", "--ckpt_path", "last", *more)

    kept = sorted(Path("moved/checkpoints").iterdir())
    assert [path.name for path in kept] == ["best.ckpt", "last.ckpt"]
    assert [torch.load(p, weights_only=True)["global_step"] for p in kept] == [2, 4]
    assert set(steps(Path("moved"))) == {0, 1, 2, 3}
    assert "in moved/checkpoints/best.ckpt" in capsys.readouterr().out


def test_the_curves_of_a_resumed_run_are_never_away(mine: Path) -> None:
    Curves(str(mine), resumed_step=2).experiment.log_metrics({"loss": 1.0}, step=2)

    assert set(steps(mine)) == {0, 1}


def test_a_run_of_so_many_steps_ends_with_a_validation(fit: Callable[..., None]) -> None:
    fit("--run", "mine", "--trainer.max_steps=1")

    with Path("mine/metrics.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file) if row["val/psnr_y"]] == ["0"]
    assert Path("mine/checkpoints/best.ckpt").is_file()


def test_a_run_that_diverged_fails_and_says_what_helps(
    fit: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="the training diverged; lower --model"):
        fit("--run", "mine", "--model.learning_rate=1e30", "--trainer.max_epochs=3")

    said = capsys.readouterr().out
    assert "stopped early: Monitored metric psnr_y = nan is not finite" in said
    assert "next:" not in said


class Falls(pl.Callback):
    """Lets the training diverge after its first validation."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for weights in pl_module.parameters():
            weights.data.fill_(torch.nan)


@pytest.mark.whole
def test_a_run_that_diverged_late_says_so_beside_its_best_score(
    fit: Callable[..., None], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    fit("--run", "mine", "--trainer.max_epochs=3", f"--trainer.callbacks+={__name__}.Falls")

    assert "the training diverged" in caplog.text
    assert "next: python -m training export" in capsys.readouterr().out


@pytest.mark.parametrize(
    "planned", ["--trainer.val_check_interval=5", "--trainer.check_val_every_n_epoch=2"]
)
def test_a_budget_plans_the_validations_itself(fit: Callable[..., None], planned: str) -> None:
    with pytest.raises(SystemExit, match="budget: expected it to plan the validations"):
        fit("--budget", "0.1 core-minutes", planned)


def test_a_run_without_a_seed_is_refused(fit: Callable[..., None]) -> None:
    with pytest.raises(SystemExit, match="seed_everything: expected a number, or true"):
        fit("--seed_everything=false")


class Weighed(torch.nn.L1Loss):
    """Keeps its argument under another name, as many losses do."""

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.a = alpha


def test_what_no_checkpoint_can_hold_is_told_before_the_first_epoch(
    fit: Callable[..., None],
) -> None:
    with pytest.raises(SystemExit, match="Weighed: expected its argument 'alpha' as an attribute"):
        fit("--run", "mine", f"--model.task.loss={__name__}.Weighed")
    assert not Path("mine/metrics.csv").exists()


@pytest.mark.parametrize("command", ["validate", "predict"])
def test_an_untrained_net_is_not_measured(command: str, configs: Path) -> None:
    config = str(configs / "super_resolution_x2.yaml")
    with pytest.raises(SystemExit, match=f"expected a checkpoint to {command}, got none"):
        cli.main([command, "--config", config, "--data.root", "photos"])


@pytest.mark.whole
def test_a_run_takes_another_bar(fit: Callable[..., None]) -> None:
    bar = "trainer: {callbacks: [{class_path: pytorch_lightning.callbacks.TQDMProgressBar}]}"
    Path("bar.yaml").write_text(bar)

    fit("--config", "bar.yaml", "--run", "mine", "--trainer.enable_progress_bar=true")

    assert Path("mine/checkpoints/last.ckpt").is_file()


def test_the_folder_of_a_run_has_one_name(fit: Callable[..., None]) -> None:
    with pytest.raises(SystemExit, match=r"default_root_dir: .* got mine; say --run mine"):
        fit("--trainer.default_root_dir", "mine")
    assert [path.name for path in Path().iterdir()] == ["photos"]


def test_processes_that_a_launcher_began_are_told_the_folder_that_they_share(
    fit: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.delenv("I2I_TRAINING_RUN", raising=False)
    with pytest.raises(SystemExit, match=r"run: expected --run FOLDER, .* such as torchrun"):
        fit()


def test_crops_that_are_drawn_anew_are_not_repeated(fit: Callable[..., None]) -> None:
    with pytest.raises(SystemExit, match=r"overfit_batches: expected none, .*epoch_samples"):
        fit("--trainer.overfit_batches", "1")


def test_a_plugin_does_not_make_checkpoints_less_safe(
    fit: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr(
        AtomicCheckpoints, "save_checkpoint", lambda *given, **_: written.append(str(given[2]))
    )
    Path("more.yaml").write_text("trainer: {plugins: [{class_path: LightningEnvironment}]}")
    fit("--config", "more.yaml")
    assert [Path(path).name for path in written] == ["best.ckpt", "last.ckpt"]


@pytest.mark.parametrize(
    ("callback", "remedy"),
    [
        (
            "{class_path: pytorch_lightning.callbacks.EarlyStopping, init_args: {monitor: loss}}",
            "set model.patience",
        ),
        ("[{class_path: pytorch_lightning.callbacks.ModelCheckpoint}]", "the best and the last"),
        ("[{class_path: training.callbacks.PictureLog}]", "the run's folder has pictures/"),
    ],
)
def test_a_callback_that_a_run_has_itself_is_refused(
    callback: str, remedy: str, fit: Callable[..., None]
) -> None:
    Path("more.yaml").write_text(f"trainer:\n  callbacks: {callback}\n")

    with pytest.raises(SystemExit, match=f"more.yaml:2: callbacks: expected no .*{remedy}"):
        fit("--config", "more.yaml")
    assert not list(Path("runs").iterdir())


def test_a_value_that_the_task_owns_is_not_overwritten_without_a_word(
    fit: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    own = ["--model.net.head.scale=2", "--model.net.encoder.input_channels=1"]

    fit("--trainer.fast_dev_run=true", *own)

    said = [r.getMessage() for r in caplog.records if r.name == "training.lightning"]
    assert said == [
        "model.net.encoder.input_channels: 1 is not used, but the task's 3; leave it out"
    ]


def test_a_list_with_classes_serves_a_task_that_reads_no_masks(
    fit: Callable[..., None], configs: Path
) -> None:
    rows = ["photos/photo-0.png,train", "photos/photo-1.png,val"]
    Path("list.csv").write_text("\n".join(["image,split", *rows]))
    Path("classes.txt").write_text("ground\nthing\n")
    config = yaml.safe_load((configs / "super_resolution_x2.yaml").read_text())
    config["data"]["class_path"] = "training.data.Listed"
    config["data"]["init_args"]["path"] = "list.csv"
    Path("listed.yaml").write_text(yaml.dump(config))
    options = ["--data.batch_size=2", "--data.num_workers=0", "--trainer.fast_dev_run=true"]

    cli.main(["fit", "--config", "listed.yaml", *options])


@pytest.mark.whole
def test_without_a_terminal_each_validation_is_a_line(
    fit: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    fit("--trainer.max_epochs=2", "--trainer.enable_progress_bar=true", "--trainer.logger=false")

    said = capsys.readouterr().out.splitlines()
    assert "1 pictures train, 1 validate; 197,411 parameters" in said
    lines = [line for line in said if line.startswith("step ")]
    assert [line.split(",")[0] for line in lines] == ["step 2/4", "step 4/4"]
    for word in ("loss ", "psnr_y ", "samples/s", " on the baseline", "MP/s", "core-min", " left"):
        assert all(word in line for line in lines)
    assert "(best)" in lines[0]


@pytest.mark.whole
def test_a_run_that_ends_at_a_step_is_validated_there_whatever_the_interval(
    fit: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    fit("--trainer.max_steps=1", "--trainer.check_val_every_n_epoch=5")

    assert "best psnr_y" in capsys.readouterr().out


@pytest.mark.whole
def test_a_run_without_a_validation_says_what_there_is(
    fit: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    fit("--trainer.check_val_every_n_epoch=5")

    said = capsys.readouterr().out
    assert re.search(
        r"nothing was validated: there is runs/\S+/last\.ckpt, and no best\.ckpt", said
    )
    assert "next:" not in said


def test_a_run_without_checkpoints_is_refused(fit: Callable[..., None]) -> None:
    with pytest.raises(SystemExit, match="enable_checkpointing: expected none, got false"):
        fit("--trainer.enable_checkpointing=false")


@pytest.mark.whole
def test_gradients_are_clipped_and_accumulated_by_steps_of_the_optimizer(
    fit: Callable[..., None],
) -> None:
    more = ("--trainer.accumulate_grad_batches=2", "--trainer.gradient_clip_val=1e-3")
    fit("--data.epoch_samples=8", *more, "--trainer.deterministic=true")

    last = torch.load(next(Path("runs").glob("*/checkpoints/last.ckpt")), weights_only=True)
    (schedule,) = last["lr_schedulers"]
    assert last["global_step"] == schedule["last_epoch"] == 2
    (averaging,) = (v for k, v in last["callbacks"].items() if "AveragedWeights" in k)
    assert averaging["latest_update_step"] == 2
    assert last["averaging_state"]["n_averaged"] == 2


@pytest.mark.parametrize(
    ("package", "logger", "left"),
    [
        ("wandb", "{class_path: WandbLogger, init_args: {offline: true}}", "wandb/offline-run-*"),
        ("mlflow", "{class_path: MLFlowLogger}", "mlruns/*/*/metrics/val/psnr_y"),
    ],
)
def test_a_config_can_name_another_logger(
    package: str,
    logger: str,
    left: str,
    fit: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip(package, reason=f"runs where {package} is installed")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    Path("logger.yaml").write_text(
        "trainer: {logger: " + logger.replace("path: ", "path: pytorch_lightning.loggers.") + "}"
    )

    fit("--config", "logger.yaml", "--run", "run")

    assert list(Path("run").glob(left))
    assert sorted(p.name for p in Path().iterdir()) == ["logger.yaml", "photos", "run"]


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict"])
def test_help_is_short_and_names_the_long_one(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 40
    assert max(map(len, lines)) <= 100
    assert any("--help-all" in line for line in lines)
    assert any("--run" in line for line in lines) == (command == "fit")


def test_help_loads_no_torch() -> None:
    code = "import sys; from training.cli import main; main([]); sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.slow
def test_two_processes_train_one_net_in_one_folder(
    configs: Path,
    fast: tuple[str, ...],
    photos: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    # Thirty pictures, of which three validate: one process is given one of them again.
    photos(Path("photos"), count=30)
    common = ["--config", str(configs / "super_resolution_x2.yaml"), "--data.root", "photos"]
    two = ["--trainer.accelerator=cpu", "--trainer.devices=2", "--trainer.strategy=ddp"]
    command = [sys.executable, "-m", "training", "fit", *common, *fast]
    logged = {}
    for name, more in (("one", ["--data.batch_size=4"]), ("two", two)):
        still = ["--model.learning_rate=1e-12", "--data.epoch_samples=8", "--run", name]
        subprocess.run([*command, *more, *still], check=True, timeout=500)
        with Path(name, "metrics.csv").open() as file:
            logged[name] = list(csv.DictReader(file))

    assert sorted(p.name for p in Path().iterdir()) == ["one", "photos", "two"]
    one, both = ([row["val/psnr_y"] for row in logged[n] if row["val/psnr_y"]] for n in logged)
    assert [float(x) for x in both] == pytest.approx([float(x) for x in one], abs=1e-4)
    assert max(steps(Path("two"))) == max(steps(Path("one"))) == 1
