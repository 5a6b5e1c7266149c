"""`realtime.toml` as the codemods that run after its making read it and add lines to it. Spec: upgrade 3.4."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from realtime_cli.codemods.project import Project

__all__ = ["SETTINGS", "noted_table", "settings_of"]

SETTINGS = "realtime.toml"


def settings_of(project: Project) -> dict[str, Any]:
    """Return the settings as they will be; empty if there are none, or if they do not parse."""
    if SETTINGS not in project.tree:
        return {}
    try:
        return tomllib.loads(project.tree.read(SETTINGS).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError):
        return {}


def noted_table(
    raw: bytes, table: str, lines: Sequence[str], wanted: dict[str, Any]
) -> tuple[bytes, int] | None:
    """Return the content with whole lines added at the end of a table, and where they begin.

    A table that is not there is added at the end. None if the result does not say what is `wanted`, as where
    the table is written in one line.
    """
    after, place = _added(raw, table, lines)
    try:
        values = tomllib.loads(after.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return None
    return (after, place) if values == wanted else None


def _added(raw: bytes, table: str, lines: Sequence[str]) -> tuple[bytes, int]:
    newline = b"\r\n" if b"\r\n" in raw else b"\n"
    text = newline.join(line.encode() for line in lines) + newline
    rows = raw.splitlines(keepends=True)
    header = next(
        (at for at, row in enumerate(rows) if row.split(b"#")[0].strip() == f"[{table}]".encode()), None
    )
    if header is None:
        head = raw if not raw or raw.endswith(b"\n") else raw + newline
        gap = newline if head.strip() else b""
        head += gap + f"[{table}]".encode() + newline
        return head + text, len(head)
    end = next((at for at in range(header + 1, len(rows)) if rows[at].lstrip().startswith(b"[")), len(rows))
    while end > header + 1 and end < len(rows) and rows[end - 1].lstrip().startswith(b"#"):
        end -= 1  # comments above the next table are that table's
    while end > header + 1 and not rows[end - 1].strip():
        end -= 1
    head = b"".join(rows[:end])
    if head and not head.endswith(b"\n"):
        head += newline
    return head + text + b"".join(rows[end:]), len(head)
