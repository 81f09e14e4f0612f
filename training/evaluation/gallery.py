"""The worst pictures of a set on one page: input, output, target, and where they differ."""

from __future__ import annotations

import html
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np

from i2i.image import Picture, encode, write_bytes
from i2i.resize import bicubic
from i2i.views import false_colours, overlay, palette
from training.evaluation.protocol import in_words
from training.pages.html import class_legend, page
from training.pixels import Pixels, Values, brightness, in_colour, to_8_bit, to_float
from training.tasks import Task
from training.tasks.task import side_by_side

if TYPE_CHECKING:
    from training.evaluation.evaluate import Judged

# Differences of brightness, of 255, that are drawn in white; and of a map, as a share of its range.
_WHITE = 32
_WHITE_OF_MAP = 0.1

_STYLE = """\
.wide { min-width: 60rem; }
.heads { display: grid; grid-template-columns: repeat(4, 1fr); font-size: .85rem; }
"""

_BODY = Template("""\
<p>The worst $count of $pictures pictures, worst first by $monitor. $scale</p>
$legend<p>Protocol $protocol.</p>
$figures""")

_FIGURE = Template("""<figure>
<figcaption>$rank. $name: $monitor $score</figcaption>
<div class="row" tabindex="0"><div class="wide">
<div class="heads"><span>input</span><span>output</span><span>target</span><span>error</span></div>
<a href="$file"><img src="$file" alt="input, output, target and error of $name" loading="lazy"></a>
</div></div>
</figure>""")


class Gallery:
    """Sees each picture of an evaluation, keeps the worst, and writes them as a page.

    Args:
        worst: pictures to keep.
    """

    def __init__(self, task: Task, worst: int = 8) -> None:
        if worst < 1:
            raise ValueError(f"--worst: expected at least 1 picture, got {worst}")
        self.task, self.worst = task, worst
        self.kept: list[Judged] = []

    def __call__(self, judged: Judged) -> None:
        # A picture may have no score, such as one whose mask is ignored all over.
        if self.task.monitor in judged.scores:
            self.kept = sorted([*self.kept, judged], key=self._badness)[: self.worst]

    def _badness(self, judged: Judged) -> float:
        score = judged.scores[self.task.monitor]
        return score if self.task.mode == "max" else -score

    def write(self, folder: Path, results: dict[str, Any]) -> Path:
        """Writes index.html and 01.png, 02.png … into the folder; gives the page's path."""
        folder.mkdir(parents=True, exist_ok=True)
        figures = []
        for rank, judged in enumerate(self.kept, start=1):
            file = f"{rank:02d}.png"
            write_bytes(folder / file, encode(Picture(panels(judged, self.task))))
            score = f"{judged.scores[self.task.monitor]:.4f}"
            shown = {"name": html.escape(judged.name), "monitor": self.task.monitor}
            figures.append(_FIGURE.substitute(shown, rank=rank, score=score, file=file))
        body = _BODY.substitute(
            count=len(self.kept),
            pictures=results["set"]["pictures"],
            monitor=self.task.monitor,
            scale=scale_in_words(self.task),
            legend=class_legend(self.task.classes()),
            protocol=html.escape(in_words(results["protocol"])),
            figures="\n".join(figures),
        )
        path = folder / "index.html"
        write_bytes(path, page(results["model"], body, _STYLE))
        return path


def panels(judged: Judged, task: Task) -> Pixels:
    """Input, output, target and error side by side, (H, 4 W + gaps, 3).

    A smaller input is enlarged by bicubic. The error's scale: `scale_in_words`.
    """
    answer, target = judged.answer, judged.target
    image = in_colour(to_8_bit(judged.image))
    if task.kind == "labels":
        colours = palette(len(task.classes()))
        known = [np.where(t == task.ignore, 0, t) for t in (answer, target)]
        shown = [overlay(image, ids, colours) for ids in known]
        parts = [image, *shown, _wrong(image, answer, target, task.ignore)]
    elif task.kind == "map":
        limits = task.map_info()
        assert limits is not None
        shown = [false_colours(m, limits.low, limits.high) for m in (answer, target)]
        white = _WHITE_OF_MAP * (limits.high - limits.low)
        parts = [image, *shown, false_colours(np.abs(answer - target), 0, white)]
    else:
        if image.shape[:2] != target.shape[:2]:
            image = bicubic(image, *target.shape[:2])
        seen = brightness if task.monitor == "psnr_y" else _colours
        error = 255 * np.abs(seen(answer) - seen(target)).reshape(*target.shape[:2], -1).mean(-1)
        shown = [in_colour(to_8_bit(picture)) for picture in (answer, target)]
        parts = [image, *shown, false_colours(error, 0, _WHITE)]
    return side_by_side(*parts)


def scale_in_words(task: Task) -> str:
    """What the colours of the error mean."""
    if task.kind == "labels":
        return (
            "Error: the picture, darkened; red where the label is wrong, blue where the target is "
            "ignored."
        )
    if task.kind == "map":
        limits = task.map_info()
        assert limits is not None
        white = _WHITE_OF_MAP * (limits.high - limits.low)
        most = f"{white:g} {limits.unit}"
        return f"Error: from black (none) to white ({most} or more); gray is unknown."
    what = "brightness" if task.monitor == "psnr_y" else "red, green and blue, their mean"
    return f"Error of {what}, from black (none) to white ({_WHITE} of 255 or more)."


def _colours(picture: Values) -> Values:
    return to_float(in_colour(picture))


def _wrong(image: Pixels, labels: Values, target: Values, ignore: int) -> Pixels:
    """The picture, darkened and gray, with wrong labels in red and ignored pixels in blue."""
    drawn = in_colour((to_float(image).mean(axis=2, keepdims=True) * 90).astype(np.uint8))
    drawn[labels != target] = (230, 40, 40)
    drawn[target == ignore] = (50, 90, 170)
    return drawn
