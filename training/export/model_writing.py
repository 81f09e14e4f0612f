"""The parts of a model folder as files: see `i2i.model_folder` for what they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import safetensors.torch

from i2i.image import Picture, encode
from i2i.model_folder import GOLDEN_INPUT, GOLDEN_OUTPUT, SPEC, WEIGHTS, digest_of
from i2i.nets import Autoencoder
from i2i.prediction import Prediction
from i2i.spec import ModelSpec


def write_weights(net: Autoencoder, folder: Path) -> None:
    """Writes the weights of a net as it is described by its spec: with its norms folded in."""
    weights = {name: value.contiguous() for name, value in net.state_dict().items()}
    (folder / WEIGHTS).write_bytes(safetensors.torch.save(weights))


def write_golden(golden: Prediction, folder: Path) -> None:
    """Writes a picture and what the checkpoint answers."""
    (folder / GOLDEN_INPUT).write_bytes(encode(golden.source))
    np.savez_compressed(folder / GOLDEN_OUTPUT, **golden.planes)  # type: ignore[arg-type]  # an overload


def most_varied_part(picture: Picture, side: int) -> Picture:
    """The part of at most `side` pixels a side that varies most: a flat one tells little."""
    height, width = picture.pixels.shape[:2]
    parts = (
        picture.pixels[top : top + side, left : left + side]
        for top in range(0, max(1, height - side + 1), side)
        for left in range(0, max(1, width - side + 1), side)
    )
    return Picture(np.ascontiguousarray(max(parts, key=np.std)))


def write_spec(spec: ModelSpec, folder: Path) -> ModelSpec:
    """Writes the spec with the digest of the other parts, which must be there, and returns it."""
    spec = replace(spec, digest=digest_of(folder, spec.to_dict()))
    (folder / SPEC).write_text(spec.to_json(), encoding="utf-8")
    return spec
