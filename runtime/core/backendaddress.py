"""Addresses of backends, read the same by every Python: those of clusters, sentinels and Postgres name several hosts.

`urllib.parse.urlsplit` refuses an IPv6 host that is not the only one in some versions, and keeps it in others.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

__all__ = ["SEVERAL_HOSTS", "Address", "split_address"]

SEVERAL_HOSTS = frozenset({"redis+cluster", "redis+sentinel", "postgres", "postgresql"})
"""Schemes whose addresses may name several hosts, with commas between them."""
_AUTHORITY = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>.*)", re.DOTALL
)


class Address(NamedTuple):
    """The parts of the address of a backend.

    Attributes:
        scheme: in lower case.
        user: as sent, empty if there is none.
        password: as sent, empty if there is none.
        hosts: each with its port; the port is None where the address names none. Empty for sockets of files.
        path: with the slash at its start.
        query: as written, without the question mark.
    """

    scheme: str
    user: str
    password: str
    hosts: tuple[tuple[str, int | None], ...]
    path: str
    query: str


def split_address(url: str) -> Address:
    """Return the parts of an address such as ``redis+sentinel://user:password@a:26379,[::1]:26380/master/0``.

    Raises:
        ValueError: a host or port cannot be one.
    """
    found = _AUTHORITY.fullmatch(url)
    scheme = found["scheme"].lower() if found else ""
    if found is None or scheme not in SEVERAL_HOSTS:
        parts = urlsplit(url)
        hosts = [parts.netloc.rpartition("@")[2]]
        account = parts.netloc.rpartition("@")[0]
    else:
        account, _, authority = found["authority"].rpartition("@")
        hosts = authority.split(",")
        parts = urlsplit(f"{scheme}://host{found['rest']}")
    user, _, password = account.partition(":")
    return Address(
        parts.scheme,
        unquote(user),
        unquote(password),
        () if hosts == [""] else tuple(_host(host) for host in hosts),
        parts.path,
        parts.query,
    )


def _host(text: str) -> tuple[str, int | None]:
    parts = urlsplit(f"//{text}")
    if parts.hostname is None or parts.netloc != text:
        raise ValueError("a host of the address cannot be read")
    return parts.hostname, parts.port
