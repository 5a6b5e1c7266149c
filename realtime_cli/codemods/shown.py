"""Names and texts of a project as they are shown: nothing in them steers the terminal or the document they stand in."""

from __future__ import annotations

import re

__all__ = ["as_code", "as_prose", "printable", "utf8"]

_TICKS = re.compile("`+")
_SPECIAL = re.compile(r"[`*\[]|<(?=[A-Za-z/!?])|\\(?=[!-/:-@\[-`{-~])|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def printable(text: str) -> str:
    """Return a text in one line: control characters and bytes that are no UTF-8 are escaped with a backslash."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file's name
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def utf8(text: str) -> str:
    """Return a text that can be written as UTF-8, for machines: only bytes that are none are escaped."""
    return "".join(_escaped(one) if 0xD800 <= ord(one) <= 0xDFFF else one for one in text)


def as_code(text: str) -> str:
    """Return a text as a code span of Markdown, whatever backticks it holds."""
    text = printable(text)
    ticks = "`" * (max((len(run) for run in _TICKS.findall(text)), default=0) + 1)
    blank = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{blank}{text}{blank}{ticks}"


def as_prose(text: str) -> str:
    """Return a text for a line of Markdown: what would be markup there is not."""
    return _SPECIAL.sub(lambda found: "\\" + found[0], printable(text))
