"""Curves as an SVG: one panel for each line, with its own scale from zero."""

from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

_WIDTH, _PANEL, _LEFT, _TOP = 760, 110, 70, 40


class Line(NamedTuple):
    """A curve and what it shows."""

    what: str
    values: Sequence[float]


def picture(title: str, at: Sequence[float], along: str, lines: Sequence[Line]) -> str:
    """Draw lines above each other over the same axis, whose unit is `along`."""
    height = _TOP + _PANEL * len(lines) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}"'
        ' font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{_LEFT}" y="20" font-weight="bold">{escape(title)}</text>',
    ]
    for number, line in enumerate(lines):
        parts += _panel(_TOP + number * _PANEL, at, line)
    parts.append(
        f'<text x="{_WIDTH - 20}" y="{height - 8}" text-anchor="end">{at[-1]:,.0f} {along}</text>'
    )
    return "\n".join([*parts, "</svg>\n"])


def _panel(top: float, at: Sequence[float], line: Line) -> list[str]:
    most = max(*line.values, 1e-9)
    width, height = _WIDTH - _LEFT - 20, _PANEL - 30
    points = " ".join(
        f"{_LEFT + width * x / at[-1]:.1f},{top + 20 + height * (1 - value / most):.1f}"
        for x, value in zip(at, line.values, strict=True)
    )
    return [
        f'<text x="{_LEFT}" y="{top + 12}" fill="#333">{escape(line.what)}</text>',
        f'<text x="{_LEFT - 6}" y="{top + 26}" text-anchor="end" fill="#777">{most:,.0f}</text>',
        f'<text x="{_LEFT - 6}" y="{top + 22 + height}" text-anchor="end" fill="#777">0</text>',
        f'<path d="M{_LEFT} {top + 20 + height}h{width}" stroke="#ccc"/>',
        f'<polyline points="{points}" fill="none" stroke="#1f5fa8" stroke-width="1.5"/>',
    ]
