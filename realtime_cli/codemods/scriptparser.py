"""The grammars of JavaScript, TypeScript and TSX, which the extra ``[js]`` brings. Spec: upgrade 3.1, 5.2."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tree_sitter import Language, Tree

__all__ = ["INSTALL", "MissingParser", "grammar_of", "has_parser", "parse"]

INSTALL = "install realtime-toolkit[js]"
"""What to do about JavaScript that cannot be parsed. Spec: upgrade 3.1."""


class MissingParser(Exception):
    """The extra ``[js]`` is not installed; the message says how to get it."""


@cache
def _language(grammar: str) -> Language:
    try:
        import tree_sitter
        import tree_sitter_javascript
        import tree_sitter_typescript
    except ImportError as problem:
        raise MissingParser(f"JavaScript and TypeScript need tree-sitter: {INSTALL}") from problem
    made = {
        "javascript": tree_sitter_javascript.language,
        "typescript": tree_sitter_typescript.language_typescript,
        "tsx": tree_sitter_typescript.language_tsx,
    }
    return tree_sitter.Language(made[grammar]())


def has_parser() -> bool:
    """Say whether scripts can be parsed at all."""
    try:
        _language("javascript")
    except MissingParser:
        return False
    return True


def grammar_of(path: str, lang: str = "") -> str:
    """Return which grammar a file, or a script block with such a ``lang=``, is written in."""
    if path.endswith(".tsx"):
        return "tsx"
    if path.endswith(".ts") or lang in ("ts", "typescript"):
        return "typescript"
    return "javascript"


def parse(grammar: str, data: bytes, stretches: Sequence[tuple[int, int]] = ()) -> Tree:
    """Parse a text, or only some stretches of it; the places of nodes count from its start either way.

    Raises:
        MissingParser: the extra is not installed.
    """
    language = _language(grammar)
    from tree_sitter import Parser, Range

    parser = Parser(language)
    if stretches:
        parser.included_ranges = [Range((0, start), (0, end), start, end) for start, end in stretches]
    return parser.parse(data)
