"""The tables of docs/service.md, from what was measured: written between their markers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.service.results import kept

PAGE = Path(__file__).parents[2] / "docs" / "service.md"

# What a table says of each measurement: what was measured, goal, and how its figure reads.
ROWS: dict[str, list[tuple[str, str, str]]] = {
    "throughput": [
        ("512 × 512 JPEG in and out, 8 clients, a second", "", "{per_s:.2f}"),
        ("… of decode, engine and encode alone, by wall clock", "≥ 0.95", "{share:.2f}"),
        ("… by processor time", "≥ 0.95", "{share_by_cpu:.2f}"),
        ("64 × 64, one connection: all but the engine, median", "≤ 4 ms", "{overhead_ms:.1f} ms"),
        ("… a tenth of the requests is below", "", "{overhead_p10_ms:.1f} ms"),
    ],
    "fairness": [
        (
            "256 × 256, requests of a run idle, busy",
            "≥ 500, 300",
            "{idle_requests}, {busy_requests}",
        ),
        ("… runs, of which the median is given", "≥ 3", "{runs}"),
        ("… nothing else: 99th percentile", "", "{idle_ms:.0f} ms"),
        ("… while 48 megapixels are in work", "≤ 3 ×", "{one_ms:.0f} ms, {ratio_one:.1f} ×"),
        ("… while two such are in work", "≤ 3 ×", "{two_ms:.0f} ms, {ratio_two:.1f} ×"),
        ("LitServe 0.2, the same net: nothing else", "", "{litserve[idle_ms]:.0f} ms"),
        (
            "… while 48 megapixels are in work",
            "",
            "{litserve[one_ms]:.0f} ms, {litserve[ratio_one]:.0f} ×",
        ),
        ("rembg 2, the same net at 320 × 320: nothing else", "", "{rembg[idle_ms]:.0f} ms"),
        (
            "… while 48 megapixels are in work",
            "",
            "{rembg[one_ms]:.0f} ms, {rembg[ratio_one]:.0f} ×",
        ),
    ],
    "overload": [
        ("256 × 256, 8 clients, a second", "", "{capacity_per_s:.1f}"),
        ("asked for a second", "3 ×", "{asked_per_s:.1f}"),
        ("answered of what can be", "≥ 0.9", "{goodput:.2f}"),
        ("refused without code or Retry-After", "0", "{undocumented}"),
        ("memory before and after", "flat", "{memory_before_mib:.0f}, {memory_after_mib:.0f} MiB"),
    ],
    "large_jobs": [
        ("labels as PNG, peak", "≤ 1.5 GiB", "{bright_png[peak_mib]:.0f} MiB"),
        ("×2 as PNG, peak", "≤ 1.5 GiB", "{twice_png[peak_mib]:.0f} MiB"),
        ("×2 as TIFF, peak", "≤ 1.5 GiB", "{twice_tiff[peak_mib]:.0f} MiB"),
        ("idle", "", "{twice_png[idle_mib]:.0f} MiB"),
    ],
    "cold_start": [
        ("process until ready, one model, median of 5", "≤ 3 s", "{median_s:.2f} s"),
    ],
    "rolling_restart": [
        (
            "{large_side} × {large_side}, requests of a median of",
            "≥ 2 s",
            "{large_requests} of {large_median_s:.1f} s",
        ),
        ("… lost", "0", "{large_lost}"),
        (
            "{small_side} × {small_side}, requests of a median of",
            "",
            "{small_requests} of {small_median_s:.2f} s",
        ),
        ("… lost", "0", "{small_lost}"),
        ("a replica ended after SIGTERM in", "≤ 25 s", "{stopped_s[0]:.1f}, {stopped_s[1]:.1f} s"),
    ],
    "soak": [
        ("minutes", "", "{minutes:.0f}"),
        ("sizes of pictures", "≥ 500", "{sizes}"),
        ("unexpected answers", "0", "{unexpected}"),
        (
            "memory at a third and at the end",
            "",
            "{memory_third_mib:.0f}, {memory_end_mib:.0f} MiB",
        ),
        ("… end by third", "≤ 1.03", "{memory_growth:.3f}"),
    ],
}


def table(name: str) -> str:
    """The Markdown table of one measurement; says so where it has not been made."""
    results = kept(name)
    if results is None:
        return "Not measured yet."
    figures, machine = results["figures"], results["machine"]
    lines = ["| what | goal | measured |", "|---|---|---|"]
    for what, goal, text in ROWS[name]:
        lines.append(f"| {what.format(**figures)} | {goal} | {text.format(**figures)} |")
    return "\n".join([*lines, "", _measured_on(machine)])


def _measured_on(machine: dict[str, Any]) -> str:
    return (
        f"{machine['processor']}, {machine['cores']} cores, of which others used "
        f"{machine['others_cores']:.2f} meanwhile."
    )


def with_tables(page: str) -> str:
    """The page with every table as it follows from the results."""
    for name in ROWS:
        begin, end = f"<!-- {name} -->\n", "<!-- end -->"
        before, _, after = page.partition(begin)
        page = f"{before}{begin}{table(name)}\n{after[after.index(end) :]}"
    return page


def write() -> None:
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
