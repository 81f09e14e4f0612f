from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from i2i.losses import Perceptual
from tests.i2i.losses.makers import gradient

NETS = {"vgg16": ".pth", "vgg19": ".safetensors"}
nets = pytest.mark.parametrize("name", NETS)


@pytest.fixture(scope="module")
def vgg(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, tuple[Path, nn.Sequential]]]:
    """Convolutions of torchvision's nets with weights of no training, and files of these."""
    folder = tmp_path_factory.mktemp("vgg")
    made = {}
    for name, suffix in NETS.items():
        with torch.device("meta"):
            features = getattr(torchvision.models, name)(init_weights=False).features
        features.to_empty(device="cpu")
        random = torch.Generator().manual_seed(0)
        for parameter in features.parameters():
            spread = (2 / max(1, parameter[0].numel())) ** 0.5
            values = torch.empty_like(parameter).uniform_(-spread, spread, generator=random)
            # In half the space; read back in float32.
            parameter.data = values.half().float()
        weights = {f"features.{key}": value.half() for key, value in features.state_dict().items()}
        path = folder / f"{name}{suffix}"
        if suffix == ".pth":
            torch.save({**weights, "classifier.0.bias": torch.zeros(4)}, path)
        else:
            save_file(weights, path)
        made[name] = path, features.eval()
    yield made
    for path, _ in made.values():
        path.unlink()


def pictures(channels: int = 3) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    output, target = torch.rand(2, 1, channels, 20, 18, generator=random)
    return output.requires_grad_(), target


@nets
@pytest.mark.parametrize(("layer", "place"), [("conv1_2", 2), ("relu2_2", 8), ("pool3", None)])
def test_features_are_those_of_torchvision_s_net(
    vgg: dict[str, tuple[Path, nn.Sequential]], name: str, layer: str, place: int | None
) -> None:
    path, features = vgg[name]
    output, target = pictures()
    if place is None:
        place = {"vgg16": 16, "vgg19": 18}[name]
    mean, deviation = (
        torch.tensor(values).view(3, 1, 1)
        for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    )
    seen = [features[: place + 1]((image - mean) / deviation) for image in (output, target)]

    got = Perceptual(str(path), [layer])(output, target)
    torch.testing.assert_close(got, (seen[0] - seen[1]).abs().mean(), rtol=1e-4, atol=1e-5)


def test_equal_pictures_cost_nothing_and_others_more_the_more_they_differ(
    vgg: dict[str, tuple[Path, nn.Sequential]],
) -> None:
    loss = Perceptual(str(vgg["vgg16"][0]))
    output, target = pictures()

    assert loss(target, target).item() == 0
    costs = [loss(target + share * (output - target), target).item() for share in (0.1, 0.5, 1)]
    assert 0 < costs[0] < costs[1] < costs[2]
    pull = gradient(loss, output, target)
    assert loss(output - 0.01 * pull / pull.abs().max(), target) < loss(output, target)
    half = gradient(loss, output.detach().bfloat16().requires_grad_(), target)
    assert half.isfinite().all()


def test_layers_are_added_by_their_weights(vgg: dict[str, tuple[Path, nn.Sequential]]) -> None:
    path = str(vgg["vgg16"][0])
    output, target = pictures()

    one, other = (Perceptual(path, [name])(output, target) for name in ("relu1_2", "relu2_1"))
    both = Perceptual(path, ["relu2_1", "relu1_2"], [0.5, 2])(output, target)
    torch.testing.assert_close(both, 0.5 * other + 2 * one)


def test_gray_is_seen_as_equal_channels(vgg: dict[str, tuple[Path, nn.Sequential]]) -> None:
    loss = Perceptual(str(vgg["vgg16"][0]), ["relu1_1"])
    output, target = pictures(channels=1)

    expected = loss(output.expand(-1, 3, -1, -1), target.expand(-1, 3, -1, -1))
    torch.testing.assert_close(loss(output, target), expected)


def test_the_net_is_frozen_moves_and_leaves_no_trace_in_a_checkpoint(
    vgg: dict[str, tuple[Path, nn.Sequential]],
) -> None:
    loss = Perceptual(str(vgg["vgg16"][0]), ["relu1_2"]).to("meta")

    assert list(loss.parameters()) == []
    assert loss.state_dict() == {}
    # Two convolutions with their biases, the layer's share, the colours' mean and deviation.
    assert [buffer.device.type for buffer in loss.buffers()] == ["meta"] * 7


class Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("this must not run",)


def test_a_file_with_code_is_refused_and_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = {"features.0.weight": Code()}
    torch.save(weights, tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps(weights, protocol=2))
    for name in ("a.pth", "b.pth"):
        with pytest.raises(ValueError, match=f"{name}: .* pickled code, which is not run"):
            Perceptual(str(tmp_path / name))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "name", ["empty.pth", "garbage.pth", "cut.pth", "text.pth", "end.pth", "garbage.safetensors"]
)
def test_a_damaged_file_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    torch.save({"features.0.weight": torch.zeros(9)}, path)
    contents = {"empty": b"", "garbage": b"garbage" * 9, "cut": path.read_bytes()[:-40]}
    # torch.load answers text with a KeyError, a lone end with an IndexError.
    contents |= {"text": b"hello world", "end": b"\x80\x02."}
    path.write_bytes(contents[path.stem])

    with pytest.raises(ValueError, match=f"{name}: .* a damaged one"):
        Perceptual(str(path))


def test_the_weights_of_another_net_are_refused(tmp_path: Path) -> None:
    torch.save(torchvision.models.squeezenet1_1().state_dict(), tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"VGG16 or VGG19 .* 52 tensors \(features.0.weight, "):
        Perceptual(str(tmp_path / "other.pth"))
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="tensors by name"):
        Perceptual(str(tmp_path / "list.pth"))
    with pytest.raises(ValueError, match=r"got '\.onnx'"):
        Perceptual("vgg.onnx")
    with pytest.raises(ValueError, match=r"nowhere.pth: .* got no file"):
        Perceptual(str(tmp_path / "nowhere.pth"))


def test_layers_and_pictures_that_do_not_fit_are_refused(
    vgg: dict[str, tuple[Path, nn.Sequential]],
) -> None:
    path = str(vgg["vgg16"][0])
    with pytest.raises(ValueError, match=r"conv1_1, .*, pool5, got \['relu3_4'\]"):
        Perceptual(path, ["relu1_1", "relu3_4"])
    for layers, weights in (([], None), (["relu1_1"], [1.0, 2.0]), (["relu1_1"], [])):
        with pytest.raises(ValueError, match=r"as many weights|weights: expected"):
            Perceptual(path, layers, weights)
    loss = Perceptual(path, ["relu3_1"])
    for shape in ((1, 3, 3, 9), (1, 2, 9, 9), (3, 9, 9)):
        with pytest.raises(ValueError, match="of at least 4 x 4 pixels"):
            loss(torch.zeros(shape), torch.zeros(shape))
