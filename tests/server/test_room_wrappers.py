"""Wrappers over the actions of a room: each holds under the action's own path. Spec: live-api 5 and 12."""

from __future__ import annotations

import asyncio

import pytest

from tests.server.conftest import AppFactory

SOURCE = """
    # realtime-allow-public
    import asyncio
    from runtime import LiveError, live

    runs = []
    gate = asyncio.Event()
    inside = []

    async def load(ctx, board_id: str):
        return []

    @live.rate_limit(points=2, window=60)
    async def limited(ctx, board_id: str):
        return ctx.publish("touched", board_id)

    @live.idempotent()
    async def once(ctx, board_id: str, text: str):
        runs.append(text)
        ctx.publish("created", {"id": text})
        return len(runs)

    @live.lock(lambda ctx, board_id: f"board:{board_id}")
    async def alone(ctx, board_id: str):
        inside.append(board_id)
        most = inside.count(board_id)
        await asyncio.sleep(0)
        inside.remove(board_id)
        return most

    @live.volatile
    async def ping(ctx, board_id: str):
        ctx.publish("pinged", board_id)

    @live.scoped(lambda ctx, board_id: board_id != "shut")
    async def scoped(ctx, board_id: str):
        return ctx.publish("seen", board_id)

    async def later(ctx, board_id: str):
        ctx.publish_throttled("other", "moved", 1, 60)
        return ctx.batch([{"topic": f"board:{board_id}", "event": "batched"}])

    board = live.room(
        topic=lambda board_id: f"board:{board_id}", init=load,
        actions={"limited": limited, "once": once, "alone": alone, "ping": ping, "scoped": scoped, "later": later},
    )
"""


def path(action: str) -> str:
    return f"m/board/__action/{action}"


@pytest.mark.spec("LIVE-130")
async def test_wrapped_actions_publish_to_their_room(make_app: AppFactory) -> None:
    app = await make_app({"live/m.py": SOURCE})
    ann = await app.connect({"id": "ann"})
    await ann.stream("m/board/__data", "1")
    for action in ("limited", "scoped"):
        assert (await ann.request(path(action), "1"))["data"] is True
    await ann.request(path("once"), "1", "a", idempotencyKey="k")
    await ann.request(path("ping"), "1")
    await ann.request(path("later"), "1")
    events = [event for event, _ in ann.events("board:1")]
    assert events == ["touched", "seen", "created", "pinged", "batched"]


async def test_a_rate_limit_counts_under_the_path_of_the_action(make_app: AppFactory) -> None:
    app = await make_app({"live/m.py": SOURCE})
    ann, bob = await app.connect({"id": "ann"}), await app.connect({"id": "bob"})
    codes = [(await ann.request(path("limited"), room)).get("code") for room in ("1", "2", "1")]
    assert codes == [None, None, "RATE_LIMITED"]
    assert (await bob.request(path("limited"), "1"))["ok"]
    endpoint = app.runtime.live.registry.find(path("limited"))
    assert endpoint is not None
    assert endpoint.limited, "the limits of the whole app leave it alone"


async def test_the_other_wrappers_hold_for_actions_too(make_app: AppFactory) -> None:
    app = await make_app({"live/m.py": SOURCE})
    ann = await app.connect({"id": "ann"})
    for _ in range(2):
        assert (await ann.request(path("once"), "1", "a", idempotencyKey="k"))["data"] == 1
    assert (await ann.request(path("once"), "1", "a"))["data"] == 2
    answers = await asyncio.gather(*(ann.request(path("alone"), "1") for _ in range(5)))
    assert [answer["data"] for answer in answers] == [1] * 5
    assert (await ann.request(path("scoped"), "shut"))["code"] == "FORBIDDEN"
    endpoint = app.runtime.live.registry.find(path("ping"))
    assert endpoint is not None
    assert endpoint.volatile
