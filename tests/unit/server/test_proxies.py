"""Which address a request is for and which client sent it, with and without proxies. Spec: platform 3.8."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.datastructures import Headers

from runtime.core.settings import ServerSettings
from runtime.server.proxies import BadAuthority, ClientAddressError, Proxies, is_loopback

ALL = {
    "protocol_header": "X-Forwarded-Proto",
    "host_header": "X-Forwarded-Host",
    "port_header": "X-Forwarded-Port",
    "address_header": "X-Forwarded-For",
}


class Request:
    """A request as ASGI has it, and what `Proxies` makes of it."""

    def __init__(
        self, *headers: tuple[str, str], peer: str | None = "10.0.0.1", scheme: str = "http", **settings: Any
    ) -> None:
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        self.scope = {"client": (peer, 1) if peer is not None else None, "scheme": scheme, "headers": raw}
        self.headers = Headers(raw=raw)
        self.proxies = Proxies(ServerSettings(**settings))

    @property
    def base_origin(self) -> str:
        return self.proxies.base_origin(self.scope, self.headers)

    @property
    def client(self) -> str:
        return self.proxies.client_address(self.scope, self.headers)

    @property
    def remote(self) -> str:
        return self.proxies.remote_address(self.scope, self.headers)


@pytest.mark.spec("PLAT-91", "WIRE-5")
@pytest.mark.parametrize(
    ("headers", "options", "origin"),
    [
        ([("host", "app.example")], {}, "http://app.example"),
        ([("host", "App.Example:80")], {}, "http://app.example"),
        ([("host", "app.example:443")], {}, "http://app.example:443"),
        ([("host", "app.example:443")], {"scheme": "wss"}, "https://app.example"),
        ([("host", "app.example:8000")], {"scheme": "https"}, "https://app.example:8000"),
        ([("host", "[::1]:8000")], {"scheme": "ws"}, "http://[::1]:8000"),
        ([("host", "inner"), ("x-forwarded-proto", "https")], {}, "http://inner"),
        ([("host", "inner:3000"), ("x-forwarded-proto", "https")], ALL, "https://inner:3000"),
        ([("host", "inner"), ("x-forwarded-host", "app.example")], ALL, "http://app.example"),
        ([("host", "inner"), ("x-forwarded-host", "app.example:80")], ALL, "http://app.example"),
        ([("host", "app.example:3000"), ("x-forwarded-port", "8443")], ALL, "http://app.example:8443"),
        ([("host", "app.example:3000"), ("x-forwarded-port", "80")], ALL, "http://app.example"),
        (
            [
                ("host", "inner:3000"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "app.example"),
                ("x-forwarded-port", "443"),
            ],
            ALL,
            "https://app.example",
        ),
        ([("host", "anything at all")], {"origin": "https://App.example:443/path"}, "https://app.example"),
        ([], {"origin": "http://app.example:3000"}, "http://app.example:3000"),
    ],
)
def test_the_address_people_typed(
    headers: list[tuple[str, str]], options: dict[str, Any], origin: str
) -> None:
    assert Request(*headers, **options).base_origin == origin


@pytest.mark.spec("PLAT-91")
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("host", "")],
        [("host", "a b")],
        [("host", "user@app.example")],
        [("host", "app.example/x")],
        [("host", "app.example:port")],
        [("host", "app.example:0")],
        [("host", "app.example:65536")],
        [("host", "app.example"), ("host", "evil.example")],
        [("host", "app.example, evil.example")],
        [("host", "[::1")],
        [("host", "app.example"), ("x-forwarded-proto", "ftp")],
        [("host", "app.example"), ("x-forwarded-proto", "HTTPS")],
        [("host", "app.example"), ("x-forwarded-proto", "https, http")],
        [("host", "app.example"), ("x-forwarded-proto", "")],
        [("host", "app.example"), ("x-forwarded-port", "port")],
        [("host", "app.example"), ("x-forwarded-port", "0")],
        [("host", "app.example"), ("x-forwarded-port", "99999999999")],
        [("host", "app.example"), ("x-forwarded-port", "-1")],
        [("host", "app.example"), ("x-forwarded-port", "²")],
        [("host", "app.example"), ("x-forwarded-host", "")],
        [("host", "app.example"), ("x-forwarded-host", "a.example, b.example")],
        [("host", "app.example"), ("x-forwarded-host", "a.example"), ("x-forwarded-host", "b.example")],
    ],
)
def test_an_address_that_nobody_can_tell_is_refused(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(BadAuthority):
        _ = Request(*headers, **ALL).base_origin


FORGED = [
    ("host", "app.example"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "evil.example"),
    ("x-forwarded-port", "1"),
    ("x-forwarded-for", "203.0.113.9"),
]


@pytest.mark.spec("PLAT-91", "PLAT-110")
@pytest.mark.parametrize(
    ("trusted", "peer", "believed"),
    [
        (["private"], "10.1.2.3", True),
        (["private"], "172.31.0.1", True),
        (["private"], "192.168.9.9", True),
        (["private"], "169.254.0.1", True),
        (["private"], "127.0.0.1", True),
        (["private"], "::1", True),
        (["private"], "fd00::1", True),
        (["private"], "fe80::1%eth0", True),
        (["private"], "::ffff:10.0.0.1", True),
        (["private"], None, True),
        (["private"], "172.32.0.1", False),
        (["private"], "8.8.8.8", False),
        (["private"], "2001:db8::1", False),
        (["private"], "::ffff:8.8.8.8", False),
        (["private"], "testclient", False),
        (["loopback"], "127.9.9.9", True),
        (["loopback"], None, True),
        (["loopback"], "10.0.0.1", False),
        (["203.0.113.0/24"], "203.0.113.77", True),
        (["203.0.113.7"], "203.0.113.7", True),
        (["203.0.113.7"], "203.0.113.8", False),
        (["203.0.113.7"], None, False),
        (["2001:db8::/32", "loopback"], "2001:db8:1::1", True),
        (["*"], "8.8.8.8", True),
        (["*"], "testclient", True),
        (["*"], None, True),
        ([], "127.0.0.1", False),
        ([], None, False),
    ],
)
def test_headers_of_peers_that_are_not_trusted_are_as_if_not_there(
    trusted: list[str], peer: str | None, believed: bool
) -> None:
    request = Request(*FORGED, peer=peer, trusted_proxies=trusted, **ALL)
    if believed:
        assert (request.base_origin, request.client) == ("https://evil.example:1", "203.0.113.9")
    else:
        assert (request.base_origin, request.client) == ("http://app.example", peer or "")


@pytest.mark.spec("PLAT-91")
@pytest.mark.parametrize(
    ("sent", "depth", "client"),
    [
        (["203.0.113.9"], 1, "203.0.113.9"),
        (["6.6.6.6, 203.0.113.9"], 1, "203.0.113.9"),
        (["6.6.6.6, 203.0.113.9, 10.0.0.2"], 2, "203.0.113.9"),
        (["6.6.6.6", "203.0.113.9,10.0.0.2"], 2, "203.0.113.9"),
        ([" 203.0.113.9 "], 1, "203.0.113.9"),
        (["203.0.113.9:4711"], 1, "203.0.113.9"),
        (["2001:db8::9"], 1, "2001:db8::9"),
        (["[2001:db8::9]:4711"], 1, "2001:db8::9"),
        (["[2001:db8::9]"], 1, "2001:db8::9"),
        ([], 1, None),
        (["203.0.113.9"], 2, None),
        (["6.6.6.6, "], 1, None),
        (["unknown"], 1, None),
        (["203.0.113.9; DROP TABLE"], 1, None),
        (["1.1.1.1, " * 909 + "203.0.113.9"], 1, "203.0.113.9"),
        (["1.1.1.1, " * 910 + "203.0.113.9"], 1, None),
    ],
)
def test_the_client_is_counted_from_the_right(sent: list[str], depth: int, client: str | None) -> None:
    headers = [("x-forwarded-for", value) for value in sent]
    request = Request(*headers, address_header="x-forwarded-for", xff_depth=depth)
    if client is not None:
        assert (request.client, request.remote) == (client, client)
        return
    with pytest.raises(ClientAddressError, match="x-forwarded-for"):
        _ = request.client
    assert request.remote == "10.0.0.1"


@pytest.mark.spec("PLAT-91")
def test_another_header_holds_one_address() -> None:
    assert Request(("x-real-ip", "203.0.113.9"), address_header="X-Real-IP").client == "203.0.113.9"
    for values in (["1.1.1.1, 2.2.2.2"], ["1.1.1.1", "2.2.2.2"]):
        request = Request(*(("x-real-ip", value) for value in values), address_header="x-real-ip")
        assert request.remote == "10.0.0.1"


def test_without_the_setting_the_header_is_not_read() -> None:
    assert Request(("x-forwarded-for", "203.0.113.9"), ("host", "a")).client == "10.0.0.1"
    assert Request(("host", "a"), peer=None).client == ""


@pytest.mark.parametrize(
    ("address", "own"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("app.localhost", True),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("localhost.example", False),
        ("evillocalhost", False),
    ],
)
def test_what_is_this_machine(address: str, own: bool) -> None:
    assert is_loopback(address) is own
