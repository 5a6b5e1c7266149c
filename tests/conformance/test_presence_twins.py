"""What every presence does, in this process or shared: one suite for all of them. Spec: platform 7.4, wire 6.1."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from runtime.core.connection import Connection
from runtime.core.tasks import TaskOwner
from runtime.plugins import Presence, PresenceProtocol
from runtime.testing import FakeClock
from tests.conformance.doubles.slow_presence import SlowPresence
from tests.conformance.roster import roster, settle, system_events
from tests.unit.core.parts import Core

pytestmark = pytest.mark.spec("PLAT-136")

PREFIX = "__presence:"
ANN, BOB = {"id": "u1", "name": "Ann"}, {"id": "u2", "name": "Bob"}


class Twin:
    """Makes presences of one kind and moves their time; they are closed at the end."""

    def __init__(self, kind: Callable[..., Any]) -> None:
        self.core = Core()
        self._kind = kind
        self._made: list[PresenceProtocol] = []

    def make(self, **options: Any) -> PresenceProtocol:
        made: PresenceProtocol = self._kind(clock=self.core.clock, **options)
        self._made.append(made)
        return made

    async def advance(self, seconds: float) -> None:
        await self.core.clock.advance(seconds)
        await settle()

    def connect(self, user: Any, *topics: str) -> Connection:
        return self.core.connect(*topics, user=user)

    def roster(self, ws: Connection, topic: str = "room") -> dict[str, Any]:
        return roster(self.core, ws, topic)

    def events(self, ws: Connection, topic: str = "room") -> list[tuple[str, Any]]:
        return system_events(self.core, ws, PREFIX, topic)

    async def close(self) -> None:
        for made in self._made:
            await made.close()


@pytest.fixture(params=[Presence, SlowPresence], ids=["memory", "slow"])
async def twin(request: pytest.FixtureRequest) -> AsyncIterator[Twin]:
    made = Twin(request.param)
    yield made
    await made.close()


@pytest.mark.spec("WIRE-108")
async def test_who_joins_gets_the_state_with_itself_and_then_everybody_the_diff(twin: Twin) -> None:
    presence, ann, bob = twin.make(), twin.connect(ANN), twin.connect(BOB)
    await presence.join(ann, "room", twin.core.platform)
    await presence.join(bob, "room", twin.core.platform)
    assert twin.core.events(bob) == [
        (PREFIX + "room", "presence_state", {"u1": ANN, "u2": BOB}, None),
        (PREFIX + "room", "presence_diff", {"joins": {"u2": BOB}, "leaves": {}}, 2),
    ]
    assert twin.core.events(ann)[-1] == (
        PREFIX + "room",
        "presence_diff",
        {"joins": {"u2": BOB}, "leaves": {}},
        2,
    )
    assert await presence.list("room") == [ANN, BOB]
    assert await presence.count("room") == 2
    assert await presence.count("elsewhere") == 0
    assert await presence.list("elsewhere") == []


@pytest.mark.spec("WIRE-108")
async def test_tabs_are_one_entry(twin: Twin) -> None:
    presence, ann = twin.make(), twin.connect(ANN)
    first, second = twin.connect(BOB), twin.connect({"name": "Bob", "id": "u2"})
    for ws in (ann, first):
        await presence.join(ws, "room")
    seen = len(twin.events(ann))
    await presence.join(second, "room")
    await settle()
    assert twin.events(second) == [("presence_state", {"u1": ANN, "u2": BOB})]
    assert len(twin.events(ann)) == seen
    assert await presence.count("room") == 2
    await presence.leave(first)
    await settle()
    assert len(twin.events(ann)) == seen
    await presence.leave(second)
    await settle()
    assert twin.events(ann)[seen:] == [("presence_diff", {"joins": {}, "leaves": {"u2": BOB}})]
    assert await presence.list("room") == [ANN]


async def test_another_tab_with_other_data_replaces_it_until_it_leaves(twin: Twin) -> None:
    presence, ann, tab = twin.make(), twin.connect(ANN), twin.connect({"id": "u1", "name": "Anna"})
    await presence.join(ann, "room")
    await presence.join(tab, "room")
    assert twin.events(ann)[-1] == (
        "presence_diff",
        {"joins": {"u1": {"id": "u1", "name": "Anna"}}, "leaves": {}},
    )
    assert await presence.list("room") == [{"id": "u1", "name": "Anna"}]
    await presence.leave(tab, None, "room")
    await settle()
    assert twin.events(ann)[-1] == ("presence_diff", {"joins": {"u1": ANN}, "leaves": {}})
    assert await presence.list("room") == [ANN]


@pytest.mark.spec("PLAT-177")
async def test_who_left_hears_nothing_more(twin: Twin) -> None:
    presence, ann, bob = twin.make(), twin.connect(ANN), twin.connect(BOB)
    await presence.join(ann, "room")
    await presence.leave(ann)
    await settle()
    seen = len(twin.events(ann))
    await presence.join(bob, "room")
    await settle()
    assert len(twin.events(ann)) == seen
    assert not ann.is_subscribed(PREFIX + "room")
    assert await presence.list("room") == [BOB]


async def test_joining_again_changes_nothing(twin: Twin) -> None:
    presence, ann = twin.make(), twin.connect(dict(ANN))
    await presence.join(ann, "room")
    seen = twin.events(ann)
    ann.user_data["name"] = "Anna"
    await presence.join(ann, "room")
    await settle()
    assert twin.events(ann) == seen
    await presence.leave(ann, None, "room")
    assert await presence.count("room") == 0


async def test_system_topics_and_closed_connections_are_not_joined(twin: Twin) -> None:
    presence, ann = twin.make(), twin.connect(ANN)
    await presence.join(ann, "__rpc")
    assert await presence.count("__rpc") == 0
    ann.mark_closed("gone")
    await presence.join(ann, "room")
    assert await presence.count("room") == 0


async def test_without_a_key_each_connection_is_somebody(twin: Twin) -> None:
    presence = twin.make(key="user_id")
    some = [twin.connect({"name": "Guest"}) for _ in range(2)] + [twin.connect({"user_id": None})]
    for ws in some:
        await presence.join(ws, "room")
        await presence.join(ws, "hall")
    keys = set(twin.roster(some[2]))
    assert len(keys) == 3
    assert all(key.startswith("__conn:") for key in keys)
    assert keys == set(twin.roster(some[2], "hall"))
    numbered = twin.make()
    ws = twin.connect({"id": 7})
    await numbered.join(ws, "lobby")
    assert twin.roster(ws, "lobby") == {"7": {"id": 7}}


@pytest.mark.spec("WIRE-109")
@pytest.mark.parametrize("select", [None, lambda user: {**user, "jwt": "x"}])
async def test_nothing_that_looks_like_a_credential_is_shown(twin: Twin, select: Any) -> None:
    secrets = dict.fromkeys(
        ["token", "accessToken", "SECRET", "password", "auth", "sessionId", "Cookie", "jwt", "credential"],
        "s3cr3t",
    )
    user = {
        **ANN,
        **secrets,
        "__internal": "s3cr3t",
        "constructor": "s3cr3t",
        "prototype": "s3cr3t",
        "remote_address": "203.0.113.9",
        "photo": b"123",
        "inner": {"deep": [{"api_token": "s3cr3t", "kind": "x"}]},
    }
    presence = twin.make(**({} if select is None else {"select": select}))
    ws = twin.connect(user)
    await presence.join(ws, "room")
    assert twin.roster(ws) == {"u1": {**ANN, "photo": "[bytes: 3]", "inner": {"deep": [{"kind": "x"}]}}}
    assert "s3cr3t" not in "".join(twin.core.texts(ws))
    assert "203.0.113.9" not in "".join(twin.core.texts(ws))


@pytest.mark.parametrize("select", [lambda user: "Ann", lambda user: {"id": "u1", "what": object()}])
async def test_what_cannot_be_shown_is_an_error_and_leaves_nothing(twin: Twin, select: Any) -> None:
    presence, ann = twin.make(select=select), twin.connect(ANN)
    with pytest.raises(TypeError):
        await presence.join(ann, "room")
    assert await presence.count("room") == 0
    assert not ann.is_subscribed(PREFIX + "room")


async def test_an_observer_sees_without_being_seen(twin: Twin) -> None:
    presence, ann, eve = twin.make(), twin.connect(ANN), twin.connect({"id": "eve"})
    await presence.sync(eve, "room")
    assert twin.events(eve) == [("presence_state", {})]
    await presence.join(ann, "room")
    await settle()
    assert twin.roster(eve) == {"u1": ANN}
    assert await presence.list("room") == [ANN]
    await presence.leave(eve)
    await presence.leave(ann)
    await settle()
    assert twin.roster(eve) == {"u1": ANN}


async def test_what_is_listed_is_a_copy(twin: Twin) -> None:
    user = {"id": "u1", "tags": ["a"]}
    presence, ann = twin.make(), twin.connect(user)
    await presence.join(ann, "room")
    (await presence.list("room"))[0]["tags"].append("b")
    user["tags"].append("c")
    assert await presence.list("room") == [{"id": "u1", "tags": ["a"]}]


async def test_leaving_everything(twin: Twin) -> None:
    presence, ann, bob = twin.make(), twin.connect(ANN), twin.connect(BOB)
    for topic in ("a", "b"):
        await presence.join(ann, topic)
        await presence.join(bob, topic)
    await presence.leave(ann, twin.core.platform)
    await settle()
    for topic in ("a", "b"):
        assert await presence.list(topic) == [BOB]
        assert twin.roster(bob, topic) == {"u2": BOB}


async def test_a_connection_that_closes_leaves_without_a_hook(twin: Twin) -> None:
    presence, ann, bob = twin.make(), twin.connect(ANN), twin.connect(BOB)
    await presence.join(ann, "room")
    await presence.join(bob, "room")
    bob.mark_closed("gone")
    twin.core.subscriptions.remove_all(bob)
    await settle()
    assert await presence.list("room") == [ANN]
    assert twin.roster(ann) == {"u1": ANN}


async def test_the_hooks_join_sync_and_leave(twin: Twin) -> None:
    presence, ann, eve = twin.make(), twin.connect(ANN), twin.connect({"id": "eve"})
    await presence.hooks.subscribe(ann, "room", twin.core.platform)
    await presence.hooks.subscribe(ann, "hall", twin.core.platform)
    await presence.hooks.subscribe(eve, PREFIX + "room", twin.core.platform)
    assert twin.roster(eve) == {"u1": ANN}
    await presence.hooks.unsubscribe(ann, "room", twin.core.platform)
    await settle()
    assert (await presence.count("room"), await presence.count("hall")) == (0, 1)
    assert twin.roster(eve) == {}
    await presence.hooks.close(ann, twin.core.platform)
    assert await presence.count("hall") == 0


@pytest.mark.spec("WIRE-108")
async def test_heartbeats_list_the_keys(twin: Twin) -> None:
    presence, ann, bob = twin.make(heartbeat=10), twin.connect(ANN), twin.connect(BOB)
    await presence.join(ann, "room")
    await presence.join(bob, "room")
    beats = [event for event in twin.events(ann) if event[0] == "heartbeat"]
    assert beats == []
    await twin.advance(10)
    await twin.advance(10)
    beats = [event for event in twin.events(ann) if event[0] == "heartbeat"]
    assert beats == [("heartbeat", ["u1", "u2"])] * 2
    silent = twin.make()
    await silent.join(ann, "hall")
    await twin.advance(60)
    assert [event for event, _ in twin.events(ann, "hall")] == ["presence_state", "presence_diff"]


async def test_clearing_lets_everybody_leave(twin: Twin) -> None:
    presence, ann = twin.make(), twin.connect(ANN)
    await presence.join(ann, "room")
    await presence.clear()
    await settle()
    assert await presence.count("room") == 0
    assert twin.roster(ann) == {}
    await presence.join(ann, "room")
    assert await presence.count("room") == 1


@pytest.mark.parametrize("turns", range(16))
@pytest.mark.parametrize("what", ["join", "leave", "sync"])
async def test_a_call_that_is_cancelled_leaves_what_everybody_agrees_on(
    twin: Twin, turns: int, what: str
) -> None:
    presence, ann, bob = twin.make(), twin.connect(ANN), twin.connect(BOB)
    await presence.join(ann, "room")
    if what == "leave":
        await presence.join(bob, "room")
    calls: dict[str, Callable[[], Awaitable[None]]] = {
        "join": lambda: presence.join(bob, "room"),
        "leave": lambda: presence.leave(bob, None, "room"),
        "sync": lambda: presence.sync(bob, "room"),
    }

    async def call() -> None:
        await calls[what]()

    owner = TaskOwner("test")
    task = owner.start(call(), name=what)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await settle()
    present = {one["id"]: one for one in await presence.list("room")}
    assert twin.roster(ann) == present
    if what == "join":
        assert ("u2" in present) == (not task.cancelled())
        assert bob.is_subscribed(PREFIX + "room") == ("u2" in present)
    await presence.join(bob, "room")
    assert twin.roster(bob) == twin.roster(ann) == {"u1": ANN, "u2": BOB}
    await presence.leave(bob)
    await settle()
    assert twin.roster(ann) == {"u1": ANN}


async def test_many_come_and_go_at_once(twin: Twin) -> None:
    presence = twin.make()
    crowd = [twin.connect({"id": f"u{n % 20}", "n": n % 20}) for n in range(40)]
    await asyncio.gather(*(presence.join(ws, "room") for ws in crowd))
    await settle()
    listed = {one["id"]: one for one in await presence.list("room")}
    assert len(listed) == 20
    assert all(twin.roster(ws) == listed for ws in crowd)
    await asyncio.gather(*(presence.leave(ws) for ws in crowd[:-1]))
    await settle()
    assert twin.roster(crowd[-1]) == {"u19": {"id": "u19", "n": 19}}


async def test_time_stands_still_without_heartbeats() -> None:
    clock = FakeClock()
    presence, core = Presence(clock=clock), Core()
    await presence.join(core.connect(user=ANN), "room")
    assert clock.pending == 0
    await presence.close()
