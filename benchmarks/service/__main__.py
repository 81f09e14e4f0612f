"""Measures the service as users run it: real processes, the server on core 0, the client on core 1.

python -m benchmarks.service NAME… [--short]     (2 cores; the machine otherwise idle)

Writes benchmarks/results/service/NAME.json and the tables of docs/service.md; `tables` writes these
alone.
"""

import argparse
import json
from collections.abc import Callable
from typing import Any

from benchmarks.service import (
    cold_start,
    fairness,
    large_jobs,
    overload,
    results,
    rolling_restart,
    soak,
    tables,
    throughput,
)

# In full, and shortened to try the measurement itself out: its figures are not kept.
MEASUREMENTS: dict[str, tuple[Callable[..., dict[str, Any]], dict[str, Any]]] = {
    "throughput": (throughput.measure, {"seconds": 5}),
    "fairness": (fairness.measure, {"idle": 40, "busy": 40, "runs": 1}),
    "overload": (overload.measure, {"seconds": 10}),
    "large_jobs": (large_jobs.measure, {"megapixels": 9}),
    "cold_start": (cold_start.measure, {"starts": 1}),
    "rolling_restart": (rolling_restart.measure, {"sides": (64, 32)}),
    "soak": (soak.measure, {"minutes": 0.5}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the service.")
    parser.add_argument("names", nargs="+", choices=[*MEASUREMENTS, "tables"])
    parser.add_argument("--short", action="store_true", help="a trial; keeps nothing")
    parser.add_argument("--minutes", type=float, help="of the soak")
    options = parser.parse_args()
    for name in (name for name in options.names if name != "tables"):
        measure, shorter = MEASUREMENTS[name]
        arguments = shorter if options.short else {}
        if name == "soak" and options.minutes:
            arguments = {"minutes": options.minutes}
        machine = results.Machine()
        figures = measure(**arguments)
        print(name, json.dumps(figures, indent=2))
        if not options.short:
            results.keep(name, machine.about(), figures)
    if not options.short:
        tables.write()


if __name__ == "__main__":
    main()
