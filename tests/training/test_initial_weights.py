"""A net that begins with the weights of another."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from i2i import shipped_models
from i2i.model_folder import WEIGHTS, ModelFolder
from i2i.nets import Autoencoder, ClassHead, Decoder, Encoder, PictureHead
from i2i.nets.style import Norm
from training import cli
from training.checkpoint import read_checkpoint
from training.export.card import card
from training.initial_weights import begin_with
from training.module import ImageToImage
from training.tasks import SuperResolution

SHIPPED = "super-resolution-x2"


def net(scale: int = 4, width: int = 64) -> Autoencoder:
    """As the shipped net, but for the scale."""
    encoder, decoder = Encoder([32, width], [3, 1]), Decoder([width, 32], [0])
    return Autoencoder(encoder, decoder, PictureHead(32, stride=scale, scale=scale))


def test_a_net_of_another_scale_takes_all_but_its_last_layer() -> None:
    known = safetensors.torch.load_file(shipped_models()[SHIPPED] / WEIGHTS)
    module = ImageToImage(SuperResolution(4), net(), initial_weights=SHIPPED)

    own = module.net.state_dict()
    others = {name for name in own if not name.startswith("head.")}
    assert all(torch.equal(own[name], known[name]) for name in others)
    assert not own["head.residual.weight"].any()
    assert module.begun_with is not None
    assert f"{len(others) + 1} of {len(own)} tensors of {SHIPPED}@" in module.begun_with


def test_a_model_with_folded_norms_begins_a_net_without_norms() -> None:
    def like_nuclei(norm: Norm) -> Autoencoder:
        encoder = Encoder([24, 48, 80], [0, 1, 2], stem_stride=2, norm=norm)
        decoder = Decoder([80, 48, 24], [1, 0], norm=norm)
        return Autoencoder(encoder, decoder, ClassHead(24, classes=2, stride=2))

    with pytest.raises(ValueError, match=r"nuclei@.* folded .*set norm: folded in encoder and dec"):
        begin_with(like_nuclei("batch"), "nuclei")
    net = like_nuclei("folded")
    taken = begin_with(net, "nuclei")
    assert taken.startswith(f"{len(net.state_dict())} of {len(net.state_dict())} tensors of nuclei")


def test_a_net_of_another_kind_is_not_taken_for_one_with_folded_norms() -> None:
    encoder = Encoder([32, 64, 80], [3, 1, 1], norm="batch")
    decoder = Decoder([80, 64, 32], [1, 0], norm="batch")
    other = Autoencoder(encoder, decoder, ClassHead(32, classes=2, stride=1))
    known = safetensors.torch.load_file(shipped_models()[SHIPPED] / WEIGHTS)
    assert any(name.endswith(".0.bias") and name not in other.state_dict() for name in known)

    assert f"tensors of {SHIPPED}@" in begin_with(other, SHIPPED)


def test_a_run_begins_with_a_checkpoint_and_says_so(
    trained: Callable[[str], Any], workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained("super_resolution_x2")
    first = run.checkpoint
    images = str(run.images)
    cli.main(
        f"fit --config {first.parents[1] / 'config.yaml'} --run second --data.root {images} "
        f"--model.initial_weights {first} --model.learning_rate 0 --seed_everything 3".split()
    )

    _, begun, _ = read_checkpoint(first)
    _, ended, recipe = read_checkpoint(workplace / "second" / "checkpoints" / "last.ckpt")
    for name, value in begun.state_dict().items():
        torch.testing.assert_close(ended.state_dict()[name], value, msg=name)
    assert "tensors of a checkpoint of 2 steps" in recipe["begun_with"]
    assert f"initial weights: {recipe['begun_with']}\n" in capsys.readouterr().out
    assert recipe["seed"] == 3


@pytest.mark.whole
def test_a_run_with_a_checkpoint_needs_no_origin_and_remembers_it(
    trained: Callable[[str], Any], workplace: Path
) -> None:
    run = trained("super_resolution_x2")
    origin = shutil.copy(run.checkpoint, "origin.ckpt")
    where = ["--run", "second", "--data.root", str(run.images)]
    first = ["--config", str(run.folder / "config.yaml"), "--model.initial_weights", origin]
    cli.main(["fit", *first, *where])
    Path(origin).unlink()

    again = ["--config", "second/config.yaml", "--ckpt_path", "second/checkpoints/last.ckpt"]
    cli.main(["validate", *again, *where[2:]])
    cli.main(["fit", *again, *where, "--trainer.max_epochs=2"])

    _, _, recipe = read_checkpoint(workplace / "second" / "checkpoints" / "last.ckpt")
    assert recipe["steps"] == 4
    assert "tensors of a checkpoint of 2 steps" in recipe["begun_with"]
    assert "initial_weights: origin.ckpt" in Path("second/config.yaml").read_text()


def test_the_card_says_what_a_model_began_with_and_its_seed() -> None:
    spec = ModelFolder.open(shipped_models()[SHIPPED]).spec
    told = {"begun_with": "23 of 27 tensors of another", "seed": 3}
    budget = spec.provenance["budget"] | told

    began = replace(spec, provenance=spec.provenance | {"budget": budget})
    assert "core-minutes, seed 3, begun with 23 of 27 tensors of another |" in card(began)


@pytest.mark.parametrize(
    ("origin", "complaint"),
    [
        ("no-such-model", "no-such-model"),
        ("runs/none/best.ckpt", r"runs/none/best\.ckpt: expected a checkpoint .*got no file"),
        (SHIPPED, "of which none has a name and shape of this net's"),
    ],
)
def test_weights_that_do_not_fit_are_refused(origin: str, complaint: str) -> None:
    other = net(width=60)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1)
    before = {name: value.clone() for name, value in other.state_dict().items()}
    if origin == SHIPPED:
        other = torch.nn.Sequential(other)  # type: ignore[assignment]  # other names

    with pytest.raises(ValueError, match=complaint):
        begin_with(other, origin)
    assert all(
        torch.equal(a, b) for a, b in zip(before.values(), other.state_dict().values(), strict=True)
    )
