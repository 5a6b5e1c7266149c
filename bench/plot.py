"""Bar charts as SVG text: readable on a light and on a dark page, the same text for the same figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH = 760
LABELS = 290  # width of the column of names
VALUES = 90  # width of the column of numbers
BAR, STEP, TOP = 18, 30, 56

STYLE = """
text{font:13px system-ui,sans-serif;fill:#1f2328}
.title{font-size:15px;font-weight:600}
.unit{fill:#59636e}
.peer{fill:#8c959f}
.ours{fill:#0969da}
.variant{fill:#54aeff}
.range{stroke:#1f2328;stroke-width:1.5}
.axis{stroke:#d1d9e0}
@media(prefers-color-scheme:dark){
text{fill:#f0f6fc}
.unit{fill:#9198a1}
.peer{fill:#656c76}
.ours{fill:#4493f8}
.variant{fill:#1f6feb}
.range{stroke:#f0f6fc}
.axis{stroke:#3d444d}
}
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One contestant: its name, median and range, and whether it is "ours", a "variant" of ours or a "peer"."""

    label: str
    median: float
    low: float
    high: float
    kind: str = "peer"


def number(value: float) -> str:
    """Return a figure as people read it: thousands separated, three digits below a thousand."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100 or value == 0:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def bars(title: str, unit: str, rows: Sequence[Bar], *, higher_is_better: bool) -> str:
    """Return a chart with a horizontal bar per row, its range as a thin line, its median as a number.

    Raises:
        ValueError: no rows.
    """
    if not rows:
        raise ValueError("rows: a chart needs at least one bar")
    room = WIDTH - LABELS - VALUES
    largest = max(row.high for row in rows) or 1.0
    height = TOP + STEP * len(rows) + 8
    hint = "more is better" if higher_is_better else "less is better"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        f'<text class="title" x="0" y="18">{escape(title)}</text>',
        f'<text class="unit" x="0" y="38">{escape(unit)}, {hint}; median and range of the rounds</text>',
        f'<line class="axis" x1="{LABELS}" y1="{TOP - 6}" x2="{LABELS}" y2="{height - 8}"/>',
    ]
    for index, row in enumerate(rows):
        top = TOP + index * STEP
        middle = top + BAR / 2
        length = max(room * row.median / largest, 1.0)
        low, high = (LABELS + room * value / largest for value in (row.low, row.high))
        lines += [
            f'<text x="{LABELS - 8}" y="{middle + 4.5:.1f}" text-anchor="end">{escape(row.label)}</text>',
            f'<rect class="{row.kind}" x="{LABELS}" y="{top}" width="{length:.1f}" height="{BAR}" rx="2"/>',
            f'<line class="range" x1="{low:.1f}" y1="{middle:.1f}" x2="{high:.1f}" y2="{middle:.1f}"/>',
            f'<text x="{max(high, LABELS + length) + 6:.1f}" y="{middle + 4.5:.1f}">{number(row.median)}</text>',
        ]
    lines.append("</svg>")
    return "\n".join(lines) + "\n"
