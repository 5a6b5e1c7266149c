"""Read `realtime.toml` and remember on which line each key stands.

Spec: platform 4.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from runtime.core.capacity import DEFAULTS
from runtime.core.sensitive import MASK, redact_text
from runtime.core.settings import SECTIONS, SettingsError, keys_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MAX_FILE_BYTES", "SETTINGS_FILE", "SettingsFile", "public_line", "read_settings_file"]

SETTINGS_FILE: Final = "realtime.toml"
MAX_FILE_BYTES: Final = 256 * 1024  # a settings file beyond this is a mistake: refused

_HEADER = re.compile(r"\s*\[{1,2}[A-Za-z0-9_.\s-]*\]{0,2}\s*(?:#.*)?")
_NAMED = re.compile(r"\s*(?P<name>[A-Za-z0-9_-]+(?:\s*\.\s*[A-Za-z0-9_-]+)*)\b")


@dataclass(frozen=True)
class SettingsFile:
    """A parsed settings file; `lines` leads from a path of keys to the line (from 1) that first names it."""

    data: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict)

    def origin(self, *path: str) -> str:
        """Return `realtime.toml:12` for the key at `path`, or the line of the nearest table around it."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.lines:
                return f"{SETTINGS_FILE}:{self.lines[path[:end]]}"
        return SETTINGS_FILE


def read_settings_file(path: Path) -> SettingsFile:
    """Return the content of a settings file; a missing or empty one has no keys.

    Raises:
        SettingsError: the file cannot be read or is not TOML; the text names line, column and shows the line.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return SettingsFile()
    except OSError as error:
        message = f"{SETTINGS_FILE} cannot be read: {error.strerror or type(error).__name__}"
        raise SettingsError(message, origin=SETTINGS_FILE, problem="syntax") from error
    if len(raw) > MAX_FILE_BYTES:
        message = f"{SETTINGS_FILE} is larger than {MAX_FILE_BYTES} bytes"
        raise SettingsError(message, origin=SETTINGS_FILE, problem="syntax")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        message = f"{SETTINGS_FILE}:{line}: the file is not UTF-8 text; save it as UTF-8"
        raise SettingsError(message, origin=f"{SETTINGS_FILE}:{line}", problem="syntax") from None
    text = text.replace("\r\n", "\n")
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _broken(text, error) from None
    return SettingsFile(data, _lines(text))


def public_line(line: str) -> str:
    """Return a line of a settings file, which need not be valid, as anybody may see it.

    What is not certain to be a header, a comment or a key that is no secret may be part of a secret, and becomes `***`.
    """
    if not line.strip() or line.lstrip().startswith("#") or _HEADER.fullmatch(line):
        return redact_text(line)
    named = _NAMED.match(line)
    name = named["name"].strip().rpartition(".")[2].strip().lower() if named is not None else ""
    if named is not None and name in _public_names():
        return redact_text(line)
    if named is not None and name in _secret_names():
        return f"{line[: named.end('name')]} = {MASK}"
    return MASK


@functools.cache
def _secret_names() -> frozenset[str]:
    return frozenset(
        name for section in SECTIONS.values() for name, key in keys_of(section).items() if key.secret
    )


@functools.cache
def _public_names() -> frozenset[str]:
    names = {name for section in SECTIONS.values() for name in keys_of(section)}
    return frozenset(names | {name.lower() for name in DEFAULTS}) - _secret_names()


def _broken(text: str, error: Exception) -> SettingsError:
    line, column = _position(text)
    line = line or _repeated(text)
    lines = text.split("\n")
    reason = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "nested too deeply"
    if not 1 <= line <= len(lines):
        message = f"{SETTINGS_FILE} is not valid TOML: {reason}"
        return SettingsError(message, origin=SETTINGS_FILE, problem="syntax")
    shown = public_line(lines[line - 1])[:200]
    marker = "" if not 1 <= column <= 200 or shown != lines[line - 1] else f"\n    | {' ' * (column - 1)}^"
    place = f"{SETTINGS_FILE}:{line}:{column}" if column else f"{SETTINGS_FILE}:{line}"
    message = f"{place}: not valid TOML: {reason}\n    | {shown}{marker}"
    return SettingsError(message, origin=f"{SETTINGS_FILE}:{line}", problem="syntax")


def _position(text: str) -> tuple[int, int]:
    # tomllib says the position only in prose before Python 3.14; tomlkit has it as numbers. Only a broken
    # file comes here, so the import costs nobody else.
    import tomlkit.exceptions

    try:
        tomlkit.parse(text)
    except tomlkit.exceptions.ParseError as error:
        return error.line, max(1, error.col + 1)
    except (tomlkit.exceptions.TOMLKitError, RecursionError, ValueError):
        return 0, 0
    return 0, 0


def _repeated(text: str) -> int:
    """Return the line of the first key or table that was there before, 0 without one."""
    seen: set[tuple[bool, tuple[str, ...]]] = set()
    lines = text.split("\n")
    for line, is_header, table, paths in _statements(text):
        if not paths or lines[line - 1].lstrip().startswith("[["):
            continue
        path = paths[-1] if is_header else (*table, *paths[-1])
        if (is_header, path) in seen:
            return line
        seen.add((is_header, path))
    return 0


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """Return the line of every key of a valid file."""
    found: dict[tuple[str, ...], int] = {}
    for line, is_header, table, paths in _statements(text):
        for path in paths:
            found.setdefault(path if is_header else (*table, *path), line)
    return found


def _statements(text: str) -> Iterator[tuple[int, bool, tuple[str, ...], list[tuple[str, ...]]]]:
    """Yield of each statement its line, whether it begins a table, the table that it stands in, and what it names.

    Every statement of TOML (a table header or a key with its value) is a document of its own, so lines are
    gathered until they parse: what they parse to are the keys that the statement names.
    """
    table: tuple[str, ...] = ()
    statement, first = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        first = first if statement else number
        statement += line + "\n"
        try:
            parsed = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue  # a string or list that goes on in the next line
        is_header = statement.lstrip().startswith("[")
        statement = ""
        paths = list(_paths(parsed))
        if is_header and paths:
            table = paths[-1]
        yield first, is_header, table, paths


def _paths(value: Any, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        value = value[0]
    if not isinstance(value, dict):
        return []
    paths = []
    for name, inner in value.items():
        paths += [(*above, name), *_paths(inner, (*above, name))]
    return paths
