"""The figures of plugins as a page of the documentation."""

from __future__ import annotations

import statistics
from typing import Any

__all__ = ["table"]

HEAD = """\
# What plugins cost

Written by `python -m bench.plugins --keep`; do not edit. Each operation was measured in turns with its floor, the plain
object that an app would use without the plugin, in one process on one core, without any I/O. Read the column "floor x":
how many times as long as the floor's an operation takes. Absolute figures belong to one machine on one day.
Bytes per entry are what Python allocates for one more entry, keys of about 20 characters included.

{machine}

| plugin | operation | per second | floor | floor per second | floor x | bytes per entry | floor bytes |
|---|---|---|---|---|---|---|---|
"""


def table(result: dict[str, Any]) -> str:
    """Return the page for one result."""
    return HEAD.format(machine=result["machine"]) + "".join(_row(row) for row in result["rows"])


def _row(row: dict[str, Any]) -> str:
    ours, floor = _median(row["ours_rate"]), _median(row["floor_rate"])
    ratio = f"{floor / ours:.1f}" if ours and floor else "-"
    cells = [
        f"`{row['plugin']}`",
        row["operation"],
        _spread(row["ours_rate"]),
        row["floor"],
        _count(floor),
        ratio,
        _count(row["ours_bytes"]),
        _count(row["floor_bytes"]),
    ]
    return f"| {' | '.join(cells)} |\n"


def _median(rates: list[float]) -> float | None:
    return statistics.median(rates) if rates else None


def _spread(rates: list[float]) -> str:
    if not rates:
        return "-"
    return f"{_count(statistics.median(rates))} ({_count(min(rates))} to {_count(max(rates))})"


def _count(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{round(value, -3):,.0f}" if value >= 100_000 else f"{value:,.0f}"
