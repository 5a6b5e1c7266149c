"""What was published, signals, options of calls, older clients, and what a test leaves behind. Spec: live-api 20."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runtime import LiveError, Rule, enable_signals, live
from runtime.client import Stream
from runtime.core import capacity
from runtime.live import collector
from runtime.testing import (
    EventLog,
    PublishedEvent,
    TestContext,
    TestEnv,
    TestStream,
    reset_caps,
    running_server,
    set_caps,
    subscribe_at,
)

BOUGHT: list[int] = []


@live
async def add(ctx: Any, id: int) -> int:
    ctx.publish("todos", "created", {"id": id})
    return id


@live
async def tell(ctx: Any, user: str, text: str) -> bool:
    ctx.publish("todos", "note", text)
    return ctx.send_signal(user, "call", {"text": text})


@live
@live.idempotent()
async def buy(ctx: Any, number: int) -> int:
    BOUGHT.append(number)
    return number


@live.stream(
    "people",
    version=3,
    migrate={
        1: lambda row: {**row, "steps": [*row["steps"], "1>2"]},
        2: lambda row: {**row, "steps": [*row["steps"], "2>3"]},
    },
)
async def people(ctx: Any) -> list[dict[str, Any]]:
    return [{"id": 1, "steps": []}]


@live.stream("todos")
async def todos(ctx: Any) -> list[Any]:
    return []


@live.stream(
    "mice", merge="cursor", coalesce_by=lambda data: data["key"], transform=lambda data: {**data, "z": 1}
)
async def mice(ctx: Any) -> list[Any]:
    return []


@live
async def point(ctx: Any, key: str) -> None:
    ctx.publish("mice", "update", {"key": key})


@live
async def hang(ctx: Any) -> None:
    await asyncio.Event().wait()


EXPORTS = {
    "add": add,
    "hang": hang,
    "tell": tell,
    "buy": buy,
    "people": people,
    "list": todos,
    "mice": mice,
    "point": point,
}


def open_hook(ws: Any) -> None:
    enable_signals(ws)


@pytest.fixture
async def env() -> AsyncIterator[TestEnv]:
    BOUGHT.clear()
    async with TestEnv(hooks={"open": open_hook}) as made:
        made.register("m", EXPORTS)
        yield made


async def test_whatever_is_published_can_be_asserted_on(env: TestEnv) -> None:
    client = env.connect()
    await client.call("m/add", 1)
    env.platform.publish("other", "set", [1, 2])
    env.platform.topic("todos").updated({"id": 1})
    env.platform.batch([{"topic": "b", "event": "x"}, {"topic": "b", "event": "y"}])
    assert env.published == [
        ("todos", "created", {"id": 1}),
        ("other", "set", [1, 2]),
        ("todos", "updated", {"id": 1}),
        ("b", "x", None),
        ("b", "y", None),
    ]
    assert [entry.event for entry in env.published.on("todos")] == ["created", "updated"]
    later = asyncio.ensure_future(
        env.published.wait_for("created", topic="todos", where=lambda entry: entry.data["id"] == 9)
    )
    await client.call("m/add", 8)
    await client.call("m/add", 9)
    assert await later == PublishedEvent("todos", "created", {"id": 9})
    with pytest.raises(
        TimeoutError, match=r"(?s)no such publish 'x' on 'todos' within 0.01s.*'id': 9.*last frames"
    ):
        await env.published.wait_for("x", topic="todos", timeout=0.01)
    with pytest.raises(KeyError, match="nothing"):
        await env.published.wait_for("updated", where=lambda entry: entry.data["nothing"])
    env.published.clear()
    assert env.published == []
    env.platform.health.degrade("test")
    assert env.published == []


@pytest.mark.spec("LIVE-169")
async def test_the_platform_has_every_method(env: TestEnv) -> None:
    ann, bob = env.connect({"id": "a"}), env.connect({"id": "b"})
    stream = ann.subscribe("m/list")
    await stream.ready()
    await bob.ready()
    platform = env.platform
    assert (platform.connections, platform.subscribers("todos"), platform.subscribers("x")) == (2, 1, 0)
    assert ann.connection is not None
    assert bob.connection is not None
    assert await platform.check_subscribe(bob.connection, "todos") is None
    assert platform.subscribers("todos") == 1
    assert await platform.subscribe(bob.connection, "todos") is None
    assert platform.subscribers("todos") == 2
    todos = platform.topic("todos")
    todos.publish("said", 1)
    todos.created({"id": 1})
    todos.updated({"id": 1, "n": 2})
    todos.deleted({"id": 1})
    todos.set(5)
    todos.increment(2)
    todos.decrement(1)
    platform.send(ann.connection, "todos", "sent", "ann")
    assert platform.send_to(lambda user: user["id"] == "a", "todos", "sent", "all of a") == 1
    platform.batch([{"topic": "todos", "event": "last", "data": None}])
    await stream.events.wait_for("last")
    names = [event.event for event in stream.events]
    assert names == [
        *("said", "created", "updated", "deleted", "set", "increment", "decrement"),
        *("sent", "sent", "last"),
    ]
    assert not any('"sent"' in frame for frame in bob.frames)
    assert [entry.event for entry in env.published] == [*names[:7], "last"]


async def test_coalesced_events_are_noted_as_they_are_sent(env: TestEnv) -> None:
    client = env.connect()
    stream = client.subscribe("m/mice")
    await stream.ready()
    for key in ("a", "b"):
        await client.call("m/point", key)
    assert env.published == [("mice", "update", {"key": key, "z": 1}) for key in ("a", "b")]
    await stream.wait_for(lambda value: len(value) == 2)


async def test_a_log_keeps_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.testing.eventlog.MAX_LOGGED", 3)
    log: EventLog[PublishedEvent] = EventLog()
    for number in range(5):
        log.add(PublishedEvent("t", "e", number))
    assert [entry.data for entry in log] == [2, 3, 4]
    failing = asyncio.ensure_future(log.wait_for(where=lambda entry: entry.data > 4 and 1 / 0))
    await asyncio.sleep(0)
    log.add(PublishedEvent("t", "e", 5))
    log.add(PublishedEvent("t", "e", 6))
    with pytest.raises(ZeroDivisionError):
        await failing
    with pytest.raises(TimeoutError, match="none"):
        await EventLog[PublishedEvent]().wait_for(timeout=0.01)


async def test_signals_reach_every_device_of_their_user(env: TestEnv) -> None:
    ann, phone, bob = env.connect({"id": "a"}), env.connect({"id": "a"}), env.connect({"id": "b"})
    for client in (ann, phone, bob):
        await client.call("m/add", 1)
    assert await bob.call("m/tell", "a", "hi") is True
    for device in (ann, phone):
        signal = await device.signals.wait_for("call")
        assert (signal.event, signal.data) == ("call", {"text": "hi"})
    assert bob.signals == []
    env.chaos.disconnect(ann)
    assert ann.connection is None
    await ann.ready()
    assert ann.connection is not None
    await ann.call("m/add", 2)
    await bob.call("m/tell", "a", "again")
    await ann.signals.wait_for(where=lambda entry: entry.data["text"] == "again")
    assert len(ann.signals) == 2


async def test_calls_with_options(env: TestEnv) -> None:
    client = env.connect({"id": "a"})
    with_key = client.with_(idempotency_key="k1", timeout=5)
    assert [await with_key.call("m/buy", 1), await with_key.call("m/buy", 2)] == [1, 1]
    assert await client.with_(idempotency_key="k2").call("m/buy", 3) == 3
    assert await client.call("m/buy", 4) == 4
    assert BOUGHT == [1, 3, 4]
    batch = await client.batch(lambda: [client.with_(idempotency_key="k1").call("m/buy", 5)])
    assert batch == [1]
    with pytest.raises(ValueError, match="idempotency_key"):
        with_key.binary("m/blob", b"")


async def test_calls_run_beside_each_other_in_every_usual_way(env: TestEnv) -> None:
    client = env.connect()
    assert await asyncio.gather(client.call("m/add", 1), client.call("m/add", 2)) == [1, 2]
    first, second = asyncio.create_task(client.call("m/add", 3)), asyncio.create_task(client.call("m/fail"))
    assert await first == 3
    with pytest.raises(LiveError, match="NOT_FOUND"):
        await second
    async with asyncio.TaskGroup() as group:
        made = [group.create_task(client.call("m/add", number)) for number in (4, 5)]
    assert [task.result() for task in made] == [4, 5]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await asyncio.create_task(client.call("m/hang"))
    cancelled = asyncio.create_task(client.call("m/hang"))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.wait([cancelled])
    assert cancelled.cancelled()
    unused = client.call("m/add", 6)
    await env.published.wait_for(where=lambda entry: entry.data == {"id": 6})
    unused.close()


async def test_a_wait_that_is_cancelled_leaves_nothing_behind(env: TestEnv) -> None:
    client = env.connect()
    stream = client.subscribe("m/list")
    await stream.ready()
    waits = [
        asyncio.create_task(wait)
        for wait in (
            env.published.wait_for("created"),
            stream.events.wait_for("created"),
            client.signals.wait_for(),
            stream.wait_for(lambda rows: rows and 1 / 0),
            env.eventually(lambda: False),
        )
    ]
    await asyncio.sleep(0)
    for wait in waits:
        wait.cancel()
    await asyncio.wait(waits)
    assert all(wait.cancelled() for wait in waits)
    await client.call("m/add", 1)  # nobody looks at it any more
    assert await stream.wait_for(lambda rows: rows == [{"id": 1}])


async def test_events_of_a_stream_can_be_waited_for(env: TestEnv) -> None:
    client = env.connect()
    stream = client.subscribe("m/list")
    await stream.ready()
    waiting = asyncio.ensure_future(stream.events.wait_for("created"))
    await client.call("m/add", 4)
    assert (await waiting).data == {"id": 4}


@pytest.mark.spec("LIVE-171")
async def test_an_older_client_gets_migrated_data(env: TestEnv) -> None:
    client = env.connect()
    newest = client.subscribe("m/people")
    assert await newest.ready() == [{"id": 1, "steps": []}]
    first = subscribe_at(newest, schema_version=1)
    second = subscribe_at(newest, schema_version=2)
    assert await first.ready() == [{"id": 1, "steps": ["1>2", "2>3"]}]
    assert await second.ready() == [{"id": 1, "steps": ["2>3"]}]
    assert newest.value == [{"id": 1, "steps": []}]
    first.simulate_publish("created", {"id": 2})
    for stream in (newest, first, second):
        await stream.wait_for(lambda rows: rows[-1] == {"id": 2})
    first.simulate_publish("deleted", {"id": 2})
    # An old client stays one across reconnects: what it is given anew is migrated from the same version.
    env.chaos.disconnect(client)
    for stream, steps in ((first, ["1>2", "2>3"]), (second, ["2>3"]), (newest, [])):
        await env.eventually(lambda stream=stream: stream.status == "connected")  # type: ignore[misc]  # of this round
        await stream.wait_for(lambda rows, steps=steps: rows == [{"id": 1, "steps": steps}])  # type: ignore[misc]  # as above
    assert sum('"schemaVersion":1' in line for line in client.last_frames().splitlines()) == 1
    await first.close()
    assert await subscribe_at(first, 0).ready() == [{"id": 1, "steps": ["1>2", "2>3"]}]


async def test_subscribe_at_refuses_what_is_no_stream_or_no_version(env: TestEnv) -> None:
    stream = env.connect().subscribe("m/people")
    await stream.ready()
    for version in (-1, 1.5, True, "1", None):
        with pytest.raises(TypeError, match="schema_version"):
            subscribe_at(stream, version)  # type: ignore[arg-type]  # what is tested
    for other in (people, "m/people", None):
        with pytest.raises(TypeError, match="stream"):
            subscribe_at(other, 1)  # type: ignore[type-var]  # what is tested


async def test_subscribe_at_takes_streams_of_the_python_client(tmp_path: Path) -> None:
    (tmp_path / "realtime.toml").touch()
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "m.py").write_text(
        "# realtime-allow-public\nfrom runtime import live\n\n"
        "@live.stream('s', merge='set', version=2, migrate={1: lambda value: value + 1})\n"
        "async def s(ctx):\n    return 1\n"
    )
    async with running_server(tmp_path) as server, server.connect() as rt:
        now, old = rt.stream("m/s"), subscribe_at(rt.stream("m/s"), 1)
        assert isinstance(old, Stream)
        assert (await now.ready(), await old.ready()) == (1, 2)
        await now.close()
        await old.close()


async def test_the_clock_starts_and_goes_where_the_test_wants() -> None:
    start = datetime(2026, 3, 8, 1, 59, tzinfo=UTC)
    async with TestEnv(now=start) as env:
        assert env.clock.now() == start.timestamp()
        fired: list[float] = []
        env.clock.call_later(60, lambda: fired.append(env.clock.now()))
        await env.tick_to(start + timedelta(hours=1))
        assert fired == [start.timestamp() + 60]
        assert env.clock.now() == start.timestamp() + 3600
        with pytest.raises(ValueError, match="forward"):
            await env.tick_to(start)
        with pytest.raises(ValueError, match="zone"):
            await env.tick_to(datetime(2027, 1, 1))  # noqa: DTZ001 - what is tested
    async with TestEnv(now=5.0) as env:
        assert env.clock.now() == 5


async def test_what_is_not_registered_leaves_no_trace(env: TestEnv) -> None:
    with pytest.raises(ValueError, match=r"(?s)other: .*topic 'todos' is declared twice"):
        env.register("other", {"list": todos, "more": add})
    env.register("fine", {"add": add})
    client = env.connect()
    assert await client.call("fine/add", 1) == 1
    with pytest.raises(LiveError, match="NOT_FOUND"):
        await client.call("other/more", 1)
    assert await client.subscribe("m/list").ready() == []
    env.register("fine", {"plus": add})
    with pytest.raises(LiveError, match="NOT_FOUND"):
        await client.call("fine/add", 1)


async def test_what_a_test_declares_for_all_apps_ends_with_it() -> None:
    seen: list[str] = []

    async def middleware(ctx: Any, next: Any) -> Any:
        seen.append("ran")
        return await next()

    before = len(collector.ambient.middleware), collector.ambient.rate_limits, collector.ambient.options
    async with TestEnv() as env:
        live.middleware(middleware)
        live.rate_limits(default=Rule(1, 60))
        live.message_options(max_envelope_depth=9)
        env.register("m", EXPORTS)
        await env.connect({"id": "x"}).call("m/add", 1)
        assert seen == ["ran"]
    assert before == (
        len(collector.ambient.middleware),
        collector.ambient.rate_limits,
        collector.ambient.options,
    )
    async with TestEnv() as env:
        env.register("m", EXPORTS)
        client = env.connect({"id": "x"})
        for number in range(5):
            await client.call("m/add", number)
    assert seen == ["ran"]


def test_every_bound_of_the_specification_can_be_lowered() -> None:
    names = {
        "push_registry": "MAX_PUSH_REGISTRY",
        "topic_ws_counts_warn": "TOPIC_WS_COUNTS_WARN_THRESHOLD",
        "silent_topic_warn_dedup": "SILENT_TOPIC_WARN_DEDUP_MAX",
        "publish_rate_warn_dedup": "PUBLISH_RATE_WARN_DEDUP_MAX",
        "presence_ref": "MAX_PRESENCE_REF",
        "upload_pending_max_aggregate": "UPLOAD_PENDING_MAX_AGGREGATE",
        "optimistic_queue_depth": "MAX_OPTIMISTIC_QUEUE_DEPTH",
        "aggregate_buckets": "MAX_AGGREGATE_BUCKETS",
    }
    try:
        for name, constant in names.items():
            set_caps(**{name: 3})
            assert capacity.get(constant) == 3
        assert all(capacity.get(constant) == 3 for constant in names.values())
    finally:
        reset_caps()
    assert all(capacity.get(constant) == capacity.DEFAULTS[constant] for constant in names.values())


async def test_lowered_bounds_are_in_force(env: TestEnv) -> None:
    client = env.connect()
    assert await client.with_(idempotency_key="long").call("m/buy", 1) == 1
    set_caps(idempotency_key=3)
    with pytest.raises(LiveError, match="INVALID_REQUEST"):
        await client.with_(idempotency_key="longer").call("m/buy", 1)


async def test_a_client_is_ready_or_says_why_not() -> None:
    async def refuse(ws: Any) -> None:
        await ws.close(4401, "no")

    async with TestEnv(timeout=0.1) as env:
        client = env.connect()
        await client.ready()
        assert client.connection is not None
    async with TestEnv(timeout=0.1, hooks={"open": refuse}) as env:
        with pytest.raises(LiveError, match="4401"):
            await env.connect().ready()
    async with TestEnv(timeout=0.1, hooks={"open": lambda: asyncio.Event().wait()}) as env:
        with pytest.raises(TimeoutError, match=r"(?s)not open within 0\.1s.*last frames"):
            await env.connect().ready()


@pytest.mark.spec("LIVE-171")
async def test_every_helper_of_an_inert_context_does_nothing() -> None:
    ctx = TestContext()
    assert (ctx.user, ctx.ws, ctx.platform, ctx.cursor, ctx.idempotency_key) == (None,) * 5
    assert ctx.publish("__anything", "x") is True
    assert ctx.shed("nonsense") is False
    assert ctx.skip("k", 5) is ctx.skip("k", 5) is False
    assert ctx.send_signal("u", "e", 1) is False
    ctx.publish_throttled("t", "e", 1, every=-1)
    ctx.publish_debounced("t", "e", 2, after=5)
    ctx.batch([])
    assert len(ctx.published) == 4
    other = TestContext({"id": 1}, "ws", "platform", "r1", 7)
    assert (other.user, other.ws, other.platform, other.request_id, other.cursor) == (
        {"id": 1},
        "ws",
        "platform",
        "r1",
        7,
    )


async def test_a_stream_shows_what_it_is(env: TestEnv) -> None:
    client = env.connect({"id": "a"})
    stream = client.subscribe("m/list")
    assert isinstance(stream, TestStream)
    assert "m/list" in repr(stream)
    assert repr(client) == "<TestClient {'id': 'a'} connecting>"
    await client.disconnect()
    assert repr(client) == "<TestClient {'id': 'a'} disconnected>"


async def test_a_frame_that_the_server_would_not_take_breaks_the_connection_here_too(env: TestEnv) -> None:
    ada = env.connect({"id": "ada"})
    limit = env.platform.max_payload_length
    with pytest.raises(LiveError, match="larger than the server takes") as raised:
        await ada.call("m/tell", "ada", "x" * limit)
    assert raised.value.code == "DISCONNECTED"
    bob = env.connect({"id": "bob"})
    await bob.call("m/tell", "nobody", "x" * (limit - 100))


async def test_predicates_that_cannot_say_no_are_refused(env: TestEnv) -> None:
    async def later(value: Any) -> bool:
        return False

    ada = env.connect({"id": "ada"})
    stream = ada.subscribe("m/list")
    await stream.ready()
    await ada.call("m/add", 1)
    for wait in (stream.wait_for, lambda given: env.published.wait_for(where=given)):
        with pytest.raises(TypeError, match="plain function"):
            await wait(later)
        with pytest.raises(RuntimeError, match=r"give next\(\) a default"):
            await wait(lambda value: next(iter(())))


async def test_nobody_connects_to_what_was_cleaned_up() -> None:
    async with TestEnv() as made:
        pass
    with pytest.raises(RuntimeError, match="was cleaned up"):
        made.connect()
