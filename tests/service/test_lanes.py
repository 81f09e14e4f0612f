"""Codecs of large pictures hold up no small one."""

from __future__ import annotations

import numpy as np
import pytest

from i2i.image import Picture, encode
from service.routes import create_app
from service.settings import Settings


@pytest.mark.whole
def test_small_pictures_do_not_wait_for_results_that_are_encoded_in_one_piece(
    models_of, make_predictor, client_of, png, wait_until
):
    # Pictures of a quarter of a megapixel, and results of 17, seconds of work as WebP.
    enlarging = make_predictor("enlarging", scale=8, window=512)
    models = models_of(enlarging)
    models.load()
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    webp = {"params": {"format": "webp"}, "content": encode(Picture(noise))}
    path = "/v1/models/enlarging/predict"
    with client_of(create_app(models, Settings())) as client:
        large = [client.begin("POST", path, **webp) for _ in range(3)]
        wait_until(lambda: enlarging.engine.windows == 1 + len(large))  # one proved it
        assert client.post(path, content=png).status_code == 200
        assert sum(reply.done() for reply in large) <= 1
        assert {reply.result().status_code for reply in large} == {200}
