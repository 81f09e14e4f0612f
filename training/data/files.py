"""The files of a data set: found, paired by name, and read as samples."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from i2i.image import MASK_FORMATS, ImageError, read, read_header, read_map, read_mask
from i2i.image.formats import READ_SUFFIXES, UNREAD_SUFFIXES
from i2i.image.picture import Depth
from i2i.spec import Kind
from training.data.cache import Load
from training.data.names import some_of
from training.pixels import Pixels, Values
from training.tasks.task import Sample, Task

# A data set's picture is trusted more than a stranger's, and a scan may be large.
MAX_PIXELS = 400_000_000
LOOKED_AT = 10
T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """The files of one sample.

    Attributes:
        target: a second picture, or a map.
        name: of the picture in its set, with slashes; what a split goes by.
        group: of pictures that belong together, where a list names it.
    """

    image: Path
    mask: Path | None = None
    target: Path | None = None
    name: str = ""
    group: str | None = None


def find_pictures(root: Path) -> list[Path]:
    """All pictures below `root`, by their suffix, in the order of their paths.

    Links to pictures are followed, links to folders below `root` are not, which is told: they may
    go in circles. Names that begin with a dot are left out: what is hidden is a system's, such as
    `._photo.png`.

    Raises:
        ValueError: the folder is missing or holds no picture; a link leads to none; a name is not
            UTF-8.
    """
    check_folder(root)
    shown = [path for path in root.rglob("*") if not _is_hidden(path.relative_to(root))]
    named = [path for path in shown if path.suffix.lower() in READ_SUFFIXES]
    others = [path for path in shown if path.suffix.lower() in UNREAD_SUFFIXES]
    linked = [path for path in shown if path.is_symlink() and path.is_dir()]
    if linked:
        logging.getLogger(__name__).warning(
            "%d links to folders in %s are not followed, such as %s; link or move the "
            "pictures themselves",
            *(len(linked), root, linked[0].relative_to(root)),
        )
    if others:
        logging.getLogger(__name__).warning(
            "%d pictures in %s are not read, such as %s; save them as one of %s",
            *(len(others), root, others[0].name, ", ".join(sorted(READ_SUFFIXES))),
        )
    for path in named:
        if path.is_symlink() and not path.exists():
            raise ValueError(f"{path}: expected a picture, got a link to none; mend or remove it")
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            # No log or model card could hold it.
            raise ValueError(
                f"{str(path)!a}: expected a file name in UTF-8, got other bytes; rename it"
            ) from error
    found = sorted(path for path in named if path.is_file())
    if not found:
        raise ValueError(
            f"expected pictures ({', '.join(sorted(READ_SUFFIXES))}) in {root}, got none"
        )
    return found


def check_folder(root: Path) -> None:
    """Raises ValueError where a folder of pictures is none; it names what lies beside it."""
    if root.is_dir():
        return
    what, beside = "a file" if root.is_file() else "none", ""
    if root.parent.is_dir():
        found = sorted(p.name for p in root.parent.iterdir() if p.is_dir() and p.name[0] != ".")
        beside = f"; {root.parent} holds {some_of(found)}" if found else ""
    raise ValueError(f"expected a folder of pictures, got {root}, which is {what}{beside}")


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def find_photos(root: Path) -> list[Entry]:
    """The pictures below `root`.

    Raises:
        ValueError: as `find_pictures`.
    """
    return [Entry(path, name=path.relative_to(root).as_posix()) for path in find_pictures(root)]


def find_masked(root: Path) -> list[Entry]:
    """Pictures of `root`/images with the masks of `root`/masks that have the same stem.

    Raises:
        ValueError: as `pair_with_masks`.
    """
    return pair_with_masks(root / "images", root / "masks")


def pair_with_masks(images: Path, masks: Path) -> list[Entry]:
    """Pictures of one folder with the masks of another that have the same stem.

    Or the stem with one ending, such as `_mask`. Where stems repeat in a folder, files are paired
    by their paths in it.

    Raises:
        ValueError: a folder is missing, a picture has no mask, or two files have the same name.
    """
    paired = _pair(images, masks, "mask")
    return [Entry(image, mask=mask, name=name) for name, (image, mask) in paired.items()]


def pair_with_targets(images: Path, targets: Path) -> list[Entry]:
    """Pictures of one folder with the targets of another, as `pair_with_masks`.

    Raises:
        ValueError: a folder is missing, a picture has no target, or two files have the same name.
    """
    paired = _pair(images, targets, "target")
    return [Entry(image, target=target, name=name) for name, (image, target) in paired.items()]


def _pair(images: Path, others: Path, what: str) -> Mapping[str, tuple[Path, Path]]:
    files, other_files = find_pictures(images), find_pictures(others)
    # By their names wherever they lie; by their paths where names repeat, as those of cameras do.
    by_path = any(len({path.stem for path in each}) < len(each) for each in (files, other_files))
    image_of = _by_name(files, images if by_path else None)
    other_of = _by_name(other_files, others if by_path else None)
    ending = _common_ending(list(image_of), other_of.keys())
    paired, alone = {}, []
    for name, image in image_of.items():
        if name + ending in other_of:
            paired[image.relative_to(images).as_posix()] = (image, other_of.pop(name + ending))
        else:
            alone.append(image)
    if alone:
        longer = (path for path in other_files if path.stem.startswith(alone[0].stem))
        near = next((path for path in longer if path.stem != alone[0].stem), None)
        remedy = "add it, or take the picture away"
        if near is not None:
            remedy = (
                f"rename {near.name}, or name both in a list of files "
                "(training/configs/data/listed.yaml)"
            )
        raise ValueError(
            f"{some_of(alone)}: expected a {what} of the same name in {others}, got none; {remedy}"
        )
    if other_of:
        logging.getLogger(__name__).warning(
            "%d files in %s are a %s for no picture, first %s; they are not used",
            *(len(other_of), others, what, next(iter(other_of.values())).name),
        )
    return paired


def _common_ending(names: Sequence[str], others: Set[str]) -> str:
    """What each of `names` goes on with in `others`, such as `_mask`.

    Nothing where a name stands there as it is, or where there are two such endings. An ending
    begins with no letter or digit: `10` and `20` are not `1` and `2` with one.
    """
    first = names[0]
    if first in others:
        return ""
    longer = {name[len(first) :] for name in others if name.startswith(first)}
    endings = [
        ending
        for ending in longer
        if not ending[0].isalnum() and all(name + ending in others for name in names)
    ]
    return endings[0] if len(endings) == 1 else ""


def _by_name(paths: list[Path], root: Path | None) -> dict[str, Path]:
    """Files by their stem, or where there is a root by their path in it without its suffix."""
    found: dict[str, Path] = {}
    for path in paths:
        name = path.stem if root is None else path.relative_to(root).with_suffix("").as_posix()
        if name in found:
            raise ValueError(
                f"{path}: expected one file of this name, got {found[name]} too; rename one: files "
                "are paired by name"
            )
        found[name] = path
    return found


def loads_of(entries: Sequence[Entry], task: Task, depth: Depth = 8) -> list[Load]:
    """What reads the samples of these files as the task wants them, by `read_entry`.

    A sample has the stem of its picture as its name, or, where two are alike, the whole path in
    its set.
    """
    stems = Counter(entry.image.stem for entry in entries)
    options = {**task.read_options(), "depth": depth}
    return [
        partial(read_entry, entry, whole_name=stems[entry.image.stem] > 1, **options)
        for entry in entries
    ]


def warn_of_16_bits(entries: Sequence[Entry], remedy: str) -> None:
    """Logs a warning where pictures that are to be read in 8 bits hold 16; some are looked at."""
    for entry in _some(entries):
        with suppress(OSError, ImageError):  # told where it is read
            if read_header(entry.image.read_bytes()).depth == 16:
                logging.getLogger(__name__).warning(
                    "%s holds 16 bits a sample, of which 8 are used; %s", entry.image, remedy
                )
                return


def _some(things: Sequence[T]) -> Sequence[T]:
    """At most LOOKED_AT of them, evenly spread."""
    return things[:: max(1, math.ceil(len(things) / LOOKED_AT))]


def warn_of_palettes(entries: Sequence[Entry]) -> None:
    """Logs a warning where masks give one id several colours: each may have ids of its own.

    Some are looked at. A picture of coloured classes that is brought to indices by itself numbers
    its colours in any order.
    """
    masks = [entry.mask for entry in entries if entry.mask is not None]
    first: tuple[Path, list[int]] | None = None
    for path in _some(masks):
        with suppress(OSError, SyntaxError):  # told where it is read
            with Image.open(path, formats=MASK_FORMATS) as file:
                palette = file.getpalette() if file.mode == "P" else None
            if palette is None:
                continue
            first = first or (path, palette)
            if any(one != two for one, two in zip(first[1], palette, strict=False)):
                logging.getLogger(__name__).warning(
                    "%s and %s have ids of other colours; an id must mean the same class in every "
                    "mask: write all by one palette if these do not",
                    *(first[0], path),
                )
                return


def read_entry(
    entry: Entry,
    num_classes: int = 256,
    ignore: int = 255,
    kind: Kind = "image",
    depth: Depth = 8,
    whole_name: bool = False,
) -> Sample:
    """The sample of these files; a gray picture has one channel.

    Args:
        kind: the task's; a target is read as a map for `map`, else as a picture.
        depth: bits of the pictures; 16 keeps those of 16-bit files.
        whole_name: whether the sample's name is the picture's path in its set, not its stem alone.

    Raises:
        ValueError: a file cannot be read, or the mask does not fit the picture or the classes.
    """
    image = read(entry.image, max_pixels=MAX_PIXELS, depth=depth).pixels
    mask, target = None, None
    if entry.mask is not None:
        mask = read_class_ids(entry.mask, num_classes, ignore)
        _check_size(entry.mask, mask, image)
    if entry.target is not None:
        target = read_target(entry.target, kind, depth)
        _check_size(entry.target, target, image)
    return Sample(entry.name if whole_name else entry.image.stem, image, mask, target)


def _check_size(path: Path, values: Values, image: Values) -> None:
    """Raises ValueError where a mask or target has not its picture's size."""
    (height, width), got = image.shape[:2], values.shape[:2]
    if got == (height, width):
        return
    remedy, times = "export it at the picture's size", got[0] // height
    if got == (width, height):
        remedy = "is the picture turned by its EXIF orientation? then turn this file alike"
    elif values.ndim == 3 and got == (times * height, times * width):
        remedy = (
            "super-resolution (training.tasks.SuperResolution) makes the small pictures itself: "
            f"give it the large ones alone, by training.data.Photos with the root {path.parent}"
        )
    raise ValueError(
        f"{path}: expected the size of its picture, {width}×{height}, "
        f"got {got[1]}×{got[0]}; {remedy}"
    )


def read_target(path: Path, kind: Kind, depth: Depth = 8) -> Values:
    """A picture (H, W, 1 or 3), or for kind `map` its values (H, W) float32.

    Raises:
        ValueError: the file cannot be read.
    """
    if kind == "map":
        return read_map(path, max_pixels=MAX_PIXELS)
    return read(path, max_pixels=MAX_PIXELS, depth=depth).pixels


def read_class_ids(path: Path, num_classes: int, ignore: int) -> Pixels:
    """The class ids (H, W) of a mask, as `i2i.image.read_mask` reads it.

    Raises:
        ValueError: the file holds colours instead of ids, or an id that is no class.
    """
    mask = read_mask(path, max_pixels=MAX_PIXELS)
    wrong = sorted(set(np.unique(mask).tolist()) - set(range(num_classes)) - {ignore})
    if wrong:
        raise ValueError(
            f"{path}: expected class ids 0 to {num_classes - 1} or {ignore} (ignored), "
            f"got {wrong[:5]}; renumber the mask, or give the data set a longer classes.txt"
        )
    return mask
