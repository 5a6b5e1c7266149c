"""The answer of the capacity calculator as a table. Spec: platform 8.6."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.calculator import Capacity, Resource

__all__ = ["amount", "render_capacity"]

HEAD = ("resource", "typical", "worst case", "limit", "headroom")
WIDTHS = (20, 13, 14, 13)
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB")
_BITS = ("bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s")


def amount(value: float, unit: str) -> str:
    """Return a number with its unit for a person: three digits, `9.9 GiB`; a count as `5 090`."""
    if unit not in {"bytes", "bit/s"}:
        return f"{math.ceil(value):,}".replace(",", " ")
    step, names = (1024, _BYTES) if unit == "bytes" else (1000, _BITS)
    sign, value, index = "-" if value < 0 else "", abs(value), 0
    while value >= step and index < len(names) - 1:
        value, index = value / step, index + 1
    return f"{sign}{value:.1f} {names[index]}" if 0 < value < 10 else f"{sign}{value:.0f} {names[index]}"


def render_capacity(capacity: Capacity) -> Iterator[str]:
    """Yield the lines: the table, then what falls over first."""
    yield _line(HEAD)
    for resource in capacity.resources:
        shown = (resource.typical, resource.worst)
        limit = amount(resource.limit, resource.unit) if resource.limit else "not known"
        numbers = [amount(value, resource.unit) for value in shown]
        yield _line((resource.name, *numbers, limit, _headroom(resource)))
    yield capacity.verdict
    if capacity.ports is not None:
        yield capacity.ports


def _line(cells: tuple[str, ...]) -> str:
    padded = [f"{cell:<{width - 1}} " for cell, width in zip(cells, WIDTHS, strict=False)]
    return ("".join(padded) + cells[-1]).rstrip()


def _headroom(resource: Resource) -> str:
    if not resource.limit:
        return ""
    if resource.unit == "bytes":
        return amount(resource.limit - resource.worst, resource.unit)
    return f"{math.floor(100 * (1 - resource.share))} %"
