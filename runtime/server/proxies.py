"""Behind proxies: which address people typed, and which client sent the request. Spec: platform 3.8.

The headers that the settings name are believed only when the peer of the socket is one of `trusted_proxies`; what
anybody else writes into them is as if it were not there.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from runtime.core.errors import RealtimeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from starlette.datastructures import Headers

    from runtime.core.settings import ServerSettings

__all__ = [
    "BadAuthority",
    "BaseUrl",
    "ClientAddressError",
    "Networks",
    "Proxies",
    "is_loopback",
    "parse_authority",
]

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

FORWARDED_FOR: Final = "x-forwarded-for"
MAX_FORWARDED_FOR: Final = 8192  # characters; a longer header is as if it were not there (platform 9.1)
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
LOOPBACK: Final = ("127.0.0.0/8", "::1/128")
PRIVATE: Final = (
    *LOOPBACK,
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
)
_WORDS: Final[Mapping[str, tuple[str, ...]]] = {"loopback": LOOPBACK, "private": PRIVATE}

MAX_KNOWN_HOSTS: Final = 256  # whose parts are remembered; the one unused for longest is forgotten

# A host name or an address in brackets, and perhaps a port.
_AUTHORITY: Final = re.compile(
    r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s/?#@\\:\[\],\x00-\x20\x7f]+))(?::([0-9]{1,5}))?"
)
# An IPv4 address or one in brackets, with a port behind it.
_WITH_PORT: Final = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")


class BadAuthority(RealtimeError, ValueError):
    """Nobody can say which address the request is for: 400. The text names the header at fault."""


class ClientAddressError(RealtimeError, ValueError):
    """The proxy in front did not say which client sent the request."""


class BaseUrl(NamedTuple):
    """Scheme, host and port of an address; `port` is `None` for the default one, `host` lower case, no brackets."""

    scheme: str
    host: str
    port: int | None

    @property
    def origin(self) -> str:
        """The address as browsers write an origin."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" if self.port is None else f"{self.scheme}://{host}:{self.port}"


@functools.lru_cache(MAX_KNOWN_HOSTS)
def parse_authority(text: str) -> tuple[str, int | None] | None:
    """Return host and port of a `Host` header, `None` when it is none; the host in lower case without brackets."""
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        return None
    port = int(match[3]) if match[3] else None
    if port is not None and not 0 < port < 65536:
        return None
    return (match[1] or match[2]).lower(), port


def is_loopback(address: str) -> bool:
    """Return whether an IP address, or the name of a host, is this machine's own."""
    parsed = _parse(address)
    if parsed is None:
        return address == "localhost" or address.endswith(".localhost")
    return parsed.is_loopback


class Networks:
    """The addresses that a list of settings names: networks, and the words `private`, `loopback` and `*`."""

    def __init__(self, words: Iterable[str]) -> None:
        named = set(words)
        self._has_all = "*" in named
        self._has_unnamed = bool({"private", "loopback", "*"} & named)
        self._networks: list[IPNetwork] = [
            ipaddress.ip_network(network) for word in named - {"*"} for network in _WORDS.get(word, (word,))
        ]

    def has(self, address: str) -> bool:
        """Return whether an IP address is among them; a peer without one (`""`) came over a unix socket."""
        if self._has_all:
            return True
        if not address:
            return self._has_unnamed
        parsed = _parse(address)
        return parsed is not None and any(parsed in network for network in self._networks)


class Proxies:
    """Reads the request as the settings of `[server]` say."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._pinned = settings.origin
        self._reads_headers = bool(settings.protocol_header or settings.host_header or settings.port_header)
        self._trusted = Networks(settings.trusted_proxies)

    def base_origin(self, scope: Mapping[str, Any], headers: Headers) -> str:
        """Return the origin of the address people typed: `[server] origin`, or what the request says.

        Raises:
            BadAuthority: see `base_url`.
        """
        return self._pinned if self._pinned is not None else self.base_url(scope, headers).origin

    def base_url(self, scope: Mapping[str, Any], headers: Headers) -> BaseUrl:
        """Return the address that the request says it is for.

        Raises:
            BadAuthority: a protocol that is neither `http` nor `https`, a port that is no number, or a host that is
                missing, there twice, or malformed.
        """
        settings = self._settings
        scheme = "https" if scope.get("scheme") in ("https", "wss") else "http"
        sent: str | None = None
        port: int | None = None
        if self._reads_headers and self._trusts(scope):
            scheme = self._protocol(headers) or scheme
            sent = _joined(headers, settings.host_header)
            port = self._port(headers)
        if sent is None:
            sent = _joined(headers, "host")
        parsed = parse_authority(sent or "")
        if parsed is None:
            raise BadAuthority("the host is missing or malformed")
        host, own_port = parsed
        port = port or own_port
        return BaseUrl(scheme, host, None if port == DEFAULT_PORTS[scheme] else port)

    def client_address(self, scope: Mapping[str, Any], headers: Headers) -> str:
        """Return the address of the client; of a peer that is no trusted proxy, the peer's own; `""` if it has none.

        Raises:
            ClientAddressError: `address_header` is missing, longer than 8,192 characters, there twice, no address,
                or an `x-forwarded-for` with fewer than `xff_depth` entries.
        """
        name = self._settings.address_header
        if name is None or not self._trusts(scope):
            return _peer(scope)
        sent = _joined(headers, name)
        if sent is None:
            raise ClientAddressError(
                f"the proxy sent no {name} header; let it send one, or change [server] address_header"
            )
        if len(sent) > MAX_FORWARDED_FOR:
            raise ClientAddressError(f"the {name} header is longer than {MAX_FORWARDED_FOR} characters")
        if name == FORWARDED_FOR:
            entries, depth = sent.split(","), self._settings.xff_depth
            if len(entries) < depth:
                raise ClientAddressError(
                    f"the {name} header has {len(entries)} entries, but [server] xff_depth is {depth}"
                )
            sent = entries[-depth]
        address = _address(sent.strip())
        if address is None:
            raise ClientAddressError(f"the {name} header names no IP address")
        return address

    def remote_address(self, scope: Mapping[str, Any], headers: Headers) -> str:
        """Return the address of the client, or the peer's own where a proxy did not say it."""
        try:
            return self.client_address(scope, headers)
        except ClientAddressError:
            return _peer(scope)

    def _trusts(self, scope: Mapping[str, Any]) -> bool:
        client = scope.get("client")
        return self._trusted.has(client[0] if client is not None else "")

    def _protocol(self, headers: Headers) -> str | None:
        name = self._settings.protocol_header
        sent = _joined(headers, name)
        if sent is not None and sent not in DEFAULT_PORTS:
            raise BadAuthority(f"the {name} header is neither http nor https")
        return sent

    def _port(self, headers: Headers) -> int | None:
        name = self._settings.port_header
        sent = _joined(headers, name)
        if sent is None:
            return None
        port = int(sent) if sent.isascii() and sent.isdigit() and len(sent) <= 5 else 0
        if not 0 < port < 65536:
            raise BadAuthority(f"the {name} header is no port")
        return port


def _joined(headers: Headers, name: str | None) -> str | None:
    """Return the values of a header as one, `None` when it is missing or was not asked for."""
    sent = headers.getlist(name) if name else []
    return ", ".join(sent).strip() if sent else None


def _peer(scope: Mapping[str, Any]) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _parse(text: str) -> IPAddress | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _address(text: str) -> str | None:
    """Return the IP address that `text` is, without a port; `None` when it is none."""
    match = _WITH_PORT.fullmatch(text)
    bare = (match[1] or match[2]) if match else text
    return bare if _parse(bare) is not None else None
