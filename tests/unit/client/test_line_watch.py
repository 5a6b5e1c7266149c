"""A line that is silent for too long is given up: every 30 s, after 150 s. Spec: wire 1.8."""

from __future__ import annotations

import pytest

from tests.unit.client.scripted import scripted

pytestmark = pytest.mark.spec("WIRE-115")


async def test_a_silent_line_is_closed_and_made_again() -> None:
    async with scripted() as s:
        await s.clock.advance(120)
        s.socket.push({"type": "ping"})
        await s.clock.advance(150)
        assert s.client.status.value == "open"
        await s.clock.advance(30)
        assert s.client.status.value == "disconnected"
        assert s.client.failure.value == {
            "kind": "ws-close",
            "class": "RETRY",
            "code": 1006,
            "reason": "no message for too long",
        }
        assert s.transport.sockets[0].closed_with is not None
        await s.clock.advance(4)
        assert s.client.status.value == "open"
        await s.clock.advance(100)
        assert len(s.transport.sockets) == 2


async def test_any_message_is_a_sign_of_life() -> None:
    async with scripted() as s:
        for _ in range(5):
            await s.clock.advance(140)
            s.socket.push(b"{")
            await s.settle()
        assert len(s.transport.sockets) == 1
        assert s.client.status.value == "open"


async def test_nothing_is_watched_while_there_is_no_connection() -> None:
    async with scripted() as s:
        s.transport.is_down = True
        s.socket.drop(4401)
        await s.status("failed")
        assert s.clock.pending == 0
