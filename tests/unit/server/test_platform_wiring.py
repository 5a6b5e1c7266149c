"""The platform as a runtime wires it: threads, pressure, connections that end, dev. Spec: platform 2."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.core.connection import Connection
from runtime.core.errors import PlatformNotReady
from runtime.core.memory import MIB
from runtime.core.settings import PressureSettings
from runtime.testing import TestEnv
from tests.server.peers import turns
from tests.unit.server.runtimes import Bare, BareFactory


@pytest.mark.spec("PLAT-77")
async def test_threads_get_in_while_the_app_runs_and_at_no_other_time() -> None:
    one = Bare({}, {}, {}, {})
    door = one.runtime.platform.threadsafe
    with pytest.raises(PlatformNotReady):
        door.publish("t", "e")
    await one.runtime.start()
    peer = one.connect()
    peer.connection.subscribe("t")
    door.publish("t", "e", 1)
    await turns()
    assert peer.events("t") == [("e", 1)]
    await one.runtime.stop()
    with pytest.raises(PlatformNotReady):
        door.publish("t", "e")


@pytest.mark.spec("PLAT-77")
async def test_the_init_hook_may_start_a_thread_that_publishes(bare: BareFactory) -> None:
    seen: list[Any] = []

    def init(platform: Any) -> None:
        seen.append(platform.threadsafe.publish("t", "e"))

    one = await bare({"init": init})
    await turns()
    assert seen == [None]
    assert one.runtime.metrics.get("publish_total", "platform") == 1


async def test_the_settings_of_pressure_reach_the_sampler(bare: BareFactory) -> None:
    one = await bare(websocket={"pressure": PressureSettings(sample_interval=0.5, subscriber_ratio=2)})
    platform = one.runtime.platform
    heard: list[str] = []
    platform.on_pressure(lambda snapshot: heard.append(snapshot.reason))
    peer = one.connect()
    peer.connection.subscribe("t")
    await one.clock.advance(0.5)
    assert platform.pressure.subscriber_ratio == 2
    peer.connection.unsubscribe("t")
    await one.clock.advance(0.5)
    assert heard == ["SUBSCRIBERS", "NONE"]
    assert platform.pressure.memory_mb > 5
    assert platform.pressure.memory_ratio == pytest.approx(
        platform.pressure.memory_mb * MIB / one.runtime.platform.parts.sampler._memory.limit
    )


async def test_what_waits_for_a_connection_ends_with_it(bare: BareFactory) -> None:
    one = await bare(websocket={"max_backpressure": 1024})
    peer = one.connect()
    connection: Connection = peer.connection
    peer.sink.buffered = 1024
    one.runtime.platform.send_coalesced(connection, key="k", topic="t", event="e")
    assert one.runtime.metrics.get("ws_coalesced_pending") == 1
    await peer.leave()
    assert connection.coalesced is None
    assert one.runtime.metrics.get("ws_coalesced_pending") == 0
    assert one.runtime.platform.connections == 0


@pytest.mark.spec("PLAT-68", "PLAT-67")
async def test_an_end_fails_what_was_asked_before_the_close_hook_runs(bare: BareFactory) -> None:
    order: list[str] = []

    async def close(ws: Connection) -> None:
        order.append(f"close, {ws.requests}")

    one = await bare({"close": close})
    peer = one.connect()

    async def ask() -> None:
        try:
            await one.runtime.platform.request(peer.connection, "e")
        except Exception as error:
            order.append(str(error))

    one.runtime.tasks.start(ask(), name="ask")
    await turns()
    await peer.leave()
    await turns()
    assert sorted(order) == ["close, None", "connection closed"]


async def test_in_dev_a_live_function_hears_of_payloads_that_browsers_read_differently(
    caplog: pytest.LogCaptureFixture,
) -> None:
    from runtime import live

    @live.public
    @live
    async def publish(ctx: Any, count: int) -> None:
        for _ in range(count):
            ctx.publish("t", "e", {"id": 2**60})
        ctx.batch([{"topic": "u", "event": "e", "data": b"x"}])

    for dev in (False, True):
        caplog.clear()
        async with TestEnv(dev=dev) as env:
            env.register("m", {"publish": publish})
            await env.connect().call("m/publish", 2)
        warned = [text for text in map(str, _messages(caplog)) if text.startswith("publish on")]
        assert [text.split(":")[0] for text in warned] == (
            ["publish on 't'", "publish on 'u'"] if dev else []
        )


def _messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]
