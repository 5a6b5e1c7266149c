"""Uses of the test kit that both type checkers must accept, with the types that they must find."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import assert_type

from runtime.client import Realtime, Stream
from runtime.testing import (
    ChaosConfig,
    PublishedEvent,
    TestEnv,
    TestStream,
    TestUpload,
    eventually,
    subscribe_at,
)


async def everything(rt: Realtime) -> None:
    """Make an env, use it, wait for things."""
    async with TestEnv(chaos={"drop_rate": 0.5}, now=datetime(2027, 1, 1, tzinfo=UTC), timeout=2) as env:
        client = env.connect({"id": "a"})
        await client.with_(idempotency_key="k", timeout=1).call("orders/buy", 1)
        stream = client.subscribe("orders/all")
        assert_type(subscribe_at(stream, 1), TestStream)
        assert_type(subscribe_at(rt.stream("orders/all"), schema_version=1), Stream)
        assert_type(client.upload("files/put", b""), TestUpload)
        assert_type((await stream.events.wait_for("created")).event, str)
        assert_type(
            await env.published.wait_for(topic="orders", where=lambda one: one.data > 1), PublishedEvent
        )
        assert_type(client.signals[0].topic, str)
        assert_type(await env.eventually(lambda: env.platform.connections), int)
        assert_type(await eventually(lambda: client.frames), list[str])
        assert_type(env.chaos.config, ChaosConfig | None)
        await env.tick_to(datetime(2027, 1, 2, tzinfo=UTC))
