"""Who may subscribe: the app's hooks decide, and whatever goes wrong in them denies. Spec: wire 3.2, platform 1.8."""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runtime.core import capacity
from runtime.core.assertions import SUBS_SHAPE, assert_invariant
from runtime.core.errors import HookTimeout
from runtime.core.tasks import reraise_own_cancellation
from runtime.wire import control, names

if TYPE_CHECKING:
    from runtime.core.connection import Connection
    from runtime.core.metrics import Metrics
    from runtime.core.subscriptions import Subscriptions

__all__ = ["Gate", "Membership"]

logger = logging.getLogger("realtime.gate")

FORBIDDEN = "FORBIDDEN"
INTERNAL_ERROR = "INTERNAL_ERROR"
INVALID_TOPIC = "INVALID_TOPIC"
RATE_LIMITED = "RATE_LIMITED"
CONNECTION_CLOSED = "CONNECTION_CLOSED"
#: The topic that the server puts every connection on. Spec: wire 3.1.
EVERYBODY = "__realtime"

SubscribeHook = Callable[["Connection", str], Any]
SubscribeBatchHook = Callable[["Connection", list[str]], Any]
#: Told of each topic that a connection was granted.
Follower = Callable[["Connection", str], object]


class Gate:
    """Ask the app's `subscribe_batch` or `subscribe` hook about topics; without either everything is allowed.

    A hook that raises, its limit of time included, or that answers with something unreadable denies with
    `INTERNAL_ERROR`.
    """

    __slots__ = ("_batch", "_metrics", "_single")

    def __init__(
        self,
        metrics: Metrics,
        *,
        subscribe: SubscribeHook | None = None,
        subscribe_batch: SubscribeBatchHook | None = None,
    ) -> None:
        self._metrics = metrics
        self._single = subscribe
        self._batch = subscribe_batch

    @property
    def is_open(self) -> bool:
        """Whether no hook exists, so that nothing has to be awaited."""
        return self._single is None and self._batch is None

    async def decide(self, connection: Connection, topics: Sequence[str]) -> list[str | None]:
        """Return for each topic `None` (allowed) or the reason of the denial, in the order given."""
        if self._batch is not None:
            return await self._decide_together(self._batch, connection, list(topics))
        if self._single is None:
            return [None] * len(topics)
        if len(topics) == 1:
            return [await self._decide_one(self._single, connection, topics[0])]
        single = self._single
        return list(await asyncio.gather(*(self._decide_one(single, connection, topic) for topic in topics)))

    async def _decide_one(self, hook: SubscribeHook, connection: Connection, topic: str) -> str | None:
        try:
            return _reason(await _settled(hook(connection, topic)))
        except (Exception, asyncio.CancelledError):
            reraise_own_cancellation()
            self._failed("subscribe")
            return INTERNAL_ERROR

    async def _decide_together(
        self, hook: SubscribeBatchHook, connection: Connection, topics: list[str]
    ) -> list[str | None]:
        try:
            answer = await _settled(hook(connection, list(topics)))
            if answer is None:
                return [None] * len(topics)
            if isinstance(answer, Mapping):
                return [_reason(answer.get(topic)) for topic in topics]
        except (Exception, asyncio.CancelledError):
            reraise_own_cancellation()
            self._failed("subscribe_batch")
            return [INTERNAL_ERROR] * len(topics)
        logger.error("hook subscribe_batch returned %s; return a mapping or None", type(answer).__name__)
        self._metrics.add("hook_errors_total", "subscribe_batch")
        return [INTERNAL_ERROR] * len(topics)

    def _failed(self, hook: str) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, HookTimeout):  # counted where it was ended
            logger.error("%s; the subscription is denied", error)
            return
        logger.exception("hook %s failed; the subscription is denied", hook)
        self._metrics.add("hook_errors_total", hook)


class Membership:
    """Put connections on topics and take them off, through the gate and within the bounds."""

    __slots__ = ("_subscriptions", "_watchers", "gate")

    def __init__(self, subscriptions: Subscriptions, gate: Gate) -> None:
        self._subscriptions = subscriptions
        self._watchers: tuple[Follower, ...] = ()
        self.gate = gate

    def watch(self, told: Follower) -> None:
        """Call `told(connection, topic)` whenever a topic was granted, also one that was held; it must not raise."""
        self._watchers = (*self._watchers, told)

    def unwatch(self, told: Follower) -> None:
        """End what `watch` began."""
        self._watchers = tuple(other for other in self._watchers if other != told)

    def precheck(self, connection: Connection, topic: str) -> str | None:
        """Return why `topic` cannot be taken before the gate is asked, or `None`: closed, full."""
        if connection.closed:
            return CONNECTION_CLOSED
        if topic in connection.all_topics:
            return None
        # `__realtime` is everybody's and takes no place.
        taken = len(connection.all_topics) - (EVERYBODY in connection.all_topics)
        if taken >= capacity.get("MAX_SUBSCRIPTIONS_PER_CONNECTION"):
            capacity.record("MAX_SUBSCRIPTIONS_PER_CONNECTION", "reject")
            return RATE_LIMITED
        return None if self._subscriptions.has_room(topic) else RATE_LIMITED

    def grant(self, connection: Connection, topic: str, reason: str | None) -> str | None:
        """Carry out the gate's decision; returns the reason that holds in the end.

        Looks again at what may have changed while the gate was asked. A denial of a topic that the connection holds
        takes it away (wire 3.2).
        """
        if reason is not None:
            if topic in connection.granted:
                connection.unsubscribe(topic)
            return reason
        blocked = self.precheck(connection, topic)
        if blocked is not None:
            return blocked
        self._subscriptions.add(connection, topic)
        connection.note(topic, granted=True)
        assert_invariant(topic in connection.all_topics and topic in connection.granted, SUBS_SHAPE)
        for told in self._watchers:
            told(connection, topic)
        return None

    async def join(self, connection: Connection, topic: str) -> str | None:
        """Subscribe from the server's side, with the lenient topic rule; the gate is not asked about a topic that is
        held already. Returns `None` or the reason. Spec: platform 2.6.
        """
        if names.name_problem(topic) is not None:
            return INVALID_TOPIC
        if topic in connection.granted and not connection.closed:
            return None
        blocked = self.precheck(connection, topic)
        if blocked is not None:
            return blocked
        reason = None if self.gate.is_open else (await self.gate.decide(connection, [topic]))[0]
        return self.grant(connection, topic, reason)

    async def check(self, connection: Connection, topic: str) -> str | None:
        """Return what the gate says about `topic` without changing anything."""
        if names.name_problem(topic) is not None:
            return INVALID_TOPIC
        return None if self.gate.is_open else (await self.gate.decide(connection, [topic]))[0]


def _reason(answer: Any) -> str | None:
    if answer is False:
        return FORBIDDEN
    return control.clean_reason(answer) if isinstance(answer, str) else None


async def _settled(answer: Any) -> Any:
    if inspect.isawaitable(answer):
        awaitable: Awaitable[Any] = answer
        return await awaitable
    return answer
