"""A text ping on connections that were quiet. Spec: wire 1.8."""

from __future__ import annotations

import pytest

from runtime.server.keepalive import Keepalive
from tests.server.peers import turns
from tests.unit.core.parts import Core
from tests.unit.server.runtimes import BareFactory

PING = '{"type":"ping"}'


@pytest.mark.spec("WIRE-15")
async def test_a_quiet_connection_is_pinged_before_its_client_gives_up() -> None:
    core = Core()
    peer = core.connect()
    keepalive = Keepalive(core.parts.connections, 60, core.clock)
    keepalive.start()
    await core.clock.advance(59)
    assert core.texts(peer) == []
    await core.clock.advance(1)
    assert core.texts(peer) == [PING]
    pings = 1
    for _ in range(10):
        await core.clock.advance(60)
        core.outbox.flush()
    # Ten idle minutes: never 150 s without a sign of life, and no flood either.
    pings = len(core.texts(peer))
    assert 600 / 90 <= pings <= 1 + 600 / 60
    keepalive.stop()
    await core.clock.advance(600)
    assert len(core.texts(peer)) == pings


async def test_the_longest_silence_stays_far_below_what_clients_wait() -> None:
    core = Core()
    peer = core.connect()
    keepalive = Keepalive(core.parts.connections, 60, core.clock)
    keepalive.start()
    silence = longest = 0
    seen = 0
    for second in range(900):
        if second in (7, 181, 440):
            peer.send("something")
        await core.clock.advance(1)
        now = len(core.texts(peer))
        silence = 0 if now != seen else silence + 1
        seen, longest = now, max(longest, silence)
    assert longest <= 90
    keepalive.stop()


@pytest.mark.spec("WIRE-15")
async def test_traffic_puts_the_ping_off() -> None:
    core = Core()
    busy, idle = core.connect(), core.connect()
    keepalive = Keepalive(core.parts.connections, 60, core.clock)
    keepalive.start()
    for _ in range(36):
        await core.clock.advance(20)
        busy.send("x")
        core.outbox.flush()
    assert PING not in core.texts(busy)
    assert PING in core.texts(idle)
    keepalive.stop()


async def test_one_timer_serves_all_connections_and_zero_switches_it_off() -> None:
    core = Core()
    peers = [core.connect() for _ in range(3)]
    off = Keepalive(core.parts.connections, 0, core.clock)
    off.start()
    assert core.clock.pending == 0
    off.stop()
    keepalive = Keepalive(core.parts.connections, 8, core.clock)
    keepalive.start()
    assert core.clock.pending == 1
    await core.clock.advance(8)
    assert [core.texts(peer) for peer in peers] == [[PING]] * 3
    keepalive.stop()
    assert core.clock.pending == 0


@pytest.mark.spec("PLAT-162", "WIRE-15")
@pytest.mark.parametrize(("setting", "pings"), [(60, 1), (8, 12), (0, 0)])
async def test_the_setting_says_after_how_much_silence(bare: BareFactory, setting: int, pings: int) -> None:
    one = await bare(websocket={"text_keepalive": setting})
    peer = one.connect()
    await turns()
    await one.clock.advance(setting / 4)  # the first look finds that the welcome was said
    assert len(peer.frames) == 1
    await one.clock.advance(120)
    await turns()
    assert peer.frames[1:] == [PING] * pings
    await one.runtime.stop()
    await one.clock.advance(600)
    assert len(peer.frames) == 1 + pings
