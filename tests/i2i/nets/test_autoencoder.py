from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from i2i.engines.openvino import OpenVINOEngine
from i2i.model_folder import WEIGHTS, ModelFolder
from i2i.nets import Autoencoder, ClassHead, Decoder, Encoder, PictureHead
from i2i.nets.description import build, describe
from i2i.nets.folding import fold
from i2i.nets.margin import extents, margin
from i2i.spec import ClassInfo, Kind, ModelSpec
from tests.i2i.nets.probing import probe
from training.export.graph import write_graph

NETS: dict[str, Callable[[], Autoencoder]] = {
    "add, bicubic x2": lambda: Autoencoder(
        Encoder([8, 12], [0, 1]), Decoder([12, 8], [1]), PictureHead(8, stride=2, scale=2)
    ),
    "concat, silu, bicubic x3": lambda: Autoencoder(
        Encoder([6, 8, 10], [0, 1, 1], activation="silu"),
        Decoder([10, 8, 6], [0, 1], skip="concat", activation="silu"),
        PictureHead(6, stride=3, scale=3),
    ),
    "stem 2, bicubic x4, gray": lambda: Autoencoder(
        Encoder([6, 8], [1, 0], input_channels=1, stem_stride=2),
        Decoder([8, 6], [0]),
        PictureHead(6, stride=8, channels=1, scale=4),
    ),
    "no skips, batch norm, restored": lambda: Autoencoder(
        Encoder([6, 8], [0, 1], norm="batch", activation="leaky_relu"),
        Decoder([8, 5], [1], skip="none", norm="batch", activation="leaky_relu"),
        PictureHead(5, skip="identity", activation="sigmoid"),
    ),
    "no skips at all": lambda: Autoencoder(
        Encoder([6, 8], [0, 0]),
        Decoder([8, 7], [0], skip="none"),
        PictureHead(7, channels=1, skip="none", activation="sigmoid"),
    ),
    "batch norm, stem 2, classes": lambda: Autoencoder(
        Encoder([6, 8, 10], [0, 1, 0], stem_stride=2, norm="batch"),
        Decoder([10, 8, 6], [0, 1], norm="batch"),
        ClassHead(6, stride=2, classes=4),
    ),
    "large kernels, dense, layer norm, pooled and resized": lambda: Autoencoder(
        Encoder([5, 6], [0, 1], block="large_kernel", norm="layer", down="average"),
        Decoder([6, 5], [1], block="dense", norm="layer", up="resize"),
        PictureHead(5, stride=3, scale=3),
    ),
    "reparameterised, reflected, inception, partial, auxiliary": lambda: Autoencoder(
        Encoder(
            [4, 6, 8],
            [0, 0, 1],
            block="reparameterised",
            padding="reflect",
            norm="batch",
            activation="gelu",
            down="max",
        ),
        Decoder(
            [8, 5, 4],
            [1, 0],
            skip="concat",
            skip_widths=[8, 6, 4],
            block="inception",
            padding="partial",
            activation="prelu",
        ),
        ClassHead(4, classes=4, padding="reflect"),
        auxiliary=[0],
    ),
}


@pytest.fixture(params=NETS)
def net(request: pytest.FixtureRequest) -> Autoencoder:
    """A net with some life in it: one step from its initial weights, norms that have seen data."""
    torch.manual_seed(0)
    net = NETS[request.param]()
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    loss_of(net).backward()
    optimiser.step()
    optimiser.zero_grad()
    return net


def picture(net: Autoencoder, rows: int = 4, columns: int = 5, batch: int = 2) -> Tensor:
    sides = rows * net.size_multiple, columns * net.size_multiple
    return torch.rand(batch, net.encoder.input_channels, *sides)


def loss_of(net: Autoencoder) -> Tensor:
    output, auxiliary = net.train().forward_with_auxiliary(picture(net))
    losses = [(each - torch.rand_like(each)).square().mean() for each in (output, *auxiliary)]
    return torch.stack(losses).sum()


def test_the_output_has_scale_times_the_size(net: Autoencoder) -> None:
    image = picture(net)
    channels = net.head.classes if isinstance(net.head, ClassHead) else net.head.channels

    output = net(image)
    size = [net.scale * side for side in image.shape[2:]]
    assert list(output.shape) == [2, channels, *size]
    assert output.dtype == torch.float32


def test_auxiliary_outputs_have_the_shape_of_the_output(net: Autoencoder) -> None:
    net.eval()
    image = picture(net)

    output, auxiliary = net.forward_with_auxiliary(image)
    assert torch.equal(output, net(image))
    assert [each.shape for each in auxiliary] == [output.shape] * len(net.auxiliary)
    assert fold(net).auxiliary == []
    assert not any("auxiliary" in name for name in fold(net).state_dict())


def test_a_gradient_reaches_every_parameter(net: Autoencoder) -> None:
    loss_of(net).backward()

    without = [
        name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().max() > 0
    ]
    assert without == []


def test_evaluation_is_deterministic_and_independent_of_the_batch(net: Autoencoder) -> None:
    net.eval()
    image = picture(net)

    with torch.no_grad():
        both = net(image)
        assert torch.equal(net(image), both)
        torch.testing.assert_close(net(image[1:]), both[1:], atol=1e-5, rtol=0)


def test_a_size_that_is_no_multiple_is_refused(net: Autoencoder) -> None:
    multiple = net.size_multiple
    image = torch.rand(1, net.encoder.input_channels, 4 * multiple + 1, 4 * multiple)

    complaint = f"multiples of {multiple}, got {4 * multiple + 1} x {4 * multiple}; i2i.Predictor"
    with pytest.raises(ValueError, match=complaint):
        net(image)


def test_the_margin_is_what_a_nan_shows(net: Autoencoder) -> None:
    reach = max(extents(net))
    side = math.ceil((2 * reach + 3 * net.size_multiple) / net.size_multiple) * net.size_multiple

    assert probe(net, side) == reach
    assert margin(net) == math.ceil(reach / net.size_multiple) * net.size_multiple
    assert extents(net, axis=0) == extents(net, axis=1)


def test_a_description_builds_a_net_of_the_same_parts(net: Autoencoder) -> None:
    for given in (net, fold(net)):
        built = build(describe(given))
        assert describe(built) == describe(given)
        shapes = {name: value.shape for name, value in given.state_dict().items()}
        assert {name: value.shape for name, value in built.state_dict().items()} == shapes
        built.load_state_dict(given.state_dict())
        image = picture(net)
        with torch.no_grad():
            assert torch.equal(built.eval()(image), given.eval()(image))


def test_a_folded_net_gives_the_same(net: Autoencoder) -> None:
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 2)
            nn.init.normal_(layer.bias)
    image = picture(net)
    net.eval()

    folded = fold(net)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    with torch.no_grad():
        torch.testing.assert_close(folded(image), net(image), atol=1e-5, rtol=1e-5)
    assert "folded" not in str(describe(net)), "the net itself stays as it was"
    assert {value.dtype for value in fold(net.double()).parameters()} == {torch.float64}


# Each of its seconds is torch's exporter; the others take theirs in the slow tests.
EXPORTED = {"concat, silu, bicubic x3"}


@pytest.mark.whole
@pytest.mark.parametrize(
    "net",
    [n if n in EXPORTED else pytest.param(n, marks=pytest.mark.slow) for n in NETS],
    indirect=True,
)
def test_the_graph_gives_what_the_net_gives(net: Autoencoder, tmp_path: Path) -> None:
    folded = fold(net)
    labels = isinstance(net.head, ClassHead)
    kind: Kind = "labels" if labels else "image"
    spread = 0.5 if labels else 1.0
    weights = {name: value.contiguous() for name, value in folded.state_dict().items()}
    (tmp_path / WEIGHTS).write_bytes(safetensors.torch.save(weights))
    graph = write_graph(folded, kind, spread, tmp_path)
    classes = tuple(ClassInfo(name, (0, 0, 0)) for name in "abcd") if labels else ()
    spec = ModelSpec("net", kind, "test", {}, graph=graph, classes=classes, window=2**20)
    engine = OpenVINOEngine(ModelFolder(tmp_path, spec), "f32", 1)

    # Neither the batch nor the size of the sample that the graph was made with.
    # A reflection needs a second pixel.
    least = 2 if net.encoder.padding == "reflect" else 1
    for rows, columns, batch in ((least, least, 1), (3, 7, 1), (6, 2, 3)):
        image = picture(net, rows, columns, batch)
        with torch.no_grad():
            output = net.eval()(image)
        outputs = engine.run(image.numpy())
        assert tuple(outputs) == graph.outputs
        if labels:
            chances = (output / spread).softmax(dim=1).sort(dim=1).values
            clear = (chances[:, -1] - chances[:, -2] > 1e-4).numpy()
            assert (outputs["labels"] == output.argmax(dim=1).numpy())[clear].all()
            got, expected = torch.from_numpy(outputs["confidence"]), chances[:, -1]
        else:
            got, expected = torch.from_numpy(outputs["image"]), output.clamp(0, 1)
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


def wrong(value: object) -> Any:
    """A value that a type checker would refuse; a YAML may hold it."""
    return value


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Encoder([8, 16], [0]), r"depths: expected one for each of the widths \[8, 16\]"),
        (lambda: Encoder([], []), "depths: expected one for each of the widths"),
        (lambda: Encoder([8, 0], [0, 0]), r"widths: expected .* at least 1, got \[8, 0\]"),
        (lambda: Encoder([8], [-1]), r"depths: expected .* at least 0, got \[-1\]"),
        (
            lambda: Encoder([8], [0], stem_stride=wrong(3)),
            "stem_stride: expected one of 1, 2, got 3",
        ),
        (
            lambda: Encoder([8], [0], norm=wrong("weight")),
            "norm: expected one of none, batch, .*'weight'",
        ),
        (
            lambda: Encoder([8], [0], activation=wrong("mish")),
            "activation: expected one of relu, .* got 'mish'",
        ),
        (lambda: Decoder([8, 4], []), r"depths: expected one fewer than the widths \[8, 4\]"),
        (lambda: Decoder([8], [], skip=wrong("cat")), "skip: expected one of add, concat, none"),
        (lambda: PictureHead(8, scale=2, skip="identity"), "expected bicubic or none at scale 2"),
        (
            lambda: PictureHead(8, skip=wrong("bilinear")),
            "skip: expected one of bicubic, identity, none",
        ),
        (lambda: joined(decoder=Decoder([12, 8], [0])), "expected 2, .* deepest 16, got"),
        (lambda: joined(decoder=Decoder([16], [])), r"expected 2, .* got \[16\]"),
        (lambda: joined(decoder=Decoder([16, 9], [0])), r"mirrored, \[16, 8\] with skip 'add'"),
        (
            lambda: Decoder([8, 4], [0], skip="none", skip_widths=[8, 4]),
            r"skip_widths: expected null with skip 'none', got \[8, 4\]",
        ),
        (
            lambda: Decoder([8, 4], [0], skip_widths=[9, 4]),
            r"skip_widths: expected 2, beginning with the decoder's 8, got \[9, 4\]",
        ),
        (
            lambda: joined(decoder=Decoder([16, 8], [0], skip_widths=[16, 9])),
            r"decoder skip_widths: expected .* \[16, 8\], got \[16, 9\]",
        ),
        (lambda: joined(auxiliary=[0]), r"auxiliary: expected .* before its last, 0, got \[0\]"),
        (lambda: Encoder([8], [0], down=wrong("min")), "down: expected one of stride, max, av"),
        (lambda: Decoder([8], [], up=wrong("shuffle")), "up: expected one of transposed, resize"),
        (
            lambda: ClassHead(8, padding=wrong("same")),
            "padding: expected one of zeros, valid, reflect, replicate, partial, got 'same'",
        ),
        (lambda: Encoder([8], [0], input_channels=0), r"input_channels: expected .* 1, got \[0\]"),
        (
            lambda: ClassHead(8, classes=0),
            r"classes: expected numbers of at least 1, got \[8, 1, 0",
        ),
        (
            lambda: PictureHead(8, scale=0),
            r"scale: expected numbers of at least 1, got \[8, 1, 3, 0",
        ),
        (lambda: joined(head=ClassHead(9)), "head features: .* last width 8, got 9"),
        (lambda: joined(head=ClassHead(8, stride=2)), "stem_stride x scale = 1, got 2"),
        (lambda: joined(head=PictureHead(8, scale=2)), "stem_stride x scale = 2, got 1"),
        (lambda: joined(head=PictureHead(8, channels=1)), "head channels: expected .* 3 with skip"),
    ],
)
def test_parts_that_do_not_fit_are_refused(make: Callable[[], nn.Module], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()


def joined(
    decoder: Decoder | None = None,
    head: PictureHead | ClassHead | None = None,
    auxiliary: Sequence[int] = (),
) -> Autoencoder:
    return Autoencoder(
        Encoder([8, 16], [0, 0]),
        decoder or Decoder([16, 8], [0]),
        head or ClassHead(8),
        auxiliary,
    )


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("stem_stride", [1, 2])
def test_every_scale_fits_every_stem(stem_stride: Literal[1, 2], scale: int) -> None:
    encoder = Encoder([4, 6], [0, 0], stem_stride=stem_stride)
    head = PictureHead(4, stem_stride * scale, scale=scale)
    net = Autoencoder(encoder, Decoder([6, 4], [0]), head)
    image = torch.rand(1, 3, 8, 12)

    untrained = net(image).detach()
    assert torch.equal(untrained, head.base(image))
    assert untrained.shape == (1, 3, 8 * scale, 12 * scale)
    nn.init.normal_(head.residual.weight)
    assert probe(net, 48) == max(extents(net))


def test_a_net_without_skips_is_its_encoder_then_its_decoder() -> None:
    head = PictureHead(4, skip="none")
    nn.init.normal_(head.residual.weight)
    net = Autoencoder(Encoder([4, 6, 7], [0, 0, 0]), Decoder([7, 5, 4], [0, 1], skip="none"), head)
    image = torch.rand(2, 3, 16, 24)

    code = net.encode(image)
    assert code.shape == (2, 7, 4, 6)
    assert torch.equal(net.decode(code), net(image))


@pytest.mark.parametrize(
    ("decoder", "head"),
    [
        (Decoder([16, 8], [0]), ClassHead(8)),
        (Decoder([16, 8], [0], skip="none"), PictureHead(8, skip="identity")),
    ],
)
def test_a_code_alone_is_not_enough_for_skips(
    decoder: Decoder, head: PictureHead | ClassHead
) -> None:
    net = joined(decoder, head)

    with pytest.raises(ValueError, match="decode: expected a net without skips, got skip"):
        net.decode(net.encode(torch.rand(1, 3, 8, 8)))


def test_valid_padding_anywhere_is_that_of_the_net() -> None:
    assert joined().padding == "zeros"
    assert joined(Decoder([16, 8], [0], padding="partial")).padding == "partial"
    assert joined(Decoder([16, 8], [0], padding="valid")).padding == "valid"
    assert joined(head=ClassHead(8, padding="valid")).padding == "valid"
