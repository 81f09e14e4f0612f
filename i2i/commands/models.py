"""`i2i models`: the models that ship with the library."""

from __future__ import annotations

import argparse

from i2i.commands.inspect import describe_output
from i2i.model_folder import ModelFolder, shipped_models


def run(options: argparse.Namespace) -> int:
    """Prints name, version and output of each."""
    for path in shipped_models().values():
        spec = ModelFolder.open(path).spec
        print(f"{spec.name:26} {spec.version}  {describe_output(spec)}")
    return 0
