"""`python -m training completion`: a shell's completion, under a name that a shell can complete."""

from __future__ import annotations

import argparse

NAME = "i2i-training"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training completion",
        description=f"Prints what defines the command {NAME} (= python -m training) with completion "
        'of fit, validate, test and predict: eval "$(python -m training completion bash)"',
    )
    parser.add_argument("shell", choices=("bash", "zsh"))
    shell = parser.parse_args(arguments).shell
    try:
        import shtab  # noqa: F401 (jsonargparse offers the completion where it is installed)
    except ImportError as error:
        raise ValueError(
            "completion: expected the package shtab, got none; pip install shtab"
        ) from error
    from training import lightning

    print(f'{NAME}() {{ python -m training "$@"; }}')
    lightning.run([f"--print_shtab={shell}"], NAME)
