"""A checkpoint appears whole or not at all."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from i2i.nets import Autoencoder, Decoder, Encoder, PictureHead
from training.callbacks import AtomicCheckpoints
from training.checkpoint import load_checkpoint, read_checkpoint
from training.recipe import describe
from training.run_folder import best_checkpoint
from training.tasks import SuperResolution


@contextmanager
def full_disk(max_bytes: int) -> Iterator[None]:
    """The system refuses to write further than this into any file, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def content(size: int, value: float) -> dict[str, torch.Tensor]:
    return {"weights": torch.full((size,), value)}


def test_a_full_disk_leaves_the_earlier_checkpoint_and_says_so(tmp_path: Path) -> None:
    files, path = AtomicCheckpoints(), tmp_path / "last.ckpt"
    files.save_checkpoint(content(1000, 1.0), path)
    before = path.read_bytes()

    with (
        full_disk(20_000),
        pytest.raises(OSError, match=r"earlier one is intact\. Free some space .*--ckpt_path"),
    ):
        files.save_checkpoint(content(100_000, 2.0), path)

    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def test_after_a_full_disk_a_checkpoint_can_be_written_again(tmp_path: Path) -> None:
    files, path = AtomicCheckpoints(), tmp_path / "last.ckpt"
    with full_disk(20_000), pytest.raises(OSError, match=r"last\.ckpt"):
        files.save_checkpoint(content(100_000, 2.0), path)
    assert not list(tmp_path.iterdir())

    files.save_checkpoint(content(100_000, 3.0), path)

    assert files.load_checkpoint(path, weights_only=True)["weights"].eq(3.0).all()
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_checkpoint_replaces_the_earlier_one(tmp_path: Path) -> None:
    files, path = AtomicCheckpoints(), tmp_path / "best.ckpt"

    for value in (1.0, 2.0):
        files.save_checkpoint(content(10, value), path)

    assert files.load_checkpoint(path, weights_only=True)["weights"].eq(2.0).all()


def test_the_folder_of_a_run_is_no_checkpoint_but_holds_one(tmp_path: Path) -> None:
    best_checkpoint(tmp_path).parent.mkdir()
    best_checkpoint(tmp_path).touch()
    with pytest.raises(ValueError, match=r"got a folder, which holds .*checkpoints/best\.ckpt"):
        load_checkpoint(tmp_path)


def test_a_checkpoint_is_read_where_the_files_of_its_loss_are_gone(tmp_path: Path) -> None:
    net = Autoencoder(Encoder([4], [0]), Decoder([4], []), PictureHead(4, stride=2, scale=2))
    vgg = {"class_path": "i2i.losses.Perceptual", "init_args": {"path": "gone.pth"}}
    task = describe(SuperResolution(2))
    task["init_args"]["loss"] = vgg
    recipe = {"task": task, "net": describe(net), "steps": 1}
    state = {f"net.{name}": value for name, value in net.state_dict().items()}
    torch.save({"recipe": recipe, "state_dict": state}, tmp_path / "best.ckpt")

    _, _, known = read_checkpoint(tmp_path / "best.ckpt")

    assert known["task"]["init_args"]["loss"] == vgg
