"""`python -m training`: Lightning's commands, and the project's own beside them."""

from __future__ import annotations

import argparse
import itertools
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from jsonargparse import Namespace, namespace_to_dict
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.cli import LightningCLI
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from training import evaluate, export
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

    def _parse_ckpt_path(self) -> None:
        """Says early that a file is no checkpoint of ours; Lightning reads hyper-parameters here.

        Ours hold a recipe instead; `ImageToImage.on_load_checkpoint` compares it with the config.
        """
        path = self.config[self.config.subcommand].ckpt_path
        if path is not None and path not in ("best", "last", "hpc"):
            export.load_checkpoint(Path(path))

    def _name_run(self, config: Namespace, task: str) -> None:
        """A new folder for each run: none overwrites another's log, config or checkpoints."""
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
        kept = self.trainer.checkpoint_callback
        if (
            isinstance(kept, ModelCheckpoint)
            and kept.best_model_path
            and self.trainer.is_global_zero
        ):
            best = kept.best_model_path
            print(f"best {self.model.task.monitor}: {kept.best_model_score:.4f}")
            print(f"next: python -m training export --checkpoint {best} --output MODEL_FOLDER")


def next_run(folder: Path, name: str) -> Path:
    """Makes `folder`/`name`-001, or the next that is free: runs begun at once get their own."""
    for number in itertools.count(1):
        run = folder / f"{name}-{number:03d}"
        with suppress(FileExistsError):
            run.mkdir(parents=True)
            break
    return run


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
    "test": "the same, through Lightning's test loop",
    "predict": "a checkpoint's answers to these pictures, for a writer in trainer.callbacks",
    "evaluate": "a model's scores on a folder of pictures, as they will be in service",
    "export": "a checkpoint as a model folder, measured again through each engine",
}


def main(arguments: list[str]) -> None:
    """Runs one of COMMANDS; a user's mistake ends it with one line, not with a stack trace."""
    command = arguments[0] if arguments else "--help"
    if command not in COMMANDS:
        width = max(map(len, COMMANDS))
        print("usage: python -m training COMMAND … (COMMAND --help says more)\n")
        print("\n".join(f"  {name:{width}}  {text}" for name, text in COMMANDS.items()))
        if command in ("-h", "--help"):
            return
        print(f"\nunknown command: {command}", file=sys.stderr)
        sys.exit(2)
    try:
        if command == "evaluate":
            evaluate.main(arguments[1:])
        elif command == "export":
            export.main(arguments[1:])
        else:
            lightning(arguments)
    except argparse.ArgumentError as error:
        print(f"{command}: {one_line(error)}; see {command} --help", file=sys.stderr)
        sys.exit(2)
    except (ValueError, OSError, MisconfigurationException) as error:
        sys.exit(f"{command}: {one_line(error)}")


# What jsonargparse says of the alternatives that were not meant, and of what was typed.
_ASIDES = (
    "Does not validate against any",
    "Subtypes:",
    "Errors:",
    "Given value",
    "- Expected a <class 'NoneType'>",
    "- Expected a path but",
    "- Import path",
)


def one_line(error: Exception) -> str:
    """The message in one line, without asides and without the stack of a loader's process."""
    lines = [line.strip() for line in str(error).splitlines()]
    if "Original Traceback (most recent call last):" in lines:
        return lines[-1].partition(": ")[2]
    # A dict keeps the order, and each line once.
    said = dict.fromkeys(line for line in lines if line and not line.startswith(_ASIDES))
    return " ".join(line.removeprefix("- ") for line in said)


def lightning(arguments: list[str]) -> None:
    """Runs fit, validate, test or predict."""
    # The loaders' number of workers is a setting of ours, with a reason beside it.
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    warnings.filterwarnings("ignore", ".*Consider setting `persistent_workers.*")
    # The summary counts parameters of 4 bytes, which is what mixed precision keeps.
    warnings.filterwarnings("ignore", ".*is not supported by the model summary.*")
    # They are those of the command line.
    warnings.filterwarnings("ignore", ".*LightningCLI's args parameter.*")
    # TensorBoard's file is in the new folder already.
    warnings.filterwarnings("ignore", ".*Experiment logs directory .* is not empty.*")
    # Lightning's own use of torch, and of the averaged weights, which are what is to be measured.
    warnings.filterwarnings("ignore", ".*`isinstance\\(treespec, LeafSpec\\)` is deprecated.*")
    warnings.filterwarnings("ignore", ".*loading a checkpoint outside the 'fit' stage.*")
    # A pair in an argument becomes a list in config.yaml: it is read back as the pair it was.
    warnings.filterwarnings("ignore", "(?s).*Dump of a value that does not round-trip.*")
    TrainingCLI(
        ImageToImage,
        ImageData,
        subclass_mode_data=True,
        seed_everything_default=0,
        args=arguments,
        trainer_defaults={
            "max_epochs": 10,
            "plugins": [{"class_path": "training.callbacks.AtomicCheckpoints"}],
        },
        parser_kwargs={"prog": "python -m training", "exit_on_error": False}
        | {name: {"exit_on_error": False} for name in LightningCLI.subcommands()},
        save_config_kwargs={"overwrite": True},
    )
