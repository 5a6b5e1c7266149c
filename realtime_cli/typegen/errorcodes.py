"""Which error codes there are: those that a live module raises itself, read from its source, and ours."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["error_codes", "framework_codes"]

_ERROR = "LiveError"
_FRAMEWORK = re.compile(r"export type FrameworkErrorCode =((?:\s*\| \"\w+\")+);")


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


def framework_codes(client_types: str) -> list[str]:
    """Give back the codes of the server and the client, from the declarations of the browser client."""
    found = _FRAMEWORK.search(client_types)
    return re.findall(r'"(\w+)"', found[1]) if found else []


def _called(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
