"""The way in past uvicorn's WebSocket protocol, and everything that does not fit through it."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path
from typing import Any

import pytest
import websockets
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from runtime.server.app import create_app
from runtime.server.fastpath.peer import FastPeer
from runtime.server.hooks import Hook, HookSet
from runtime.server.upgrade import UpgradeResponse
from runtime.server.uvicornlink import Doorway, LinkedProtocol, websocket_protocol
from runtime.server.uvicornlink.linked import MAX_EARLY_BYTES
from runtime.testing import eventually
from tests.server.rawpeer import asking_peer, client_frame, raw_peer, request
from tests.server.sockets import Served, call, receive, served
from tests.server.test_fastpath import options, project


@pytest.fixture
def linked(monkeypatch: pytest.MonkeyPatch) -> list[LinkedProtocol]:
    """Return the protocols of the long way, as they are made."""
    made: list[LinkedProtocol] = []
    before = LinkedProtocol.__init__

    def init(self: LinkedProtocol, *args: Any, **values: Any) -> None:
        before(self, *args, **values)
        made.append(self)

    monkeypatch.setattr(LinkedProtocol, "__init__", init)
    return made


def kinds(server: Served) -> list[str]:
    return sorted(type(one).__name__ for one in server.server.server_state.connections)


def hook(server: Served, function: Any) -> None:
    server.runtime.set_hooks(HookSet({"upgrade": Hook("upgrade", function)}))


async def test_a_plain_client_never_meets_uvicorns_websockets(
    tmp_path: Path, linked: list[LinkedProtocol]
) -> None:
    async with served(project(tmp_path), options()) as server, server.connect(subprotocols=["b", "a"]) as ws:
        assert (await receive(ws))["type"] == "welcome"
        assert (await call(ws, "a/echo", 5))["data"] == 5
        assert ws.subprotocol == "b"
        assert kinds(server) == ["FastPeer"]
        assert linked == []
        assert not server.server.server_state.tasks


async def test_an_unusual_request_goes_the_long_way_and_arrives_all_the_same(
    tmp_path: Path, linked: list[LinkedProtocol]
) -> None:
    async with served(project(tmp_path), options()) as server:
        many = "".join(f"X-{number}: y\r\n" for number in range(110))
        head = request(server.address).replace(b"\r\n\r\n", b"\r\n" + many.encode() + b"\r\n")
        async with raw_peer(server.address, head) as raw:
            assert raw.status.startswith("101")
            assert b"welcome" in await raw.until(1)
            assert kinds(server) == ["FastPeer"]
            assert len(linked) == 1


async def test_headers_of_the_hook_and_the_date_are_on_the_answer(tmp_path: Path) -> None:
    async with served(project(tmp_path), options()) as server:
        hook(server, lambda: UpgradeResponse({"id": "u"}, {"x-one": "1", "x-many": ["a", "b"]}))
        async with server.connect() as ws:
            assert ws.response is not None
            assert ws.response.headers["x-one"] == "1"
            assert ws.response.headers.get_all("x-many") == ["a", "b"]
            assert ws.response.headers["date"]


async def test_a_refusal_is_the_apps_own_answer(tmp_path: Path, linked: list[LinkedProtocol]) -> None:
    async with served(project(tmp_path), options()) as server:
        hook(server, lambda: False)
        with pytest.raises(websockets.InvalidStatus) as refused:
            await server.connect()
        assert refused.value.response.status_code == 401
        assert refused.value.response.body == b"Unauthorized"
        await eventually(lambda: not server.server.server_state.connections)
        assert not server.server.server_state.tasks


async def test_a_failing_app_answers_500(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(ws: WebSocket) -> None:
        raise RuntimeError("boom")

    routes = [WebSocketRoute("/broken", broken)]
    async with served(project(tmp_path), options(), routes=routes) as server:
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(f"ws://{server.address}/broken", origin=server.http)  # type: ignore[arg-type]
        assert refused.value.response.status_code == 500
    assert "boom" in caplog.text


async def test_an_app_that_ends_without_an_answer_answers_500(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def mute(ws: WebSocket) -> None:
        return

    async with served(project(tmp_path), options(), routes=[WebSocketRoute("/mute", mute)]) as server:
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(f"ws://{server.address}/mute")
        assert refused.value.response.status_code == 500
    assert "without completing handshake" in caplog.text


async def test_what_comes_before_the_answer_is_read_after_it(tmp_path: Path) -> None:
    may_pass = asyncio.Event()

    async def upgrade() -> dict[str, str]:
        await may_pass.wait()
        return {"id": "u"}

    async with served(project(tmp_path), options()) as server:
        hook(server, upgrade)
        frame = client_frame(1, b'{"rpc":"a/echo","id":"1","args":[7]}')
        async with asking_peer(server.address) as raw:
            await eventually(lambda: kinds(server) == ["Doorway"])
            raw.write(frame[:3])
            raw.write(frame[3:])
            may_pass.set()
            peer = await raw.answer()
            assert peer.status.startswith("101")
            while b'"data":7' not in await peer.until(1):
                pass


async def test_but_not_without_a_bound(tmp_path: Path) -> None:
    never = asyncio.Event()
    async with served(project(tmp_path), options()) as server:
        hook(server, never.wait)
        async with asking_peer(server.address) as raw:
            await eventually(lambda: kinds(server) == ["Doorway"])
            raw.write(b"x" * (MAX_EARLY_BYTES + 1))
            await eventually(lambda: not server.server.server_state.connections)
        never.set()
        await eventually(lambda: not server.server.server_state.tasks)
        assert not server.runtime.connections


async def test_a_peer_that_leaves_before_the_answer_leaves_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    may_pass = asyncio.Event()
    async with served(project(tmp_path), options()) as server:
        hook(server, may_pass.wait)
        async with asking_peer(server.address):
            await eventually(lambda: kinds(server) == ["Doorway"])
        await eventually(lambda: not server.server.server_state.connections)
        may_pass.set()
        await eventually(lambda: not server.server.server_state.tasks)
        assert not server.runtime.connections
        assert server.runtime.upgrading == 0
    assert "Exception" not in caplog.text


async def test_a_stop_ends_those_who_wait_for_an_answer(tmp_path: Path) -> None:
    never = asyncio.Event()
    async with served(project(tmp_path), options()) as server:
        hook(server, never.wait)
        async with asking_peer(server.address) as raw:
            await eventually(lambda: kinds(server) == ["Doorway"])
            server.server.should_exit = True
            assert (await raw.answer()).status.startswith(("500", "503"))
        never.set()
        await eventually(lambda: not server.server.server_state.tasks)


async def test_an_app_that_asks_again_before_it_accepts_hears_that_the_peer_left(tmp_path: Path) -> None:
    heard: list[Any] = []

    async def waiting(ws: WebSocket) -> None:
        heard.append(await ws.receive())
        heard.append(await ws._receive())

    async with served(project(tmp_path), options(), routes=[WebSocketRoute("/wait", waiting)]) as server:
        head = request(server.address).replace(b"/ws", b"/wait", 1)
        async with asking_peer(server.address, head):
            await eventually(lambda: kinds(server) == ["LinkedProtocol"])
        await eventually(lambda: len(heard) == 2)
        assert [message["type"] for message in heard] == ["websocket.connect", "websocket.disconnect"]


async def test_an_app_that_accepts_and_says_nothing_has_accepted(tmp_path: Path) -> None:
    may_end = asyncio.Event()

    async def quiet(ws: WebSocket) -> None:
        await ws.accept()
        await may_end.wait()

    async with served(project(tmp_path), options(), routes=[WebSocketRoute("/quiet", quiet)]) as server:
        async with websockets.connect(f"ws://{server.address}/quiet"):
            assert kinds(server) == ["LinkedProtocol"]
            may_end.set()


async def test_with_compression_the_long_way_agrees_on_it(tmp_path: Path) -> None:
    async with served(project(tmp_path), options(compression=True)) as server, server.connect() as ws:
        assert (await call(ws, "a/echo", "x" * 2000))["data"] == "x" * 2000
        assert ws.response is not None
        assert "permessage-deflate" in ws.response.headers["sec-websocket-extensions"]
        (peer,) = server.server.server_state.connections
        assert isinstance(peer, FastPeer)
        assert peer.deflates


async def test_the_accept_is_in_uvicorns_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with served(project(tmp_path), options()) as server:
        caplog.set_level("INFO", "uvicorn.error")  # serving set it higher
        async with server.connect():
            pass
        assert '"WebSocket /ws" [accepted]' in caplog.text


@pytest.mark.parametrize("http", [HttpToolsProtocol, H11Protocol])
def test_how_uvicorn_hands_a_request_over(http: Any) -> None:
    code = vars(http)["handle_websocket_upgrade"].__code__
    assert {"ws_protocol_class", "connection_made", "data_received", "set_protocol"} <= set(code.co_names)
    source = inspect.getsource(vars(http)["handle_websocket_upgrade"])
    assert source.index("connection_made") < source.index("data_received") < source.index("set_protocol")
    parameters = list(inspect.signature(WebSocketsSansIOProtocol).parameters)
    assert list(inspect.signature(Doorway).parameters) == parameters


def test_settings_without_the_fast_path_have_no_doorway() -> None:
    for fast_path, expected in (("off", LinkedProtocol), ("auto", Doorway), ("on", Doorway)):
        app = create_app(None, settings=options(fast_path=fast_path))
        assert issubclass(websocket_protocol(app.runtime).protocol, expected)
