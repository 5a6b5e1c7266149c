"""Which error codes a live module raises itself, read from its source."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["error_codes"]

_ERROR = "LiveError"


def error_codes(file: Path) -> list[str]:
    """Give back the literal codes of every ``LiveError("CODE", ...)`` in `file`, sorted; none if it cannot be read."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node.func) == _ERROR:
            code = next(
                (k.value for k in node.keywords if k.arg == "code"), node.args[0] if node.args else None
            )
            if isinstance(code, ast.Constant) and isinstance(code.value, str):
                found.add(code.value)
    return sorted(found)


def _called(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
