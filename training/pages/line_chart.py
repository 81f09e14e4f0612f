"""A small chart of lines, as SVG in a page: in the page's colours, on any width."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

_WIDTH, _HEIGHT = 320, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 22, 10, 24
# Told apart without colours too, as far as dashes go.
_DASHES = ("none", "5 4", "2 3")
_COLOURS = ("#0f8a7e", "#b4552d", "#6a5acd", "#2f6fb3", "#a8326e", "#7a6a00", "#5f6b76")
# More points than these are a line without a mark at each.
_MARKED = 24


Series = Mapping[str, Sequence[float]]


def span_of(*charts: Series, log: bool = False) -> tuple[float, float]:
    """The least and the largest value of charts that are to be compared.

    NaN does not count, nor by its logarithm what is not above 0; equal values have some room.
    """
    lines = [line for chart in charts for line in chart.values()]
    values = [value for line in lines for value in line if math.isfinite(value)]
    if log:
        values = [value for value in values if value > 0]
    low, high = (min(values), max(values)) if values else (1.0, 1.0)
    if high > low:
        return low, high
    room = abs(low) / 10 or 1.0
    return (low / 2, high * 2) if log else (low - room if low else 0.0, high + room)


def line_chart(
    series: Series, labels: Sequence[str], span: tuple[float, float], *, log: bool = False
) -> str:
    """Lines over evenly spaced labels; NaN is a gap.

    Args:
        series: name → a value for each label.
        labels: empty ones are left out.
        span: the values at the bottom and at the top.
        log: each factor is as high; the values and the span are above 0.
    """
    scale = math.log if log else float
    low, high = map(scale, span)
    step = (_WIDTH - _LEFT - _RIGHT) / max(1, len(labels) - 1)

    def x(index: int) -> float:
        return _LEFT + index * step

    def y(value: float) -> float:
        return _TOP + (high - scale(value)) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    middle = math.sqrt(span[0] * span[1]) if log else (low + high) / 2
    levels = [span[0], middle, span[1]]
    values = {value for line in series.values() for value in line if math.isfinite(value)}
    if len(labels) == len(values) == 1:
        # There is no range: what is drawn is what is told.
        levels = [*values]
    parts = [
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(level):.1f}" y2="{y(level):.1f}" '
        'stroke="currentColor" opacity=".2"/>'
        f'<text x="{_LEFT - 5}" y="{y(level) + 4:.1f}" text-anchor="end">{told}</text>'
        for level, told in zip(levels, _apart(levels), strict=True)
    ]
    parts += [
        f'<text x="{x(index):.1f}" y="{_HEIGHT - 6}" text-anchor="middle">{html.escape(label)}'
        "</text>"
        for index, label in enumerate(labels)
        if label
    ]
    for number, (name, line) in enumerate(series.items()):
        points = [(x(i), y(each)) for i, each in enumerate(line) if math.isfinite(each)]
        # A path that is begun anew after each gap.
        path, begun = "", False
        for i, each in enumerate(line):
            if math.isfinite(each):
                path += f"{'L' if begun else 'M'}{x(i):.1f} {y(each):.1f}"
            begun = math.isfinite(each)
        colour, dash = _style(number)
        parts.append(
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2" '
            f'stroke-dasharray="{dash}"><title>{html.escape(name)}</title></path>'
        )
        marked = points if len(points) <= _MARKED else []
        parts += [
            f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{colour}"/>' for px, py in marked
        ]
    named = html.escape(", ".join(series))
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{named}" '
        f'font-size="11" fill="currentColor">{"".join(parts)}</svg>'
    )


def legend(names: Sequence[str]) -> str:
    """What the lines of a chart are called, in their order, as HTML."""
    told = []
    for number, name in enumerate(names):
        colour, dash = _style(number)
        told.append(
            '<span class="line"><svg viewBox="0 0 24 8" aria-hidden="true"><path d="M0 4H24" '
            f'stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/></svg> '
            f"{html.escape(name)}</span>"
        )
    return f'<p class="legend">{" ".join(told)}</p>'


def _apart(levels: Sequence[float]) -> list[str]:
    """Numbers in few letters, in as many as tell them apart."""
    for more in range(6):
        told = [_short(level, more) for level in levels]
        if len(set(told)) == len(set(levels)):
            break
    return told


def _short(level: float, more: int = 0) -> str:
    """A number in few letters, 35.53, 0.0168, 2.8e-05, and so many more digits."""
    if 0 < abs(level) < 1e-3:
        return f"{level:.{1 + more}e}"
    return f"{level:.{(4 if abs(level) >= 0.1 else 3) + more}g}"


def _style(number: int) -> tuple[str, str]:
    """Colour and dashes of a line."""
    return _COLOURS[number % len(_COLOURS)], _DASHES[number % len(_DASHES)]
