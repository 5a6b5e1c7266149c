"""Presence against a model: any order of coming, going, closing, waiting and running out. Spec: platform 7.4."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from runtime.core.capacity import capacity_override
from runtime.core.connection import Connection
from runtime.plugins import Presence
from tests.conformance.roster import roster
from tests.unit.core.parts import Core

USERS = ("ann", "bob", "eve")
TOPICS = ("a", "b", "c")
MOODS = (1, 2)
GRACE = 2.0


class PresenceMachine(RuleBasedStateMachine):
    """The model keeps, per topic and user, the data of each tab, the newest last, or the time when the grace ends.

    A client that follows the frames of its connection must show what the server lists, once the turn has ended. Rules
    do not end the turn, so that several of them fall into one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.core = Core()
        self.model: dict[str, dict[str, list[tuple[Connection, int]]]] = {topic: {} for topic in TOPICS}
        self.leaving: dict[tuple[str, str], tuple[float, int]] = {}
        self.everybody: list[Connection] = []
        self.order: dict[Connection, None] = {}

    @initialize(
        grace=st.sampled_from([0.0, GRACE]),
        connections=st.sampled_from([3, 99]),
        topics=st.sampled_from([2, 99]),
        refs=st.sampled_from([3, 99]),
    )
    def begin(self, grace: float, connections: int, topics: int, refs: int) -> None:
        self.grace, self.connections, self.topics, self.refs = grace, connections, topics, refs
        self.cap = capacity_override(MAX_PRESENCE_REF=refs)
        self.cap.__enter__()
        self.presence = Presence(
            grace=grace, max_connections=connections, max_topics=topics, clock=self.core.clock
        )
        self.watchers = {topic: self.core.connect(user={"id": "watcher"}) for topic in TOPICS}
        for topic, ws in self.watchers.items():
            self.do(self.presence.sync(ws, topic))
        self.turn()

    def do(self, coroutine: Any) -> None:
        """Run a method that does not wait, without ending the turn of the plugin more often than it must."""
        self.runner.run(coroutine)

    def turn(self) -> None:
        self.runner.run(asyncio.sleep(0))
        self.runner.run(asyncio.sleep(0))

    # ------------------------------------------------------------ the model

    def entries(self) -> int:
        return sum(len(users) for users in self.model.values())

    def shown(self, topic: str) -> dict[str, Any]:
        found = {}
        for user, tabs in self.model[topic].items():
            mood = tabs[-1][1] if tabs else self.leaving[topic, user][1]
            found[user] = {"id": user, "mood": mood}
        return found

    def goes(self, ws: Connection, topic: str, *, at_once: bool = False) -> None:
        for user, tabs in list(self.model[topic].items()):
            left = [pair for pair in tabs if pair[0] is not ws]
            if len(left) == len(tabs):
                continue
            if left:
                self.model[topic][user] = left
            elif self.grace and not at_once:
                self.leaving[topic, user] = (self.core.clock.monotonic() + self.grace, tabs[-1][1])
                self.model[topic][user] = []
            else:
                del self.model[topic][user]
        if not any(ws is one for users in self.model.values() for tabs in users.values() for one, _ in tabs):
            self.order.pop(ws, None)

    def is_in(self, ws: Connection, topic: str) -> bool:
        return any(ws is one for tabs in self.model[topic].values() for one, _ in tabs)

    def make_room(self, ws: Connection, topic: str, user: str) -> bool:
        """Evict as the plugin must; return whether the user is shown."""
        if ws not in self.order and len(self.order) >= self.connections:
            oldest = next(iter(self.order))
            for name in TOPICS:
                self.goes(oldest, name, at_once=True)
        if user in self.model[topic]:
            return True
        if self.entries() >= self.refs:
            if not self.leaving:
                return False
            gone = min(self.leaving, key=lambda pair: self.leaving[pair][0])
            del self.leaving[gone]
            del self.model[gone[0]][gone[1]]
        busy = [name for name in self.room_order if self.model[name]]
        if not self.model[topic] and len(busy) >= self.topics:
            self.empty(busy[0])
        return True

    def empty(self, topic: str) -> None:
        for tabs in list(self.model[topic].values()):
            for ws, _ in list(tabs):
                self.goes(ws, topic, at_once=True)
        self.model[topic].clear()
        self.leaving = {pair: value for pair, value in self.leaving.items() if pair[0] != topic}
        # Who only looked is off the channel as well, if it came in this turn; the watcher stays.

    #: Topics in the order in which somebody came to them.
    room_order: list[str]

    # ------------------------------------------------------------ rules

    @rule(user=st.sampled_from(USERS), mood=st.sampled_from(MOODS))
    def connect(self, user: str, mood: int) -> None:
        if len(self.everybody) < 8:
            self.everybody.append(self.core.connect(user={"id": user, "mood": mood, "token": "x"}))

    @precondition(lambda self: self.everybody)
    @rule(data=st.data(), topic=st.sampled_from(TOPICS))
    def join(self, data: st.DataObject, topic: str) -> None:
        ws = data.draw(st.sampled_from(self.everybody))
        user = ws.user_data["id"]
        if not self.is_in(ws, topic) and self.make_room(ws, topic, user):
            self.leaving.pop((topic, user), None)
            if not self.model[topic]:
                self.room_order = [name for name in self.room_order if name != topic] + [topic]
            self.model[topic].setdefault(user, []).append((ws, ws.user_data["mood"]))
            self.order.setdefault(ws)
        self.runner.run(self._join(ws, topic))

    async def _join(self, ws: Connection, topic: str) -> None:
        self.presence.join_nowait(ws, topic)

    @precondition(lambda self: self.everybody)
    @rule(data=st.data(), topic=st.sampled_from([*TOPICS, None]))
    def leave(self, data: st.DataObject, topic: str | None) -> None:
        ws = data.draw(st.sampled_from(self.everybody))
        for name in TOPICS if topic is None else (topic,):
            self.goes(ws, name)
        self.do(self.presence.leave(ws, None, topic))

    @precondition(lambda self: self.everybody)
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        ws = data.draw(st.sampled_from(self.everybody))
        self.everybody.remove(ws)
        ws.mark_closed("gone")
        for name in TOPICS:
            self.goes(ws, name)
        self.runner.run(self._forget(ws))

    async def _forget(self, ws: Connection) -> None:
        self.core.subscriptions.remove_all(ws)

    @rule(seconds=st.sampled_from([0.5, 1.0, GRACE]))
    def wait(self, seconds: float) -> None:
        self.runner.run(self.core.clock.advance(seconds))
        now = self.core.clock.monotonic()
        for pair, (due, _) in list(self.leaving.items()):
            if due <= now:
                del self.leaving[pair]
                del self.model[pair[0]][pair[1]]

    @rule()
    def end_of_turn(self) -> None:
        self.turn()

    @rule()
    def flush(self) -> None:
        self.runner.run(self._flush())

    async def _flush(self) -> None:
        self.presence.flush_diffs()

    # ------------------------------------------------------------ what must hold

    @invariant()
    def the_lists_agree_with_the_model(self) -> None:
        if not hasattr(self, "presence"):
            return
        for topic in TOPICS:
            listed = {one["id"]: one for one in self.presence.list_nowait(topic)}
            assert listed == self.shown(topic)
            assert self.presence.count_nowait(topic) == len(listed)
        sizes = self.presence.sizes()
        assert sizes["MAX_PRESENCE_REF"] == self.entries() <= self.refs
        assert sizes["MAX_PRESENCE_CONNECTIONS"] == len(self.order) <= self.connections
        assert self.core.clock.pending <= 1

    @rule()
    def clients_show_what_the_server_lists(self) -> None:
        self.turn()
        for topic in TOPICS:
            shown = self.shown(topic)
            for ws in [self.watchers[topic], *self.everybody]:
                if ws.is_subscribed(f"__presence:{topic}"):
                    assert roster(self.core, ws, topic) == shown
            for tabs in self.model[topic].values():
                assert all(ws.is_subscribed(f"__presence:{topic}") for ws, _ in tabs)

    def teardown(self) -> None:
        if hasattr(self, "presence"):
            self.clients_show_what_the_server_lists()
            self.runner.run(self.presence.close())
            assert self.core.clock.pending == 0
            self.cap.__exit__(None, None, None)
        self.runner.close()


PresenceMachine.room_order = []
TestPresence = PresenceMachine.TestCase
TestPresence.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
