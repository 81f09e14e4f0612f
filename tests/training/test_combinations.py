"""Every two choices of a net, a task and a precision, together: they train, and are exported.

Not every combination, of which there are millions: a set in which each pair of choices occurs
(pairwise testing; Cohen et al., IEEE Transactions on Software Engineering 23(7), 1997).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, get_args

import albumentations as A
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image

from i2i.nets import Autoencoder, ClassHead, Decoder, Encoder, PictureHead
from i2i.nets.decoder import Skip, Up
from i2i.nets.encoder import Down, StemStride
from i2i.nets.margin import margin
from i2i.nets.style import Activation, BlockKind, Initialisation, Norm, Padding
from training.callbacks import AtomicCheckpoints
from training.data import Listed
from training.degradations import GaussianNoise
from training.export.export import export
from training.module import ImageToImage
from training.tasks import (
    Colourisation,
    DenseMap,
    Depixelate,
    Paired,
    Reconstruction,
    Restoration,
    Segmentation,
    SuperResolution,
    Task,
)

TASKS: dict[str, Callable[[], Task]] = {
    "super-resolution x 2": lambda: SuperResolution(2),
    "super-resolution x 3": lambda: SuperResolution(3),
    "super-resolution x 4": lambda: SuperResolution(4),
    "segmentation": lambda: Segmentation(["ground", "leaf", "sky"]),
    "dense map": lambda: DenseMap("m", 0, 10),
    "restoration": lambda: Restoration(GaussianNoise(25)),
    "colourisation": Colourisation,
    "depixelate": lambda: Depixelate(4),
    "reconstruction": Reconstruction,
    "paired": Paired,
}
Combination = dict[str, Any]
Choice = tuple[str, Any]
CHOICES: dict[str, Sequence[Any]] = {
    "task": list(TASKS),
    "block": get_args(BlockKind),
    "activation": get_args(Activation),
    "padding": get_args(Padding),
    "norm": get_args(Norm),
    "initialisation": get_args(Initialisation),
    "skip": get_args(Skip),
    "down": get_args(Down),
    "up": get_args(Up),
    "stem_stride": get_args(StemStride),
    "dropout": (0.0, 0.2),
    "auxiliary": ((), (0,)),
    "precision": ("32-true", "bf16-mixed"),
}
REFUSED: set[frozenset[Choice]] = {
    frozenset({("block", "reparameterised"), ("norm", "layer")}),
    frozenset({("block", "reparameterised"), ("padding", "partial")}),
}


def pairwise_cover() -> list[Combination]:
    """Combinations in which each pair of choices occurs, but for those refused."""
    every = {
        frozenset({(one, x), (other, y)})
        for one, other in combinations(CHOICES, 2)
        for x in CHOICES[one]
        for y in CHOICES[other]
    }
    missing, cover, order = every - REFUSED, [], random.Random(0)

    def gain(choice: Choice, row: Combination) -> float:
        pairs = {frozenset({choice, taken}) for taken in row.items()}
        return -1 if pairs & REFUSED else len(pairs & missing)

    while missing:
        row = dict(min(map(sorted, missing), key=repr))
        axes = [axis for axis in CHOICES if axis not in row]
        for axis in order.sample(axes, len(axes)):
            choices = order.sample(CHOICES[axis], len(CHOICES[axis]))
            row[axis] = max(choices, key=lambda value: gain((axis, value), row))
        missing -= {frozenset(pair) for pair in combinations(row.items(), 2)}
        cover.append(row)
    return cover


def build(choices: Combination) -> tuple[Task, Autoencoder]:
    """The task and its net, filled in with what the task owns, as the command line does."""
    task = TASKS[choices["task"]]()
    owned = task.net_arguments()
    style = {
        "dilations": [1, 2] if choices["block"] in ("dilated", "factorised") else [1],
        **{k: choices[k] for k in ("block", "activation", "norm", "padding", "dropout")},
        "initialisation": choices["initialisation"],
    }
    stem_stride, up, down, skip = (choices[k] for k in ("stem_stride", "up", "down", "skip"))
    encoder = {"widths": [8, 10, 12], "depths": [0, 0, 1], "stem_stride": stem_stride, "down": down}
    decoder = {"widths": [12, 10, 8], "depths": [1, 0], "skip": skip, "up": up}
    kind = ClassHead if task.kind == "labels" else PictureHead
    head = kind(8, stem_stride * task.scale, padding=choices["padding"], **owned["head"])
    if isinstance(head, PictureHead):
        # It begins at zero, which would hide all before it.
        torch.nn.init.normal_(head.residual.weight, std=0.05)
    return task, Autoencoder(
        Encoder(**encoder | style | owned.get("encoder", {})),
        Decoder(**decoder | style | owned.get("decoder", {})),
        head,
        auxiliary=choices["auxiliary"],
    )


@pytest.fixture(scope="session")
def lists(
    tmp_path_factory: pytest.TempPathFactory, picture: Callable[..., np.ndarray]
) -> dict[str, Path]:
    """A list of pictures with masks and targets, for each kind of target."""
    root = tmp_path_factory.mktemp("lists")
    for part, side in (("train", 640), ("val", 96)):
        pixels = picture(side, side)
        Image.fromarray(pixels).save(root / f"{part}.png")
        Image.fromarray(255 - pixels).save(root / f"{part}-image.png")
        Image.fromarray(pixels[..., 0] // 86).save(root / f"{part}-mask.png")
        Image.fromarray(pixels[..., 1].astype(np.float32) / 25.5).save(root / f"{part}-map.tiff")
    found = {}
    for kind, suffix in (("image", "png"), ("map", "tiff")):
        rows = [f"{p}.png,{p}-mask.png,{p}-{kind}.{suffix},{p}" for p in ("train", "val")]
        found[kind] = root / f"{kind}.csv"
        found[kind].write_text("\n".join(["image,mask,target,split", *rows]))
    return found


def test_the_cover_holds_every_pair() -> None:
    cover = pairwise_cover()
    held = {frozenset(pair) for row in cover for pair in combinations(row.items(), 2)}

    expected = sum(len(x) * len(y) for x, y in combinations(CHOICES.values(), 2))
    assert len(held) == expected - len(REFUSED)
    assert not held & REFUSED
    assert len(cover) < 130


@pytest.mark.parametrize("pair", sorted(map(sorted, REFUSED)), ids=str)
def test_choices_that_exclude_each_other_are_refused_with_words(pair: list[Choice]) -> None:
    plain = {axis: values[0] for axis, values in CHOICES.items()}
    build(plain)
    with pytest.raises(ValueError, match=r"expected .*, got "):
        build(plain | dict(pair))


@pytest.mark.slow  # minutes: each is an export
@pytest.mark.parametrize(
    "choices", pairwise_cover(), ids=lambda row: "-".join(map(str, row.values()))
)
def test_choices_train_together_and_are_exported(
    choices: Combination, lists: dict[str, Path], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    task, net = build(choices)
    module = ImageToImage(task, net, learning_rate=1e-3, average_decay=0.0)
    # Of the input: larger than twice the margin where outputs that see the border do not count.
    side = 2 * margin(net) + 16 if choices["padding"] == "valid" else 48
    crop = task.scale * (side + 2 * task.border)
    data = Listed(
        str(lists["map" if task.kind == "map" else "image"]),
        geometry=[A.RandomCrop(crop, crop)],
        batch_size=2,
        epoch_samples=4,
        num_workers=0,
    )
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        precision=choices["precision"],
        default_root_dir=tmp_path,
        plugins=[AtomicCheckpoints()],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    before = [parameter.detach().clone() for parameter in net.parameters()]

    trainer.fit(module, data)

    assert trainer.global_step == 2
    changed = [not a.equal(b) for a, b in zip(before, net.parameters(), strict=True)]
    assert sum(changed) > 0.8 * len(changed)
    samples = [load() for load in data.validation_loads(task)]
    spec = export(tmp_path / "checkpoints" / "best.ckpt", tmp_path / "model", samples)
    assert {"openvino", "torch"} <= set(spec.tolerance)
