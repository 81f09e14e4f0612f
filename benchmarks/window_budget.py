"""How large a window may be for an engine call of about 50 ms, and what the margin then costs.

python -m benchmarks.window_budget MODEL…   (2 cores; the machine otherwise idle)

The margin budget: (T / (T - 2 · margin))² ≤ 1.8 at the side T whose call takes about 50 ms.
"""

import argparse
import statistics
import time

import numpy as np

from i2i import Predictor, load

CALL_MS = 50.0
RUNS = 7


def main() -> None:
    parser = argparse.ArgumentParser(description="The margin budget of models on this machine.")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    for model in options.models:
        predictor = load(
            model, engine="openvino", precision=options.precision, threads=options.threads
        )
        spec = predictor.spec
        timed: dict[int, float] = {}
        for side in range(128, 2049, 32):
            timed[side] = call_ms(predictor, side)
            if timed[side] > 1.5 * CALL_MS:
                break
        side = min(timed, key=lambda candidate: abs(timed[candidate] - CALL_MS))
        price = (side / (side - 2 * spec.margin)) ** 2 if side > 2 * spec.margin else float("inf")
        print(
            f"{spec.address} {options.precision}: margin {spec.margin}, T {side} "
            f"({timed[side]:.0f} ms), price {price:.2f}, window in use {spec.window}"
        )


def call_ms(predictor: Predictor, side: int) -> float:
    """Median milliseconds of one engine call on a window of `side` pixels."""
    shape = (1, predictor.spec.input_channels, side, side)
    image = np.random.default_rng(0).random(shape, np.float32)
    predictor.engine.run(image)
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        predictor.engine.run(image)
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)


if __name__ == "__main__":
    main()
