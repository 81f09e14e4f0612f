"""`python -m training`: Lightning's commands, and the project's own beside them."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from jsonargparse import Namespace, namespace_to_dict
from pytorch_lightning.callbacks import RichProgressBar
from pytorch_lightning.cli import LightningCLI
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from training import evaluate, export
from training.callbacks import AtomicCheckpoints
from training.data.module import ImageData
from training.module import ImageToImage
from training.recipe import build

RUNS = Path("runs")


class TrainingCLI(LightningCLI):
    """Fills in what one part of a config owns of another: data → task → net."""

    def before_instantiate_classes(self) -> None:
        config = self.config[self.subcommand] if self.subcommand else self.config
        data = build(_plain(config.data))
        _merge(config.model.task, data.task_arguments())
        task = build(_plain(config.model.task))
        _merge(config.model.net, task.net_arguments())
        self._name_run(config, task.name)

    def _name_run(self, config: Namespace, task: str) -> None:
        """A new folder for each run, so that none overwrites another's log, config or checkpoints."""
        if config.trainer.logger is None:
            run = next_run(RUNS, task)
            config.trainer.logger = [
                Namespace(
                    class_path=f"pytorch_lightning.loggers.{kind.__name__}",
                    init_args=Namespace(save_dir=str(run), name="", version=""),
                )
                for kind in (TensorBoardLogger, CSVLogger)
            ]

    def after_fit(self) -> None:
        best = self.trainer.checkpoint_callback.best_model_path
        score = self.trainer.checkpoint_callback.best_model_score
        if best and self.trainer.is_global_zero:
            print(f"best {self.model.task.monitor}: {score:.4f}")
            print(f"next: python -m training export --checkpoint {best} --output MODEL_FOLDER")


def next_run(folder: Path, name: str) -> Path:
    """`folder`/`name`-001, or the first number that is free."""
    taken = [int(p.name.rsplit("-", 1)[1]) for p in folder.glob(f"{name}-[0-9][0-9][0-9]")]
    return folder / f"{name}-{max(taken, default=0) + 1:03d}"


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


COMMANDS = {
    "fit": "train a net: --config training/configs/….yaml --data.root FOLDER",
    "validate": "measure a checkpoint as a training's validation does",
    "test": "the same on the test pictures",
    "predict": "run a checkpoint through Lightning's loop",
    "evaluate": "a model's scores on a folder of pictures, as they will be in service",
    "export": "a checkpoint as a model folder, measured again through each engine",
}


def main(arguments: list[str]) -> None:
    """Runs one of COMMANDS; a user's mistake ends it with one line, not with a stack trace."""
    command = arguments[0] if arguments else "--help"
    if command not in COMMANDS:
        width = max(map(len, COMMANDS))
        lines = [f"  {name:{width}}  {text}" for name, text in COMMANDS.items()]
        print("usage: python -m training COMMAND … (COMMAND --help says more)\n\n" + "\n".join(lines))
        sys.exit(0 if command in ("-h", "--help") else 2)
    try:
        if command == "evaluate":
            evaluate.main(arguments[1:])
        elif command == "export":
            export.main(arguments[1:])
        else:
            lightning(arguments)
    except (ValueError, OSError) as error:
        sys.exit(f"{command}: {error}")


def lightning(arguments: list[str]) -> None:
    """Runs fit, validate, test or predict."""
    # The loaders' number of workers is a setting of ours, with a reason beside it.
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    warnings.filterwarnings("ignore", ".*Consider setting `persistent_workers.*")
    TrainingCLI(
        ImageToImage,
        ImageData,
        subclass_mode_data=True,
        args=arguments,
        trainer_defaults={
            "max_epochs": 10,
            "callbacks": [RichProgressBar(leave=True)],
            "plugins": [AtomicCheckpoints()],
        },
        save_config_kwargs={"overwrite": True},
    )
