"""What every HTTP request begins with: its host, its id, its client. Spec: platform 2.8, 3.8, 5.8."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from runtime.core.settings import ServerSettings, Settings
from runtime.server.app import RealtimeApp, create_app
from runtime.server.proxies import ClientAddressError


async def who(request: Request) -> Response:
    try:
        address = request.state.client_address
    except ClientAddressError as error:
        address = f"unknown: {error}"
    return JSONResponse(
        {
            "id": request.state.request_id,
            "platform": request.state.platform.request_id,
            "shared": request.app.state.platform.request_id,
            "base": request.state.base_origin,
            "address": address,
        }
    )


async def fail(request: Request) -> Response:
    raise RuntimeError("broken")


async def own_id(request: Request) -> Response:
    return PlainTextResponse("", headers={"X-Request-ID": "mine"})


def app(**server: Any) -> RealtimeApp:
    routes = [Route("/who", who), Route("/fail", fail), Route("/own", own_id)]
    settings = Settings(server=ServerSettings(**{"env": "test", **server}))
    return create_app(None, settings=settings, routes=routes)


async def get(on: RealtimeApp, path: str = "/who", peer: str = "10.0.0.7", **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(on, raise_app_exceptions=False, client=(peer, 1))
    sent = {name.replace("_", "-"): value for name, value in {"host": "app.example", **headers}.items()}
    async with httpx.AsyncClient(transport=transport, base_url="http://app.example") as client:
        return await client.get(path, headers=sent)


@pytest.mark.spec("PLAT-76", "PLAT-180")
async def test_a_request_has_an_id_of_its_own_that_is_not_sent_back() -> None:
    on = app()
    first, second = await get(on), await get(on)
    ids = {answer.json()["id"] for answer in (first, second)}
    assert all(uuid.UUID(one).version == 4 for one in ids)
    assert len(ids) == 2
    assert first.json()["platform"] == first.json()["id"]
    assert first.json()["shared"] == "worker-0"
    assert "x-request-id" not in first.headers


@pytest.mark.spec("PLAT-76", "WIRE-10")
@pytest.mark.parametrize(
    ("sent", "taken"),
    [("abc-1", True), (" abc ", True), ("x" * 128, True), ("x" * 129, False), ("a b", False)],
)
async def test_an_id_that_was_sent_is_taken_if_it_is_usable(sent: str, taken: bool) -> None:
    answer = await get(app(), x_request_id=sent)
    assert (answer.json()["id"] == sent.strip()) is taken


@pytest.mark.spec("PLAT-76")
async def test_it_is_sent_back_where_that_is_wanted() -> None:
    on = app(emit_request_id=True)
    for path in ("/who", "/missing", "/fail", "/healthz"):
        assert (await get(on, path, x_request_id="abc")).headers["x-request-id"] == "abc"
    assert (await get(on, "/who", host="a b", x_request_id="abc")).headers["x-request-id"] == "abc"
    assert (await get(on, "/own", x_request_id="abc")).headers.get_list("x-request-id") == ["mine"]


@pytest.mark.spec("PLAT-91")
async def test_the_client_behind_a_proxy() -> None:
    on = app(
        address_header="x-forwarded-for", protocol_header="x-forwarded-proto", host_header="x-forwarded-host"
    )
    behind = {
        "x_forwarded_for": "6.6.6.6, 203.0.113.9",
        "x_forwarded_proto": "https",
        "x_forwarded_host": "www.example",
    }
    answer = (await get(on, **behind)).json()
    assert (answer["address"], answer["base"]) == ("203.0.113.9", "https://www.example")
    forged = (await get(on, peer="198.51.100.1", **behind)).json()
    assert (forged["address"], forged["base"]) == ("198.51.100.1", "http://app.example")


@pytest.mark.spec("PLAT-91")
async def test_an_address_that_nobody_said_raises_when_it_is_read() -> None:
    answer = await get(app(address_header="x-forwarded-for"))
    assert answer.json()["address"].startswith("unknown: the proxy sent no x-forwarded-for header")


@pytest.mark.spec("PLAT-91", "PLAT-167")
@pytest.mark.parametrize(
    ("headers", "settings", "rule"),
    [
        ({"host": "evil.example"}, {"allowed_hosts": ["app.example"]}, "host"),
        ({"host": "evil.example"}, {"env": "dev"}, "host"),
        ({"host": "a b"}, {}, "authority"),
        ({"x_forwarded_proto": "gopher"}, {"protocol_header": "x-forwarded-proto"}, "authority"),
        ({"x_forwarded_port": "http"}, {"port_header": "x-forwarded-port"}, "authority"),
    ],
)
async def test_a_foreign_or_malformed_host_is_refused_and_counted(
    headers: dict[str, str], settings: dict[str, Any], rule: str
) -> None:
    on = app(**settings)
    answer = await get(on, **headers)
    body = "Invalid host" if rule == "host" else "Bad Request"
    assert (answer.status_code, answer.text) == (400, body)
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert on.runtime.metrics.get("security_refusals_total", rule) == 1
    assert (await get(on, "/healthz", **headers)).text == "OK"  # load balancers ask by address


async def test_sockets_of_the_app_itself_are_not_for_foreign_hosts_either() -> None:
    accepted: list[str] = []

    async def socket(ws: WebSocket) -> None:
        accepted.append(ws.headers["host"])
        await ws.accept()

    settings = Settings(server=ServerSettings(env="test", allowed_hosts=["app.example"]))
    on = create_app(None, settings=settings, routes=[WebSocketRoute("/own", socket)])

    async def ask(host: str) -> list[Any]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message["type"])

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        scope = {
            "type": "websocket",
            "path": "/own",
            "scheme": "ws",
            "headers": [(b"host", host.encode())],
            "query_string": b"",
            "subprotocols": [],
        }
        await on(scope, receive, send)
        return sent

    assert await ask("app.example") == ["websocket.accept"]
    assert await ask("evil.example") == ["websocket.close"]
    assert accepted == ["app.example"]
