"""What the migration guide says of each change, beside the table: who is concerned, what to do, how code looks.

Spec: upgrade 6.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["FILES", "Advice", "all_advice"]

FILES = ("critical", "required", "layout", "defaults", "recommended")
"""The parts of the guide in the order of their tiers."""


@dataclass(frozen=True, slots=True)
class Advice:
    """The text about one row.

    Attributes:
        part: which of `FILES` it is in.
        title: the change in a few words.
        tell: how to tell whether it concerns you.
        do: what is left for you.
        before, after: Python code; empty where no code shows it.
        before_toml, after_toml: settings, likewise.
        tier: ``cosmetic`` if it is told under that heading.
    """

    part: str
    title: str
    tell: str
    do: str
    before: str = ""
    after: str = ""
    before_toml: str = ""
    after_toml: str = ""
    tier: str = ""


@cache
def all_advice() -> dict[str, Advice]:
    """Return the texts by row, in the order of the guide."""
    folder = Path(__file__).with_name("migration")
    found = {}
    for part in FILES:
        text = (folder / f"{part}.toml").read_text(encoding="utf-8")
        for row, told in tomllib.loads(text).items():
            found[row] = Advice(part, **told)
    return found
