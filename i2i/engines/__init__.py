"""Engines: what runs a model's graph on windows."""

from i2i.engines.engine import Engine, open_engine

__all__ = ["Engine", "open_engine"]
