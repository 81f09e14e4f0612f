"""The weights that an encoder of torchvision begins from: read, refused, and never needed again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from jsonargparse import ArgumentParser
from torch import Tensor
from torchvision import models

from i2i.nets import TorchvisionEncoder
from i2i.nets.backbones import torchvision_layers
from i2i.nets.description import build, describe
from i2i.nets.encoder import FeatureEncoder
from training import recipe

Weights = dict[str, Tensor]


@pytest.fixture(scope="module")
def weights() -> Weights:
    torch.manual_seed(0)
    state: Weights = models.resnet18(weights=None).state_dict()
    return state


def stem(encoder: TorchvisionEncoder) -> Tensor:
    return encoder.state_dict()["stages.0.conv1.weight"]


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_is_read_and_never_needed_again(
    suffix: str, weights: Weights, tmp_path: Path
) -> None:
    file = tmp_path / f"mine{suffix}"
    save = safetensors.torch.save_file if suffix == ".safetensors" else torch.save
    save(weights, file)

    encoder = TorchvisionEncoder.pretrained("resnet18", str(file), levels=2, frozen=True)
    file.unlink()

    assert torch.equal(stem(encoder), weights["conv1.weight"])
    assert encoder.origin is not None
    assert encoder.origin.startswith(f"mine{suffix}, sha256 ")
    assert str(tmp_path) not in encoder.origin
    for built in (build(describe(encoder)), recipe.build(recipe.describe(encoder))):
        assert describe(built) == describe(encoder)
        built.load_state_dict(encoder.state_dict())


def test_a_config_names_the_weights(weights: Weights, tmp_path: Path) -> None:
    safetensors.torch.save_file(weights, tmp_path / "mine.safetensors")
    arguments = {"name": "resnet18", "weights": str(tmp_path / "mine.safetensors"), "levels": 1}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--encoder", type=FeatureEncoder)

    given = {"class_path": "i2i.nets.TorchvisionEncoder.pretrained", "init_args": arguments}
    encoder = parser.instantiate_classes(parser.parse_object({"encoder": given})).encoder

    assert torch.equal(stem(encoder), weights["conv1.weight"])


def test_a_published_member_is_taken_from_torchs_cache(
    weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    published = models.ResNet18_Weights.IMAGENET1K_V1
    file = tmp_path / "hub" / "checkpoints" / published.url.rpartition("/")[2]
    file.parent.mkdir(parents=True)
    # Older files lack a counter that newer nets have.
    torch.save({k: v for k, v in weights.items() if "num_batches" not in k}, file)

    encoder = TorchvisionEncoder.pretrained("resnet18", "IMAGENET1K_V1", levels=1)

    assert torch.equal(stem(encoder), weights["conv1.weight"])
    assert encoder.origin == "IMAGENET1K_V1"


def test_a_failed_download_is_said_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    with pytest.raises(ValueError, match=r"IMAGENET1K_V1 of resnet18: the download failed .* path"):
        TorchvisionEncoder.pretrained("resnet18", "IMAGENET1K_V1")


@pytest.mark.whole
def test_the_older_names_of_densenet_are_known(tmp_path: Path) -> None:
    def older(key: str) -> str:
        for part in ("norm", "relu", "conv"):
            for number in "12":
                key = key.replace(f".{part}{number}.", f".{part}.{number}.")
        return f"features.{key}"

    state = {
        older(f"{name}.{key}"): torch.full(value.shape, 0.5)
        for name, layer in torchvision_layers("densenet121").items()
        for key, value in layer.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in state
    torch.save(state, tmp_path / "old.pth")

    encoder = TorchvisionEncoder.pretrained("densenet121", str(tmp_path / "old.pth"))

    assert all((parameter == 0.5).all() for parameter in encoder.parameters())


class Code:
    """What a pickle may hold: a call on loading."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("code-was-run",)


def wrong(change: Callable[[Weights], object]) -> Callable[[Weights, Path], None]:
    def write(weights: Weights, path: Path) -> None:
        changed = dict(weights)
        change(changed)
        torch.save(changed, path)

    return write


@pytest.mark.parametrize(
    ("file", "write", "complaint"),
    [
        ("a.pth", lambda w, p: None, "a.pth: expected a file of weights, got no file"),
        ("a.pth", lambda w, p: p.write_bytes(b"PK garbage"), "got a damaged one, or one with pick"),
        ("a.safetensors", lambda w, p: p.write_bytes(b"garbage"), "tensors alone, got a dam"),
        ("a.pt", lambda w, p: torch.save({"a": Code()}, p), "pickled code, which is not run"),
        ("a.pt", lambda w, p: torch.save({"state_dict": w}, p), "tensors by name; save net.state"),
        ("a.pt", lambda w, p: torch.save([w["fc.bias"]], p), "tensors by name"),
        (
            "a.pth",
            wrong(lambda w: w.pop("layer3.0.bn1.bias")),
            r"of resnet18, got another net's: layer3.0.bn1.bias is missing and should be \(256,\)",
        ),
        (
            "a.pth",
            wrong(lambda w: w.update({"layer1.2.conv1.weight": torch.zeros(64, 64, 3, 3)})),
            r"layer1.2.conv1.weight is \(64, 64, 3, 3\) and should be missing",
        ),
        (
            "a.pth",
            wrong(lambda w: w.update({"conv1.weight": torch.zeros(64, 4, 7, 7)})),
            r"conv1.weight is \(64, 4, 7, 7\) and should be \(64, 3, 7, 7\)",
        ),
        ("DEFAULTS", lambda w, p: None, "expected IMAGENET1K_V1, or the path of"),
    ],
)
def test_a_file_that_is_none_of_its_weights_is_refused(
    file: str,
    write: Callable[[Weights, Path], None],
    complaint: str,
    weights: Weights,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    write(weights, tmp_path / file)

    with pytest.raises(ValueError, match=complaint):
        TorchvisionEncoder.pretrained("resnet18", str(tmp_path / file), levels=1)
    assert not (tmp_path / "code-was-run").exists()


@pytest.mark.parametrize("given", ["IMAGENET1K_V1", "weights.pth"])
def test_a_model_folder_cannot_make_the_library_read_or_download(given: str) -> None:
    arguments = {"name": "resnet18", "weights": given}

    with pytest.raises(ValueError, match="unexpected keyword argument 'weights'"):
        build({"class": "TorchvisionEncoder", "arguments": arguments})
    with pytest.raises(ValueError, match="net class: expected one of"):
        build({"class": "TorchvisionEncoder.pretrained", "arguments": arguments})
