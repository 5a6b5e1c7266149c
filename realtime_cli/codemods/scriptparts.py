"""Objects of the extensions that scripts make: buses, presence, cursors, and where they are made. Spec: upgrade 5.3."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from realtime_cli.codemods.scriptnames import arguments
from realtime_cli.codemods.scriptobjects import entry, value_of

if TYPE_CHECKING:
    from tree_sitter import Node

    from realtime_cli.codemods.scriptfile import ScriptFile

__all__ = ["is_bus", "is_cursor", "is_presence", "object_of", "option_of"]

_BUS = re.compile(r"ext#create\w*(Bus|PubSub)\(\)")
_PRESENCE = re.compile(r"(ext|plugins/presence)#create\w*Presence\w*\(\)")
_CURSOR = re.compile(r"(ext|plugins/cursor)#create\w*Cursor\w*\(\)")


def is_bus(meaning: str) -> bool:
    """Say whether an expression is a bus."""
    return _BUS.fullmatch(meaning) is not None


def is_presence(meaning: str) -> bool:
    """Say whether an expression is a presence tracker, of the extensions or of the adapter."""
    return _PRESENCE.fullmatch(meaning) is not None


def is_cursor(meaning: str) -> bool:
    """Say whether an expression is a cursor tracker."""
    return _CURSOR.fullmatch(meaning) is not None


def object_of(node: Node, depth: int = 1) -> Node | None:
    """Return what a member is read from, `depth` members further in; None if there are not so many."""
    at: Node | None = node
    for _ in range(depth):
        at = at.child_by_field_name("object") if at is not None and at.type == "member_expression" else None
    return at


def option_of(file: ScriptFile, node: Node, name: str) -> str | None:
    """Return the text of an option that an object was made with; None if it is not given, or cannot be seen."""
    found = file.names.origin(node)
    if found is None or found[1].type not in ("call_expression", "new_expression"):
        return None
    for one in arguments(found[1]):
        value = value_of(entry(one, name))
        if value is not None:
            return found[0].text(value)
    return None
