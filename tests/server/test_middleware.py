"""Middleware that does not wait for what it wraps, or replaces it. Spec: live-api 4.2, 8.3."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.testing import eventually
from tests.server.conftest import AppFactory
from tests.server.peers import App, Peer

LIVE = """
    import asyncio
    from runtime import live, LiveError, Page

    late = []

    @live.middleware
    async def impatient(ctx, next):
        task = asyncio.ensure_future(next())
        late.append(task)
        await asyncio.wait({task}, timeout=0)
        if task.done():
            return task.result()
        if mood == "raises":
            raise LiveError("SLOW")
        return mood

    mood = "answers"
    ready = asyncio.Event()
    left = []

    @live.stream("rows", on_unsubscribe=lambda ctx, topic, others: left.append(topic))
    async def rows(ctx, wait=False):
        if wait:
            await ready.wait()
        return [{"id": 1}]

    @live.stream("pages")
    async def pages(ctx):
        return Page([{"id": 1}], has_more=True, cursor="c")

    @live
    async def add(ctx):
        ctx.publish("rows", "created", {"id": 2})
"""


def sizes(app: App) -> tuple[int, int, Any]:
    streams = app.runtime.live.dispatcher._streams
    subscriptions = streams._subscriptions
    gauge = app.runtime.metrics.snapshot()["stream_subscriptions"]
    return subscriptions.count("rows"), len(subscriptions.holds), gauge


async def settle(app: App, peer: Peer) -> Any:
    module = app.runtime.live.registry.find("m/rows").fn.__globals__  # type: ignore[union-attr]  # it is there
    module["ready"].set()
    await eventually(lambda: all(task.done() for task in module["late"]))
    return module


@pytest.mark.spec("LIVE-41")
@pytest.mark.parametrize("mood", ["answers", "raises"])
async def test_a_stream_that_comes_after_its_reply_leaves_nothing(make_app: AppFactory, mood: str) -> None:
    source = LIVE.replace('mood = "answers"', f'mood = "{mood}"')
    app = await make_app({"live/m.py": source})
    peer = await app.connect()
    reply = await peer.stream("m/rows", True)
    assert reply.get("data", reply.get("code")) == ("answers" if mood == "answers" else "SLOW")
    module = await settle(app, peer)
    await eventually(lambda: module["left"] == ["rows"])
    assert sizes(app) == (0, 0, {(): 0})
    # The topic is not held back from the connection for ever.
    assert (await peer.stream("m/rows"))["data"] == [{"id": 1}]
    await peer.request("m/add")
    assert peer.events("rows") == [("created", {"id": 2})]


async def test_a_page_is_the_same_to_a_plain_call(make_app: AppFactory) -> None:
    app = await make_app({"live/m.py": LIVE})
    peer = await app.connect()
    assert (await peer.request("m/pages"))["data"] == {"data": [{"id": 1}], "hasMore": True, "cursor": "c"}
    streamed = await peer.stream("m/pages")
    assert (
        json.dumps([streamed["data"], streamed["hasMore"], streamed["cursor"]]) == '[[{"id": 1}], true, "c"]'
    )
