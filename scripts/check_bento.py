"""Builds the bento, serves it in a real process, and asks each shipped model for a prediction."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from i2i import decode, load, shipped_models
from scripts.serving import ask, serving
from training.data.embedded import photographs


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        environment = {"BENTOML_HOME": home, "BENTOML_DO_NOT_TRACK": "true"}
        built = subprocess.run(
            [sys.executable, "-m", "bentoml", "build", "--output", "tag"],
            env=os.environ | environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        # The service may log a line, too, when it is imported.
        (tag,) = re.findall(r"^__tag__:(.+)$", built.stdout, re.MULTILINE)
        with serving(tag, environment, Path(home) / "server.log") as url:
            check(url)


def check(url: str) -> None:
    """Every shipped model is served, and answers with the pixels that the library gives."""
    listed = {spec["name"] for spec in json.loads(ask(f"{url}/v1/models"))["models"]}
    if not listed or listed != set(shipped_models()):
        sys.exit(f"expected the shipped models {set(shipped_models())}, got {listed}")
    picture = photographs(("coffee",))[0].read_bytes()
    for name in sorted(listed):
        answer = ask(f"{url}/v1/models/{name}/predict", picture)
        if answer != load(name).predict(decode(picture)).encode():
            sys.exit(f"{name}: the HTTP answer differs from the library's")
        print(f"{name}: {len(answer)} bytes over HTTP, the same as from the library")


if __name__ == "__main__":
    main()
