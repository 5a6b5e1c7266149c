"""What must hold of connections at their hooks and at their end. Spec: platform 6.4."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from runtime.core import assertions
from runtime.core.assertions import InvariantViolation, assertion_counters
from runtime.core.settings import ServerSettings, Settings
from runtime.server import assembly
from runtime.server.assembly import Handshake, Runtime, assemble
from runtime.testing import FakeClock
from tests.server.peers import MemorySink, Peer


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    made = assemble(None, Settings(server=ServerSettings(env="test", shutdown_timeout=0)), clock=FakeClock())
    await made.start()
    yield made
    await made.stop(timeout=0)


async def connect(runtime: Runtime) -> Peer:
    sink = MemorySink()
    return Peer(sink, await runtime.open(sink, Handshake()))


@pytest.mark.spec("PLAT-130")
@pytest.mark.parametrize("side", ["index", "connection"])
async def test_an_index_that_does_not_agree_with_a_connection_is_found_at_a_close(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    monkeypatch.setattr(assembly, "CLOSES_PER_LOOK", 2)
    wrong = await connect(runtime)
    for closes in (False, True):
        peer = await connect(runtime)
        peer.connection.subscribe("a")
        await peer.inbound.closed(1000, "")
        assert runtime.subscriptions.count("a") == 0, closes
    await (await connect(runtime)).inbound.closed(1000, "")  # nobody looks at every second one
    wrong.connection.subscribe("b")
    if side == "index":
        runtime.subscriptions.members.pop("b")
    else:
        wrong.connection.all_topics.discard("b")
    before = assertion_counters().get(assertions.TOPICS_INDEX_MISMATCH, 0)
    with pytest.raises(InvariantViolation) as found:
        await wrong.inbound.closed(1000, "")
    assert (found.value.category, found.value.context) == ("topics.index-mismatch", {"topic": "b"})
    assert assertion_counters()[assertions.TOPICS_INDEX_MISMATCH] == before + 1
    assert wrong.connection.id not in runtime.connections


@pytest.mark.spec("PLAT-130")
async def test_a_connection_ends_once(runtime: Runtime) -> None:
    peer = await connect(runtime)
    await peer.inbound.closed(1000, "")
    await peer.inbound.closed(1000, "")  # two may tell of an end
    with pytest.raises(InvariantViolation, match=r"conn\.close-twice"):
        runtime.forget(peer.inbound, 1000, 1.0)
    assert runtime.metrics.get("ws_connections") == 0


@pytest.mark.spec("PLAT-130")
async def test_a_hook_sees_the_request_of_its_connection(runtime: Runtime) -> None:
    peer = await connect(runtime)
    assert await runtime.attempt("message", peer.connection)
    view: Any = peer.connection.platform
    peer.connection.request_id = f"not {view.request_id}"
    with pytest.raises(InvariantViolation, match=r"ws\.request-id-leak"):
        await runtime.attempt("message", peer.connection)
