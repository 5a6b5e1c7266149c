"""Uses of the public API that both type checkers must accept, with the types that they must see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal, TypedDict, assert_type

from runtime import (
    BatchMessage,
    Connection,
    Cookies,
    Ctx,
    LiveError,
    Platform,
    PressureSnapshot,
    RealtimeHooks,
    SendResult,
    TopicRate,
    UpgradeResponse,
    create_app,
    get_platform,
    guard,
    live,
    pipe,
    publish,
    publish_threadsafe,
    realtime,
)
from runtime.client import Realtime, RpcError, connect
from runtime.plugins import (
    Cursor,
    CursorProtocol,
    Dedup,
    DedupProtocol,
    Group,
    GroupProtocol,
    IdempotencyProtocol,
    Lock,
    LockProtocol,
    MemoryIdempotencyStore,
    Presence,
    PresenceProtocol,
    Queue,
    RateLimit,
    RateLimitProtocol,
    Replay,
    ReplayProtocol,
    Session,
    SessionProtocol,
)
from runtime.server.app import RealtimeApp
from runtime.testing import FakeClock, TestEnv, eventually


class Todo(TypedDict):
    """One row."""

    id: int
    text: str


rows: list[Todo] = live.keep("rows", list)
votes = live.keep("votes", Counter[str])
assert_type(votes, Counter[str])

_guard = guard(authenticated=True)


@live
async def add(ctx: Ctx, text: str, urgent: bool = False) -> Todo:
    """Stay callable with the author's own signature."""
    todo = Todo(id=len(rows), text=text)
    assert_type(ctx.publish("todos", "created", todo), bool)
    return todo


@live(thread=True)
def render(ctx: Ctx, number: int) -> str:
    """Take plain functions for the worker threads."""
    return str(number)


@live.stream(lambda ctx, board: f"todos:{board}", key="id", prepend=True, max=50, access=live.access.owner())
async def todos(ctx: Ctx, board: str) -> list[Todo]:
    """Take a topic function."""
    return rows


@live.public
@live.volatile
async def moved(ctx: Ctx, x: float) -> None:
    """Stack decorators."""


typing_now = live.channel("typing", merge="presence")


async def decorated_functions_keep_their_types(ctx: Ctx) -> None:
    """See through the decorators."""
    assert_type(await add(ctx, "milk", urgent=True), Todo)
    assert_type(render(ctx, 7), str)
    assert_type(await todos(ctx, "one"), list[Todo])


def errors_have_their_parts(error: LiveError, remote: RpcError) -> None:
    """Name code and message."""
    assert_type(error.code, str)
    assert_type(remote.code, str)


async def client_forms() -> None:
    """Use the connection as a context manager and awaited."""
    async with connect("ws://127.0.0.1:3000/ws", timeout=5) as rt:
        assert_type(rt, Realtime)
        async with rt.stream("todos/todos", "one") as stream:
            assert_type(stream.value, Any)
            async for _ in stream.values():
                break
    assert_type(await connect("ws://127.0.0.1:3000/ws"), Realtime)


def app() -> RealtimeApp:
    """Take a folder and the mode of the lifespan."""
    return create_app(".", lifespan="manual")


async def authenticate(cookies: Cookies, request_id: str) -> Literal[False] | None:
    """Renew a session."""
    session = cookies.get("sid")
    assert_type(session, str | None)
    if session is None:
        return False
    cookies.set("sid", session, path="/", secure=True, same_site="none", max_age=60, partitioned=True)
    cookies.set("seen", request_id, same_site=True, encode=False)
    cookies.delete("old", path="/")
    return None


def upgrade(headers: Mapping[str, str]) -> UpgradeResponse:
    """Add headers to the 101."""
    return UpgradeResponse({"agent": headers.get("user-agent")}, {"x-one": "1", "x-many": ["1", "2"]})


async def kit(env: TestEnv, clock: FakeClock) -> None:
    """Use the test kit."""
    client = env.connect({"id": 1})
    stream = client.subscribe("todos/todos", "one")
    await stream.ready()
    await clock.advance(1.0)
    assert_type(await eventually(lambda: bool(stream.value)), bool)


async def the_platform_has_its_types(platform: Platform, ws: Connection) -> None:
    """Publish, send, ask and look around."""
    message: BatchMessage = {"topic": "t", "event": "e", "data": 1, "coalesce_key": "k", "relay": False}
    assert_type(platform.publish("t", "e", relay=False, seq=41), bool)
    assert_type(platform.batch([message]), list[bool])
    platform.publish_batched([message])
    platform.publish_batched((message,))
    assert_type(platform.send(ws, "t", "e"), SendResult)
    assert_type(platform.send_to(lambda user: user["role"] == "admin", "t", "e"), int)
    platform.send_coalesced(ws, key="k", topic="t", event="e", data=[1])
    assert_type(await platform.subscribe(ws, "t"), str | None)
    assert_type(await platform.check_subscribe(ws, "t"), str | None)
    answer: str = await platform.request(ws, "confirm", timeout=10)
    assert_type(platform.topic(answer).increment(2.5), bool)
    assert_type(platform.pressure.top_publishers, list[TopicRate])


def callbacks_have_their_types(platform: Platform) -> None:
    """Take plain and asynchronous functions."""

    def changed(snapshot: PressureSnapshot) -> None:
        assert_type(snapshot.publish_rate, float)

    async def too_much(rates: list[TopicRate]) -> None:
        assert_type(rates[0].topic, str)

    off = platform.on_pressure(changed)
    platform.on_publish_rate(too_much)
    off()
    assert_type(get_platform(), Platform | None)
    assert_type(publish("t", "e", seq=False), bool)


async def primitives_are_what_their_protocols_say() -> None:
    """Take the class of one process wherever the protocol that twins share is asked for."""
    lock: LockProtocol = Lock()
    session: SessionProtocol = Session(ttl=1)
    dedup: DedupProtocol = Dedup(ttl=1)
    store: IdempotencyProtocol = MemoryIdempotencyStore()
    presence: PresenceProtocol = Presence()
    cursor: CursorProtocol = Cursor()
    group: GroupProtocol = Group("g")
    replay: ReplayProtocol = Replay()
    limit: RateLimitProtocol = RateLimit(points=1, interval=1)
    assert len({lock, session, dedup, store, presence, cursor, group, replay, limit}) == 9

    async def work() -> int:
        return 1

    assert_type(await lock.with_lock("k", lambda: "text", max_wait=1), str)
    assert_type(await store.handle("k", work, wait=1), int)
    assert_type(await Queue().push("k", lambda: "text"), str)
    async with lock.hold("k", max_wait=None) as handle:
        assert_type(handle.token, int)


@live.scoped(live.access.owner())
@live.rate_limit(points=5, window=10, key=lambda ctx: ctx.user)
@live.idempotent(key_from=lambda ctx, n: str(n), store=MemoryIdempotencyStore(), ttl=60)
@live.lock(lambda ctx, n: f"k{n}", lock=Lock(), max_wait=5)
@live.breaker(object(), fallback=[])
@live.validated(int)
@live
async def wrapped(ctx: Ctx, n: int) -> str:
    """Keep its type under every wrapper."""
    ctx.publish_throttled("a", "moved", {"key": n}, 0.05)
    ctx.publish_debounced("a", "moved", {"key": n}, 0.05)
    assert_type(ctx.skip("key", 1), bool)
    assert_type(ctx.send_signal("u1", "notice"), bool)
    assert_type(ctx.idempotency_key, str | None)
    return str(n)


async def call_wrapped(ctx: Ctx) -> None:
    """Call it as it was declared."""
    assert_type(await wrapped(ctx, 7), str)


@live.stream("numbers")
async def numbers(ctx: Ctx) -> list[int]:
    """Load something for a pipe."""
    return [2, 1]


few = pipe(numbers, pipe.filter(lambda ctx, item: item > 1), pipe.sort("id", "desc"), pipe.limit(2))


async def reach_one_user(ctx: Ctx) -> None:
    """Push, notify and wire."""
    assert_type(await few(ctx), list[int])
    await live.push("ann", "ask", {"n": 1}, timeout=timedelta(seconds=3))
    await live.push(to={"user_id": "ann"}, event="ask")
    await live.notify("ann", "news")
    live.configure_push(identify=lambda ws: ws.user_data["account"])
    live.configure_push(None)
    hooks = realtime(bus=None, on_error=None, upgrade=lambda headers: {"id": headers["x"]})
    assert_type(hooks, RealtimeHooks)
    publish_threadsafe("t", "e", volatile=True)


@live.derived(["todos", "votes"], debounce=0.5)
async def summary() -> dict[str, int]:
    """Take fixed sources."""
    return {"todos": len(rows)}


@live.derived(lambda board: [f"todos:{board}"], merge="crud", access=live.access.owner())
async def of_board(ctx: Ctx, board: str) -> list[Todo]:
    """Take sources of the arguments."""
    return rows


@live.effect("todos", debounce=1)
async def mail(event: str, data: Todo, platform: Platform) -> None:
    """Run after publishes."""


async def derived_functions_keep_their_types(ctx: Ctx) -> None:
    """See through both."""
    assert_type(await summary(), dict[str, int])
    assert_type(await of_board(ctx, "one"), list[Todo])
