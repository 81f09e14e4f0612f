"""The words of the command line: what may be asked, and what it means."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import i2i

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells have it

_UNITS = {"": 0, "K": 10, "M": 20, "G": 30}

_EXAMPLES = """\
examples:
  i2i predict --model super-resolution-x2 --output large photo.jpg
  i2i predict --model nuclei --view overlay --output seen slides/
  i2i predict --model super-resolution-x2 --output large 'photos/**/*.jpg' --resume

exit status:
  0    every picture is done
  1    some pictures failed or are not there, each with a sentence; the others are done
  2    nothing was begun: a wrong option, an unknown model, no pictures
  130  interrupted with Ctrl-C; what is finished stays, --resume does the rest
  143  as 130, by SIGTERM; 129 by SIGHUP
"""


class _Version(argparse.Action):
    """Tells the version; argparse's own would look it up for every command."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"i2i {i2i.__version__}")
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """The parser; `command` in what it returns is the module of `i2i.commands` to run."""
    parser = argparse.ArgumentParser(
        prog="i2i", description="Image-to-image models: predict pictures, list models, inspect one."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="tell the version, and end")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_predict(commands)
    commands.add_parser("models", help="list the models that ship with i2i")
    inspect = commands.add_parser("inspect", help="what a model takes, gives, weighs and scored")
    inspect.add_argument("model", help="a shipped name, or a model folder")
    inspect.add_argument("--json", action="store_true", help="the whole spec as JSON")
    inspect.add_argument(
        "--layers", action="store_true", help="the layers of its net as a table (needs torch)"
    )
    completion = commands.add_parser(
        "completion",
        help="a script that completes these commands in a shell (needs shtab)",
        description="Prints a completion script. For bash: source <(i2i completion bash)",
    )
    completion.add_argument("shell", choices=["bash", "zsh", "fish"])
    return parser


def _add_predict(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    predict = commands.add_parser(
        "predict",
        help="predict pictures and write them to a folder",
        description="Predicts pictures and writes each to a file of its own.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    predict.add_argument(
        "inputs",
        nargs="+",
        type=_given,
        metavar="INPUT",
        help="a picture; a folder, with all below it; or a quoted pattern, where ** is any folders",
    )
    predict.add_argument("--model", required=True, help="a shipped name, or a model folder")
    predict.add_argument(
        "--output",
        required=True,
        type=lambda text: Path(_given(text)),
        metavar="DIR",
        help="folder for <stem>.<suffix>; what lies in folders below an INPUT lies so here too",
    )
    written = predict.add_argument_group("what is written")
    written.add_argument("--format", choices=["png", "jpeg", "webp", "tiff"], default="png")
    written.add_argument(
        "--view",
        choices=["mask", "overlay", "confidence", "values", "colour"],
        help="of a segmentation: class ids (mask, the default), over the picture, or how sure; "
        "of a map: its values (the default; png: 16 bits of its range), or false colours",
    )
    written.add_argument(
        "--depth",
        choices=["8", "16", "auto"],
        default="auto",
        help="bits of a sample; auto: 16 for pictures of 16 bits in png and tiff (default)",
    )
    written.add_argument(
        "--background",
        type=_colour,
        metavar="'#RRGGBB'",
        help="lay pictures with alpha on this colour; default: alpha is enlarged beside them",
    )
    written.add_argument(
        "--profile",
        choices=["convert", "keep"],
        default="convert",
        help="colours of an embedded profile become sRGB (default), or keep their numbers and the "
        "profile",
    )
    work = predict.add_argument_group("the work")
    work.add_argument(
        "--resume",
        action="store_true",
        help="leave alone what is in the output folder already, by its name; pictures that share a "
        "name are predicted again",
    )
    work.add_argument(
        "--json",
        action="store_true",
        help="a summary of all pictures as JSON on stdout; all else goes to stderr",
    )
    work.add_argument(
        "--max-pixels",
        type=_count,
        default=400_000_000,
        metavar="N",
        help="refuse larger pictures (default: %(default)s)",
    )
    work.add_argument(
        "--max-memory",
        type=_bytes,
        default="2G",
        metavar="SIZE",
        help="refuse pictures that would need more, as 500M or 8G (default: %(default)s); png and "
        "tiff are written in strips and need little beside the picture that is read",
    )
    engines, precisions = ["openvino", "torch"], ["f32", "bf16"]
    work.add_argument("--engine", choices=engines, help="default: I2I_ENGINE, else by machine")
    work.add_argument("--precision", choices=precisions, help="default: I2I_PRECISION, else f32")
    work.add_argument(
        "--threads", type=_count, metavar="N", help="default: I2I_THREADS, else all processors"
    )


def _given(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError(
            "expected a path, got ''; is a variable of the shell unset?"
        )
    return text


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {text!r}")
    return int(text)


def _colour(text: str) -> tuple[int, int, int]:
    if not re.fullmatch("#?[0-9a-fA-F]{6}", text):
        raise argparse.ArgumentTypeError(f"expected a colour as '#ffffff', got {text!r}")
    red, green, blue = bytes.fromhex(text.removeprefix("#"))
    return red, green, blue


def _bytes(text: str) -> int:
    parts = re.fullmatch(r"(\d+)([KMG]?)(i?B)?", text, re.IGNORECASE)
    if parts is None or int(parts[1]) == 0:
        raise argparse.ArgumentTypeError(f"expected a size as 500M or 2G, got {text!r}")
    return int(parts[1]) << _UNITS[parts[2].upper()]
