"""Python source parsed with `ast`: by its text, whatever encoding it declares, and without warnings about it."""

from __future__ import annotations

import ast
import warnings

__all__ = ["parsed"]


def parsed(data: bytes, path: str = "<text>") -> ast.Module:
    """Return the tree of a source in UTF-8; raises what `ast.parse` does.

    It is given as text, since a cookie of another encoding tells of the file and not of these bytes. Warnings (of
    escapes that are none, say) are about code of others and would stand in the middle of the output.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(data.decode(), filename=path)
