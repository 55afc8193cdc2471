"""Draws measurements against a size, both on logarithmic scales: a panel for each column, a line through its points."""

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from bench.reporting.picture import FAINT, INK, OURS, number

Points = Sequence[tuple[float, float]]
WIDTH, HEIGHT, LEFT, GAP, HEAD = 420, 150, 90, 62, 34


def draw_curves(title: str, sizes: str, curves: Mapping[str, Points]) -> str:
    """The picture as SVG. `sizes` says what lies on the horizontal scale; a curve is its name and its points."""
    width, height = LEFT + WIDTH + LEFT, HEAD + (HEIGHT + GAP) * len(curves)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="system-ui, sans-serif" font-size="13" fill="{INK}">',
        f'<text x="0" y="16" font-size="15" font-weight="600">{escape(title)}</text>',
    ]
    for place, (name, points) in enumerate(curves.items()):
        lines += _panel(f"{name}, by {sizes}", points, HEAD + (HEIGHT + GAP) * place)
    return "\n".join([*lines, "</svg>", ""])


def _panel(name: str, points: Points, top: int) -> Iterator[str]:
    across, up = _decades(x for x, _ in points), _decades(y for _, y in points)
    ground = top + 14 + HEIGHT
    places = [(LEFT + WIDTH * _share(x, across), ground - HEIGHT * _share(y, up), x, y) for x, y in sorted(points)]
    yield f'<text x="0" y="{top + 4}" font-weight="600">{escape(name)}</text>'
    for decade in range(up[0], up[1] + 1):
        height = ground - HEIGHT * _share(10**decade, up)
        yield f'<path d="M{LEFT} {height:.1f}h{WIDTH}" stroke="{FAINT}"/>'
        yield f'<text x="{LEFT - 8}" y="{height + 4:.1f}" text-anchor="end">{number(10.0**decade)}</text>'
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y, *_ in places)
    yield f'<path d="M{path}" fill="none" stroke="{OURS}" stroke-width="2"/>'
    for x, y, size, value in places:
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{OURS}"/>'
        yield f'<text x="{x:.1f}" y="{y - 9:.1f}" text-anchor="middle">{number(value)}</text>'
        yield f'<text x="{x:.1f}" y="{ground + 18}" text-anchor="middle">{number(size)}</text>'


def _decades(values: Iterator[float]) -> tuple[int, int]:
    """The powers of ten below and above all values."""
    logs = [math.log10(value) for value in values]
    low, high = math.floor(min(logs)), math.ceil(max(logs))
    return low, max(high, low + 1)


def _share(value: float, decades: tuple[int, int]) -> float:
    return (math.log10(value) - decades[0]) / (decades[1] - decades[0])
