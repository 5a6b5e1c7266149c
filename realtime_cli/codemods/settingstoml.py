"""`realtime.toml` as the settings of 0.4 fill it: a new file, or keys added to one that is there. Spec: upgrade 3.2."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import tomlkit
from tomlkit.items import Item, Table

from realtime_cli.codemods.settingsmap import SECTION_ORDER

__all__ = ["Given", "key_line", "merged", "toml_text"]

TODO = "TODO(realtime-upgrade UPG102): "


@dataclass(slots=True)
class Given:
    """One setting as 0.4 had it.

    Attributes:
        name: the 0.4 key, as ``websocket.path``.
        section: of 0.5.
        key: of 0.5.
        value: what it is; for a computed one, None.
        written: the value as TOML, if it was TOML before; else made from `value`.
        computed: the expression that would have to be run; empty if the value is known.
        comment: at the end of the line, with the blanks before it.
        above: comment lines above it, with ``#``.
        todo: what a person has to look at, although the value is known.
    """

    name: str
    section: str
    key: str
    value: Any = None
    written: str = ""
    computed: str = ""
    comment: str = ""
    above: list[str] = field(default_factory=list)
    todo: str = ""

    @property
    def text(self) -> str:
        """The value as TOML."""
        return self.written or toml_text(self.value)


def toml_text(value: Any) -> str:
    """Return a value as TOML writes it, on one line."""
    if isinstance(value, dict):
        inner = ", ".join(f"{_key(key)} = {toml_text(one)}" for key, one in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml_text, value))}]"
    return str(tomlkit.item(value).as_string())


def _key(text: str) -> str:
    return tomlkit.key(text).as_string()


def _lines(one: Given) -> list[str]:
    if one.computed:
        shown = " ".join(one.computed.split())
        return [*one.above, f"# {TODO}was computed: {shown}", f'# {one.key} = ""']
    lines = list(one.above)
    if one.todo:
        lines.append(f"# {TODO}{one.todo}")
    return [*lines, f"{one.key} = {one.text}{one.comment}"]


def merged(existing: str | None, given: list[Given], head: list[str]) -> tuple[str, list[Given]]:
    """Return the text of `realtime.toml`, and those settings for which it already had another value, which stays.

    Args:
        existing: what the file holds; None if there is none.
        given: in the order in which they shall stand.
        head: comment lines atop of a new file.
    """
    if existing is None:
        return _new(given, head), []
    document = tomlkit.parse(existing)
    conflicts = []
    for one in given:
        table = document.get(one.section)
        if isinstance(table, Table) and one.key in table:
            if not one.computed and table[one.key] != one.value:
                conflicts.append(one)
            continue
        if one.computed and f"# {one.key} =" in existing:
            continue
        if table is None:
            document.add(tomlkit.nl())
            table = tomlkit.table()
            document.add(one.section, table)
            table = document[one.section]
        if isinstance(table, Table):
            _add(table, one)
    return tomlkit.dumps(document), conflicts


def _add(table: Table, one: Given) -> None:
    for line in _lines(one):
        if line.startswith("#"):
            table.add(tomlkit.comment(line.removeprefix("#").strip()))
    if one.computed:
        return
    item: Item = tomlkit.value(one.text)
    if one.comment.strip():
        item.comment(one.comment.strip().removeprefix("#").strip())
    table.add(one.key, item)


def _new(given: list[Given], head: list[str]) -> str:
    blocks = ["\n".join(head)] if head else []
    sections = [*SECTION_ORDER, *(one.section for one in given)]
    for section in dict.fromkeys(sections):
        lines = [line for one in given if one.section == section for line in _lines(one)]
        if lines:
            blocks.append("\n".join([f"[{section}]", *lines]))
    return "\n\n".join(blocks) + "\n" if blocks else ""


def key_line(text: str, section: str, key: str) -> int:
    """Return the line of a key (also one in a comment), from 1; 1 if it is not there."""
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("["):
            inside = stripped.split("#")[0].strip() == f"[{section}]"
        elif inside and stripped.lstrip("# ").startswith((f"{key} ", f"{key}=")):
            return number
    return 1
