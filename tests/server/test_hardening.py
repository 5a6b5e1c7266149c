"""Hostile peers and unlucky moments: crowds, floods, silence, late ends. Spec: platform 1.5 to 1.9."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websockets

from runtime.core.connection import Connection
from runtime.core.settings import ServerSettings, Settings
from runtime.server.app import create_app
from runtime.server.assembly import StartupError
from runtime.server.current import get_platform
from runtime.server.hooks import Hook, HookSet
from runtime.server.inbound import Inbound
from runtime.server.serving import RealtimeServer
from runtime.testing import eventually
from tests.server.peers import write_file
from tests.server.sockets import TIMEOUT, call, receive, receive_until, served
from tests.server.test_websocket import project, settings

pytestmark = [pytest.mark.usefixtures("write_path"), pytest.mark.spec("PLAT-158")]

STUCK: dict[str, Any] = {}

GUARDED = """
    from runtime import guard, live

    _guard = guard(authenticated=True)

    @live
    async def who(ctx): return ctx.user
"""


@contextlib.contextmanager
def spied(owner: type, name: str) -> Iterator[list[Any]]:
    """Note the arguments of every call of a method, which is made as well."""
    calls: list[Any] = []
    method = getattr(owner, name)

    def noted(self: Any, *args: Any) -> Any:
        calls.append(args)
        return method(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, noted)
        yield calls


async def test_a_crowd_that_comes_at_once_does_not_pass_the_connection_limit(tmp_path: Path) -> None:
    hooks = """
        import asyncio
        asked, door = [], asyncio.Event()
        async def upgrade(headers):
            asked.append(headers)
            if len(asked) == 3: door.set()
            await door.wait()
    """
    async with served(project(tmp_path, hooks), settings(max_connections=3)) as server:

        async def enter() -> int:
            try:
                async with server.connect() as ws:
                    await receive(ws)
                    return len(server.runtime.connections)
            except websockets.InvalidStatus as refused:
                return -refused.response.status_code

        came = await asyncio.gather(*(enter() for _ in range(12)))
        assert came.count(-503) == 9
        assert max(came) <= 3
        assert server.runtime.upgrading == 0
        async with server.connect() as ws:
            await receive(ws)


async def test_a_peer_that_is_refused_or_gives_up_frees_its_place(tmp_path: Path) -> None:
    hooks = "async def upgrade(query): return query == 'in' and {}\n"
    async with served(project(tmp_path, hooks), settings(max_connections=1)) as server:
        for _ in range(2):
            with pytest.raises(websockets.InvalidStatus):
                async with server.connect():
                    pass
        server.ws += "?in"
        async with server.connect() as ws:
            await receive(ws)


async def test_forwarding_headers_of_anybody_change_nothing(tmp_path: Path) -> None:
    hooks = "def upgrade(remote_address): return {'seen': remote_address}\n"
    forged = {"x-forwarded-for": "6.6.6.6", "x-forwarded-proto": "https", "x-forwarded-host": "evil.example"}
    async with served(project(tmp_path, hooks), settings()) as server:
        async with server.connect(additional_headers=forged) as ws:
            (user, _), (connection,) = (await call(ws, "a/who"))["data"], server.runtime.connections.values()
            assert user == {"seen": "127.0.0.1", "remote_address": "127.0.0.1"}
            assert (connection.remote_address, connection.is_secure) == ("127.0.0.1", False)
        with pytest.raises(websockets.InvalidStatus):
            async with server.connect(origin=server.http.replace("http", "https"), additional_headers=forged):
                pass


@pytest.mark.parametrize(
    ("returned", "user"),
    [("''", None), ("0", None), ("[]", None), ("()", None), ("None", None), ("{}", {}), ("'me'", "me")],
)
async def test_who_is_a_user_for_a_guard(tmp_path: Path, returned: str, user: Any) -> None:
    write_file(tmp_path, "live/b.py", GUARDED)
    hooks = f"def upgrade(): return {returned}\n"
    async with served(project(tmp_path, hooks), settings()) as server, server.connect() as ws:
        reply = await call(ws, "b/who")
        if user is None:
            assert reply["code"] == "UNAUTHENTICATED"
        else:
            remote = {"remote_address": "127.0.0.1"} if user == {} else {}
            assert reply["data"] == ({**user, **remote} if user == {} else user)


@pytest.mark.spec("WIRE-56")
async def test_a_peer_in_its_open_hook_is_read_for_one_frame_and_seen_leaving(tmp_path: Path) -> None:
    opening: list[Connection] = []
    door = asyncio.Event()

    async def open_hook(ws: Connection) -> None:
        opening.append(ws)
        if len(opening) <= 2:
            await door.wait()

    async with served(project(tmp_path), settings()) as server:
        server.runtime.set_hooks(HookSet({"open": Hook("open", open_hook)}))
        with spied(Inbound, "feed") as fed:
            async with server.connect() as sending:
                await receive(sending)
                async with server.connect() as leaving:
                    await receive(leaving)
                await eventually(lambda: opening[1].closed)
                for n in range(20):
                    await sending.send(json.dumps({"rpc": "a/echo", "id": f"s{n}", "args": [n]}))
                    await eventually(lambda: len(fed) == 1)
                async with server.connect() as other:
                    for n in range(5):
                        assert (await call(other, "a/echo", n))["data"] == n
                assert len(fed) == 6
                assert not opening[0].closed
                door.set()
                for n in range(20):
                    await receive_until(sending, event=f"s{n}")
                assert list(server.runtime.connections) == [opening[0].id]


INIT = """
    import asyncio
    async def init(platform):
        if {fails}: raise OSError("no database")
    async def shutdown(): print("shut down")
"""


def left_behind() -> Any:
    """Return what a start changes in this process."""
    threads = {thread.name for thread in threading.enumerate() if thread.name.startswith("realtime")}
    modules = {name for name in sys.modules if name.startswith(("live", "_realtime"))}
    return asyncio.all_tasks(), threads, modules, get_platform()


@pytest.mark.spec("PLAT-37", "PLAT-8")
@pytest.mark.parametrize("fails", ["init", "live", "hooks", "signature"])
async def test_a_failed_start_leaves_nothing_and_says_so_at_the_next_one(tmp_path: Path, fails: str) -> None:
    project(tmp_path, INIT.format(fails=fails == "init"))
    if fails != "init":
        source = "def open(what): pass\n" if fails == "signature" else "1 / 0\n"
        write_file(tmp_path, "live/z.py" if fails == "live" else "hooks.py", source)
    before = left_behind()
    app = create_app(tmp_path, settings=settings())
    with pytest.raises(StartupError) as first:
        await app.start()
    assert left_behind() == before
    assert not app.runtime.is_ready
    with pytest.raises(
        StartupError, match=r"could not start before; make a new one with create_app"
    ) as second:
        await app.start()
    assert second.value.__cause__ is first.value
    assert second.value.problems == first.value.problems != []
    await app.stop()
    assert left_behind() == before


async def test_a_stopped_app_does_not_start_again(tmp_path: Path) -> None:
    app = create_app(project(tmp_path), settings=settings())
    await app.start()
    await app.start()
    await app.stop()
    with pytest.raises(StartupError, match="was stopped; make a new one"):
        await app.start()


@pytest.mark.spec("PLAT-37")
async def test_a_port_in_use_stops_the_app_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(tmp_path, INIT.format(fails=False))
    before = left_behind()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = RealtimeServer(
            create_app(tmp_path, settings=settings()), host="127.0.0.1", port=port, log_level="critical"
        )
        with pytest.raises(StartupError, match=rf"cannot listen on 127\.0\.0\.1:{port}: .*in use.*another"):
            await server.serve()
    assert capsys.readouterr().out == "shut down\n"
    assert not server.ready.is_set()
    assert left_behind() == before


@pytest.mark.spec("PLAT-40")
async def test_the_shutdown_does_not_wait_for_what_does_not_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    let_go = threading.Event()
    tried: list[str] = []

    async def stubborn(ctx: Any) -> None:
        tried.append("task")
        while not let_go.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    def blocked(ctx: Any) -> None:
        tried.append("thread")
        let_go.wait()

    write_file(
        tmp_path,
        "live/stuck.py",
        """
        from runtime import live, settings
        from tests.server import test_hardening

        @live
        async def stubborn(ctx): await test_hardening.STUCK["stubborn"](ctx)

        @live(thread=True)
        def blocked(ctx): test_hardening.STUCK["blocked"](ctx)
        """,
    )
    STUCK.update(stubborn=stubborn, blocked=blocked)
    quick = Settings(server=ServerSettings(env="test", shutdown_timeout=0))
    async with asyncio.timeout(TIMEOUT * 2):
        async with served(project(tmp_path), quick) as server, server.connect() as ws:
            for name in STUCK:
                await ws.send(json.dumps({"rpc": f"stuck/{name}", "id": name, "args": []}))
            await eventually(lambda: len(tried) == 2)
            server.server.should_exit = True
            await ws.wait_closed()
    assert "2 calls were still running at the shutdown timeout and were cancelled" in caplog.text
    assert "1 tasks did not end 2 s after they were cancelled: live calls:stuck/stubborn" in caplog.text
    let_go.set()
    for task in asyncio.all_tasks():
        if task.get_name() == "live calls:stuck/stubborn":
            task.cancel()
