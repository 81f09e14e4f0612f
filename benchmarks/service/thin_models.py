"""Model folders whose nets are next to nothing: what is left is what the service does itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.service.pictures import photo
from i2i import Predictor
from i2i.engines.torch import TorchEngine
from i2i.model_folder import ModelFolder
from i2i.nets import Autoencoder, ClassHead, Decoder, Encoder, PictureHead
from i2i.nets.description import describe
from i2i.nets.margin import margin
from i2i.spec import ClassInfo, ModelSpec
from training.export.graph import write_graph
from training.export.model_writing import write_golden, write_spec, write_weights

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
    write_weights(net, folder)
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
    reference = Predictor(ModelFolder(folder, spec), TorchEngine(net, spec))
    write_golden(reference.predict(photo(40, 50)), folder)
    write_spec(spec, folder)
