"""The end of a connection with streams: they were left before the app's `close` hook runs. Spec: platform 1.7."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.server.hooks import Hook, HookSet
from tests.server.conftest import AppFactory

LIVE = """
    from runtime import live

    @live.stream("rows")
    async def rows(ctx): return []
"""


@pytest.mark.spec("PLAT-35")
async def test_streams_were_left_before_the_close_hook(make_app: AppFactory) -> None:
    app = await make_app({"live/a.py": LIVE})
    seen: list[Any] = []

    def on_close(ws: Any, subscriptions: frozenset[str]) -> None:
        streams = app.runtime.metrics.get("stream_subscriptions")
        seen.append((streams, sorted(ws.subscriptions), sorted(subscriptions)))

    app.runtime.set_hooks(HookSet({"close": Hook("close", on_close)}))
    peer = await app.connect()
    await peer.stream("a/rows")
    assert app.runtime.metrics.get("stream_subscriptions") == 1
    held = sorted(peer.connection.subscriptions)
    assert held == ["rows"]
    await peer.leave()
    ((streams, still, given),) = seen
    assert streams == 0
    assert still == given == ["rows"]
    assert app.runtime.subscriptions.topics == 0
