"""Lines of Dockerfiles, CI, Procfiles and compose files that name a version or a command. Spec: upgrade 3.4."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import PurePosixPath

__all__ = [
    "Line",
    "Piece",
    "ci_lines",
    "command_lines",
    "docker_lines",
    "is_ci",
    "is_dockerfile",
    "is_started_from",
    "pins",
    "redis_images",
]

_FROM = re.compile(
    rb"^(\s*FROM\s+(?:--\S+\s+)*)((?:[\w.\-/:]+/)?python:3\.(\d+)(?:\.\d+)?)(\S*)", re.IGNORECASE
)
_VERSION_KEY = re.compile(rb"^(\s*(?:-\s+)?python-version:[ \t]*)(.*?)([ \t]*(?:#.*)?)$")
_VERSION = re.compile(rb"""(["']?)3\.(\d+)(?:\.\d+)?\1""")
_ITEM = re.compile(rb"""^(\s*-\s*)((["']?)3\.(\d+)(?:\.\d+)?\3)(\s*(?:#.*)?)$""")
_REDIS = re.compile(rb"\bredis(?:/redis-stack(?:-server)?)?:v?(\d+)(?:\.(\d+))?[\w.\-]*")
_COMMANDS = (
    (re.compile(rb"\bpython3?\s+-m\s+realtime_app\b"), b"realtime serve"),
    (re.compile(rb"""(["'])python3?\1\s*,\s*\1-m\1\s*,\s*\1realtime_app\1"""), rb"\1realtime\1, \1serve\1"),
    (re.compile(rb"\brealtime\s+run\b"), b"realtime serve"),
    (re.compile(rb"""(["'])realtime\1\s*,\s*\1run\1"""), rb"\1realtime\1, \1serve\1"),
)
_NAME = rb"(?<![\w.-])realtime[-_.]toolkit"
_SIGN = rb"(?:===|==|~=|!=|<=|>=|<|>|=)"
_PIN = re.compile(
    _NAME + rb"(?:[ \t]*\[[^\]\n]*\])?[ \t]*(" + _SIGN + rb"[ \t]*[\w.*+!${}-]+"
    rb"(?:[ \t]*,[ \t]*" + _SIGN + rb"[ \t]*[\w.*+!${}-]+)*)",
    re.IGNORECASE,
)
_ARCHIVE = re.compile(
    _NAME + rb"-(\d[\w.+!]*?)(?=-|\.tar\.gz|\.whl|\.zip)[\w.+-]*\.(?:whl|zip|gz)", re.IGNORECASE
)
_END_COMMENT = re.compile(rb"(?:^|[ \t])#.*")
_FLOOR = 11
_NEEDS = "0.5 needs Python 3.11 or newer; was {old}"
_COMMENT = b"#"


@dataclass(frozen=True, slots=True)
class Piece:
    """One line before and after, with its line break; `message` is what the TODO above it says, empty if none."""

    old: bytes
    new: bytes
    message: str = ""


Line = Callable[[bytes], Iterator[Piece]]


def is_dockerfile(path: str) -> bool:
    """Say whether a file is a Dockerfile by its name."""
    name = PurePosixPath(path).name
    return any(
        fnmatch(name, one) for one in ("Dockerfile*", "*.dockerfile", "*.Dockerfile", "Containerfile*")
    )


def is_ci(path: str) -> bool:
    """Say whether a file tells a CI service what to run."""
    pure = PurePosixPath(path)
    return path.endswith((".yml", ".yaml")) and (
        ".github" in pure.parts or ".circleci" in pure.parts or pure.name.lstrip(".").startswith("gitlab-ci")
    )


def is_started_from(path: str) -> bool:
    """Say whether a file holds the command that starts the app: Procfile, systemd unit, compose, CI."""
    name = PurePosixPath(path).name
    return (
        name.startswith("Procfile")
        or name.endswith((".service", ".sh"))
        or (name.endswith((".yml", ".yaml")) and "compose" in name)
        or is_ci(path)
    )


def _rows(raw: bytes) -> list[bytes]:
    return re.findall(rb"[^\n]*\n|[^\n]+", raw)


def _split(row: bytes) -> tuple[bytes, bytes]:
    text = row.rstrip(b"\r\n")
    return text, row[len(text) :]


def docker_lines(raw: bytes) -> Iterator[Piece]:
    """Yield the lines of a Dockerfile; images of a Python before 3.11 get 3.11, with their suffix."""
    for row in _rows(raw):
        found = _FROM.match(row)
        if found is None or int(found[3]) >= _FLOOR:
            yield Piece(row, row)
            continue
        image = found[2].rpartition(b"python:")[0] + b"python:3.11"
        new = found[1] + image + found[4] + row[found.end() :]
        was = (found[2] + found[4]).decode()
        yield Piece(row, new, _NEEDS.format(old=was))


def ci_lines(raw: bytes) -> Iterator[Piece]:
    """Yield the lines of a CI file; versions of Python before 3.11 in `python-version` become 3.11, once."""
    rows = _rows(raw)
    at = 0
    while at < len(rows):
        row = rows[at]
        text, end = _split(row)
        found = _VERSION_KEY.match(text)
        at += 1
        if found is None:
            yield Piece(row, row)
            continue
        if found[2]:
            value = _raised(found[2])
            message = _NEEDS.format(old=found[2].decode()) if value != found[2] else ""
            yield Piece(row, found[1] + value + found[3] + end, message)
            continue
        stop = at
        while stop < len(rows) and _ITEM.match(_split(rows[stop])[0]):
            stop += 1
        items = rows[at:stop]
        at = stop
        yield from _items(row, items)


def _items(row: bytes, items: list[bytes]) -> Iterator[Piece]:
    matches = [_ITEM.match(_split(one)[0]) for one in items]
    old = [found[2].decode() for found in matches if found is not None and int(found[4]) < _FLOOR]
    has_floor = any(found is not None and int(found[4]) == _FLOOR for found in matches)
    yield Piece(row, row, _NEEDS.format(old=", ".join(old)) if old else "")
    for one, found in zip(items, matches, strict=True):
        assert found is not None  # noqa: S101 - only such lines are items
        if int(found[4]) >= _FLOOR:
            yield Piece(one, one)
        elif has_floor:
            yield Piece(one, b"")
        else:
            has_floor = True
            quote = found[3] or b'"'
            yield Piece(one, found[1] + quote + b"3.11" + quote + found[5] + _split(one)[1])


def _raised(value: bytes) -> bytes:
    """Return a version, or a list of them in brackets, without those before 3.11."""
    if not value.startswith(b"["):
        found = _VERSION.fullmatch(value)
        if found is None or int(found[2]) >= _FLOOR:
            return value
        quote = found[1] or b'"'
        return quote + b"3.11" + quote
    parts = [part.strip() for part in value.strip(b"[]").split(b",")]
    kept: list[bytes] = []
    has_old = False
    quote = b'"'
    for part in parts:
        found = _VERSION.fullmatch(part)
        if found is not None and int(found[2]) < _FLOOR:
            has_old, quote = True, found[1] or b'"'
        else:
            kept.append(part)
    if not has_old:
        return value
    if not any((found := _VERSION.fullmatch(part)) and int(found[2]) == _FLOOR for part in kept):
        kept.insert(0, quote + b"3.11" + quote)
    return b"[" + b", ".join(kept) + b"]"


def command_lines(raw: bytes) -> Iterator[Piece]:
    """Yield the lines of a file that starts the app; the commands of 0.4 become those of 0.5."""
    for row in _rows(raw):
        new = row
        if not row.lstrip().startswith(_COMMENT):
            for old, command in _COMMANDS:
                new = old.sub(command, new)
        message = f"the command was: {row.strip().decode()}" if new != row else ""
        yield Piece(row, new, message)


def redis_images(raw: bytes) -> Iterator[tuple[str, tuple[int, int], int]]:
    """Yield image, version and place of each Redis image; a version of one number is the newest of its kind."""
    for found in _REDIS.finditer(raw):
        line = raw[raw.rfind(b"\n", 0, found.start()) + 1 : found.start()].lstrip()
        if line.startswith(_COMMENT) or not re.match(rb"-?\s*(image:|FROM\b)", line, re.IGNORECASE):
            continue
        minor = int(found[2]) if found[2] else 99
        yield found[0].decode(), (int(found[1]), minor), found.start()


def pins(raw: bytes) -> Iterator[tuple[str, str, int]]:
    """Yield each requirement on the toolkit in the commands of a file: as written, its versions, and its place.

    ``pip install`` in an image, what a CI job installs, an environment of conda; an archive by its name counts as well.
    """
    at = 0
    for row in _rows(raw):
        text = _END_COMMENT.sub(lambda found: b" " * len(found[0]), row)
        if b"realtime-upgrade: skip" not in row:
            for found in _PIN.finditer(text):
                versions = found[1].decode(errors="replace")
                if versions[0] == "=" and versions[1:2] != "=":  # that of conda
                    versions = f"=={versions[1:].strip()}.*"
                yield found[0].decode(errors="replace"), versions, at + found.start()
            for found in _ARCHIVE.finditer(text):
                yield found[0].decode(errors="replace"), f"=={found[1].decode()}", at + found.start()
        at += len(row)
