"""The blocking client, used in a thread while the server runs in the test's loop."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from runtime.client import RpcError
from runtime.client.sync import SyncRealtime, SyncStream, _LoopThread, connect
from runtime.testing import RunningServer, eventually, running_server

pytestmark = pytest.mark.spec("LIVE-191")

LIVE = """
from runtime import LiveError, live

@live
async def add(ctx, text: str):
    ctx.publish("todos", "created", {"id": text})
    return {"id": text}

@live
async def fail(ctx):
    raise LiveError("LOCKED", "no")

@live.stream("todos")
async def list(ctx):
    page = int(ctx.cursor or 1)
    return {"data": [{"id": f"page-{page}"}], "hasMore": page < 2, "cursor": "2"}
"""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RunningServer]:
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "todos.py").write_text(LIVE)
    (tmp_path / "hooks.py").write_text("def upgrade():\n    return {}\n")
    (tmp_path / "realtime.toml").write_text("")
    async with running_server(tmp_path) as running:
        yield running


async def test_everything_blocks_and_works(server: RunningServer) -> None:
    def use() -> None:
        with connect(server.ws_url, timeout=5) as rt:
            assert (rt.status, rt.failure) == ("open", None)
            assert rt.call("todos/add", "milk") == {"id": "milk"}
            assert rt.live.todos.add("tea") == {"id": "tea"}
            with pytest.raises(RpcError, match="LOCKED"):
                rt.call("todos/fail")
            assert rt.batch([("todos/add", "a"), ("todos/add", "b")]) == [{"id": "a"}, {"id": "b"}]
            for wrong in (lambda: [1], ["todos/add"], [()], [(1, 2)], "todos/add"):
                with pytest.raises(TypeError, match=r"give each call as \(path, \*args\)"):
                    rt.batch(wrong)  # type: ignore[arg-type]  # what it refuses
            with rt.stream("todos/list") as todos:
                assert todos.ready() == [{"id": "page-1"}]
                assert (todos.status, todos.error, todos.has_more) == ("connected", None, True)
                assert todos.load_more() is False
                rt.fire("todos/add", "late")
                for value in todos.values():
                    if value[-1]["id"] == "late":
                        break
                assert [row["id"] for row in todos.value] == ["page-1", "page-2", "late"]
        rt.close()
        assert rt.status == "failed"
        with pytest.raises(RuntimeError, match="is closed"):
            rt.call("todos/add", "x")
        todos.close()

    await asyncio.to_thread(use)
    assert not [thread for thread in threading.enumerate() if thread.name == "realtime-client"]


async def test_what_the_client_knows_can_be_read_as_values(server: RunningServer) -> None:
    def state(rt: SyncRealtime) -> tuple[Any, ...]:
        return rt.status, rt.quiescent, rt.health, rt.denials, rt.resumed

    rt = await asyncio.to_thread(connect, server.ws_url)
    try:
        assert state(rt) == ("open", True, "healthy", None, None)
        todos = await asyncio.to_thread(rt.stream, "todos/list")
        await asyncio.to_thread(todos.ready)
        await asyncio.to_thread(rt.call, "todos/add", "milk")
        server.runtime.close_connections(1012, "Handler reloaded")
        report = {"todos": {"state": "truncated"}}
        await eventually(lambda: state(rt) == ("open", True, "healthy", None, report))
        (connection,) = server.runtime.connections.values()
        connection.send('{"topic":"__realtime","event":"degraded"}')
        connection.send('{"type":"subscribe-denied","topic":"todos","reason":"FORBIDDEN","ref":9}')
        denial = {"topic": "todos", "reason": "FORBIDDEN", "ref": 9}
        await eventually(lambda: state(rt) == ("open", True, "degraded", denial, report))
    finally:
        await asyncio.to_thread(rt.close)


async def test_an_iteration_ends_when_another_thread_closes_the_stream(server: RunningServer) -> None:
    seen: list[Any] = []

    def close_when_ready(todos: SyncStream) -> None:
        todos.ready()
        todos.close()

    def use(rt: SyncRealtime) -> None:
        with rt.stream("todos/list") as todos:
            threading.Thread(target=close_when_ready, args=[todos]).start()
            seen.extend(todos.values())
            seen.append("ended")

    rt = await asyncio.to_thread(connect, server.ws_url)
    await asyncio.to_thread(use, rt)
    await asyncio.to_thread(rt.close)
    assert seen[-1] == "ended"


async def test_an_iteration_over_a_closed_stream_has_nothing(server: RunningServer) -> None:
    def use() -> list[Any]:
        with connect(server.ws_url) as rt:
            with rt.stream("todos/list") as todos:
                todos.ready()
            return list(todos.values())

    async with asyncio.timeout(5):
        assert await asyncio.to_thread(use) == []


async def test_a_push_handler_must_not_block_on_its_own_client(server: RunningServer) -> None:
    problems: list[str] = []

    def use() -> None:
        with connect(server.ws_url) as rt:

            def handler(data: Any) -> None:
                try:
                    rt.call("todos/add", "x")
                except RuntimeError as error:
                    problems.append(str(error))

            rt.call("todos/add", "x")
            off = rt.on_push("ask", handler)
            for connection in server.runtime.connections.values():
                loop.call_soon_threadsafe(
                    connection.send, '{"type":"request","ref":1,"event":"ask","data":null}'
                )
            done.wait(5)
            off()

    done = threading.Event()
    loop = asyncio.get_running_loop()
    using = asyncio.ensure_future(asyncio.to_thread(use))
    await eventually(lambda: problems)
    done.set()
    await using
    assert "its own callbacks" in problems[0]


async def test_no_server_is_an_error_and_leaves_no_thread() -> None:
    def use() -> None:
        with pytest.raises(RpcError, match="no connection"):
            connect("ws://127.0.0.1:9/ws", open_timeout=0.1)
        with pytest.raises(TypeError, match="unknown option"):
            connect("ws://127.0.0.1:9/ws", nonsense=1)

    await asyncio.to_thread(use)
    assert not [thread for thread in threading.enumerate() if thread.name == "realtime-client"]


def in_threads(*works: Callable[[], Any]) -> list[Any]:
    """Run everything at the same time; return the results, or what was raised."""
    with ThreadPoolExecutor(len(works)) as pool:
        futures = [pool.submit(work) for work in works]
        return [future.exception(10) or future.result() for future in futures]


def call_until_closed(rt: SyncRealtime, started: threading.Semaphore) -> int:
    """Call and call; return how often that went well before the client was closed."""
    for calls in itertools.count():
        if calls == 3:
            started.release()
        try:
            rt.call("todos/add", "x")
        except (RpcError, RuntimeError) as error:
            assert str(error).endswith(("connect again", "this client is closed"))  # noqa: PT017 - either is right
            if not isinstance(error, RpcError):
                return calls
    raise AssertionError("endless")


async def test_threads_that_call_while_another_one_closes_get_an_error(server: RunningServer) -> None:
    def use() -> None:
        for _ in range(5):
            rt, started = connect(server.ws_url), threading.Semaphore(0)
            calling = partial(call_until_closed, rt, started)

            def close(rt: SyncRealtime = rt, started: threading.Semaphore = started) -> None:
                assert all(started.acquire(timeout=5) for _ in range(2))
                rt.close()

            first, second, *closed = in_threads(calling, calling, close)
            assert (first >= 3, second >= 3, closed) == (True, True, [None])

    await asyncio.to_thread(use)


async def test_any_number_of_threads_may_close(server: RunningServer) -> None:
    def use() -> None:
        rt = connect(server.ws_url)
        assert in_threads(*[rt.close] * 4) == [None] * 4
        rt.close()

    await asyncio.to_thread(use)


async def test_a_callback_that_closes_is_refused_and_the_client_works_on(server: RunningServer) -> None:
    def use() -> None:
        with connect(server.ws_url) as rt:

            async def in_callback() -> None:
                rt.close()

            with pytest.raises(RuntimeError, match="its own callbacks"):
                rt._thread.run(in_callback())
            assert rt.call("todos/add", "milk") == {"id": "milk"}

    async with asyncio.timeout(10):
        await asyncio.to_thread(use)


async def test_the_end_of_the_loop_is_told_to_whoever_still_waits_for_it() -> None:
    def use() -> None:
        thread = _LoopThread()

        async def wait_forever() -> None:
            started.set()
            await asyncio.Event().wait()

        def stop() -> None:
            assert started.wait(5)
            thread.stop()

        started = threading.Event()
        outcome = in_threads(lambda: thread.run(wait_forever()), stop)
        assert str(outcome[0]) == "this client is closed"

    await asyncio.to_thread(use)
