"""JSON as people read it in a terminal: coloured, on one line or indented, without anything that a terminal obeys."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from realtime_cli.exitcodes import FAILED, CommandFailed

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["document", "one_line", "plain_text", "pretty"]

_STEP = "  "
_MAX_LEVELS = 40  # of which each has its own place; what lies deeper is written as one
# Delete, and the second set of control characters, which a terminal takes for escape sequences.
_OBEYED = re.compile("[\x7f-\x9f]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LONE = re.compile("[\ud800-\udfff]")


def plain_text(text: str) -> str:
    """Give back text of others as it can be printed: control characters but line ends and tabs are escaped."""
    return _LONE.sub(_escaped, _CONTROL.sub(_escaped, text))


def one_line(value: Any) -> str:
    """Write a value as JSON on one line, without colours: what programs read."""
    return _json(value, separators=(",", ":"))


def document(value: Any, *, indented: bool = True) -> str:
    """Write a value as JSON for programs, with a line per item or all on one line."""
    return _json(value, indent=2 if indented else None)


def pretty(value: Any, paint: Callable[[str, str], str], *, indented: bool = True) -> str:
    """Write a value as JSON for people.

    Args:
        value: what JSON can hold.
        paint: gives back a text in a colour, ``paint(text, "green")``.
        indented: one line per item; else all on one line, with spaces.
    """
    return _Writer(paint, indented=indented).text(value, "", _MAX_LEVELS)


class _Writer:
    def __init__(self, paint: Callable[[str, str], str], *, indented: bool) -> None:
        self._paint = paint
        self._indented = indented

    def text(self, value: Any, margin: str, levels: int) -> str:
        if levels == 0:
            return self._paint(one_line(value), "dim")
        inner, levels = margin + _STEP, levels - 1
        if isinstance(value, dict):
            items = [
                f"{self._paint(_scalar(str(key)), 'cyan')}: {self.text(item, inner, levels)}"
                for key, item in value.items()
            ]
            return self._join("{", items, "}", margin)
        if isinstance(value, list):
            return self._join("[", [self.text(item, inner, levels) for item in value], "]", margin)
        if isinstance(value, str):
            return self._paint(_scalar(value), "green")
        return self._paint(
            _scalar(value), "magenta" if isinstance(value, bool) or value is None else "yellow"
        )

    def _join(self, left: str, items: list[str], right: str, margin: str) -> str:
        if not items:
            return left + right
        if not self._indented:
            return f"{left}{', '.join(items)}{right}"
        lines = [f"{margin}{_STEP}{item}" for item in items]
        return "\n".join([left, ",\n".join(lines), f"{margin}{right}"])


def _scalar(value: Any) -> str:
    return _json(value)


def _json(value: Any, **options: Any) -> str:
    """Write a value as JSON that no terminal obeys.

    Raises:
        CommandFailed: it is nested too deep.
    """
    try:
        return _shown(json.dumps(value, ensure_ascii=False, **options))
    except RecursionError:
        raise CommandFailed(
            "what the server sent is nested too deep to be printed",
            hint="return something flatter, or read it with a program of your own",
            code=FAILED,
        ) from None


def _shown(text: str) -> str:
    return _LONE.sub(_escaped, _OBEYED.sub(_escaped, text))


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
