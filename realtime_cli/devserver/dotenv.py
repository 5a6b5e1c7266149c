r"""Read `.env`: the variables of one developer's machine, for `realtime dev` only.

The grammar, on purpose a small one: `KEY=value` per line, an optional `export` before it, `#` comments on
their own line or after white space behind an unquoted value. `'single'` quotes keep everything as it is,
`"double"` ones know ``\n \r \t \" \\ \$``; both may span lines. There is no interpolation. The existing
environment wins.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["DotenvError", "add_dotenv", "parse_dotenv"]

DOTENV_FILE = ".env"

_START = re.compile(r"[^\S\n]*(?:export[^\S\n]+)?(?P<key>[A-Za-z_][A-Za-z0-9_]*)[^\S\n]*=[^\S\n]*")
_BLANK = re.compile(r"[^\S\n]*(?:#[^\n]*)?(?:\n|\Z)")
_SINGLE = re.compile(r"'(?P<value>[^']*)'")
_DOUBLE = re.compile(r'"(?P<value>(?:[^"\\]|\\.)*)"', re.DOTALL)
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


class DotenvError(ValueError):
    """A line of `.env` that cannot be read; `line` is its number, from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(f"{DOTENV_FILE}:{line}: {message}")
        self.line = line


def parse_dotenv(text: str) -> dict[str, str]:
    """Return the variables of a `.env` file in their order; a key that comes twice has its last value.

    Raises:
        DotenvError: a line is neither `KEY=value` nor blank nor a comment, or a quote is not closed.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        blank = _BLANK.match(text, at)
        if blank:
            at = blank.end()
            continue
        line = text.count("\n", 0, at) + 1
        start = _START.match(text, at)
        if start is None:
            raise DotenvError("expected KEY=value, a comment or an empty line", line)
        found[start["key"]], at = _read_value(text, start.end(), line)
    return found


def _read_value(text: str, at: int, line: int) -> tuple[str, int]:
    """Return the value that begins at `at`, and where the next line begins."""
    quote = text[at : at + 1]
    if quote not in ("'", '"'):
        plain, _, _ = text[at:].partition("\n")
        return _COMMENT.sub("", plain).strip(), at + len(plain) + 1
    quoted = (_SINGLE if quote == "'" else _DOUBLE).match(text, at)
    if quoted is None:
        raise DotenvError(f"the {quote} that opens the value is never closed", line)
    rest = _BLANK.match(text, quoted.end())
    if rest is None:
        raise DotenvError(f"only a comment may follow the closing {quote}", line)
    value = quoted["value"]
    if quote == '"':
        value = _ESCAPE.sub(lambda match: _ESCAPES.get(match[1], match[0]), value)
    return value, rest.end()


def add_dotenv(project: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` with the variables of the project's `.env` that it does not have; no file adds none.

    Raises:
        DotenvError: the file cannot be read.
    """
    try:
        text = (project / DOTENV_FILE).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return dict(environ)
    except (OSError, UnicodeDecodeError) as error:
        raise DotenvError(f"cannot be read: {error}", 1) from None
    return {**parse_dotenv(text), **environ}
