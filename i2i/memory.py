"""How much memory a picture holds on its way through a model, told from its header."""

from __future__ import annotations

from i2i.image import Format, Header
from i2i.image.formats import READING_BYTES, WRITING_BYTES
from i2i.spec import ModelSpec
from i2i.windows import Plan

# A header does not say how many there are of red, green, blue, alpha.
_CHANNELS = 4
# A pixel of labels with their confidence, and the most that is made of it while it is shown: two
# floats of the confidence; colours are less.
_LABELLED, _SHOWN = 5, 8


def held_bytes(
    spec: ModelSpec, plan: Plan, header: Header, format: Format, depth: int, waiting: float = 0
) -> tuple[int, int]:
    """What a picture holds while it is decoded, and from then on until its answer is written.

    PNG and TIFF are written band by band, others need the whole answer. The file that is read,
    strips, and the engine with its window come to this.

    Args:
        format: of the answer.
        depth: bits of a sample in memory.
        waiting: bytes of the answer that are in memory beside the band that is being written: one
            more band at least, as far as there is one.
    """
    samples = depth // 8
    pixels = plan.rows.length * plan.columns.length
    read = pixels * _CHANNELS * samples
    decoding = pixels * READING_BYTES[header.format] * samples
    # Under alpha a net that enhances sees other colours than the file's, which are kept too.
    fills = spec.kind == "image" and header.format not in ("jpeg", "bmp")
    enlarged = spec.scale**2
    labelled = 0 if spec.kind == "image" else _LABELLED
    if format in WRITING_BYTES:
        answer: float = enlarged * pixels * (WRITING_BYTES[format] + labelled)
    else:
        finished = labelled or _CHANNELS * samples
        band = enlarged * min(plan.rows.step, plan.rows.length) * plan.columns.length
        others = (enlarged * pixels - band) * finished
        answer = band * (finished + (_SHOWN if labelled else finished))
        answer += min(max(waiting, band * finished), others)
    return decoding, read * (2 if fills else 1) + int(answer)
