"""The table of every change from 0.4 to 0.5, which reports, documents and tests refer to. Spec: upgrade 1."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["TIERS", "Row", "all_rows", "tier_of"]

TIERS = {
    "C": "Critical",
    "S": "Required",
    "D": "Notable defaults",
    "R": "Recommended",
    "P": "Our layout",
}
"""What the letter of a row means."""


@dataclass(frozen=True, slots=True)
class Row:
    """One change.

    Attributes:
        id: such as ``C-01``; never used again for another change.
        area: ``RT`` realtime layer, ``AD`` server, client and plugins, ``EX`` cluster, ``PY`` the layout, ``all``.
        before: how it was in 0.4.
        after: how it is in 0.5.
        change: which part of it the command does: AUTO, ASSISTED, FLAG, BEHAVIOUR, with words.
        codemod: the ids of the codemods that see it, or ``-``.
        check: the slug of the rule of `realtime check` that finds the same, or ``-``.
    """

    id: str
    area: str
    before: str
    after: str
    change: str
    codemod: str
    check: str


@cache
def all_rows() -> dict[str, Row]:
    """Return the rows by id, in the order of the table."""
    text = Path(__file__).with_name("rows.toml").read_text(encoding="utf-8")
    found = {}
    for one in tomllib.loads(text)["rows"]:
        change = one.pop("class")
        found[one["id"]] = Row(change=change, **one)
    return found


def tier_of(row: str) -> str:
    """Return the name of the tier of a row."""
    return TIERS[row[:1]]
