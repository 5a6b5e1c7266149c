"""Who is in a room, against a model: any order of coming, going, failing and waiting. Spec: live-api 12."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from runtime import live
from runtime.core.capacity import capacity_override
from runtime.live.roompresence import LEAVE_GRACE, RoomPresence
from runtime.live.streamsubs import StreamSub
from runtime.testing import FakeClock

USERS = ("ann", "bob", "eve", "joe")
TOPICS = ("a", "b")
CAP = 5


async def nothing(ctx: Any, *args: Any) -> list[Any]:
    return []


class Rooms(RuleBasedStateMachine):
    """Each user has any number of subscriptions per room; the model keeps them and when the last one ended."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = FakeClock()
        self.heard: dict[str, list[str]] = {topic: [] for topic in TOPICS}
        functions: Any = SimpleNamespace(tasks=None)
        platform: Any = self
        self.presence = RoomPresence(platform, functions, self.clock)
        self.room = live.room(
            topic=lambda room: room, init=nothing, presence=lambda ctx: {"n": ctx.user["id"]}
        )
        self.part = self.room.parts()[0]
        self.subs: list[tuple[str, str, StreamSub]] = []
        self.left_at: dict[tuple[str, str], float] = {}

    @initialize()
    def bound(self) -> None:
        self.cap = capacity_override(MAX_PRESENCE_REF=CAP)
        self.cap.__enter__()

    def publish(self, topic: str, event: str, data: Any) -> bool:
        """Stand for the platform: follow `join` and `leave` as a client does, and refuse doubles."""
        shown, key = self.heard[topic.removesuffix(":presence")], data["key"]
        assert (key in shown) == (event == "leave"), (event, key, shown)
        shown.remove(key) if event == "leave" else shown.append(key)
        return True

    def within(self, topic: str) -> set[str]:
        """Users that the model has in the room, those in their grace included."""
        staying = {user for room, user, _ in self.subs if room == topic}
        return staying | {user for room, user in self.left_at if room == topic}

    @property
    def crowd(self) -> int:
        return sum(len(self.within(topic)) for topic in TOPICS)

    def _sub(self, topic: str, user: str) -> StreamSub:
        connection: Any = SimpleNamespace(id=f"c{len(self.subs)}")
        endpoint: Any = SimpleNamespace(room=self.part)
        sub = StreamSub(connection, endpoint, topic, [topic])
        ctx: Any = SimpleNamespace(user={"id": user})
        self.runner.run(self.presence.entered(sub, ctx))
        return sub

    @rule(topic=st.sampled_from(TOPICS), user=st.sampled_from(USERS), fails=st.booleans())
    def come(self, topic: str, user: str, fails: bool) -> None:
        known = user in self.within(topic)
        fits = known or self.crowd < CAP or bool(self.left_at)
        if not known and self.crowd >= CAP and self.left_at:
            del self.left_at[min(self.left_at, key=lambda pair: self.left_at[pair])]
        sub = self._sub(topic, user)
        if not fits:
            self.presence.left(sub)
            return
        self.left_at.pop((topic, user), None)
        if fails:
            self.presence.left(sub, at_once=True)
        else:
            self.subs.append((topic, user, sub))

    @precondition(lambda self: self.subs)
    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        topic, user, sub = self.subs.pop(data.draw(st.integers(0, len(self.subs) - 1)))
        self.presence.left(sub)
        self.presence.left(sub)  # a second word about the same subscription changes nothing
        if not any((room, who) == (topic, user) for room, who, _ in self.subs):
            self.left_at[topic, user] = self.clock.monotonic()

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.5, LEAVE_GRACE]))
    def wait(self, seconds: float) -> None:
        self.runner.run(self.clock.advance(seconds))
        now = self.clock.monotonic()
        self.left_at = {pair: at for pair, at in self.left_at.items() if now - at < LEAVE_GRACE}

    @invariant()
    def rosters_and_events_agree_with_the_model(self) -> None:
        for topic in TOPICS:
            roster = [entry["key"] for entry in self.presence.roster(topic)]
            assert sorted(roster) == sorted(self.within(topic))
            assert roster == self.heard[topic]
        assert self.clock.pending == len(self.left_at)

    def teardown(self) -> None:
        self.presence.close()
        assert self.clock.pending == 0
        assert all(self.presence.roster(topic) == [] for topic in TOPICS)
        self.cap.__exit__(None, None, None)
        self.runner.close()


TestRooms = Rooms.TestCase
TestRooms.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
