"""The net of a model folder behind LitServe, as its documentation shows: one picture, one call.

python litserve_server.py GRAPH PORT          (in the environment of `benchmarks.service.peers`)
"""

import io
import sys

import litserve
import numpy as np
import openvino
from fastapi import Request, Response
from numpy.typing import NDArray
from PIL import Image

MULTIPLE = 8


class Labels(litserve.LitAPI):
    """Posts a picture as the field `image`, gets its classes as a PNG."""

    def setup(self, device: str) -> None:
        settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        self.net = openvino.Core().compile_model(sys.argv[1], "CPU", settings)

    def decode_request(self, request: Request) -> NDArray[np.uint8]:
        # LitServe hands over the form where it is told to expect a request.
        return np.asarray(Image.open(request["image"].file).convert("RGB"))

    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width = pixels.shape[:2]
        padding = (0, -height % MULTIPLE), (0, -width % MULTIPLE), (0, 0)
        padded = np.pad(pixels, padding, "symmetric").astype(np.float32) / 255
        labels = self.net(padded.transpose(2, 0, 1)[None])["labels"]
        cut: NDArray[np.uint8] = labels[0, :height, :width]
        return cut

    def encode_response(self, labels: NDArray[np.uint8]) -> Response:
        file = io.BytesIO()
        Image.fromarray(labels).save(file, "png", compress_level=1)
        return Response(file.getvalue(), media_type="image/png")


if __name__ == "__main__":
    server = litserve.LitServer(Labels(), accelerator="cpu", timeout=3600)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False)
