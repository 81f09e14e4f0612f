"""Model folders whose nets are next to nothing: what is left is what the service does itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from benchmarks.service.pictures import photo
from i2i import Predictor, encode
from i2i.engines.torch import TorchEngine
from i2i.model_folder import GOLDEN_INPUT, GOLDEN_OUTPUT, SPEC, WEIGHTS, ModelFolder, digest_of
from i2i.nets import Autoencoder, ClassHead, Decoder, Encoder, PictureHead
from i2i.nets.description import describe
from i2i.nets.margin import margin
from i2i.spec import ClassInfo, ModelSpec
from training.graph import write_graph

WINDOW = 384
CLASSES = (ClassInfo("ground", (16, 16, 16)), ClassInfo("sky", (70, 110, 240)))


def write_thin_models(folder: Path) -> None:
    """`twice`, which enlarges by 2, and `bright`, which tells two classes; nobody trained them."""
    torch.manual_seed(0)
    encoder, decoder = Encoder([4, 8], [0, 0]), Decoder([8, 4], [0])
    _write(folder / "twice", encoder, decoder, PictureHead(4, stride=2, scale=2), scale=2)
    encoder, decoder = Encoder([4, 8], [0, 0]), Decoder([8, 4], [0])
    _write(folder / "bright", encoder, decoder, ClassHead(4, classes=2), classes=CLASSES)


def _write(folder: Path, encoder: Any, decoder: Any, head: Any, **fields: Any) -> None:
    folder.mkdir()
    net = Autoencoder(encoder, decoder, head).eval()
    (folder / WEIGHTS).write_bytes(safetensors.torch.save(net.state_dict()))
    spec = ModelSpec(
        name=folder.name,
        kind="labels" if "classes" in fields else "image",
        task="benchmark",
        net=describe(net),
        size_multiple=net.size_multiple,
        margin=margin(net),
        window=WINDOW,
        tolerance={"openvino": {"f32": 0.01}},
        **fields,
    )
    spec = replace(spec, graph=write_graph(net, spec.kind, spec.temperature, folder))
    golden = Predictor(ModelFolder(folder, spec), TorchEngine(net, spec)).predict(photo(40, 50))
    (folder / GOLDEN_INPUT).write_bytes(encode(golden.source))
    np.savez(folder / GOLDEN_OUTPUT, **golden.planes)  # type: ignore[arg-type]  # an overload
    spec = replace(spec, digest=digest_of(folder, spec.to_dict()))
    (folder / SPEC).write_text(spec.to_json(), encoding="utf-8")
