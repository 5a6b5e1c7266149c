"""The cookies of a request, and those that the `authenticate` hook sets. Spec: wire 1.3 and 1.5, platform 5.9."""

from __future__ import annotations

import math
import re
import urllib.parse
from datetime import UTC, datetime
from email.utils import format_datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_PAIR", "Cookies", "SameSite", "parse_cookies"]

SameSite = Literal["strict", "lax", "none"] | bool

MAX_PAIRS: Final = 180  # cookies of one request that are read
MAX_HEADER: Final = 16 * 1024  # characters of a Cookie header that are read
MAX_PAIR: Final = 4096  # bytes of name=value, beyond which browsers drop a cookie
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

# What encodeURIComponent leaves as it is.
_PLAIN: Final = "!~*'()"
_NAME: Final = re.compile(r"[^\x00-\x20\x7f-\U0010ffff\"(),/:;<=>?@\[\\\]{}]+")
# Neither separators nor what would end the header.
_RAW_VALUE: Final = re.compile(r"[^\x00-\x20\x7f-\U0010ffff,;]*")
_ATTRIBUTE: Final = re.compile(r"[^\x00-\x20\x7f-\xa0\u0100-\U0010ffff,;]*")
_LINE_ENDS: Final = re.compile(r"[\r\n\x00]")
_SAME_SITE: Final[Mapping[object, str]] = {
    True: "Strict",
    False: "Lax",
    "strict": "Strict",
    "lax": "Lax",
    "none": "None",
}


def parse_cookies(header: str) -> Mapping[str, str]:
    """Return the cookies of a `Cookie` header by name, read-only; the first of equal names wins.

    One pair of quotes around a value is stripped; values are percent-decoded, and kept as they are where that fails.
    At most 180 pairs and 16 KiB are read; a pair that goes beyond, and what follows it, is as if it were not there.
    """
    found: dict[str, str] = {}
    parts = header[: MAX_HEADER + 1].split(";", MAX_PAIRS)
    if len(parts) > MAX_PAIRS or len(header) > MAX_HEADER:
        parts.pop()
    for part in parts:
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


class Cookies:
    """What the `authenticate` hook is given: the cookies that came, and those that go out with a good answer.

    Reading shows what the request carried; `set` and `delete` do not change that.
    """

    __slots__ = ("_checks", "_received", "_set")

    def __init__(self, received: Mapping[str, str], *, check_attributes: bool = True) -> None:
        """Read from `received`; without `check_attributes` paths and domains may hold anything but line ends."""
        self._received = received
        self._checks = check_attributes
        self._set: dict[tuple[str, str | None, str | None], str] = {}

    def get(self, name: str) -> str | None:
        """Return the value that the request carries under this name, or `None`."""
        return self._received.get(name)

    def get_all(self) -> Mapping[str, str]:
        """Return all cookies of the request by name, read-only."""
        return self._received

    def set(
        self,
        name: str,
        value: str,
        *,
        path: str | None = None,
        domain: str | None = None,
        expires: datetime | None = None,
        max_age: float | None = None,
        http_only: bool = False,
        secure: bool = False,
        partitioned: bool = False,
        same_site: SameSite | None = None,
        encode: bool = True,
    ) -> None:
        """Send a cookie with the answer. Of those with the same name, path and domain the last one is sent.

        Args:
            name: visible ASCII without separators.
            value: any text; it is percent-encoded, as `get` decodes it.
            path: below which paths of the site browsers send it; without one, below that of the request.
            domain: which hosts get it, as in `example.com` for all of its own; without one, this host alone.
            expires: until when it is kept, with a time zone.
            max_age: for how many seconds it is kept; a fraction is dropped. Browsers prefer it to `expires`.
            http_only: keep it from scripts. secure: send it over https only. partitioned: keep one for each site
                that embeds this one.
            same_site: `"strict"`, `"lax"` or `"none"` (needs `secure`); `True` is strict, `False` is lax.
            encode: `False` sends the value as it is, which must then be visible ASCII without commas and semicolons.

        Raises:
            ValueError: a name, value or attribute that cannot be sent safely, or more than 4,096 bytes. The text names
                the cookie and never its value.
        """
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(
                f"cookie {name!r}: a name is visible ASCII without separators such as '=' and ';'"
            )
        pair = f"{name}={self._value(name, value, encode)}"
        if len(pair) > MAX_PAIR:
            raise ValueError(
                f"cookie {name!r}: name and value have {len(pair)} bytes, browsers take {MAX_PAIR}"
            )
        site = _same_site(name, same_site)
        _check_rules(name, path=path, domain=domain, secure=secure, site=site)
        parts = [
            pair,
            self._attribute(name, "Domain", domain),
            self._attribute(name, "Path", path),
            _expires(name, expires),
            _max_age(name, max_age),
            "HttpOnly" if http_only else "",
            "Secure" if secure else "",
            "Partitioned" if partitioned else "",
            f"SameSite={site}" if site else "",
        ]
        key = (name, path, domain)
        self._set.pop(key, None)
        self._set[key] = "; ".join(part for part in parts if part)

    def delete(
        self,
        name: str,
        *,
        path: str | None = None,
        domain: str | None = None,
        http_only: bool = False,
        secure: bool = False,
        partitioned: bool = False,
        same_site: SameSite | None = None,
    ) -> None:
        """Let the browser forget a cookie; path and domain must be those with which it was set.

        Raises:
            ValueError: see `set`.
        """
        self.set(
            name,
            "",
            path=path,
            domain=domain,
            expires=EPOCH,
            max_age=0,
            http_only=http_only,
            secure=secure,
            partitioned=partitioned,
            same_site=same_site,
        )

    @property
    def header_values(self) -> list[str]:
        """The values of the `Set-Cookie` headers of the answer, in the order in which they were set."""
        return list(self._set.values())

    def _value(self, name: str, value: str, encode: bool) -> str:
        if not isinstance(value, str):
            raise ValueError(f"cookie {name!r}: the value must be text, not {type(value).__name__}")
        if encode:
            try:
                return urllib.parse.quote(value, safe=_PLAIN)
            except UnicodeEncodeError:
                raise ValueError(f"cookie {name!r}: the value holds half of a surrogate pair") from None
        if not _RAW_VALUE.fullmatch(value):
            raise ValueError(
                f"cookie {name!r}: a value that is sent as it is must be visible ASCII without commas and semicolons"
            )
        return value

    def _attribute(self, name: str, attribute: str, value: str | None) -> str:
        if value is None:
            return ""
        allowed = isinstance(value, str) and not _LINE_ENDS.search(value)
        if allowed and self._checks:
            allowed = _ATTRIBUTE.fullmatch(value) is not None
        if not allowed:
            raise ValueError(
                f"cookie {name!r}: {attribute.lower()} must be text without blanks, commas, semicolons and controls"
            )
        return f"{attribute}={value}"


def _same_site(name: str, value: SameSite | None) -> str:
    if value is None:
        return ""
    wanted = value.lower() if isinstance(value, str) else value
    known = _SAME_SITE.get(wanted) if isinstance(wanted, str | bool) else None
    if known is None:
        raise ValueError(f"cookie {name!r}: same_site must be 'strict', 'lax' or 'none', not {value!r}")
    return known


def _check_rules(name: str, *, path: str | None, domain: str | None, secure: bool, site: str) -> None:
    """Refuse what browsers drop without a word."""
    lower = name.lower()
    if site == "None" and not secure:
        raise ValueError(f"cookie {name!r}: same_site='none' needs secure=True")
    if lower.startswith("__secure-") and not secure:
        raise ValueError(f"cookie {name!r}: a name that begins with __Secure- needs secure=True")
    if lower.startswith("__host-") and not (secure and path == "/" and domain is None):
        raise ValueError(
            f"cookie {name!r}: a name that begins with __Host- needs secure=True, path='/' and no domain"
        )


def _expires(name: str, expires: datetime | None) -> str:
    if expires is None:
        return ""
    if not isinstance(expires, datetime) or expires.tzinfo is None:
        raise ValueError(f"cookie {name!r}: expires must be a datetime with a time zone")
    return f"Expires={format_datetime(expires.astimezone(UTC), usegmt=True)}"


def _max_age(name: str, max_age: float | None) -> str:
    if max_age is None:
        return ""
    if not isinstance(max_age, int | float) or isinstance(max_age, bool) or not math.isfinite(max_age):
        raise ValueError(f"cookie {name!r}: max_age must be a finite number of seconds")
    return f"Max-Age={math.floor(max_age)}"
