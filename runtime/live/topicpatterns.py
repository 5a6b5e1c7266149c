"""Patterns over topic names: `*` stands for one or more characters, everything else for itself. Spec: live-api 8.10."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["compile_patterns", "patterns_of"]


def patterns_of(value: str | Sequence[str] | None) -> Sequence[str]:
    """Return the patterns of an option that takes one, several or none."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def compile_patterns(patterns: Sequence[str]) -> re.Pattern[str]:
    """Return an expression whose `fullmatch` says whether one of `patterns` stands for a topic."""
    alternatives = [".+".join(re.escape(part) for part in pattern.split("*")) for pattern in patterns]
    return re.compile("|".join(alternatives), re.DOTALL)
