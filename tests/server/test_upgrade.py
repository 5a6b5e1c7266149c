"""Upgrades over real sockets: every refusal with status and body, admission, rates, hosts, origins, headers.

Spec: wire 1.1 to 1.4, platform 1.5, 1.6, 5.8, 5.13, 5.14.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import websockets

from runtime.core.settings import (
    SecuritySettings,
    ServerSettings,
    Settings,
    UpgradeAdmissionSettings,
    WebSocketSettings,
)
from runtime.server.hooks import Hook, HookSet
from runtime.server.upgrade import UpgradeResponse
from runtime.testing import eventually
from tests.server.sockets import TIMEOUT, Served, receive, served

pytestmark = [pytest.mark.usefixtures("write_path"), pytest.mark.spec("PLAT-158")]

HANDSHAKE = (
    "GET /ws HTTP/1.1\r\nhost: {address}\r\norigin: http://{address}\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@contextlib.asynccontextmanager
async def app(
    folder: Path,
    upgrade: Callable[..., Any] | None = None,
    *,
    server: dict[str, Any] | None = None,
    admission: dict[str, Any] | None = None,
    **websocket: Any,
) -> AsyncIterator[Served]:
    """Serve an app with this `upgrade` hook; in production the rates hold for peers of this machine too."""
    settings = Settings(
        server=ServerSettings(
            **{"env": "production", "shutdown_timeout": 1, "allowed_hosts": ["127.0.0.1"], **(server or {})}
        ),
        websocket=WebSocketSettings(
            upgrade_admission=UpgradeAdmissionSettings(**(admission or {})), **websocket
        ),
        security=SecuritySettings(),
    )
    async with served(folder, settings) as running:
        if upgrade is not None:
            running.runtime.set_hooks(HookSet({"upgrade": Hook("upgrade", upgrade)}))
        yield running


async def refusal(server: Served, **options: Any) -> tuple[int, str]:
    with pytest.raises(websockets.InvalidStatus) as caught:
        async with server.connect(**options):
            pass
    response = caught.value.response
    assert response.headers["content-type"].startswith("text/plain")
    return response.status_code, response.body.decode()


def outcomes(server: Served) -> dict[str, int]:
    series = server.runtime.metrics.snapshot().get("ws_upgrades_total", {})
    return {labels[0]: count for labels, count in series.items()}


class Hanging:
    """An upgrade hook that waits until the test lets it go."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.gate = asyncio.Event()
        self.running = 0
        self.cancelled = 0

    async def __call__(self) -> Any:
        self.running += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.spec("PLAT-14", "WIRE-3", "PLAT-167")
async def test_a_full_server_refuses_and_frees_the_place_again(tmp_path: Path) -> None:
    hook = Hanging()
    async with app(tmp_path, hook, admission={"max_concurrent": 2}) as server:
        waiting = [asyncio.ensure_future(server.connect().__aenter__()) for _ in range(2)]
        await eventually(lambda: hook.running == 2)
        assert await refusal(server) == (503, "Server is at upgrade capacity, please retry")
        hook.gate.set()
        for ws in await asyncio.gather(*waiting):
            await ws.close()
        async with server.connect() as ws:
            await receive(ws)
        assert server.runtime.upgrading == 0
        assert outcomes(server) == {"admission": 1, "accepted": 3}


@pytest.mark.spec("PLAT-15", "PLAT-12")
@pytest.mark.parametrize(
    ("answer", "status", "outcome"),
    [
        (None, 101, "accepted"),
        (False, 401, "denied"),
        (RuntimeError("x"), 500, "error"),
        (..., 504, "timeout"),
    ],
)
async def test_the_slot_is_released_once_however_it_ends(
    answer: Any, status: int, outcome: str, tmp_path: Path
) -> None:
    hook = Hanging(answer)
    limit = 0.05 if status == 504 else 10
    async with app(tmp_path, hook, upgrade_timeout=limit) as server:
        connecting = asyncio.ensure_future(server.connect().__aenter__())
        await eventually(lambda: hook.running == 1)
        assert server.runtime.upgrading == 1
        if status != 504:
            hook.gate.set()
        if status == 101:
            ws = await connecting
            assert server.runtime.upgrading == 0
            await ws.close()
        else:
            with pytest.raises(websockets.InvalidStatus) as caught:
                await connecting
            assert caught.value.response.status_code == status
        assert (server.runtime.upgrading, outcomes(server)) == (0, {outcome: 1})
        assert hook.cancelled == int(status == 504)


@pytest.mark.spec("PLAT-15", "PLAT-17")
async def test_a_client_that_leaves_while_it_is_looked_at_gets_nothing(tmp_path: Path) -> None:
    hook = Hanging()
    opened: list[int] = []
    async with app(tmp_path, hook, admission={"per_tick_budget": 1}) as server:
        server.runtime.hooks._hooks["open"] = Hook("open", lambda: opened.append(1))
        host, _, port = server.address.partition(":")
        for _ in range(3):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(HANDSHAKE.format(address=server.address).encode())
            await eventually(lambda: hook.running == 1)
            writer.transport.abort()
            await eventually(
                lambda: all(p.transport.is_closing() for p in server.server.server_state.connections)
            )
            hook.gate.set()
            await eventually(lambda: server.runtime.upgrading == 0)
            hook.gate.clear()
        assert (opened, server.runtime.connections) == ([], {})
        assert outcomes(server) == {"aborted": 3}


@pytest.mark.spec("PLAT-17")
async def test_a_storm_is_let_in_a_few_per_turn(tmp_path: Path) -> None:
    hook = Hanging()
    async with app(tmp_path, hook, upgrade_rate_limit=0, admission={"per_tick_budget": 2}) as server:
        turns, connected = 0, []
        original = server.runtime.connect

        def connect(*args: Any) -> Any:
            connected.append(turns)
            return original(*args)

        server.runtime.connect = connect  # type: ignore[method-assign]  # the test looks at when it is called
        waiting = [asyncio.ensure_future(server.connect().__aenter__()) for _ in range(10)]
        await eventually(lambda: hook.running == 10)
        hook.gate.set()
        async with asyncio.timeout(TIMEOUT):
            while len(connected) < 10:
                await asyncio.sleep(0)
                turns += 1
        assert max(connected.count(turn) for turn in connected) <= 2
        for ws in await asyncio.gather(*waiting):
            await ws.close()


@pytest.mark.spec("PLAT-16", "WIRE-4", "WIRE-3", "PLAT-116", "PLAT-167")
async def test_the_eleventh_from_one_address_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with app(tmp_path) as server:
        for _ in range(10):
            async with server.connect() as ws:
                await receive(ws)
        assert await refusal(server) == (429, "Too many upgrade requests")
        forged = {"x-forwarded-for": "203.0.113.9"}
        assert await refusal(server, additional_headers=forged) == (429, "Too many upgrade requests")
        assert outcomes(server) == {"accepted": 10, "rate": 2}
        assert server.runtime.metrics.get("security_refusals_total", "upgrade_rate") == 2
    assert 'address_header = "x-forwarded-for"' in caplog.text  # what it looks like behind a proxy


@pytest.mark.spec("PLAT-16", "PLAT-116")
async def test_behind_a_trusted_proxy_each_client_is_counted_by_itself(tmp_path: Path) -> None:
    proxy = {"address_header": "x-forwarded-for"}
    async with app(tmp_path, upgrade_rate_limit=1, server=proxy) as server:
        for client in ("203.0.113.9", "203.0.113.10", "2001:db8:0:1::1"):
            async with server.connect(additional_headers={"x-forwarded-for": client}) as ws:
                await receive(ws)
                connection = next(iter(server.runtime.connections.values()))
                assert connection.remote_address == client
                assert connection.user_data == {"remote_address": client}
        for client in ("203.0.113.9", "2001:db8:0:1::2"):
            assert (await refusal(server, additional_headers={"x-forwarded-for": client}))[0] == 429
    async with app(
        tmp_path, upgrade_rate_limit=1, server={**proxy, "trusted_proxies": ["10.0.0.0/8"]}
    ) as server:
        async with server.connect(additional_headers={"x-forwarded-for": "203.0.113.9"}) as ws:
            await receive(ws)
        other = {"x-forwarded-for": "203.0.113.10"}
        assert (await refusal(server, additional_headers=other))[
            0
        ] == 429  # who sent it is not to be believed


@pytest.mark.parametrize("env", ["dev", "test"])
async def test_a_developer_who_reloads_many_tabs_is_not_locked_out(env: str, tmp_path: Path) -> None:
    async with app(tmp_path, server={"env": env}) as server:
        for _ in range(30):
            async with server.connect() as ws:
                await receive(ws)
        assert outcomes(server) == {"accepted": 30}


@pytest.mark.spec("PLAT-14", "PLAT-167")
async def test_too_many_connections_are_refused(tmp_path: Path) -> None:
    async with app(tmp_path, max_connections=1) as server:
        async with server.connect() as ws:
            await receive(ws)
            assert await refusal(server) == (503, "Server is at connection capacity, please retry")
        await eventually(lambda: not server.runtime.connections)
        async with server.connect() as ws:
            await receive(ws)
        assert outcomes(server) == {"accepted": 2, "capacity": 1}


@pytest.mark.spec("PLAT-14", "PLAT-167")
@pytest.mark.parametrize(
    ("host", "settings", "answer"),
    [
        ("evil.example", {}, (400, "Invalid host")),
        ("rebound.example", {"env": "dev", "allowed_hosts": []}, (400, "Invalid host")),
        ("a b", {}, (400, "Bad Request")),
        ("a b", {"env": "test", "allowed_hosts": []}, (400, "Bad Request")),
    ],
)
async def test_a_foreign_host_is_refused_before_its_origin(
    host: str, settings: dict[str, Any], answer: tuple[int, str], tmp_path: Path
) -> None:
    async with app(tmp_path, server=settings) as server:
        request = HANDSHAKE.format(address=host).encode()
        address, _, port = server.address.partition(":")
        reader, writer = await asyncio.open_connection(address, int(port))
        writer.write(request)
        async with asyncio.timeout(TIMEOUT):
            raw = await reader.read()
        writer.close()
        await writer.wait_closed()
        head, _, body = raw.partition(b"\r\n\r\n")
        assert (int(head.split()[1]), body.decode()) == answer
        assert outcomes(server) == {"host": 1}


@pytest.mark.spec("WIRE-5", "PLAT-110", "PLAT-122", "PLAT-167")
@pytest.mark.parametrize(
    ("origin", "server", "headers", "accepted"),
    [
        ("http://{address}", {}, {}, True),
        ("HTTP://{address}", {}, {}, True),
        ("https://{address}", {}, {}, False),
        ("http://127.0.0.1", {}, {}, False),
        ("http://evil@{address}", {}, {}, False),
        ("null", {}, {}, False),
        (None, {}, {}, False),
        ("https://app.example", {"origin": "https://app.example"}, {}, True),
        ("https://APP.example:443", {"origin": "https://app.example"}, {}, True),
        ("http://{address}", {"origin": "https://app.example"}, {}, False),
        ("https://{address}", {"protocol_header": "x-forwarded-proto"}, {"x-forwarded-proto": "https"}, True),
        ("http://{address}", {"protocol_header": "x-forwarded-proto"}, {"x-forwarded-proto": "https"}, False),
        ("http://127.0.0.1:8443", {"port_header": "x-forwarded-port"}, {"x-forwarded-port": "8443"}, True),
        ("http://evil.example", {}, {"x-forwarded-host": "evil.example"}, False),
        (
            "http://evil.example",
            {"host_header": "x-forwarded-host", "trusted_proxies": []},
            {"x-forwarded-host": "evil.example"},
            False,
        ),
        ("http://localhost:5173", {"env": "dev"}, {}, False),
    ],
)
async def test_the_origin_is_compared_with_where_people_are(
    origin: str | None, server: dict[str, Any], headers: dict[str, str], accepted: bool, tmp_path: Path
) -> None:
    async with app(tmp_path, server=server) as running:
        sent = origin.format(address=running.address) if origin is not None else None
        if accepted:
            async with running.connect(origin=sent, additional_headers=headers) as ws:
                await receive(ws)
        else:
            assert await refusal(running, origin=sent, additional_headers=headers) == (
                403,
                "Origin not allowed",
            )
            assert running.runtime.metrics.get("security_refusals_total", "origin") == 1
        assert outcomes(running) == {"accepted" if accepted else "origin": 1}


@pytest.mark.spec("WIRE-6", "PLAT-110")
async def test_a_program_without_an_origin_is_for_the_hook_to_judge(tmp_path: Path) -> None:
    async with app(tmp_path, lambda: None) as server, server.connect(origin=None) as ws:
        await receive(ws)


async def test_a_refused_page_is_explained_in_the_log_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with app(tmp_path) as server:
        for _ in range(2):
            await refusal(server, origin="https://app.example")
        explained = [
            record.getMessage() for record in caplog.records if "https://app.example" in record.getMessage()
        ]
        assert len(explained) == 1
        assert "[server] origin" in explained[0]


@pytest.mark.spec("PLAT-18", "PLAT-1")
@pytest.mark.parametrize(
    ("answer", "user_data"),
    [
        (None, {"remote_address": "127.0.0.1"}),
        ({"id": 1}, {"id": 1, "remote_address": "127.0.0.1"}),
        ({"id": 1, "remote_address": "mine"}, {"id": 1, "remote_address": "mine"}),
        ({"remote_address": None}, {"remote_address": None}),
    ],
)
async def test_the_address_is_filled_in_and_never_overwritten(
    answer: Any, user_data: dict[str, Any], tmp_path: Path
) -> None:
    async with app(tmp_path, lambda: answer) as server, server.connect() as ws:
        await receive(ws)
        connection = next(iter(server.runtime.connections.values()))
        assert connection.user_data == user_data
        assert answer is None or answer == {
            name: user_data[name] for name in answer
        }  # the hook's own is as it was


@pytest.mark.spec("PLAT-76")
async def test_every_hook_of_a_connection_has_the_same_request_id(tmp_path: Path) -> None:
    seen: list[str] = []

    def upgrade(request_id: str, platform: Any) -> None:
        seen.extend([request_id, platform.request_id])

    async with app(tmp_path, upgrade) as server:
        server.runtime.hooks._hooks["open"] = Hook(
            "open", lambda ws, platform: seen.append(platform.request_id)
        )
        async with server.connect(additional_headers={"x-request-id": " r-1 "}) as ws:
            await receive(ws)
            assert ws.response is not None
            assert "x-request-id" not in ws.response.headers
        assert seen == ["r-1"] * 3
    sent = {"x-request-id": "r-2"}
    async with (
        app(tmp_path, server={"emit_request_id": True}) as server,
        server.connect(additional_headers=sent) as ws,
    ):
        assert ws.response is not None
        assert ws.response.headers["x-request-id"] == "r-2"


@pytest.mark.spec("PLAT-13", "WIRE-9")
async def test_headers_of_the_hook_are_on_the_101(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def upgrade() -> UpgradeResponse:
        return UpgradeResponse({"id": 1}, {"X-One": "1", "Set-Cookie": ["a=1", "b=2; Path=/"]})

    async with app(tmp_path, upgrade) as server:
        for _ in range(2):
            async with server.connect() as ws:
                await receive(ws)
                assert ws.response is not None
                assert ws.response.headers["x-one"] == "1"
                assert ws.response.headers.get_all("set-cookie") == ["a=1", "b=2; Path=/"]
    assert (
        len([record for record in caplog.records if "sets a cookie on the 101" in record.getMessage()]) == 1
    )


async def test_without_websockets_there_is_no_such_path(tmp_path: Path) -> None:
    async with app(tmp_path, enabled=False) as server:
        assert (await refusal_status(server)) in (403, 404)


async def refusal_status(server: Served) -> int:
    with pytest.raises(websockets.InvalidStatus) as caught:
        async with server.connect():
            pass
    return caught.value.response.status_code
