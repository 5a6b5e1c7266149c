"""`live.rate_limit` over handlers, and the limits of the whole app beside it. Spec: live-api 5.2 to 5.4."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.core import capacity
from runtime.core.errors import LiveError
from runtime.live.declare import Live
from runtime.testing import FakeClock, TestContext
from tests.server.conftest import AppFactory
from tests.server.peers import Peer

live = Live()

SEND = """
    from runtime import LiveError, Rule, live

    ran = []

    @live.rate_limit(points=5, window=10)
    @live
    async def send(ctx, text: str = ""):
        ran.append(text)

    @live.rate_limit(points=5, window=10)
    async def other(ctx):
        pass

    @live.rate_limit(points=1, window=10, key=lambda ctx: ctx.user["team"])
    async def team(ctx):
        pass

    async def who(ctx):
        return 7

    @live.rate_limit(points=1, window=10, key=who)
    async def everybody(ctx):
        pass
"""


async def passed(peer: Peer, path: str, count: int, *args: Any) -> int:
    """Call `count` times; return how many calls were not refused."""
    replies = [await peer.request(path, *args) for _ in range(count)]
    assert {reply.get("code") for reply in replies} <= {None, "RATE_LIMITED"}
    return sum(reply["ok"] for reply in replies)


@pytest.mark.spec("LIVE-50")
async def test_the_sixth_call_at_once_is_refused_and_the_window_slides(make_app: AppFactory) -> None:
    clock = FakeClock()
    app = await make_app({"live/a.py": SEND}, clock=clock)
    peer = await app.connect({"id": "u1"})
    assert await passed(peer, "a/send", 5) == 5
    await clock.advance(3)
    refused = await peer.request("a/send")
    assert (refused["code"], refused["error"], refused["retryAfter"]) == (
        "RATE_LIMITED",
        "Too many requests",
        7000,
    )
    # At the edge the five of the window before weigh fully, then less and less: 5 * 0.8 leaves room for one.
    await clock.advance(7)
    assert await passed(peer, "a/send", 1) == 0
    await clock.advance(2)
    assert await passed(peer, "a/send", 3) == 1
    await clock.advance(20)
    assert await passed(peer, "a/send", 9) == 5


@pytest.mark.spec("LIVE-51")
async def test_paths_users_and_guests_are_counted_apart(make_app: AppFactory) -> None:
    app = await make_app({"live/a.py": SEND})
    for peer in (await app.connect({"id": 1}), await app.connect({"id": 2}), *[await app.connect()] * 1):
        assert await passed(peer, "a/send", 6) == 5
    assert await passed(await app.connect(), "a/send", 6) == 5
    assert await passed(await app.connect({"id": 1}), "a/send", 1) == 0
    assert await passed(await app.connect({"id": 1}), "a/other", 6) == 5


@pytest.mark.spec("LIVE-51")
async def test_a_key_says_who_is_counted_together(make_app: AppFactory) -> None:
    app = await make_app({"live/a.py": SEND})
    red, more, blue = [await app.connect({"id": n, "team": t}) for n, t in enumerate(("red", "red", "blue"))]
    assert await passed(red, "a/team", 1) == 1
    assert await passed(more, "a/team", 1) == 0
    assert await passed(blue, "a/team", 1) == 1
    assert [await passed(peer, "a/everybody", 1) for peer in (red, more, blue)] == [1, 0, 0]


@pytest.mark.spec("LIVE-52")
async def test_at_the_bound_a_new_caller_is_refused_and_a_known_one_is_not(make_app: AppFactory) -> None:
    assert capacity.DEFAULTS["MAX_RATE_LIMIT_IDENTITIES"] == 5000
    app = await make_app({"live/a.py": SEND})
    known, new = await app.connect({"id": "known"}), await app.connect({"id": "new"})
    with capacity.capacity_override(MAX_RATE_LIMIT_IDENTITIES=1):
        assert (await known.request("a/send"))["ok"]
        refused = await new.request("a/send")
        assert (refused["code"], refused["error"]) == (
            "RATE_LIMITED",
            "Too many concurrent rate-limit identities",
        )
        assert (await known.request("a/send"))["ok"]


async def test_stale_callers_are_forgotten_while_there_is_room(make_app: AppFactory) -> None:
    clock = FakeClock()
    app = await make_app({"live/a.py": SEND}, clock=clock)
    buckets = app.runtime.live._scope.buckets
    for n in range(10):
        assert (await (await app.connect({"id": n})).request("a/send"))["ok"]
    assert len(buckets) == 10
    await clock.advance(31)
    await (await app.connect({"id": "new"})).request("a/send")
    assert len(buckets) == 1


async def test_a_reload_keeps_the_count(make_app: AppFactory) -> None:
    app = await make_app({"live/a.py": SEND}, env="dev")
    peer = await app.connect({"id": 1})
    assert await passed(peer, "a/send", 5) == 5
    changed = app.write("live/a.py", SEND.replace("ran.append(text)", "return text"))
    await app.runtime.live.reload([changed])
    assert await passed(peer, "a/send", 1) == 0


async def test_calls_of_a_test_are_counted_by_function() -> None:
    @live.rate_limit(points=2, window=60)
    async def send(ctx: Any) -> str:
        return "sent"

    ctx = TestContext({"id": 1})
    assert [await send(ctx), await send(ctx)] == ["sent", "sent"]
    with pytest.raises(LiveError, match="RATE_LIMITED"):
        await send(ctx)
    assert await send(TestContext({"id": 2})) == "sent"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"points": 0, "window": 1}, ValueError),
        ({"points": 1, "window": 0}, ValueError),
        ({"points": 1.5, "window": 1}, ValueError),
        ({"points": 1, "window": 1, "key": "user"}, TypeError),
    ],
)
def test_a_limit_that_cannot_be_fails_where_it_is_declared(options: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        live.rate_limit(**options)


LIMITS = """
    from runtime import Rule, live

    live.rate_limits(Rule(1, 60), overrides={"a/wide": Rule(3, 60), "a/own": Rule(1, 60)}, exempt=["a/free"])

    @live
    async def plain(ctx): ...

    @live
    async def wide(ctx): ...

    @live
    async def free(ctx): ...

    @live.rate_limit(points=2, window=60)
    @live
    async def own(ctx): ...

    @live.lock("k")
    @live.rate_limit(points=2, window=60)
    async def deep(ctx): ...

    @live.stream("rows")
    async def rows(ctx):
        return []

    async def load(ctx, id): return []

    @live.rate_limit(points=2, window=60)
    async def act(ctx, id): ...

    board = live.room(topic=lambda id: f"b:{id}", init=load, actions={"act": act})
"""


@pytest.mark.spec("LIVE-53")
async def test_exempt_and_an_own_limit_come_before_override_and_default(make_app: AppFactory) -> None:
    app = await make_app({"live/a.py": LIMITS})
    peer = await app.connect({"id": 1})
    found = {name: await passed(peer, f"a/{name}", 9) for name in ("plain", "wide", "free", "own", "deep")}
    assert found == {"plain": 1, "wide": 3, "free": 9, "own": 2, "deep": 2}
    assert await passed(peer, "a/board/__action/act", 9, "x") == 2


@pytest.mark.spec("LIVE-53")
async def test_streams_are_not_limited(make_app: AppFactory) -> None:
    app = await make_app({"live/a.py": LIMITS})
    peer = await app.connect({"id": 1})
    assert all([(await peer.stream("a/rows"))["ok"] for _ in range(5)])
    # A loader that is called without subscribing is a call as any other.
    assert await passed(peer, "a/rows", 5) == 1
    assert (await peer.stream("a/rows"))["ok"]


@pytest.mark.spec("LIVE-53")
async def test_limits_are_cleared_with_none(make_app: AppFactory) -> None:
    app = await make_app({"live/a.py": LIMITS + "\n    live.rate_limits(None)\n"})
    assert await passed(await app.connect(), "a/plain", 9) == 9
