"""What a model costs: parameters, multiply-adds, and latency and memory as it is deployed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from i2i.nets import Autoencoder
from i2i.nets.anatomy import anatomy
from i2i.nets.description import build
from i2i.predictor import Predictor
from i2i.spec import ModelSpec

# Height and width of the input that multiply-adds are stated for, as for 1280 × 720 at ×2.
STATED = (360, 640)


def cost(predictor: Predictor) -> dict[str, Any]:
    """Plain data: the `size` of the net, and what `training.evaluation.latency` measures.

    Raises:
        ValueError: the model's process failed.
    """
    return size(predictor.spec) | _deployed(predictor)


def size(spec: ModelSpec) -> dict[str, Any]:
    """Plain data: parameters, and multiply-adds of a pixel and of a picture of the stated size."""
    net = build(spec.net)
    assert isinstance(net, Autoencoder)
    per_pixel = multiply_adds_per_pixel(net)
    return {
        "parameters": sum(parameter.numel() for parameter in net.parameters()),
        "multiply_adds_per_input_pixel": round(per_pixel),
        "multiply_adds_640x360": round(per_pixel * STATED[0] * STATED[1]),
    }


def multiply_adds_per_pixel(net: Autoencoder) -> float:
    """Multiply-adds of the layers with weights for each pixel of the input.

    A transposed convolution is counted at its input's resolution, where its weights are applied;
    at its output's it would seem to cost the stride squared as much. Fixed bicubic skips are left
    out: 16 to a value of the output.
    """
    # The next sides that the net takes; a net of convolutions costs the same at each pixel.
    multiple = net.size_multiple
    height, width = (-(-side // multiple) * multiple for side in STATED)
    return sum(layer.connections for layer in anatomy(net, height, width)) / (height * width)


def device_in_words(cost: dict[str, Any]) -> str:
    """What latency and memory were measured on."""
    device = cost.get("device", "cpu")
    if device != "cpu":
        return str(device)
    return "1 thread" if cost["threads"] == 1 else f"{cost['threads']} threads"


def _deployed(predictor: Predictor) -> dict[str, Any]:
    engine = predictor.engine
    model = str(predictor.folder.path.absolute())
    run = subprocess.run(
        [sys.executable, "-m", "training.evaluation.latency", model, engine.name, engine.precision],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise ValueError(
            f"cost: expected the model to run in a process of its own, got {run.stderr[-300:]!r}"
        )
    measured: dict[str, Any] = json.loads(run.stdout)
    return measured
