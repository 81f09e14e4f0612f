"""`make image-test`: a container gives the pixels of the library, and stops in peace."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil

from i2i import Picture, encode, shipped_models
from i2i.model_folder import GOLDEN_INPUT
from scripts.container import Container, output, running
from scripts.serving import ask

DOCKERFILE = Path("deploy/Dockerfile")
MAX_LAYERS_MB = 400
MAX_IDLE_MB = 350
MAX_STOP_S = 25


def main(program: str, image: str) -> None:
    began = time.monotonic()
    with running(program, image) as container:
        print(f"ready after {time.monotonic() - began:.1f} s")
        _limit("layers above the base image", _layers_mb(program, image), MAX_LAYERS_MB, "MB")
        _limit("idle memory", _memory_mb(container), MAX_IDLE_MB, "MB")
        _check_health(container)
        for model, folder in sorted(shipped_models().items()):
            _check_pixels(container.url, model, folder / GOLDEN_INPUT)
        print(f"memory after that: {_memory_mb(container):.0f} MB")
        _check_stop(container)


def _check_health(container: Container) -> None:
    """The command of the image's health check succeeds inside."""
    inspect = [container.program, "image", "inspect", "--format", "{{json .Config.Healthcheck}}"]
    check = json.loads(output(*inspect, container.inspect("{{.Image}}")))
    output(container.program, "exec", container.id, *check["Test"][1:])


def _check_pixels(url: str, model: str, picture: Path) -> None:
    """`i2i predict` writes the bytes that the container answers."""
    answer = ask(f"{url}/v1/models/{model}/predict", picture.read_bytes())
    with tempfile.TemporaryDirectory() as folder:
        predict = ["predict", "--model", model, "--output", folder, str(picture)]
        subprocess.run([sys.executable, "-m", "i2i", *predict], check=True, stdout=subprocess.PIPE)
        (written,) = Path(folder).iterdir()
        if answer != written.read_bytes():
            sys.exit(f"{model}: the container's answer differs from `i2i predict`")
    print(f"{model}: {len(answer)} bytes, the same as from `i2i predict`")


def _check_stop(container: Container) -> None:
    """SIGTERM while a request is in flight: it is answered, then the process ends with 0."""
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1600, 3), np.uint8)
    predict = f"{container.url}/v1/models/{min(shipped_models())}/predict"
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(ask, predict, encode(Picture(noise, None)))
        while not answer.done() and b"\ni2i_held_bytes 0.0" in ask(f"{container.url}/metrics"):
            time.sleep(0.02)
        if answer.done():
            sys.exit("the request was answered before SIGTERM; take a larger picture")
        began = time.monotonic()
        output(container.program, "stop", "--time", "60", container.id)
        _limit("stopped with a request in flight", time.monotonic() - began, MAX_STOP_S, "s")
        print(f"which was answered with {len(answer.result())} bytes")
    if (status := container.inspect("{{.State.ExitCode}}")) != "0":
        sys.exit(f"exit status: expected 0, got {status}")


def _layers_mb(program: str, image: str) -> float:
    (base,) = re.findall(r"^ARG BASE=(.+)$", DOCKERFILE.read_text(), re.MULTILINE)
    sizes = (
        int(output(program, "image", "inspect", "--format", "{{.Size}}", name))
        for name in (image, base)
    )
    return (next(sizes) - next(sizes)) / 1e6


def _memory_mb(container: Container) -> float:
    """Resident memory of its processes; what two of them share counts twice."""
    first = psutil.Process(int(container.inspect("{{.State.Pid}}")))
    processes = [first, *first.children(recursive=True)]
    return sum(process.memory_info().rss for process in processes) / 1e6


def _limit(what: str, value: float, most: float, unit: str) -> None:
    print(f"{what}: {value:.1f} {unit} (at most {most})")
    if value > most:
        sys.exit(f"{what}: expected at most {most} {unit}, got {value:.1f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
