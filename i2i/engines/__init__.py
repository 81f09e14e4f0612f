"""Engines: what runs a model's graph on windows."""

import sys

from i2i.engines.engine import Engine, open_engine

__all__ = ["Engine", "open_engine"]

# `import openvino` reports each use to its makers, unless this package of theirs is out of sight.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # Python's way to hide
