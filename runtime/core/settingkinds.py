"""The kinds of values a setting may have: how each is read from TOML, from text, and described to people.

`parse` takes what a TOML file or Python code holds, `parse_text` what an environment variable holds; both raise
`ValueError` when the value does not fit, and the caller adds where it stood and what would fit (`expected`).
Unlimited or switched off is `None` in code. Spec: platform 4.
"""

from __future__ import annotations

import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import msgspec

__all__ = [
    "Boolean",
    "Choice",
    "Duration",
    "Integer",
    "Kind",
    "Origins",
    "ProjectPath",
    "RateRule",
    "RateRuleKind",
    "RateRules",
    "SeqBase",
    "Size",
    "Text",
    "TextList",
    "UrlPath",
]

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_SIZE = re.compile(r"(\d{1,15})\s*([KMG]?)B?", re.IGNORECASE | re.ASCII)
_SIZE_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\s*(ms|s|m|h|d)?", re.ASCII)
_DURATION_UNITS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# A path that is compared with the decoded path of a request: no query, no dot segments, no doubled slash.
_URL_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]+)+", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)


class Kind(ABC):
    """How values of one kind are read and described."""

    @property
    @abstractmethod
    def type_name(self) -> str:
        """The word for the reference page and `config show`, such as `duration`."""

    @property
    @abstractmethod
    def expected(self) -> str:
        """What would fit, as the end of a sentence that begins with "expected"."""

    @abstractmethod
    def parse(self, value: object) -> Any:
        """Return the value for code; raises `ValueError` when `value` does not fit."""

    @abstractmethod
    def parse_text(self, text: str) -> Any:
        """Like `parse`, for text from the environment."""

    def to_toml(self, value: Any) -> str:
        """Return `value` as it is written in `realtime.toml`."""
        if value is None:
            return "none"
        if isinstance(value, tuple):
            return json.dumps(list(value), ensure_ascii=False)
        return json.dumps(value, ensure_ascii=False)


def _refuse() -> ValueError:
    return ValueError("the value does not fit")


def _load_json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise _refuse() from None


@dataclass(frozen=True)
class Text(Kind):
    """A short name: letters, digits, `-` and `_`, or with `free` any printable text of one line."""

    free: bool = False

    @property
    def type_name(self) -> str:
        return "text"

    @property
    def expected(self) -> str:
        if self.free:
            return "text of one line, 1 to 255 characters"
        return "a name of letters, digits, '-' and '_', at most 64 characters"

    def parse(self, value: object) -> str:
        if not isinstance(value, str):
            raise _refuse()
        fits = (0 < len(value) < 256 and value.isprintable()) if self.free else _NAME.fullmatch(value)
        if not fits:
            raise _refuse()
        return value

    def parse_text(self, text: str) -> str:
        return self.parse(text)


@dataclass(frozen=True)
class ProjectPath(Kind):
    """A file or folder inside the project, relative and with forward slashes."""

    @property
    def type_name(self) -> str:
        return "path"

    @property
    def expected(self) -> str:
        return "a path inside the project, relative and with forward slashes"

    def parse(self, value: object) -> str:
        if not isinstance(value, str) or not value.isprintable() or "\\" in value or ":" in value:
            raise _refuse()
        parts = value.removesuffix("/").split("/")
        if any(part in {"", ".", ".."} for part in parts):
            raise _refuse()
        return "/".join(parts)

    def parse_text(self, text: str) -> str:
        return self.parse(text)


@dataclass(frozen=True)
class UrlPath(Kind):
    """A path of the HTTP side, such as `/healthz`; with `off`, `false` switches the thing off."""

    off: bool = False

    @property
    def type_name(self) -> str:
        return "URL path or false" if self.off else "URL path"

    @property
    def expected(self) -> str:
        return "a path that begins with '/', such as \"/status\"" + (", or false" if self.off else "")

    def parse(self, value: object) -> str | None:
        if self.off and (value is None or value is False):
            return None
        if not isinstance(value, str) or len(value) > 255 or not _URL_PATH.fullmatch(value):
            raise _refuse()
        if any(part in {".", ".."} for part in value.split("/")):
            raise _refuse()
        return value

    def parse_text(self, text: str) -> str | None:
        if self.off and text.lower() in _FALSE:
            return None
        return self.parse(text)

    def to_toml(self, value: Any) -> str:
        return "false" if value is None else super().to_toml(value)


@dataclass(frozen=True)
class Integer(Kind):
    """A whole number within bounds; with `off`, 0 means unlimited."""

    minimum: int = 0
    maximum: int = 2**53 - 1
    off: bool = False

    @property
    def type_name(self) -> str:
        return "integer"

    @property
    def expected(self) -> str:
        limits = f"from {self.minimum}" if self.maximum == 2**53 - 1 else f"{self.minimum} to {self.maximum}"
        return f"a whole number, {limits}" + (", or 0 for none" if self.off else "")

    def parse(self, value: object) -> int | None:
        if self.off and (value is None or (value == 0 and value is not False)):
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not self.minimum <= value <= self.maximum:
            raise _refuse()
        return value

    def parse_text(self, text: str) -> int | None:
        if not re.fullmatch(r"-?\d{1,16}", text, re.ASCII):
            raise _refuse()
        return self.parse(int(text))

    def to_toml(self, value: Any) -> str:
        return "0" if value is None else str(value)


@dataclass(frozen=True)
class Size(Kind):
    """A number of bytes: an integer or text such as `"512K"` (binary multiples); with `off`, 0 means unlimited."""

    minimum: int = 1
    maximum: int = 1024**4
    off: bool = False

    @property
    def type_name(self) -> str:
        return "bytes"

    @property
    def expected(self) -> str:
        limits = f"{size_text(self.minimum)} to {size_text(self.maximum)}"
        return f'bytes, as a number or as text like "512K", {limits}' + (
            ", or 0 for none" if self.off else ""
        )

    def parse(self, value: object) -> int | None:
        if isinstance(value, str):
            return self.parse_text(value)
        if self.off and (value is None or (value == 0 and value is not False)):
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not self.minimum <= value <= self.maximum:
            raise _refuse()
        return value

    def parse_text(self, text: str) -> int | None:
        match = _SIZE.fullmatch(text.strip())
        if match is None:
            raise _refuse()
        return self.parse(int(match[1]) * _SIZE_UNITS[match[2].upper()])

    def to_toml(self, value: Any) -> str:
        return (
            "0"
            if value is None
            else json.dumps(size_text(value))
            if value % 1024 == 0 and value
            else str(value)
        )


def size_text(value: int) -> str:
    """Return a number of bytes in the largest binary unit that divides it, such as `"1M"`."""
    for unit in ("G", "M", "K"):
        if value and value % _SIZE_UNITS[unit] == 0:
            return f"{value // _SIZE_UNITS[unit]}{unit}"
    return str(value)


@dataclass(frozen=True)
class Duration(Kind):
    """Seconds: a number or text such as `"500ms"` or `"2m"`; with `off`, 0 means no limit."""

    minimum: float = 0.0
    maximum: float = 31 * 86400.0
    off: bool = False

    @property
    def type_name(self) -> str:
        return "duration"

    @property
    def expected(self) -> str:
        limits = f"{self.minimum:g} to {self.maximum:g} seconds"
        text = 'a duration, as seconds or as text like "500ms" or "2m"'
        return f"{text}, {limits}" + (", or 0 for none" if self.off else "")

    def parse(self, value: object) -> float | None:
        if isinstance(value, str):
            return self.parse_text(value)
        if self.off and value is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise _refuse()
        if self.off and value == 0:
            return None
        if not math.isfinite(value) or not self.minimum <= value <= self.maximum:
            raise _refuse()
        return float(value)

    def parse_text(self, text: str) -> float | None:
        match = _DURATION.fullmatch(text.strip())
        if match is None:
            raise _refuse()
        return self.parse(float(match[1]) * _DURATION_UNITS[match[2] or ""])

    def to_toml(self, value: Any) -> str:
        return "0" if value is None else f"{value:g}"


@dataclass(frozen=True)
class Boolean(Kind):
    """`true` or `false`; in the environment also `1/0`, `yes/no`, `on/off`."""

    @property
    def type_name(self) -> str:
        return "boolean"

    @property
    def expected(self) -> str:
        return "true or false"

    def parse(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise _refuse()
        return value

    def parse_text(self, text: str) -> bool:
        word = text.strip().lower()
        if word in _TRUE:
            return True
        if word in _FALSE:
            return False
        raise _refuse()


@dataclass(frozen=True)
class Choice(Kind):
    """One word of a fixed set."""

    words: tuple[str, ...]

    @property
    def type_name(self) -> str:
        return "choice"

    @property
    def expected(self) -> str:
        return "one of " + ", ".join(json.dumps(word) for word in self.words)

    def parse(self, value: object) -> str:
        if not isinstance(value, str) or value not in self.words:
            raise _refuse()
        return value

    def parse_text(self, text: str) -> str:
        return self.parse(text.strip().lower())


@dataclass(frozen=True)
class TextList(Kind):
    """A list of texts; in the environment separated by commas, or a JSON list. Code gets a tuple."""

    item: Kind = Text(free=True)
    item_name: str = "texts"

    @property
    def type_name(self) -> str:
        return "list"

    @property
    def expected(self) -> str:
        return f"a list of {self.item_name}"

    def parse(self, value: object) -> tuple[str, ...]:
        if not isinstance(value, list | tuple):
            raise _refuse()
        return tuple(self.item.parse(entry) for entry in value)

    def parse_text(self, text: str) -> tuple[str, ...]:
        if text.lstrip().startswith("["):
            return self.parse(_load_json(text))
        return self.parse([part.strip() for part in text.split(",") if part.strip()])


@dataclass(frozen=True)
class _Prefix(Kind):
    """A path prefix that begins and ends with a slash."""

    @property
    def type_name(self) -> str:
        return "path prefix"

    @property
    def expected(self) -> str:
        return "a path that begins and ends with '/'"

    def parse(self, value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(r"/(?:[^/\s?#]+/)*", value):
            raise _refuse()
        return value

    def parse_text(self, text: str) -> str:
        return self.parse(text)


PATH_PREFIXES = TextList(_Prefix(), "paths that begin and end with '/'")


@dataclass(frozen=True)
class Origins(Kind):
    """`"same-origin"`, `"*"`, or a list of origins, each `scheme://host[:port]`, `*.` allowed before the host."""

    @property
    def type_name(self) -> str:
        return "origins"

    @property
    def expected(self) -> str:
        return '"same-origin", "*", or a list of origins such as ["https://app.example.com"]'

    def parse(self, value: object) -> str | tuple[str, ...]:
        if isinstance(value, str):
            if value not in {"same-origin", "*"}:
                raise _refuse()
            return value
        if not isinstance(value, list | tuple):
            raise _refuse()
        return tuple(_origin(entry) for entry in value)

    def parse_text(self, text: str) -> str | tuple[str, ...]:
        word = text.strip()
        if word in {"same-origin", "*"}:
            return word
        if word.startswith("["):
            return self.parse(_load_json(word))
        return self.parse([part.strip() for part in word.split(",") if part.strip()])


def _origin(value: object) -> str:
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or " " in value:
        raise _refuse()
    parts = urlsplit(value)
    if (
        not parts.scheme
        or not parts.hostname
        or parts.path
        or parts.query
        or parts.fragment
        or parts.username
    ):
        raise _refuse()
    parts.port  # noqa: B018 - reading it raises ValueError when the port is not a number in range
    if "*" in parts.hostname.removeprefix("*."):
        raise _refuse()
    return value


@dataclass(frozen=True)
class SeqBase(Kind):
    """Where the numbers of published envelopes start: `"clock"` or 0. Spec: wire 8.3."""

    @property
    def type_name(self) -> str:
        return '"clock" or 0'

    @property
    def expected(self) -> str:
        return '"clock" or 0'

    def parse(self, value: object) -> str | int:
        if value == "clock":
            return "clock"
        if isinstance(value, int) and not isinstance(value, bool) and value == 0:
            return 0
        raise _refuse()

    def parse_text(self, text: str) -> str | int:
        return self.parse(0 if text.strip() == "0" else text.strip())


class RateRule(msgspec.Struct, frozen=True):
    """At most `points` calls in `window` seconds. Spec: live-api 5.3."""

    points: int
    window: float


@dataclass(frozen=True)
class RateRuleKind(Kind):
    """One rate rule, `{points = 5, window = 10}`, or nothing."""

    @property
    def type_name(self) -> str:
        return "{points, window}"

    @property
    def expected(self) -> str:
        return "a table {points = <from 1>, window = <seconds, above 0>}"

    def parse(self, value: object) -> RateRule | None:
        if value is None or isinstance(value, RateRule):
            return value
        if not isinstance(value, Mapping) or set(value) != {"points", "window"}:
            raise _refuse()
        points = Integer(1).parse(value["points"])
        window = Duration(0.001).parse(value["window"])
        assert points is not None and window is not None
        return RateRule(points, window)

    def parse_text(self, text: str) -> RateRule | None:
        return self.parse(_load_json(text))


@dataclass(frozen=True)
class RateRules(Kind):
    """Rate rules by RPC path."""

    @property
    def type_name(self) -> str:
        return "table"

    @property
    def expected(self) -> str:
        return "a table from RPC path to {points = <from 1>, window = <seconds, above 0>}"

    def parse(self, value: object) -> Mapping[str, RateRule]:
        if not isinstance(value, Mapping):
            raise _refuse()
        rules: dict[str, RateRule] = {}
        for path, entry in value.items():
            rule = RateRuleKind().parse(entry)
            if not isinstance(path, str) or rule is None:
                raise _refuse()
            rules[path] = rule
        return MappingProxyType(rules)

    def parse_text(self, text: str) -> Mapping[str, RateRule]:
        return self.parse(_load_json(text))

    def to_toml(self, value: Any) -> str:
        return "{}" if not value else ", ".join(value)
