"""What the tests of several packages share."""

import fcntl
import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

# pytest-xdist has a process for each core: more threads would wait for each other. Set before torch
# is imported, and for the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine is no failure of a law. `--hypothesis-profile=thorough` looks for rarer ones.
settings.register_profile("quick", deadline=None, max_examples=40)
settings.register_profile("thorough", deadline=None, max_examples=400)
settings.load_profile("quick")


@pytest.fixture(scope="session")
def pictures() -> ModuleType:
    """The makers of bad and odd pictures: tests/i2i/bad_pictures.py."""
    place = Path(__file__).parent / "i2i" / "bad_pictures.py"
    spec = importlib.util.spec_from_file_location("bad_pictures", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def bad_pictures(pictures: ModuleType) -> list[tuple[str, bytes, str | None]]:
    """(name, bytes, expected code or None) of every bad or odd picture."""
    table: list[tuple[str, bytes, str | None]] = pictures.bad_pictures()
    return table


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real pictures that I2I_TEST_DATA names."""
    if not os.environ.get("I2I_TEST_DATA"):
        pytest.skip("I2I_TEST_DATA names no folder of real pictures")
    return Path(os.environ["I2I_TEST_DATA"])


def made_once(name: str, make: Callable[[Path], None], factory: pytest.TempPathFactory) -> Path:
    """A folder that the first of pytest-xdist's workers makes, for all of them."""
    base = factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = base / name
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = folder.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two model folders that nobody trained, not to be written to.

    `tiny-x2` doubles a picture; `tiny-labels` tells three classes and had batch norm.
    """
    return made_once("tiny-models", write_tiny_models, tmp_path_factory)


def write_tiny_models(root: Path) -> None:
    import torch

    from i2i.nets import Autoencoder, ClassHead, Decoder, Encoder, PictureHead
    from i2i.spec import ClassInfo

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        enlarging = Autoencoder(
            Encoder([8, 12], [0, 1]), Decoder([12, 8], [0]), PictureHead(8, stride=2, scale=2)
        )
        # The last layer and the biases of an untrained net are zero: the one would hide all before
        # it, the others are no part of a graph.
        for name, value in enlarging.named_parameters():
            if name.endswith("bias") or name == "head.residual.weight":
                torch.nn.init.normal_(value, std=0.03)
        export_untrained(root / "tiny-x2", enlarging, kind="image", scale=2)
        labelling = Autoencoder(
            Encoder([8, 12, 16], [0, 0, 1], norm="batch"),
            Decoder([16, 12, 8], [0, 0], skip="concat", norm="batch"),
            ClassHead(8, classes=3),
        )
        for layer in labelling.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
                layer.running_mean = 0.2 * torch.randn(layer.num_features)
                layer.running_var = 0.3 + 2 * torch.rand(layer.num_features)
        classes = [("ground", (16, 16, 16)), ("leaf", (60, 180, 60)), ("sky", (70, 110, 240))]
        export_untrained(
            root / "tiny-labels",
            labelling,
            kind="labels",
            classes=tuple(ClassInfo(*entry) for entry in classes),
            temperature=0.5,
        )


@pytest.fixture(scope="session")
def tiny_x2(tiny_models: Path) -> Path:
    return tiny_models / "tiny-x2"


@pytest.fixture(scope="session")
def tiny_labels(tiny_models: Path) -> Path:
    return tiny_models / "tiny-labels"


@pytest.fixture(scope="session")
def tiny_map(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder that nobody trained, not to be written to; it tells a depth in metres."""
    return made_once("tiny-maps", write_tiny_map, tmp_path_factory) / "tiny-map"


def write_tiny_map(root: Path) -> None:
    import torch

    from i2i.nets import Autoencoder, Decoder, Encoder, PictureHead
    from i2i.spec import MapInfo

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head = PictureHead(8, channels=1, skip="none")
        net = Autoencoder(Encoder([8, 12], [0, 1]), Decoder([12, 8], [0]), head)
        torch.nn.init.normal_(head.residual.weight, std=0.1)
        assert head.residual.bias is not None
        torch.nn.init.constant_(head.residual.bias, 0.5)
        export_untrained(root / "tiny-map", net, kind="map", map=MapInfo("m", -2.0, 6.0))


@pytest.fixture(scope="session")
def untrained() -> Callable[..., None]:
    """Writes a net as a model folder, as the export does, without scores."""
    return export_untrained


def export_untrained(folder: Path, net: Any, **fields: Any) -> None:
    """Writes `net` as a model folder, as the export does, without scores."""
    from dataclasses import replace

    from i2i.engines.torch import TorchEngine
    from i2i.image import Picture
    from i2i.model_folder import ModelFolder
    from i2i.nets.description import describe
    from i2i.nets.folding import fold
    from i2i.nets.margin import margin
    from i2i.predictor import Predictor
    from i2i.spec import ModelSpec
    from training.export.graph import write_graph
    from training.export.model_writing import write_golden, write_spec, write_weights

    folder.mkdir()
    folded = fold(net.eval())
    write_weights(folded, folder)
    spec = ModelSpec(
        name=folder.name,
        task="test",
        net=describe(folded),
        size_multiple=net.size_multiple,
        margin=margin(net),
        window=2 * margin(net) + 32 * net.size_multiple,
        tolerance={name: {"f32": 1 / 255, "bf16": 0.1} for name in ("openvino", "torch")},
        **fields,
    )
    spec = replace(spec, graph=write_graph(folded, spec.kind, spec.temperature, folder, spec.map))
    pixels = np.random.default_rng(0).integers(0, 256, (21, 34, 3), np.uint8)
    reference = Predictor(ModelFolder(folder, spec), TorchEngine(net, spec))
    write_golden(reference.predict(Picture(pixels)), folder)
    write_spec(spec, folder)
