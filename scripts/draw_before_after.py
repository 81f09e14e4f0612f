"""Draws docs/before-after.png with the shipped models, on photographs they were not trained on.

python -m scripts.draw_before_after
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from i2i import Picture, encode, load
from i2i.image import write_bytes
from training.data.embedded import photographs
from training.data.files import Entry, read_entry
from training.evaluation.evaluate import task_of

SIDE = 264
GAP = 8
CAPTION = 22
# Model, photograph, (top, left) of the part that is shown, and what its three pictures are.
ROWS = (
    ("depixelate", "chelsea", (20, 110), ("blocks of 4", "depixelate", "original")),
    (
        "super-resolution-x2",
        "coffee",
        (36, 200),
        ("half the size", "super-resolution-x2", "original"),
    ),
)


def main() -> None:
    width = len(ROWS[0][3]) * (SIDE + GAP) - GAP
    sheet = Image.new("RGB", (width, len(ROWS) * (SIDE + CAPTION + GAP) - GAP), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(13)
    for row, (model, photo, (top, left), captions) in enumerate(ROWS):
        predictor = load(model)
        task = task_of(predictor.folder)
        sample = read_entry(Entry(photographs((photo,))[0]))
        small, original = task.pair(sample, np.random.default_rng(0))
        output = predictor.predict(Picture(small)).picture
        assert output is not None
        before = small.repeat(task.scale, axis=0).repeat(task.scale, axis=1)
        y = row * (SIDE + CAPTION + GAP)
        for column, (pixels, caption) in enumerate(
            zip((before, output.pixels, original), captions, strict=True)
        ):
            x = column * (SIDE + GAP)
            part = np.ascontiguousarray(pixels[top : top + SIDE, left : left + SIDE])
            sheet.paste(Image.fromarray(part), (x, y))
            draw.text((x + SIDE / 2, y + SIDE + 3), caption, "black", font, anchor="ma")
    write_bytes(Path("docs/before-after.png"), encode(Picture(np.asarray(sheet))))


if __name__ == "__main__":
    main()
