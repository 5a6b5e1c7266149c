"""The kinds of values a setting may have: how each is read from TOML, from text, and described to people.

Unlimited or switched off is `None` in code, `0` or `false` in TOML. Spec: platform 4.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

__all__ = [
    "Kind",
    "RateRule",
    "alternative",
    "boolean",
    "choice",
    "duration",
    "integer",
    "module_path",
    "name_word",
    "number",
    "origins",
    "path_prefixes",
    "project_path",
    "rate_rule",
    "rate_rules",
    "seq_base",
    "size",
    "text_line",
    "text_list",
    "url_path",
]

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_MAX_INTEGER = 2**53 - 1  # the largest whole number that JSON tools keep exactly
_SIZE = re.compile(r"(\d{1,15})\s*([KMG]?)B?", re.IGNORECASE | re.ASCII)
_SIZE_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\s*(ms|s|m|h|d)?", re.ASCII)
_DURATION_UNITS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NUMBER = re.compile(r"\d{1,15}(?:\.\d{1,9})?", re.ASCII)
_INTEGER = re.compile(r"-?\d{1,16}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
# Compared with the decoded path of a request: no query, no doubled slash.
_URL_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]+)+", re.ASCII)
_PATH_PREFIX = re.compile(r"/(?:[^/\s?#]+/)*")


@dataclass(frozen=True)
class Kind:
    """How values of one kind are read and described.

    `parse` takes what a TOML file or Python code holds, `parse_text` what an environment variable holds. Both
    raise `ValueError` when it does not fit; the caller says where it stood, and what would fit: `expected`,
    the end of a sentence. `type_name` and `bounds` are for tables, `to_toml` writes a value as TOML.
    """

    type_name: str
    expected: str
    parse: Callable[[object], Any]
    parse_text: Callable[[str], Any]
    to_toml: Callable[[Any], str] = lambda value: json.dumps(value, ensure_ascii=False)
    bounds: str = ""


class _Unfit(ValueError):
    """The value is not of this kind."""


def _load_json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise _Unfit from None


def _text(type_name: str, expected: str, fits: Callable[[str], object], bounds: str = "") -> Kind:
    def parse(value: object) -> str:
        if not isinstance(value, str) or not fits(value):
            raise _Unfit
        return value

    return Kind(type_name, expected, parse, parse, bounds=bounds)


def name_word() -> Kind:
    """Return the kind of a short name."""
    return _text("name", "a name of letters, digits, '-' and '_', at most 64 characters", _NAME.fullmatch)


def text_line() -> Kind:
    """Return the kind of any printable text of one line."""
    return _text(
        "text", "text of one line, 1 to 255 characters", lambda v: 0 < len(v) < 256 and v.isprintable()
    )


def choice(*words: str) -> Kind:
    """Return the kind of one word of a fixed set."""
    expected = "one of " + ", ".join(json.dumps(word) for word in words)
    return _text("choice", expected, words.__contains__, ", ".join(words))


def project_path() -> Kind:
    """Return the kind of a file or folder inside the project, relative and with forward slashes."""

    def parse(value: object) -> str:
        if not isinstance(value, str) or not value.isprintable() or set(value) & set('\\:"'):
            raise _Unfit
        path = value.removesuffix("/")
        if {"", ".", ".."} & set(path.split("/")):
            raise _Unfit
        return path

    return Kind("path", "a path inside the project, relative and with forward slashes", parse, parse)


def module_path() -> Kind:
    """Return the kind of a Python file inside the project, which may also be named as a module: `app.hooks`."""
    file = project_path()

    def parse(value: object) -> str:
        path: str = file.parse(value)
        if path.endswith(".py") or not all(part.isidentifier() for part in path.split(".")):
            return path
        return path.replace(".", "/") + ".py"

    expected = "a Python file inside the project, as a path or a dotted name"
    return Kind("path", expected, parse, parse)


def _is_url_path(value: str) -> bool:
    return bool(len(value) < 256 and _URL_PATH.fullmatch(value)) and not {".", ".."} & set(value.split("/"))


def url_path(*, off: bool = False) -> Kind:
    """Return the kind of a path such as `/healthz`; with `off`, `false` switches the thing off."""
    expected = "a path that begins with '/', such as \"/status\""
    if not off:
        return _text("URL path", expected, _is_url_path)
    present = url_path()

    def parse(value: object) -> Any:
        return None if value is None or value is False else present.parse(value)

    def parse_text(text: str) -> Any:
        return None if text.lower() in _FALSE else present.parse(text)

    def to_toml(value: Any) -> str:
        return "false" if value is None else present.to_toml(value)

    return Kind("URL path or false", f"{expected}, or false", parse, parse_text, to_toml)


def integer(minimum: int = 0, maximum: int = _MAX_INTEGER, *, off: bool = False) -> Kind:
    """Return the kind of a whole number within bounds; with `off`, 0 means none."""
    bounds = f"from {minimum}" if maximum == _MAX_INTEGER else f"{minimum} to {maximum}"
    bounds += ", or 0 for none" if off else ""

    def parse(value: object) -> int | None:
        if off and (value is None or (isinstance(value, int) and not isinstance(value, bool) and value == 0)):
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
            raise _Unfit
        return value

    def parse_text(text: str) -> int | None:
        if not _INTEGER.fullmatch(text):
            raise _Unfit
        return parse(int(text))

    expected = f"a whole number, {bounds}"
    return Kind("integer", expected, parse, parse_text, lambda value: str(value or 0), bounds)


def _size_text(value: int) -> str:
    for unit in ("G", "M", "K"):
        if value and value % _SIZE_UNITS[unit] == 0:
            return f"{value // _SIZE_UNITS[unit]}{unit}"
    return str(value)


def size(minimum: int, maximum: int, *, off: bool = False) -> Kind:
    """Return the kind of bytes: a number or text like `"512K"` (binary multiples); `off`: 0 means none."""
    number = integer(minimum, maximum, off=off)

    def parse(value: object) -> Any:
        return parse_text(value) if isinstance(value, str) else number.parse(value)

    def parse_text(text: str) -> Any:
        match = _SIZE.fullmatch(text)
        if match is None:
            raise _Unfit
        return number.parse(int(match[1]) * _SIZE_UNITS[match[2].upper()])

    def to_toml(value: Any) -> str:
        text = _size_text(value or 0)
        return text if text.isdigit() else json.dumps(text)

    bounds = f"{_size_text(minimum)} to {_size_text(maximum)}{', or 0 for none' if off else ''}"
    expected = f'bytes, as a number or as text like "512K", {bounds}'
    return Kind("bytes", expected, parse, parse_text, to_toml, bounds)


def duration(minimum: float, maximum: float, *, off: bool = False) -> Kind:
    """Return the kind of seconds: a number or text like `"500ms"`, `"2m"`; with `off`, 0 means no limit."""

    def parse(value: object) -> float | None:
        if isinstance(value, str):
            return parse_text(value)
        if value is None and off:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise _Unfit
        if off and value == 0:
            return None
        if not minimum <= value <= maximum:
            raise _Unfit
        return float(value)

    def parse_text(text: str) -> float | None:
        match = _DURATION.fullmatch(text)
        if match is None:
            raise _Unfit
        return parse(float(match[1]) * _DURATION_UNITS[match[2] or ""])

    bounds = f"{minimum:g} to {maximum:g} seconds{', or 0 for none' if off else ''}"
    expected = f'a duration, as seconds or as text like "500ms" or "2m", {bounds}'
    return Kind("duration", expected, parse, parse_text, lambda value: f"{value or 0:g}", bounds)


def number(minimum: float, maximum: float) -> Kind:
    """Return the kind of a number within bounds, whole or not."""

    def parse(value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not minimum <= value <= maximum:
            raise _Unfit
        return float(value)

    def parse_text(text: str) -> float:
        if not _NUMBER.fullmatch(text):
            raise _Unfit
        return parse(float(text))

    bounds = f"{minimum:g} to {maximum:g}"
    return Kind("number", f"a number, {bounds}", parse, parse_text, lambda value: f"{value:g}", bounds)


def alternative(kind: Kind, word: Literal["auto", False]) -> Kind:
    """Return the kind of values of `kind`, or `word` in their place, which becomes `None`."""
    written = "false" if word is False else json.dumps(word)
    plain = "false" if word is False else word

    def parse(value: object) -> Any:
        # `is`: 0 equals False and may be a value of the kind.
        is_word = value is None or value is word or (word is not False and value == word)
        return None if is_word else kind.parse(value)

    def parse_text(text: str) -> Any:
        is_word = text.lower() in _FALSE - {"0"} if word is False else text == word
        return None if is_word else kind.parse_text(text)

    def to_toml(value: Any) -> str:
        return written if value is None else kind.to_toml(value)

    return Kind(
        f"{kind.type_name} or {plain}",
        f"{kind.expected}, or {plain}",
        parse,
        parse_text,
        to_toml,
        kind.bounds,
    )


def boolean() -> Kind:
    """Return the kind of `true` and `false`; in the environment also `1/0`, `yes/no`, `on/off`."""

    def parse(value: object) -> bool:
        if not isinstance(value, bool):
            raise _Unfit
        return value

    def parse_text(text: str) -> bool:
        if text.lower() not in _TRUE | _FALSE:
            raise _Unfit
        return text.lower() in _TRUE

    return Kind("boolean", "true or false", parse, parse_text)


def text_list(item: Kind, items: str) -> Kind:
    """Return the kind of a list of `item`, a tuple in code; in the environment parted by commas, or JSON."""

    def parse(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise _Unfit
        return tuple(item.parse(entry) for entry in value)

    def parse_text(text: str) -> tuple[Any, ...]:
        if text.startswith("["):
            return parse(_load_json(text))
        return parse([part.strip() for part in text.split(",") if part.strip()])

    return Kind("list", f"a list of {items}", parse, parse_text)


def path_prefixes() -> Kind:
    """Return the kind of a list of paths that begin and end with a slash."""
    prefix = "paths that begin and end with '/'"
    return text_list(_text("path prefix", prefix, _PATH_PREFIX.fullmatch), prefix)


def _is_origin(value: str) -> bool:
    if not value.isascii() or not value.isprintable() or " " in value:
        return False
    parts = urlsplit(value)
    try:
        parts.port  # noqa: B018 - reading it tells whether it is a number in range
    except ValueError:
        return False
    rest = parts.path or parts.query or parts.fragment or parts.username
    return bool(parts.scheme and parts.hostname and not rest and "*" not in parts.hostname.removeprefix("*."))


def origins() -> Kind:
    """Return the kind of `"same-origin"`, `"*"`, or a list of `scheme://host[:port]`, `scheme://*.host`."""
    listed = text_list(_text("origin", "an origin", _is_origin), "origins")

    def parse(value: object) -> Any:
        return value if value == "same-origin" or value == "*" else listed.parse(value)

    def parse_text(text: str) -> Any:
        return text if text in {"same-origin", "*"} else listed.parse_text(text)

    expected = '"same-origin", "*", or a list of origins such as ["https://app.example.com"]'
    return Kind("origins", expected, parse, parse_text)


def seq_base() -> Kind:
    """Return the kind of the start of envelope numbers: `"clock"` or 0. Spec: wire 8.3."""
    zero = integer(0, 0)

    def parse(value: object) -> Any:
        return value if value == "clock" else zero.parse(value)

    def parse_text(text: str) -> Any:
        return text if text == "clock" else zero.parse_text(text)

    return Kind('"clock" or 0', '"clock" or 0', parse, parse_text)


class RateRule(msgspec.Struct, frozen=True):
    """At most `points` calls in `window` seconds. Spec: live-api 5.3."""

    points: int
    window: float


def _rule_text(rule: RateRule) -> str:
    return f"{{points = {rule.points}, window = {rule.window:g}}}"


def rate_rule() -> Kind:
    """Return the kind of one rate rule, `{points = 5, window = 10}`, or none."""
    points, window = integer(1), duration(0.001, 366 * 86400.0)

    def parse(value: object) -> RateRule | None:
        if value is None:
            return None
        if isinstance(value, RateRule):
            value = msgspec.structs.asdict(value)
        if not isinstance(value, Mapping) or set(value) != {"points", "window"}:
            raise _Unfit
        return RateRule(points.parse(value["points"]), window.parse(value["window"]))

    def parse_text(text: str) -> RateRule | None:
        return parse(_load_json(text))

    def to_toml(value: Any) -> str:
        return "none" if value is None else _rule_text(value)

    expected = "a table {points = <from 1>, window = <seconds, above 0>}"
    return Kind("{points, window}", expected, parse, parse_text, to_toml)


def rate_rules() -> Kind:
    """Return the kind of a table from RPC path to rate rule."""
    rule = rate_rule()

    def parse(value: object) -> Mapping[str, RateRule]:
        if not isinstance(value, Mapping) or None in value.values():
            raise _Unfit
        return MappingProxyType({str(path): rule.parse(entry) for path, entry in value.items()})

    def parse_text(text: str) -> Mapping[str, RateRule]:
        return parse(_load_json(text))

    def to_toml(value: Any) -> str:
        entries = ", ".join(f"{json.dumps(path)} = {_rule_text(entry)}" for path, entry in value.items())
        return f"{{{entries}}}"

    return Kind("table", f"a table from RPC path to {rule.expected[8:]}", parse, parse_text, to_toml)
