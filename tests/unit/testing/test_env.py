from __future__ import annotations

import asyncio
import types
from pathlib import Path
from typing import Any

import pytest

from runtime import LiveError, guard, live
from runtime.core import capacity
from runtime.testing import (
    Disconnected,
    TestContext,
    TestEnv,
    capacity_override,
    eventually,
    expect_guard_rejects,
    find_project,
    reset_caps,
    set_caps,
)

ROWS: list[dict[str, Any]] = []


@pytest.fixture(autouse=True)
def no_rows() -> None:
    ROWS[:] = [{"id": 1}]


@live
async def add(ctx: Any, id: int) -> dict[str, Any]:
    row = {"id": id}
    ROWS.append(row)
    ctx.publish("todos", "created", row)
    return row


@live
async def fail(ctx: Any) -> None:
    error = LiveError("LOCKED", "List is locked", {"by": "u1"})
    error.retry_after = 1.5
    raise error


@live
async def crash(ctx: Any) -> None:
    raise RuntimeError("secret detail")


@live
async def whoami(ctx: Any) -> Any:
    return ctx.user


@live
async def hang(ctx: Any) -> None:
    await asyncio.Event().wait()


@live.stream("todos")
async def todos(ctx: Any) -> list[dict[str, Any]]:
    return list(ROWS)


@live.stream(lambda ctx, room: f"chat:{room}", merge="latest", max=3)
async def chat(ctx: Any, room: str) -> list[str]:
    return ["hello"]


@live.stream("pages")
async def pages(ctx: Any) -> dict[str, Any]:
    page = int(ctx.cursor or 1)
    return {"data": [{"id": page}], "hasMore": page < 3, "cursor": str(page + 1)}


@live.stream("counter", merge="set")
async def counter(ctx: Any) -> int:
    return 1


@live.stream("who", merge="presence")
async def who(ctx: Any) -> list[Any]:
    return []


@live.stream("mice", merge="cursor")
async def mice(ctx: Any) -> list[Any]:
    return []


@live.stream("broken")
async def broken(ctx: Any) -> Any:
    raise LiveError("NO_LUCK", "not today")


EXPORTS: dict[str, Any] = {
    "add": add,
    "fail": fail,
    "crash": crash,
    "whoami": whoami,
    "hang": hang,
    "list": todos,
    "chat": chat,
    "pages": pages,
    "counter": counter,
    "who": who,
    "mice": mice,
    "broken": broken,
}


@pytest.fixture
def env(realtime: TestEnv) -> TestEnv:
    realtime.register("todos", EXPORTS)
    return realtime


@pytest.mark.spec("LIVE-169")
async def test_a_call_reaches_the_handler_and_its_publish_the_stream(env: TestEnv) -> None:
    alice, bob = env.connect({"id": "a"}), env.connect({"id": "b"})
    stream = bob.subscribe("todos/list")
    assert (stream.value, stream.topic) == (None, None)
    assert await stream.ready() == [{"id": 1}]
    assert await alice.call("todos/add", 2) == {"id": 2}
    assert await stream.wait_for(lambda rows: len(rows) == 2) == [{"id": 1}, {"id": 2}]
    assert (stream.events[-1].event, stream.events[-1].data) == ("created", {"id": 2})
    assert (stream.topic, stream.status, stream.error) == ("todos", "connected", None)
    assert (await alice.call("todos/whoami"))["id"] == "a"
    assert env.platform.connections == 2
    assert env.platform.subscribers("todos") == 1


@pytest.mark.spec("LIVE-169")
@pytest.mark.parametrize(
    ("path", "args", "events", "end"),
    [
        (
            "todos/list",
            (),
            [("created", {"id": 2}), ("updated", {"id": 1, "n": 1})],
            [{"id": 1, "n": 1}, {"id": 2}],
        ),
        ("todos/chat", ("r",), [("a", 1), ("b", 2), ("c", 3)], [1, 2, 3]),
        ("todos/counter", (), [("set", 2), ("set", 3)], 3),
        (
            "todos/who",
            (),
            [("join", {"key": "u"}), ("join", {"key": "v"}), ("leave", {"key": "u"})],
            [{"key": "v"}],
        ),
        ("todos/mice", (), [("update", {"key": "u", "x": 1})], [{"key": "u", "x": 1}]),
    ],
)
async def test_streams_of_every_strategy(
    env: TestEnv, path: str, args: tuple[Any, ...], events: list[tuple[str, Any]], end: Any
) -> None:
    stream = env.connect().subscribe(path, *args)
    with pytest.raises(RuntimeError, match="not known yet"):
        stream.simulate_publish("x")
    await stream.ready()
    for event, data in events:
        stream.simulate_publish(event, data)
    assert await stream.wait_for(lambda value: value == end) == end


async def test_the_browsers_rule_of_removal_can_be_chosen(env: TestEnv) -> None:
    ROWS[:] = [{"id": 1}, {"id": 2}, {"id": 3}]
    client = env.connect()
    ordered = client.subscribe("todos/list")
    browser = env.connect().subscribe("todos/list", keep_order=False)
    await ordered.ready()
    await browser.ready()
    ordered.simulate_publish("deleted", {"id": 1})
    await ordered.wait_for(lambda rows: [row["id"] for row in rows] == [2, 3])
    await browser.wait_for(lambda rows: [row["id"] for row in rows] == [3, 2])


async def test_errors_are_live_errors_with_all_they_had(env: TestEnv) -> None:
    client = env.connect()
    with pytest.raises(LiveError) as caught:
        await client.call("todos/fail")
    error = caught.value
    assert (error.code, error.message, error.data) == ("LOCKED", "List is locked", {"by": "u1"})
    with pytest.raises(LiveError) as caught:
        await client.call("todos/add", "no number")
    assert caught.value.code == "VALIDATION"
    assert caught.value.issues
    with pytest.raises(LiveError) as caught:
        await client.call("todos/crash")
    assert (caught.value.code, caught.value.message, caught.value.data) == (
        "INTERNAL_ERROR",
        "Internal server error",
        None,
    )
    stream = client.subscribe("todos/broken")
    with pytest.raises(LiveError, match="NO_LUCK"):
        await stream.ready()
    assert stream.error is not None
    assert stream.error.code == "NO_LUCK"
    with pytest.raises(TimeoutError, match="NO_LUCK"):
        await stream.wait_for(bool, timeout=0.05)


@pytest.mark.spec("LIVE-194")
async def test_in_dev_an_unexpected_exception_carries_its_traceback() -> None:
    async with TestEnv(dev=True) as env:
        env.register("todos", EXPORTS)
        with pytest.raises(LiveError) as caught:
            await env.connect().call("todos/crash")
        assert "secret detail" in caught.value.data["traceback"]


async def test_a_batch_shows_every_outcome(env: TestEnv) -> None:
    client = env.connect()
    results = await client.batch(
        lambda: [client.call("todos/add", 2), client.call("todos/fail"), client.call("todos/add", 3)],
        sequential=True,
    )
    assert results[0] == {"id": 2}
    assert isinstance(results[1], LiveError)
    assert results[2] == {"id": 3}
    assert sum('"__batch"' in frame for frame in client.frames) == 1
    with pytest.raises(TypeError, match="must return the calls"):
        client.batch(lambda: [env.connect()])  # type: ignore[list-item]  # what is tested


async def test_fire_and_forget_runs_without_an_answer(env: TestEnv) -> None:
    client = env.connect()
    client.fire_and_forget("todos/add", 5)
    await eventually(lambda: {"id": 5} in ROWS)
    client.fire_and_forget("todos/add", 6)
    await eventually(lambda: {"id": 6} in ROWS)
    assert not any('"__rpc"' in frame for frame in client.frames)


@pytest.mark.spec("LIVE-169")
async def test_disconnect_fails_what_waits_and_reconnect_begins_anew(env: TestEnv) -> None:
    client = env.connect({"id": "a"})
    stream = client.subscribe("todos/list")
    await stream.ready()
    call = asyncio.ensure_future(client.call("todos/hang"))
    await eventually(lambda: env.runtime.live.calls.running == 1)
    await client.disconnect()
    with pytest.raises(LiveError) as caught:
        await call
    assert caught.value.code == "DISCONNECTED"
    assert client.connection is None
    assert env.platform.connections == 0
    for use in (
        lambda: client.call("todos/add", 2),
        lambda: client.subscribe("todos/list"),
        client.disconnect,
    ):
        with pytest.raises(Disconnected, match="reconnect"):
            use()
    client.reconnect()
    client.reconnect()
    assert (await client.call("todos/whoami"))["id"] == "a"
    assert client.connection is not None
    await eventually(lambda: stream.error is not None)


async def test_a_close_by_the_server_reaches_the_client(env: TestEnv) -> None:
    client = env.connect()
    await client.call("todos/whoami")
    assert client.connection is not None
    await client.connection.close(4401, "who are you")
    await eventually(lambda: env.platform.connections == 0)
    with pytest.raises(LiveError, match="4401 who are you"):
        await client.call("todos/whoami")


async def test_pages(env: TestEnv) -> None:
    stream = env.connect().subscribe("todos/pages")
    await stream.ready()
    assert stream.has_more
    assert await stream.load_more() is True
    assert await stream.load_more() is False
    assert stream.value == [{"id": 1}, {"id": 2}, {"id": 3}]
    await stream.close()
    await eventually(lambda: env.platform.subscribers("pages") == 0)


async def test_hooks_decide_and_run() -> None:
    seen: list[Any] = []

    def subscribe(ws: Any, topic: str) -> Any:
        return topic != "todos" or "NOT_HERE"

    def init() -> None:
        seen.append("init")

    def shutdown() -> None:
        seen.append("shutdown")

    def close(code: int) -> None:
        seen.append(code)

    hooks = {"subscribe": subscribe, "init": init, "shutdown": shutdown, "close": close}
    async with TestEnv(hooks=hooks) as env:
        env.register("todos", EXPORTS)
        client = env.connect()
        with pytest.raises(LiveError) as caught:
            await client.subscribe("todos/list").ready()
        assert caught.value.code == "NOT_HERE"
        assert await client.subscribe("todos/counter").ready() == 1
    assert seen == ["init", 1000, "shutdown"]


async def test_the_guard_of_a_mapping_guards_all_of_it() -> None:
    async with TestEnv() as env:
        env.register("todos", {**EXPORTS, "_guard": guard(authenticated=True)})
        await expect_guard_rejects(env.connect().call("todos/whoami"), "UNAUTHENTICATED")
        assert await env.connect({"id": 1}).call("todos/add", 1) == {"id": 1}


async def test_modules_can_be_registered_whole() -> None:
    module = types.ModuleType(__name__)
    module.__file__ = __file__
    vars(module).update({"whoami": whoami, "_guard": guard(authenticated=True)})
    async with TestEnv() as env:
        env.register("me", module)
        assert (await env.connect({"id": 7}).call("me/whoami"))["id"] == 7


async def test_what_the_server_would_not_load_is_not_registered() -> None:
    async with TestEnv() as env:
        env.register("todos", EXPORTS)
        with pytest.raises(ValueError, match="todos"):
            env.register("other", {"list": todos})
        with pytest.raises(ValueError, match="nothing to register"):
            env.register("empty", {})


async def test_tick_moves_the_servers_clock(env: TestEnv) -> None:
    before = env.clock.monotonic()
    client = env.connect()
    await client.call("todos/whoami")
    await env.tick(125)
    assert env.clock.monotonic() == before + 125
    await eventually(lambda: '{"type":"ping"}' in client.frames)


async def test_cleanup_ends_a_call_that_hangs_and_can_be_repeated() -> None:
    env = TestEnv()
    env.register("todos", EXPORTS)
    call = asyncio.ensure_future(env.connect().call("todos/hang"))
    await eventually(lambda: env.runtime.live.calls.running == 1)
    await env.cleanup()
    await env.cleanup()
    with pytest.raises(LiveError):
        await call


async def test_bounds_can_be_lowered_and_come_back() -> None:
    default = capacity.get("MAX_HELD_FRAMES")
    async with TestEnv():
        set_caps(held_frames=5, VOLATILE_WARN_CAP=2)
        assert (capacity.get("MAX_HELD_FRAMES"), capacity.get("VOLATILE_WARN_CAP")) == (5, 2)
        with capacity_override(MAX_HELD_FRAMES=3):
            assert capacity.get("MAX_HELD_FRAMES") == 3
        assert capacity.get("MAX_HELD_FRAMES") == 5
    assert capacity.get("MAX_HELD_FRAMES") == default
    set_caps(held_frames=5)
    reset_caps()
    assert capacity.get("MAX_HELD_FRAMES") == default
    with pytest.raises(ValueError, match="NO_SUCH"):
        set_caps(no_such=1)


@pytest.mark.spec("LIVE-10")
async def test_a_live_function_can_be_called_with_an_inert_context() -> None:
    ctx = TestContext(user={"id": 1})
    assert await add(ctx, 4) == {"id": 4}
    assert ctx.published == [("todos", "created", {"id": 4})]
    assert await todos(ctx) == [{"id": 1}, {"id": 4}]
    assert await chat(ctx, "r") == ["hello"]
    with pytest.raises(LiveError, match="LOCKED"):
        await fail(ctx)
    ctx.batch([{"topic": "a", "event": "b"}])
    assert ctx.published[-1] == ("a", "b", None)
    assert ctx.shed("any") is False
    assert (ctx.request_id, ctx.cursor, ctx.signal.aborted) == ("test-req", None, False)


@pytest.mark.spec("LIVE-170")
async def test_expect_guard_rejects_fails_on_everything_else() -> None:
    async def outcome(error: Exception | None) -> int:
        if error is not None:
            raise error
        return 5

    refused = await expect_guard_rejects(outcome(LiveError("FORBIDDEN", "no")))
    assert refused.message == "no"
    for error, problem in [
        (None, "let through with 5"),
        (RuntimeError("x"), "RuntimeError: x"),
        (LiveError("OTHER"), "'OTHER'"),
    ]:
        with pytest.raises(AssertionError, match=problem):
            await expect_guard_rejects(outcome(error))


def test_finding_the_project(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"realtime\.toml"):
        find_project(inner)
    (tmp_path / "realtime.toml").touch()
    assert find_project(inner) == tmp_path
    assert find_project(Path("/nowhere"), inner) == tmp_path
