"""Pictures on disk as samples: found, checked, decoded once and kept in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from i2i.image import read
from training.tasks.task import Pixels, Sample

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"}
# A data set's picture is trusted more than a stranger's, and a scan may be large.
MAX_PIXELS = 400_000_000
MASK_FORMATS = ("PNG", "TIFF", "BMP")


@dataclass(frozen=True)
class Entry:
    """The files of one sample."""

    image: Path
    mask: Path | None = None


def find_pictures(root: Path) -> list[Path]:
    """All pictures below `root`, by their suffix, in the order of their paths.

    Raises:
        ValueError: the folder is missing or holds no picture.
    """
    if not root.is_dir():
        raise ValueError(f"expected a folder of pictures, got {root}, which is none")
    found = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not found:
        raise ValueError(f"expected pictures ({', '.join(sorted(SUFFIXES))}) in {root}, got none")
    return found


def find_masked(root: Path) -> list[Entry]:
    """Pictures of `root`/images with the masks of `root`/masks that have the same stem.

    Raises:
        ValueError: a folder is missing, or a picture has no mask.
    """
    return pair_with_masks(root / "images", root / "masks")


def pair_with_masks(images: Path, masks: Path) -> list[Entry]:
    """Pictures of one folder with the masks of another that have the same stem.

    Raises:
        ValueError: a folder is missing, a picture has no mask, or two files have the same stem.
    """
    mask_of = _by_stem(find_pictures(masks))
    entries = []
    for stem, image in _by_stem(find_pictures(images)).items():
        if stem not in mask_of:
            raise ValueError(
                f"{image}: expected a mask {masks / stem}.png, got none; "
                "add it, or take the picture away"
            )
        entries.append(Entry(image, mask_of[stem]))
    return entries


def _by_stem(paths: list[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        if path.stem in found:
            raise ValueError(
                f"{path}: expected one file of this name, got {found[path.stem]} too; rename one: "
                "pictures and masks are paired by name"
            )
        found[path.stem] = path
    return found


def read_entry(entry: Entry, num_classes: int = 256, ignore: int = 255) -> Sample:
    """The sample of these files; a gray picture has one channel.

    Raises:
        ValueError: a file cannot be read, or the mask does not fit the picture or the classes.
    """
    image = read(entry.image, max_pixels=MAX_PIXELS).pixels
    mask = None if entry.mask is None else read_mask(entry.mask, num_classes, ignore)
    if mask is not None and mask.shape != image.shape[:2]:
        raise ValueError(
            f"{entry.mask}: expected the size of its picture, {image.shape[1]}×{image.shape[0]}, "
            f"got {mask.shape[1]}×{mask.shape[0]}; export the mask at the picture's size"
        )
    return Sample(entry.image.stem, image, mask)


def read_mask(path: Path, num_classes: int, ignore: int) -> Pixels:
    """Class ids (H, W) of an indexed or gray 8-bit file.

    Raises:
        ValueError: the file holds colours instead of ids, or an id that is no class.
    """
    try:
        with Image.open(path, formats=MASK_FORMATS) as file:
            if file.width * file.height > MAX_PIXELS:
                raise ValueError(f"{path}: expected at most {MAX_PIXELS} pixels, got more")
            mode = file.mode
            mask = np.array(file, dtype=np.uint8) if mode in ("P", "L", "1") else None
    except (OSError, SyntaxError) as error:
        # Pillow calls a broken chunk of a PNG a syntax error.
        raise ValueError(
            f"{path}: expected a readable mask (PNG, TIFF or BMP), got another or a damaged file; "
            "save it as indexed PNG"
        ) from error
    if mask is None:
        kind = "16-bit gray" if mode.startswith("I") else f"{mode} colours"
        raise ValueError(
            f"{path}: expected a mask of class ids (indexed or gray, 8 bit), got {kind}; "
            "save it as indexed PNG with one palette entry for each class"
        )
    wrong = sorted(set(np.unique(mask).tolist()) - set(range(num_classes)) - {ignore})
    if wrong:
        raise ValueError(
            f"{path}: expected class ids 0 to {num_classes - 1} or {ignore} (ignored), "
            f"got {wrong[:5]}; renumber the mask, or give the data set a longer classes.txt"
        )
    return mask
