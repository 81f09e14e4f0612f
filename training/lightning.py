"""fit, validate, test and predict: Lightning's command line, with a folder for each run."""

from __future__ import annotations

import logging
import math
import os
import shutil
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace, namespace_to_dict
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint, ProgressBar
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.plugins import CheckpointIO
from pytorch_lightning.plugins import Precision as PrecisionPlugin
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from training.budget import Budget
from training.callbacks import (
    AtomicCheckpoints,
    AveragedWeights,
    LastCheckpoint,
    PictureLog,
    RunProgress,
)
from training.callbacks.last_checkpoint import Stopped
from training.checkpoint import load_checkpoint
from training.curves import Curves
from training.data.module import ImageData
from training.module import ImageToImage
from training.own_config import configs_first, with_own_config
from training.precision import fastest_precision
from training.recipe import build, class_of
from training.run_folder import (
    CONFIG,
    check_unused,
    checkpoints,
    last_checkpoint,
    next_run,
    run_of,
)
from training.short_help import short_help
from training.silence import silence

RUNS = Path("runs")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "32", "bf16", "16")
# Tell the further processes of a run, which run this file again, the folder and the precision of
# the first.
RUN_VARIABLE = "I2I_TRAINING_RUN"
PRECISION_VARIABLE = "I2I_TRAINING_PRECISION"
# Lightning drops a user's for a run's own without a word; with what to do instead.
OWN_CALLBACKS: dict[type[Callback], str] = {
    ModelCheckpoint: "the run's folder holds the best and the last checkpoint",
    LastCheckpoint: "set model.checkpoint_minutes",
    EarlyStopping: "set model.patience",
    AveragedWeights: "set model.average_decay",
    PictureLog: "the run's folder has pictures/",
}


class TrainingCLI(LightningCLI):
    """Fills in what one part of a config owns of another, data → task → net, and names the run."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.new_run: Path | None = None
        try:
            super().__init__(*arguments, **options)
        except BaseException:
            if self.new_run is not None and not (self.new_run / CONFIG).exists():
                # The run never began.
                shutil.rmtree(self.new_run, ignore_errors=True)
            raise

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--run", type=str | None, help="folder of this run")
        parser.add_argument(
            "--budget",
            type=str | None,
            help="what the run may cost: 'N core-minutes', or 'Nmin' of all cores or of the GPU"
            " (only of fit)",
        )

    def _dump_config(self) -> None:
        # Lightning's hyper-parameters, for which it writes the config out: ours are in the recipe.
        self.config_dump: dict[str, Any] = {}

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        super().parse_arguments(parser, args)
        # What a config or the command line says itself, without the defaults.
        self.said: Any = parser.parse_args(args, defaults=False)

    def before_instantiate_classes(self) -> None:
        config, said = self.config[self.subcommand], self.said[self.subcommand]
        if config.seed_everything is False:
            raise ValueError("seed_everything: expected a number, or true to draw one, got false")
        data = build(_plain(config.data))
        ignore = config.model.task.get("init_args.ignore", 255)
        owned = data.task_arguments(ignore, training=self.subcommand == "fit")
        if class_of(config.model.task.class_path).needs != "masks":
            # A list may have masks that this task does not read.
            owned.pop("class_names", None)
        _warn_of_unused(said, "model.task", owned, "data")
        _merge(config.model.task, owned)
        task = build(_plain(config.model.task))
        _warn_of_unused(said, "model.net", task.net_arguments(), "task")
        _merge(config.model.net, task.net_arguments())
        self._choose_precision(config)
        # What is kept says nothing of this run alone, so that the next can begin with it.
        self.kept = config.clone()
        self.kept.run = self.kept.ckpt_path = None
        if "class_weights" in owned:
            # They are computed again, or not at all where the next run's data say so.
            del self.kept.model.task.init_args["class_weights"]
        if self.has_checkpoint:
            # Its weights would replace them, and their origin may be gone.
            config.model.initial_weights = None
        if self.subcommand == "fit":
            self._place_run(config, task.name)
        elif not self.has_checkpoint and config.model.initial_weights is None:
            raise ValueError(
                f"ckpt_path: expected a checkpoint to {self.subcommand}, got none, and an "
                "untrained net says nothing; say --ckpt_path runs/RUN/checkpoints/best.ckpt"
            )

    def _parse_ckpt_path(self) -> None:
        """Says early that a file is no checkpoint of ours; Lightning reads hyper-parameters here.

        Ours hold a recipe instead; `ImageToImage.on_load_checkpoint` compares it with the config.
        """
        config = self.config[self.config.subcommand]
        if config.run is not None and config.ckpt_path in ("best", "last"):
            config.ckpt_path = str(checkpoints(Path(config.run)) / f"{config.ckpt_path}.ckpt")
        self.has_checkpoint = config.ckpt_path is not None
        self.resumed_step, self.resumed_precision = 0, None
        if self.has_checkpoint:
            checkpoint = load_checkpoint(Path(config.ckpt_path))
            self.resumed_step = checkpoint["global_step"]
            self.resumed_precision = checkpoint["recipe"].get("precision")

    def _choose_precision(self, config: Namespace) -> None:
        """The one asked for, the checkpoint's, that of the first process, or the fastest here.

        A plugin that has one of its own is asked for too.
        """
        plugins = config.trainer.plugins or []
        plugins = plugins if isinstance(plugins, list) else [plugins]
        if any(issubclass(class_of(each.class_path), PrecisionPlugin) for each in plugins):
            return
        if config.trainer.accelerator == "auto" and torch.backends.mps.is_available():
            # Apple's GPUs have no float64, which the scores are computed in.
            config.trainer.accelerator = "cpu"
        chosen = config.trainer.precision or self.resumed_precision
        if chosen is not None and str(chosen) not in PRECISIONS:
            raise ValueError(
                f"precision: expected one of {', '.join(PRECISIONS)}, got {chosen}; the loss is "
                "computed in float32"
            )
        if chosen is None and "LOCAL_RANK" in os.environ:
            chosen = os.environ.get(PRECISION_VARIABLE)
        config.trainer.precision = chosen or fastest_precision(config.trainer.accelerator)
        os.environ[PRECISION_VARIABLE] = str(config.trainer.precision)

    def _place_run(self, config: Namespace, task: str) -> None:
        """The run's folder: the one asked for, the resumed one's, or a new one."""
        if (other := config.trainer.default_root_dir) is not None:
            raise ValueError(f"default_root_dir: expected none, got {other}; say --run {other}")
        if RUN_VARIABLE in os.environ and "LOCAL_RANK" in os.environ:
            run = Path(os.environ[RUN_VARIABLE])
        elif config.run is not None:
            run = Path(config.run)
            check_unused(run, config.ckpt_path)
        elif config.ckpt_path is not None and (resumed := run_of(Path(config.ckpt_path))):
            run = resumed
        elif "LOCAL_RANK" in os.environ:
            raise ValueError(
                "run: expected --run FOLDER, for a launcher such as torchrun has begun several "
                "processes, which share it, got none"
            )
        else:
            run = self.new_run = next_run(RUNS, task)
        os.environ[RUN_VARIABLE] = str(run.absolute())
        config.trainer.default_root_dir = str(run)
        loggers = config.trainer.logger
        for logger in loggers if isinstance(loggers, list) else [loggers]:
            # Lightning's loggers would write into the working folder.
            if isinstance(logger, Namespace) and logger.init_args.get("save_dir") in (
                ".",
                "./mlruns",
            ):
                logger.init_args.save_dir = str(run / logger.init_args.save_dir)

    def _instantiate_trainer(self, config: dict[str, Any], callbacks: list[Callback]) -> Trainer:
        if self.subcommand == "fit":
            given = config["callbacks"] or []
            given = given if isinstance(given, list) else [given]
            check_callbacks(given)
            if config["enable_checkpointing"] is False:
                raise ValueError(
                    "enable_checkpointing: expected none, got false: what a run has learned is its "
                    "checkpoints"
                )
            if config["overfit_batches"]:
                raise ValueError(
                    "overfit_batches: expected none, for each epoch draws crops anew; give a "
                    "folder of one picture, and --data.epoch_samples of one batch"
                )
            plugins = config["plugins"] or []
            plugins = plugins if isinstance(plugins, list) else [plugins]
            if not any(isinstance(each, CheckpointIO) for each in plugins):
                config["plugins"] = [*plugins, AtomicCheckpoints()]
            run, budget = config["default_root_dir"], self.config[self.subcommand].budget
            if budget is not None:
                if config["max_steps"] != -1 or config["max_time"] is not None:
                    raise ValueError(
                        "budget: expected it to be the run's one end, got max_steps or max_time too"
                    )
                every = config["val_check_interval"], config["check_val_every_n_epoch"]
                if every != (None, 1):
                    raise ValueError(
                        "budget: expected it to plan the validations, got val_check_interval or "
                        "check_val_every_n_epoch too"
                    )
                config |= Budget.trainer_options()
                self.model.budget = budget
                callbacks = [*callbacks, Budget(budget)]
            if config["logger"] in (None, True):
                config["logger"] = default_loggers(run, self.resumed_step)
            callbacks = [*callbacks, KeptConfig(self._parser("fit"), self.kept)]
            own = not any(isinstance(each, ProgressBar) for each in given)
            if own and config["enable_progress_bar"] in (None, True):
                callbacks.append(RunProgress())
        elif config["logger"] is None:
            # Nothing is trained: the scores are printed.
            config["logger"] = False
        return super()._instantiate_trainer(config, callbacks)

    def before_fit(self) -> None:
        if self.model.begun_with is not None and self.trainer.is_global_zero:
            print(f"initial weights: {self.model.begun_with}")

    def after_fit(self) -> None:
        kept, monitor = self.trainer.checkpoint_callback, self.model.task.monitor
        if not isinstance(kept, ModelCheckpoint) or not self.trainer.is_global_zero:
            return
        run = Path(self.trainer.default_root_dir)
        print(f"run: {run}, {self.model.core_minutes:.1f} core-minutes")
        if self.has_checkpoint and self.trainer.global_step == self.resumed_step:
            print(
                f"nothing was trained: the run had ended after {self.resumed_step} steps; raise "
                "--trainer.max_epochs or --budget to go on"
            )
        stopping = self.trainer.early_stopping_callback
        if isinstance(stopping, EarlyStopping) and stopping.stopping_reason_message:
            print(f"stopped early: {stopping.stopping_reason_message}")
        if kept.best_model_score is None:
            last = last_checkpoint(run)
            if self.trainer.global_step > self.resumed_step and last.is_file():
                print(f"nothing was validated: there is {last}, and no best.ckpt")
            return
        diverged = (
            f"{monitor}: expected a finite score, got none: the training diverged; "
            "lower --model.learning_rate, or set --trainer.gradient_clip_val 1.0"
        )
        if not math.isfinite(kept.best_model_score):
            raise ValueError(diverged)
        # There is none where a run was resumed at its very end.
        if not math.isfinite(self.trainer.callback_metrics.get(monitor, 0.0)):
            logging.getLogger(__name__).warning("%s; best.ckpt is from before that", diverged)
        best = Path(kept.best_model_path)
        with suppress(ValueError):
            best = best.relative_to(Path.cwd())
        print(f"best {monitor}: {kept.best_model_score:.4f} in {best}")
        print(f"next: python -m training export --checkpoint {best} --output models/my-model")


class KeptConfig(Callback):
    """The run's config beside its checkpoints, written once a resumed run's checkpoint fits it."""

    def __init__(self, parser: LightningArgumentParser, config: Namespace) -> None:
        self.parser, self.config = parser, config

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            path = Path(trainer.default_root_dir) / CONFIG
            path.parent.mkdir(parents=True, exist_ok=True)
            self.parser.save(self.config, path, skip_none=False, overwrite=True, multifile=False)


def default_loggers(run: str, resumed_step: int) -> list[Logger]:
    """Curves in TensorBoard and as CSV; those of a resumed run go on where its checkpoint is."""
    board = TensorBoardLogger(run, name="", version="", purge_step=resumed_step or None)
    return [board, Curves(run, resumed_step)]


def check_callbacks(given: list[Callback]) -> None:
    """Raises ValueError where the user's callbacks hold one that a run has itself."""
    for each in given:
        if (remedy := OWN_CALLBACKS.get(type(each))) is not None:
            name = type(each).__name__
            raise ValueError(
                f"callbacks: expected no {name}, for a run has its own, got one; {remedy}"
            )


def _plain(config: Namespace) -> dict[str, Any]:
    plain: dict[str, Any] = namespace_to_dict(config)
    return plain


def _merge(config: Namespace, owned: dict[str, Any]) -> None:
    """Writes `owned` into the init_args of a class, nested dicts into those of its parts."""
    for name, value in owned.items():
        if isinstance(value, dict):
            _merge(config.init_args[name], value)
        else:
            config.init_args[name] = value


def _warn_of_unused(said: Namespace, key: str, owned: dict[str, Any], owner: str) -> None:
    """Logs a warning for each value below `key` that a user has set otherwise than its owner."""
    for name, value in owned.items():
        path = f"{key}.init_args.{name}"
        if isinstance(value, dict):
            _warn_of_unused(said, path, value, owner)
        elif (given := said.get(path, value)) != value:
            logging.getLogger(__name__).warning(
                "%s: %s is not used, but the %s's %s; leave it out",
                *(path.replace(".init_args", ""), given, owner, value),
            )


def main(arguments: list[str]) -> None:
    """Runs fit, validate, test or predict.

    Raises:
        ValueError: what Lightning refuses, too.
    """
    if set(arguments[1:]) & {"-h", "--help"}:
        print(short_help(arguments[0]))
        sys.exit(0)
    with warnings.catch_warnings():
        silence()
        try:
            whole = ["--help" if each == "--help-all" else each for each in arguments]
            run(configs_first(with_own_config(whole)))
        except MisconfigurationException as error:
            raise ValueError(str(error)) from error
        except SystemExit as end:
            # Lightning's 1 for a run that was stopped.
            if isinstance(end.__context__, Stopped):
                sys.exit(128 + end.__context__.number)
            if isinstance(end.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            raise
        except torch.OutOfMemoryError as error:
            raise ValueError(
                "expected memory on the GPU for a batch, got too little; lower --data.batch_size "
                "(and raise --trainer.accumulate_grad_batches), or the crop's size"
            ) from error


def run(arguments: list[str]) -> None:
    """Lightning's command line, of which only the command that is asked for gets its parser."""
    name = arguments[0]

    class OneCommand(TrainingCLI):
        @staticmethod
        def subcommands() -> dict[str, set[str]]:
            return {name: LightningCLI.subcommands()[name]}

    OneCommand(
        ImageToImage,
        ImageData,
        subclass_mode_data=True,
        seed_everything_default=0,
        args=arguments,
        trainer_defaults={"max_epochs": 10, "enable_model_summary": False},
        parser_kwargs={
            "prog": "python -m training",
            "exit_on_error": False,
            name: {"exit_on_error": False},
        },
        save_config_callback=None,
    )
