"""Keep secrets out of what people and pages get to see: URLs, logs, errors, tracebacks.

Spec: platform 5.15.
"""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Callable, Collection, Mapping
from enum import Enum
from typing import Any, Final
from urllib.parse import unquote

import msgspec

__all__ = [
    "MASK",
    "is_query_secret",
    "is_sensitive_name",
    "redact_text",
    "redact_url",
    "redact_urls",
    "sensitive_warner",
    "strip_internal",
]

logger = logging.getLogger("realtime.security")

#: What stands for a secret.
MASK: Final = "***"
MAX_STRIP_DEPTH: Final = 64  # platform 5.15; what lies deeper becomes None
MAX_WARN_DEPTH: Final = 3  # levels that a warner looks at

_SENSITIVE = re.compile(r"token|secret|password|auth|session|cookie|jwt|credential", re.IGNORECASE)
_POLLUTING = frozenset({"constructor", "prototype"})
_QUERY_SECRETS = frozenset({"password", "pass", "pwd", "token", "secret", "key", "sslpassword"})
# A URL in running text ends at white space or at a quote or bracket around it; a password may hold a single quote.
_URL_IN_TEXT = re.compile(r"\b[a-z][a-z0-9+.-]{1,30}://(?:[^\s\"<>`/?#@]*@)*[^\s\"'<>`]+", re.IGNORECASE)
# `password=...`, `"api_key": "..."`, `Authorization: Bearer ...`: a telling name, a sign, and a value. What stands
# before the telling part of a name is left alone anyway; in the pattern it cost a look ahead from every letter.
_PAIR_IN_TEXT = re.compile(
    r"(?P<name>"
    r"(?:password|passwd|pwd|secret|token|api_?key|credential|authorization|cookie|jwt|session_?id)"
    r"[A-Za-z0-9_-]{0,40}[\"']?\s{0,3}(?:=(?!=)|:)\s{0,3})"
    r"(?P<value>b?\"(?:[^\"\\\n]|\\.)*\"|b?'(?:[^'\\\n]|\\.)*'|(?:Bearer|Basic)\s+[^\s\"',;)]+|[^\s\"',;()\[\]{}]+)",
    re.IGNORECASE,
)


def is_sensitive_name(name: str) -> bool:
    """Whether a value under this name is a secret by its looks (`token`, `db_password`, `sessionId`, ...)."""
    return _SENSITIVE.search(name) is not None


def is_query_secret(name: str) -> bool:
    """Whether the value of a query parameter with this name is hidden in addresses."""
    return name.lower() in _QUERY_SECRETS


def redact_url(url: object) -> str:
    """Return a URL with its password and the values of telling query parameters as `***`.

    The last `@` of the authority ends the user part; an empty password stays as it is; text without `://`
    comes back unchanged. Spec: platform 5.15.
    """
    text = url if isinstance(url, str) else str(url)
    scheme, separator, rest = text.partition("://")
    if not separator:
        return text
    end = min((at for at in (rest.find(sign) for sign in "/?#") if at >= 0), default=len(rest))
    authority, tail = rest[:end], rest[end:]
    user, at, host = authority.rpartition("@")
    if at:
        name, colon, password = user.partition(":")
        if colon and password:
            user = f"{name}:{MASK}"
    authority = f"{user}{at}{host}"
    return f"{scheme}://{authority}{_redact_query(tail)}"


def _redact_query(tail: str) -> str:
    before, mark, query = tail.partition("?")
    if not mark:
        return tail
    query, hash_sign, fragment = query.partition("#")
    pairs = []
    for pair in query.split("&"):
        name, equals, value = pair.partition("=")
        hide = bool(value) and is_query_secret(unquote(name))
        pairs.append(f"{name}{equals}{MASK}" if hide else pair)
    return f"{before}?{'&'.join(pairs)}{hash_sign}{fragment}"


def redact_urls(text: str) -> str:
    """Return running text with the URLs in it redacted."""
    return _URL_IN_TEXT.sub(lambda match: redact_url(match[0]), text)


def redact_text(text: str, *, urls: bool = True) -> str:
    """Return running text, such as a traceback, with URLs redacted and values after telling names as `***`.

    Works by looks, so it errs on the side of hiding: `password = read()` becomes `password = ***()`.
    `urls=False` leaves the URLs as they are.
    """
    text = redact_urls(text) if urls else text
    return _PAIR_IN_TEXT.sub(_redact_pair, text)


def _redact_pair(match: re.Match[str]) -> str:
    value = match["value"]
    if value.lower() in {"none", "null", "true", "false"}:
        return match[0]
    quote = value[-1] if value[-1] in "\"'" else ""
    return f"{match['name']}{quote}{MASK}{quote}"


def strip_internal(value: Any) -> Any:
    """Return a copy fit for other people's eyes: internal and secret keys dropped, bytes named by their size.

    Mapping keys that begin with `__`, are `constructor` or `prototype`, or look secret are left out at every
    level. Whatever has a JSON form is walked: mappings and rows, dataclasses, msgspec structs and attrs classes by
    field, models by their `model_dump`, other collections by item. A cycle, and what lies deeper than 64 levels, is
    `None`. Spec: platform 5.15.
    """
    return _strip(value, frozenset(), 0)


def _strip(value: Any, above: frozenset[int], depth: int) -> Any:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[bytes: {len(value)}]"
    if id(value) in above or depth >= MAX_STRIP_DEPTH:
        return None
    inner = above | {id(value)}
    fields = _fields(value)
    if fields is not None:
        return {name: _strip(item, inner, depth + 1) for name, item in fields.items() if _is_open(name)}
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return _strip(dump(mode="json"), inner, depth + 1)
    if isinstance(value, Collection) and not isinstance(value, type):
        return [_strip(item, inner, depth + 1) for item in value]
    return value


def _fields(value: Any) -> Mapping[Any, Any] | None:
    if isinstance(value, Mapping):
        return value
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.asdict(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    kind = type(value)
    attributes = getattr(kind, "__attrs_attrs__", None)
    if attributes is not None:
        return {field.name: getattr(value, field.name) for field in attributes}
    if hasattr(kind, "keys") and hasattr(kind, "__getitem__"):  # a row of a database
        return {name: value[name] for name in value.keys()}  # noqa: SIM118  # iterating a row gives its values
    return None


def _is_open(name: Any) -> bool:
    if isinstance(name, Enum):  # as a key it stands for its value
        name = name.value
    if not isinstance(name, str):
        return True
    return not (name.startswith("__") or name in _POLLUTING or is_sensitive_name(name))


def sensitive_warner(prefix: str) -> Callable[[Any], None]:
    """Return a function that looks through a value and warns, once, of names in it that look secret.

    It looks at three levels, and at names with `key` in them as well. Spec: platform 5.15.
    """
    warned = False

    def warn(value: Any) -> None:
        nonlocal warned
        if warned:
            return
        found = sorted(_telling_names(value, MAX_WARN_DEPTH))
        if found:
            warned = True
            logger.warning(
                "%s: %s look like secrets; those that are do not leave the server", prefix, ", ".join(found)
            )

    return warn


def _telling_names(value: Any, depth: int) -> set[str]:
    fields = _fields(value)
    inner = fields.values() if fields is not None else value if isinstance(value, list | tuple) else ()
    found = {repr(name) for name in fields or () if isinstance(name, str) and _is_telling(name)}
    if depth > 1:
        for item in inner:
            found |= _telling_names(item, depth - 1)
    return found


def _is_telling(name: str) -> bool:
    return not _is_open(name) or "key" in name.lower()
