"""The kinds of settings of `[metrics]`: addresses to listen on, names of metrics, buckets. Spec: platform 3.5."""

from __future__ import annotations

import itertools
import json
import math
import re

from runtime.core import capacity
from runtime.core.settingkinds import Kind

__all__ = ["buckets", "dotted_name", "listen_address", "metric_prefix", "secret"]

_LISTEN = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})", re.ASCII)
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+", re.ASCII)
_PREFIX = re.compile(r"(?:[a-zA-Z_:][a-zA-Z0-9_:]{0,63})?", re.ASCII)
_MAX_SECRET = 1024  # characters


class _Unfit(ValueError):
    """The value is not of this kind."""


def _optional(value: object) -> str:
    return "none" if value is None else json.dumps(value)


def listen_address() -> Kind:
    """Return the kind of `host:port`, or none; an IPv6 address stands in brackets, port 0 takes a free one."""

    def parse(value: object) -> str | None:
        if value is None:
            return None
        match = _LISTEN.fullmatch(value) if isinstance(value, str) else None
        if match is None or int(match[1]) > 65535:
            raise _Unfit
        return match[0]

    return Kind("host:port", 'an address and a port, such as "127.0.0.1:9464"', parse, parse, _optional)


def secret() -> Kind:
    """Return the kind of a secret that a client sends in a header: visible ASCII characters, or none."""

    def parse(value: object) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str) or not 0 < len(value) <= _MAX_SECRET:
            raise _Unfit
        if not all("!" <= character <= "~" for character in value):
            raise _Unfit
        return value

    return Kind("secret", "visible ASCII characters without spaces", parse, parse, _optional)


def dotted_name() -> Kind:
    """Return the kind of the name of a function in a module, `module.function`, or none."""

    def parse(value: object) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str) or not _DOTTED.fullmatch(value):
            raise _Unfit
        return value

    return Kind("dotted name", 'a function in a module, such as "labels.short"', parse, parse, _optional)


def metric_prefix() -> Kind:
    """Return the kind of the beginning of the names of metrics; it may be empty."""

    def parse(value: object) -> str:
        if not isinstance(value, str) or not _PREFIX.fullmatch(value):
            raise _Unfit
        return value

    return Kind("text", "letters, digits, '_' and ':', not a digit first", parse, parse)


def buckets() -> Kind:
    """Return the kind of the upper bounds of a histogram: ascending numbers above 0, a tuple in code."""

    def parse(value: object) -> tuple[float, ...]:
        if not isinstance(value, list | tuple) or not 0 < len(value) <= capacity.get("MAX_HISTOGRAM_BUCKETS"):
            raise _Unfit
        if any(isinstance(one, bool) or not isinstance(one, int | float) for one in value):
            raise _Unfit
        bounds = tuple(float(one) for one in value)
        ascending = all(one < other for one, other in itertools.pairwise(bounds))
        if not ascending or not bounds[0] > 0 or not math.isfinite(bounds[-1]):
            raise _Unfit
        return bounds

    def parse_text(text: str) -> tuple[float, ...]:
        if not text.startswith("["):
            text = f"[{text}]"
        try:
            return parse(json.loads(text))
        except (ValueError, RecursionError):
            raise _Unfit from None

    def to_toml(value: tuple[float, ...]) -> str:
        return f"[{', '.join(f'{one:g}' for one in value)}]"

    most = capacity.MAX_HISTOGRAM_BUCKETS
    expected = f"a list of 1 to {most} ascending numbers above 0, in milliseconds"
    return Kind("list", expected, parse, parse_text, to_toml, f"1 to {most} entries")
