"""The cookies of a request. Spec: wire 1.3, platform 5.9."""

from __future__ import annotations

import urllib.parse
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["parse_cookies"]


def parse_cookies(header: str) -> Mapping[str, str]:
    """Return the cookies of a `Cookie` header by name, read-only; the first of equal names wins.

    One pair of quotes around a value is stripped; values are percent-decoded, and kept as they are where that fails.
    """
    found: dict[str, str] = {}
    for part in header.split(";"):
        name, separator, value = part.partition("=")
        name, value = name.strip(), value.strip()
        if not separator or not name or name in found:
            continue
        if len(value) >= 2 and value[0] == value[-1] == '"':
            value = value[1:-1]
        try:
            found[name] = urllib.parse.unquote(value, errors="strict")
        except UnicodeDecodeError:
            found[name] = value
    return MappingProxyType(found)
