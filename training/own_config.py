"""Which config a command means: that of --config, or that of the run whose checkpoint it names."""

from __future__ import annotations

import itertools
from pathlib import Path

from training.run_folder import CONFIG, checkpoints

# Options that name a config, and the section that it is of.
_SECTIONS = {"--config": "", "-c": "", "--data": "data", "--model": "model", "--trainer": "trainer"}
# Commands whose --model is a trained one, and no section of a config.
_OF_MODELS = ("evaluate", "explain", "robustness")


def named_files(arguments: list[str]) -> list[tuple[str, str]]:
    """(section, file) of each config of one section, such as `--data FILE`; of a whole one "".

    The one that counts most is the last.
    """
    said = itertools.pairwise([*_words(arguments), ""])
    if arguments[:1] and arguments[0] in _OF_MODELS:
        return []
    return [(_SECTIONS[option], file) for option, file in said if _names_a_file(option, file)]


def _names_a_file(option: str, value: str) -> bool:
    """Whether an option names a config; a section may also be the path of a class."""
    return option in _SECTIONS and (not _SECTIONS[option] or Path(value).is_file())


def configs_first(arguments: list[str]) -> list[str]:
    """The arguments, with the configs they name before all else, which then counts more."""
    command, *rest = arguments
    files, others = list[str](), list[str]()
    while rest:
        option, equals, value = rest[0].partition("=")
        taken = rest[:1] if equals else rest[:2]
        if _names_a_file(option, value if equals else taken[-1]):
            files += taken
        else:
            taken = rest[:1]
            others += taken
        rest = rest[len(taken) :]
    return [command, *files, *others]


def named_configs(arguments: list[str]) -> list[str]:
    """The files given by --config or -c."""
    return [file for section, file in named_files(arguments) if not section]


def with_own_config(arguments: list[str]) -> list[str]:
    """The arguments, with the config of the run whose checkpoint they name, if they name none.

    Raises:
        ValueError: there is no such checkpoint, or no config beside it.
    """
    words = _words(arguments)
    said = dict(itertools.pairwise(words))
    named = said.get("--ckpt_path")
    whole = any(word.startswith("--model.task") for word in words)
    if named is None or named_configs(arguments) or whole:
        return arguments
    if named not in ("best", "last"):
        checkpoint = Path(named)
    elif "--run" in said:
        checkpoint = checkpoints(Path(said["--run"])) / f"{named}.ckpt"
    else:
        return arguments
    if not checkpoint.is_file():
        raise ValueError(f"ckpt_path: expected a checkpoint, got no file {checkpoint}")
    config = checkpoint.parent.parent / CONFIG
    if not config.is_file():
        raise ValueError(
            f"config: expected the run's config at {config}, got no file; name one by --config"
        )
    return [arguments[0], "--config", str(config), *arguments[1:]]


def _words(arguments: list[str]) -> list[str]:
    """Options and their values apart, of --option=value too."""
    return [word for each in arguments for word in each.split("=", 1)]
