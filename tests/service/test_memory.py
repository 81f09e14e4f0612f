"""What the accounts of memory say is what it takes."""

from __future__ import annotations

import io
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from i2i.image import Header, Picture, encode
from i2i.image.formats import READING_BYTES
from service.errors import Problem
from service.pipeline import job_bytes, most_job_bytes

PREDICT = "/v1/models/bright/predict"
SIDE = 2000
DECODE = r"""
import re, sys
from pathlib import Path
from i2i.image import decode
from service.heap import keep_heap_small

keep_heap_small()
data = sys.stdin.buffer.read()


def peak_bytes():
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])


before = peak_bytes()
decode(data)
print(peak_bytes() - before)
"""


def file_of(format: str) -> bytes:
    """Noise in the kind of this format that costs the most to decode."""
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 4), np.uint8)
    if format in ("png", "tiff"):
        deep = noise.astype(np.uint16) * 257
        return encode(Picture(deep[..., :3], deep[..., 3]), "png" if format == "png" else "tiff")
    picture = Image.fromarray(noise).convert({"jpeg": "CMYK", "webp": "RGBA", "bmp": "RGB"}[format])
    options = {
        "jpeg": {"progressive": True, "subsampling": 0},
        "webp": {"lossless": True, "quality": 0, "method": 0},
    }
    file = io.BytesIO()
    picture.save(file, format, **options.get(format, {}))
    return file.getvalue()


@pytest.mark.whole
@pytest.mark.skipif(sys.platform != "linux", reason="the system tells the peak there")
@pytest.mark.parametrize("format", READING_BYTES)
def test_decoding_takes_no_more_memory_than_is_counted_for_the_format(format):
    command = [sys.executable, "-c", DECODE]
    done = subprocess.run(command, input=file_of(format), stdout=subprocess.PIPE, check=True)
    most = READING_BYTES[format] * SIDE**2
    strips = 2**25  # of a million pixels, which do not grow with the picture
    assert most / 3 < int(done.stdout) < most + strips


def test_a_request_holds_what_decoding_takes_and_less_once_that_is_done(serve, bright, wait_until):
    noise = Picture(np.random.default_rng(0).integers(0, 256, (640, 640, 3), np.uint8))
    webp = encode(noise, "webp")
    # The picture, its labels with their confidence, and a band of them as it is shown.
    decoding, answering = 19 * 640**2, (4 + 5) * 640**2 + 8 * 64 * 640

    def held(client) -> float:
        (number,) = re.findall(r"^i2i_held_bytes (.+)$", client.get("/metrics").text, re.MULTILINE)
        return float(number)

    both = 2 * len(webp) + answering + decoding
    for inflight_bytes, status in ((both, 200), (both - 1, 503)):
        with serve(inflight_bytes=inflight_bytes) as client:
            bright.engine.gate.clear()
            first = client.begin("POST", PREDICT, content=webp)
            wait_until(lambda client=client: held(client) == len(webp) + answering)
            second = client.begin("POST", PREDICT, content=webp)
            if status == 200:
                wait_until(lambda client=client: held(client) == 2 * (len(webp) + answering))
            bright.engine.gate.set()
            assert second.result().status_code == status
            assert first.result().status_code == 200


@pytest.mark.parametrize(
    ("header", "format", "bytes_per_pixel"),
    [
        (Header("jpeg", 10_000, 10_000), "jpeg", 4 + 4 * 10),
        (Header("png", 10_000, 10_000, 16), "webp", 8 + 4 * 17),
        # What is written band by band is on disk.
        (Header("jpeg", 10_000, 10_000), "png", 12),
        (Header("webp", 10_000, 10_000), "png", 19),
        (Header("tiff", 10_000, 10_000), "png", 10),
        (Header("png", 10_000, 10_000, 16), "tiff", 26),
    ],
)
def test_a_job_counts_the_more_of_what_decoding_takes_and_the_answer(
    twice, header, format, bytes_per_pixel
):
    assert job_bytes(header, twice, format, 10**8) == bytes_per_pixel * 10**8
    assert most_job_bytes(10**6) == 19 * 10**6


def test_a_job_counts_the_bands_that_wait_for_their_encoder(twice):
    wide = Header("jpeg", 1_000_000, 40)
    read, answer = 4 * 40 * 10**6, 4 * 4 * 40 * 10**6
    assert job_bytes(wide, twice, "png", 10**9) == read + 2 * answer


def test_a_job_whose_rows_are_too_wide_for_the_memory_is_refused(twice):
    wide, turned = Header("jpeg", 2_000_000, 40), Header("jpeg", 40, 2_000_000)
    with pytest.raises(Problem, match="turn it by 90 degrees") as refused:
        job_bytes(wide, twice, "png", 80 * 10**6)
    assert refused.value.code == "too_many_pixels"
    assert job_bytes(turned, twice, "png", 80 * 10**6) < most_job_bytes(80 * 10**6)
    # A service that takes small pictures only has memory for one of them.
    assert job_bytes(Header("jpeg", 1000, 1000), twice, "png", 10**6) < 2**30
