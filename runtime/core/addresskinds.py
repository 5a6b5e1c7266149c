"""The kinds of settings that name hosts, networks and headers. Spec: platform 3.8, 4 and 5.8."""

from __future__ import annotations

import ipaddress
import json
import re
from urllib.parse import urlsplit

from runtime.core.settingkinds import Kind, text_list

__all__ = ["header_name", "hosts", "networks", "web_origin"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}", re.ASCII)
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_NETWORK_WORDS = frozenset({"private", "loopback", "*"})


class _Unfit(ValueError):
    """The value is not of this kind."""


def web_origin() -> Kind:
    """Return the kind of the address people type, `https://host[:port]`; what follows it is dropped.

    In code it is lower case and without the default port of its scheme, as browsers write an origin.
    """

    def parse(value: object) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str) or not value.isascii() or not value.isprintable() or " " in value:
            raise _Unfit
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
        if (
            parts.scheme not in _DEFAULT_PORTS
            or not host
            or port == 0
            or "@" in parts.netloc
            or "\\" in value
        ):
            raise _Unfit
        shown = f"[{host}]" if ":" in host else host
        return f"{parts.scheme}://{shown}" + (
            f":{port}" if port not in (None, _DEFAULT_PORTS[parts.scheme]) else ""
        )

    def to_toml(value: object) -> str:
        return "none" if value is None else json.dumps(value)

    return Kind("URL", 'a URL of http or https, such as "https://app.example.com"', parse, parse, to_toml)


def header_name() -> Kind:
    """Return the kind of the name of a request header, in lower case, or none."""

    def parse(value: object) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str) or not _HEADER.fullmatch(value):
            raise _Unfit
        return value.lower()

    def to_toml(value: object) -> str:
        return "none" if value is None else json.dumps(value)

    return Kind("header", 'the name of a header, such as "x-forwarded-for"', parse, parse, to_toml)


def hosts() -> Kind:
    """Return the kind of a list of host names without ports; `*.example.com` is every name below it."""

    def parse(value: object) -> str:
        if not isinstance(value, str):
            raise _Unfit
        bare = value[1:-1] if value.startswith("[") and value.endswith("]") else value
        try:
            return str(ipaddress.ip_address(bare))
        except ValueError:
            if bare != value or not _HOST.fullmatch(value):
                raise _Unfit from None
        return value.lower()

    item = Kind("host", "a host name without a port", parse, parse)
    return text_list(item, 'host names without ports, such as "app.example.com" or "*.example.com"')


def networks() -> Kind:
    """Return the kind of a list of networks in CIDR notation, and the words `private`, `loopback` and `*`."""

    def parse(value: object) -> str:
        if not isinstance(value, str):
            raise _Unfit
        return value if value in _NETWORK_WORDS else str(ipaddress.ip_network(value, strict=False))

    item = Kind("network", "a network", parse, parse)
    return text_list(item, 'networks such as "10.0.0.0/8", or "private", "loopback" or "*"')
