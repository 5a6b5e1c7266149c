"""Hostile peers and unlucky moments: crowds, floods, silence, late ends. Spec: platform 1.5 to 1.9."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websockets

from runtime.core.connection import Connection
from runtime.server.hooks import Hook, HookSet
from runtime.server.inbound import Inbound
from runtime.testing import eventually
from tests.server.peers import write_file
from tests.server.sockets import call, receive, receive_until, served
from tests.server.test_websocket import project, settings

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
