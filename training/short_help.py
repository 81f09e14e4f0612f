"""The short help of fit, validate, test and predict: the options that most runs take."""

from __future__ import annotations

# `--help-all` lists the hundreds that there are.
HELP = """\
usage: python -m training {command} --config FILE [--config FILE …] [--KEY VALUE …]

{text}

Every key of a config can be given here too, and counts before the file's:
{options}
  --print_config               the whole config, and stop
  --model.net.encoder.help i2i.nets.Encoder
                               the arguments of a class; likewise for any key with a class_path
  --help-all                   every option
"""
OPTIONS = {
    "--data.root FOLDER": "the pictures",
    "--ckpt_path FILE": "the checkpoint; resumes a fit: runs/RUN/checkpoints/last.ckpt",
    "--budget '120 core-minutes'": "ends the run when spent; '60min': × the cores, or of the GPU",
    "--run FOLDER": "where the run is kept; default: runs/TASK-001, or that of --ckpt_path",
    "--model.learning_rate 1e-3": "at its highest",
    "--model.optimizer Lion": "AdamW (default), Muon, SGD, Lion",
    "--model.schedule Plateau": "Cosine (default), Polynomial, OneCycle, MultiStep, Constant",
    "--data.batch_size 16": "crops in a batch",
    "--data.num_workers 4": "processes that make batches; default: 1, more beside a GPU",
    "--trainer.max_epochs 10": "",
    "--trainer.precision 32-true": "default: bf16-mixed where the machine is faster by it",
    "--trainer.accelerator gpu": "auto (default), cpu",
    "--trainer.devices 2": "",
    "--trainer.gradient_clip_val 1.0": "",
    "--trainer.accumulate_grad_batches 4": "batches in a step of the optimizer",
    "--trainer.logger false": "no curves; the run is kept all the same",
}
TEXTS = {
    "fit": "Trains a net, and keeps config, curves, pictures and checkpoints in a folder in runs/.",
    "validate": "Measures a checkpoint as a training's validation does.",
    "test": "Measures a checkpoint, through Lightning's test loop.",
    "predict": "Gives a callback of yours a checkpoint's answers to the validation pictures.",
}
ONLY_FIT = (
    "--budget",
    "--run",
    "--model",
    "--trainer.max",
    "--trainer.grad",
    "--trainer.acc",
    "--trainer.log",
)


def _told(option: str, text: str) -> str:
    """An option and what it does, in the next line where it is too long for its column."""
    gap = " " if len(option) <= 28 else "\n" + 31 * " "
    return f"  {option:28}{gap}{text}"


def short_help(command: str) -> str:
    """The options of most runs."""
    shown = {k: v for k, v in OPTIONS.items() if command == "fit" or not k.startswith(ONLY_FIT)}
    options = "\n".join(_told(option, text).rstrip() for option, text in shown.items())
    return HELP.format(command=command, text=TEXTS[command], options=options)
