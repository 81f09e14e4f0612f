"""A small chart of lines, as SVG in a page: in the page's colours, on any width."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

_WIDTH, _HEIGHT = 320, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 22, 10, 24
# Told apart without colours too.
_DASHES = ("none", "5 4", "2 3")
_COLOURS = ("#0f8a7e", "#b4552d", "#6a5acd")


Series = Mapping[str, Sequence[float]]


def span_of(*charts: Series) -> tuple[float, float]:
    """The least and the largest value of charts that are to be compared; NaN does not count."""
    lines = [line for chart in charts for line in chart.values()]
    values = [each for line in lines for each in line if math.isfinite(each)]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def line_chart(series: Series, labels: Sequence[str], span: tuple[float, float]) -> str:
    """Lines over evenly spaced labels; NaN is a gap.

    Args:
        series: name → a value for each label.
        span: the values at the bottom and at the top.
    """
    low, high = span
    step = (_WIDTH - _LEFT - _RIGHT) / max(1, len(labels) - 1)

    def x(index: int) -> float:
        return _LEFT + index * step

    def y(value: float) -> float:
        return _TOP + (high - value) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(level):.1f}" y2="{y(level):.1f}" '
        'stroke="currentColor" opacity=".2"/>'
        f'<text x="{_LEFT - 5}" y="{y(level) + 4:.1f}" text-anchor="end">{level:.4g}</text>'
        for level in (low, (low + high) / 2, high)
    ]
    parts += [
        f'<text x="{x(index):.1f}" y="{_HEIGHT - 6}" text-anchor="middle">{html.escape(label)}'
        "</text>"
        for index, label in enumerate(labels)
    ]
    for number, (name, line) in enumerate(series.items()):
        points = [(x(i), y(each)) for i, each in enumerate(line) if math.isfinite(each)]
        # A path that is begun anew after each gap.
        path, begun = "", False
        for i, each in enumerate(line):
            if math.isfinite(each):
                path += f"{'L' if begun else 'M'}{x(i):.1f} {y(each):.1f}"
            begun = math.isfinite(each)
        colour, dash = _COLOURS[number % len(_COLOURS)], _DASHES[number % len(_DASHES)]
        parts.append(
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2" '
            f'stroke-dasharray="{dash}"><title>{html.escape(name)}</title></path>'
        )
        parts += [
            f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{colour}"/>' for px, py in points
        ]
    named = html.escape(", ".join(series))
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{named}" '
        f'font-size="11" fill="currentColor">{"".join(parts)}</svg>'
    )
