"""The frames of one connection: classified, kept in order where order matters, and handed on.

Control frames run strictly one after another, each to the end of its hooks; a reply waits for none of them, since one
of their hooks may be waiting for it. Calls run beside them and beside each other. Frames that arrive while the `open`
hook runs wait for it. What waits and what runs is bounded in frames and in bytes.
Spec: wire 3.2, 3.4 and 10; platform 1.7 and 1.8.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple

from runtime.core import capacity, requests
from runtime.core.assertions import SUBS_SHAPE_BATCH, assert_invariant
from runtime.core.events import ConnectionClosedEvent
from runtime.core.tasks import reraise_own_cancellation
from runtime.live.dispatch import CallSlots
from runtime.live.messageoptions import json_message
from runtime.server import resume
from runtime.server.inflight import LIGHT, NoSlots, Slots, Waiting, Weighed
from runtime.wire import control, names
from runtime.wire.classify import Classified, Kind, classify
from runtime.wire.limits import MAX_BATCH_TOPICS

if TYPE_CHECKING:
    from runtime.core.connection import Connection
    from runtime.server.assembly import Runtime

__all__ = ["Inbound"]

logger = logging.getLogger("realtime.inbound")

INVALID_TOPIC = "INVALID_TOPIC"
RATE_LIMITED = "RATE_LIMITED"
#: Reasons of denials that are counted by name; a hook's own words are not.
DENIALS = frozenset({INVALID_TOPIC, RATE_LIMITED, "UNAUTHENTICATED", "FORBIDDEN", "INTERNAL_ERROR"})

Step = Coroutine[Any, Any, object]


class _LateCall(NamedTuple):
    """A request for a stream that waits for the control frames before it."""

    found: Classified
    slots: CallSlots


Ordered = control.Control | resume.ReplayRequest | _LateCall
#: What the frames are called where one that could not be handled is counted.
ORDERED_TYPES: dict[type, str] = {
    control.Subscribe: "subscribe",
    control.SubscribeBatch: "subscribe-batch",
    control.Unsubscribe: "unsubscribe",
    control.Hello: "hello",
    control.Resume: "resume",
    resume.ReplayRequest: "replay",
    _LateCall: "call",
}


class Inbound:
    """What one peer sends. `feed` every message in order, then `closed` once."""

    __slots__ = (
        "_closed",
        "_control_running",
        "_controls",
        "_early",
        "_is_opening",
        "_leaving",
        "_runtime",
        "_slots",
        "_when_opened",
        "connection",
    )

    def __init__(self, runtime: Runtime, connection: Connection) -> None:
        self.connection = connection
        self._runtime = runtime
        self._slots = Slots()
        self._is_opening = True
        self._when_opened: asyncio.Event | None = None
        # Most connections never have a frame that waits.
        self._early: Waiting[str | bytes] | None = None
        self._controls: Waiting[Ordered] | None = None
        self._control_running = False
        # Unsubscribe frames that wait. A client leaves a topic and asks for its stream anew right behind that: the
        # request must not overtake, or the leaving would end what it began (wire 5.10).
        self._leaving = 0
        self._closed = False

    def opened(self) -> None:
        """Take the frames that came while the `open` hook ran, and further ones at once from now on."""
        self._is_opening = False
        if self._when_opened is not None:
            self._when_opened.set()
        early, self._early = self._early, None
        while early:
            data = early.take()
            if not self.connection.closed:
                self._take(data, _size(data))

    def feed(self, data: str | bytes) -> None:
        """Take one message: `str` for a text frame, `bytes` for a binary one. Never raises for what it holds."""
        connection = self.connection
        if connection.closed:
            return
        size = _size(data)
        connection.messages_in += 1
        connection.bytes_in += size
        if self._is_opening:
            if self._early is None:
                self._early = Waiting()
            if not self._early.add(data, size):
                self._reject_early(data)
        else:
            self._take(data, size)

    def sizes(self) -> dict[str, int]:
        """Return how full what this connection has is, by the name of the bound."""
        connection, slots = self.connection, self._slots
        waiting = [one for one in (self._early, self._controls) if one is not None]
        return {
            "MAX_COALESCED_KEYS_PER_CONNECTION": len(connection.coalesced or ()),
            "MAX_CONTROL_BYTES": max((one.size for one in waiting), default=0),
            "MAX_CONTROL_QUEUE": max(map(len, waiting), default=0),
            "MAX_INFLIGHT_BYTES": slots.weight,
            "MAX_INFLIGHT_CALLS": slots.used,
            "MAX_PENDING_REQUESTS_PER_CONNECTION": len(connection.requests or ()),
            "MAX_SUBSCRIPTIONS_PER_CONNECTION": len(connection.all_topics),
        }

    def _reject_early(self, data: str | bytes) -> None:
        """Refuse what came beyond the bounds while the `open` hook runs; what can be answered is."""
        found = classify(data, self._max_depth())
        if self._call(found, NoSlots()):
            return
        if found.kind is Kind.CONTROL:
            self._overflow(found.payload, "opening")
        else:
            self._runtime.metrics.add("ws_control_dropped_total", "opening")

    def _take(self, data: str | bytes, size: int) -> None:
        found = classify(data, self._max_depth())
        slots = self._slots if size <= LIGHT else Weighed(self._slots, size)
        if self._leaving and _asks_for_a_stream(found):
            self._control(_LateCall(found, slots), size)
            return
        if self._call(found, slots):
            return
        if found.kind is Kind.CONTROL:
            self._control(found.payload, size)
            return
        message = found.payload if isinstance(found.payload, dict) else None
        request = resume.request_of(self._runtime, message)
        if request is not None:
            self._control(request, size)
        else:
            self._unhandled(data, message, slots)

    def _max_depth(self) -> int:
        return self._runtime.live.registry.options.max_envelope_depth or capacity.get("MAX_ENVELOPE_DEPTH")

    def _call(self, found: Classified, slots: CallSlots) -> bool:
        """Hand a call, a batch or what was meant as one to the live layer; return whether it was that."""
        kind, runtime = found.kind, self._runtime
        dispatcher, calls = runtime.live.dispatcher, runtime.live.calls
        if kind is Kind.CALL:
            dispatcher.call(self.connection, found.payload, slots, calls)
        elif kind is Kind.BATCH:
            dispatcher.batch(self.connection, found.payload, slots, calls)
        elif kind is Kind.BINARY_CALL:
            dispatcher.binary(self.connection, found.payload, slots, calls)
        elif kind is Kind.UPLOAD:
            runtime.live.uploads.take(self.connection, found.payload, self._slots)
        elif kind is Kind.BAD_UPLOAD:
            runtime.metrics.add("upload_frames_dropped_total")
            if runtime.is_dev:
                logger.warning("a malformed frame of an upload was dropped on %s", self.connection.id)
        elif kind is Kind.BAD_ID:
            runtime.metrics.add("rpc_calls_dropped_total", "bad_id")
        elif kind is Kind.TOO_DEEP and found.payload:
            dispatcher.too_deep(self.connection, found.payload, is_batch=found.is_batch)
        else:
            return False
        return True

    def _unhandled(self, data: str | bytes, message: dict[str, Any] | None, slots: CallSlots) -> None:
        runtime = self._runtime
        options = runtime.live.registry.options
        deepest = options.max_json_depth
        if deepest is None and capacity.get("MAX_JSON_DEPTH") != capacity.MAX_JSON_DEPTH:
            deepest = capacity.get("MAX_JSON_DEPTH")
        if deepest is not None:
            parsed = message
            message = json_message(data, message, self._max_depth(), deepest)
            if message is None and parsed is not None:
                capacity.record("MAX_JSON_DEPTH", "skip")
        has_options = options.on_unhandled is not None or (
            message is not None and options.on_json_message is not None
        )
        if not has_options and runtime.hooks.get("message") is None:
            runtime.metrics.add("ws_frames_unhandled_total")
            return
        if not slots.take():
            runtime.metrics.add("rpc_calls_dropped_total", "overloaded")
            return
        runtime.live.calls.start(self._message(data, message, slots), name="message")

    async def _message(self, data: str | bytes, message: dict[str, Any] | None, slots: CallSlots) -> None:
        runtime = self._runtime
        try:
            await runtime.live.take_message(
                self.connection, data, message, runtime.settings.websocket.hook_timeout
            )
            if runtime.hooks.get("message") is not None:
                await self._hook("message", data=data, is_binary=isinstance(data, bytes), msg=message)
        finally:
            slots.give_back()

    def _control(self, frame: Ordered, size: int) -> None:
        if isinstance(frame, control.Reply):
            # A hook of the control frame that runs may be what waits for it.
            requests.answer(self.connection, frame)
            return
        if self._control_running:
            if self._controls is None:
                self._controls = Waiting()
            if not self._controls.add(frame, size):
                self._overflow(frame, "queue")
            elif isinstance(frame, control.Unsubscribe):
                self._leaving += 1
            return
        try:
            step = self._handle(frame)
        except Exception:
            self._cannot_handle(frame)
            return
        if step is not None:
            self._control_running = True
            self._runtime.live.calls.start(self._run_controls(step, frame), name="control")

    async def _run_controls(self, step: Step | None, frame: Ordered) -> None:
        try:
            while step is not None or self._controls:
                try:
                    if step is None and self._controls:
                        frame = self._controls.take()
                        self._leaving -= isinstance(frame, control.Unsubscribe)
                        step = self._handle(frame)
                    if step is not None:
                        await step
                except (Exception, asyncio.CancelledError):
                    reraise_own_cancellation()
                    # The frames behind it must not wait for ever for one that failed.
                    self._cannot_handle(frame)
                step = None
        finally:
            self._control_running = False

    def _cannot_handle(self, frame: Ordered) -> None:
        self._runtime.metrics.add("ws_control_errors_total", ORDERED_TYPES.get(type(frame), "other"))
        logger.exception("a control frame of %s could not be handled", self.connection.id)

    def _overflow(self, frame: Ordered, where: str) -> None:
        self._runtime.metrics.add("ws_control_dropped_total", where)
        if isinstance(frame, control.Subscribe):
            self._deny(frame.topic, frame.ref, RATE_LIMITED)
        elif isinstance(frame, control.SubscribeBatch):
            for topic in frame.topics:
                self._deny(topic, frame.ref, RATE_LIMITED)
        elif isinstance(frame, _LateCall):
            self._call(frame.found, NoSlots())

    def _handle(self, frame: Ordered) -> Step | None:
        """Carry out one control frame: at once (`None`), or by the coroutine returned when a hook has to be asked."""
        if self.connection.closed:
            return None
        if isinstance(frame, control.Subscribe):
            return self._subscribe([frame.topic], frame.ref)
        if isinstance(frame, control.SubscribeBatch):
            return self._subscribe(frame.topics, frame.ref)
        if isinstance(frame, control.Unsubscribe):
            return self._unsubscribe(frame.topic)
        debug = self._runtime.debug
        if isinstance(frame, control.Hello):
            self.connection.caps = frame.caps
            if debug is not None:
                debug.hello(self.connection)
        elif isinstance(frame, control.Resume):
            if debug is not None:
                debug.resume(self.connection, frame.last_seen_seqs)
            return resume.run(self._runtime, self.connection, frame)
        elif isinstance(frame, resume.ReplayRequest):
            return resume.answer(self._runtime, self.connection, frame)
        elif isinstance(frame, _LateCall):
            self._call(frame.found, frame.slots)
        return None

    def _subscribe(self, topics: list[Any], ref: control.Ref | None) -> Step | None:
        wanted: list[str] = []
        for topic in topics[:MAX_BATCH_TOPICS]:
            if self._is_allowed(topic):
                wanted.append(topic)
            else:
                is_system = isinstance(topic, str) and names.is_system_topic(topic)
                rule = "system_topic" if is_system else "topic"
                self._runtime.metrics.add("security_refusals_total", rule)
                self._deny(topic, ref, INVALID_TOPIC)
        for topic in topics[MAX_BATCH_TOPICS:]:
            self._deny(topic, ref, RATE_LIMITED)
        if not wanted:
            return None
        if self._runtime.membership.gate.is_open:
            return self._grant(wanted, ref, {})
        return self._ask(wanted, ref)

    def _is_allowed(self, topic: Any) -> bool:
        security = self._runtime.settings.security
        if not isinstance(topic, str):
            return False
        if names.is_system_topic(topic) and not security.allow_system_topic_subscribe:
            return False
        if names.is_wire_topic(topic, allow_non_ascii=security.allow_non_ascii_topics):
            return True
        # The client follows a stream's reply with a subscribe; the server put it on that topic itself (wire 3.2).
        return self.connection.is_subscribed(topic) and not names.is_system_topic(topic)

    async def _ask(self, topics: list[str], ref: control.Ref | None) -> None:
        membership = self._runtime.membership
        # What cannot be taken now is denied, even if there is room when the hook has answered: it was not asked.
        reasons = {topic: membership.precheck(self.connection, topic) for topic in topics}
        asked = [topic for topic, reason in reasons.items() if reason is None]
        answers = await membership.gate.decide(self.connection, asked) if asked else []
        if not self.connection.closed:
            step = self._grant(topics, ref, {**reasons, **dict(zip(asked, answers, strict=True))})
            if step is not None:
                await step

    def _grant(
        self, topics: list[str], ref: control.Ref | None, reasons: dict[str, str | None]
    ) -> Step | None:
        """Carry out the decisions in order; return what is left when the peer has to be waited for."""
        gap = self._grant_next(left := deque(topics), ref, reasons)
        held, granted = self.connection.all_topics, self.connection.granted
        is_whole = all(topic in held for topic in topics if topic in granted)
        assert_invariant(is_whole, SUBS_SHAPE_BATCH, topics=len(topics))
        return None if gap is None else self._grant_behind(gap, left, ref, reasons)

    async def _grant_behind(
        self,
        gap: Awaitable[None] | None,
        left: deque[str],
        ref: control.Ref | None,
        reasons: dict[str, str | None],
    ) -> None:
        """Confirm each topic once what a resumed peer missed of it has been written. Spec: wire 8.4."""
        while gap is not None:
            await gap
            if self.connection.closed:
                return
            self._acknowledge(left.popleft(), ref)
            gap = self._grant_next(left, ref, reasons)

    def _grant_next(
        self, left: deque[str], ref: control.Ref | None, reasons: dict[str, str | None]
    ) -> Awaitable[None] | None:
        """Carry out decisions until one has to wait for the peer; that topic is the first that is left then."""
        resumes = self._runtime.platform.parts.resumes
        while left:
            topic = left[0]
            held = topic in self.connection.granted
            reason = self._runtime.membership.grant(self.connection, topic, reasons.get(topic))
            if reason is None:
                self.connection.note(topic, wire=True)
                gap = resumes.close_gap(self.connection, topic)
                if gap is not None:
                    return gap
                self._acknowledge(topic, ref)
            else:
                if held:
                    self._runtime.live.left_topic(self.connection, topic)
                self._deny(topic, ref, reason)
            left.popleft()
        return None

    def _acknowledge(self, topic: str, ref: control.Ref | None) -> None:
        if ref is not None:
            self.connection.write_control(control.encode_subscribed(topic, ref))

    def _deny(self, topic: Any, ref: control.Ref | None, reason: str) -> None:
        self._runtime.metrics.add("ws_subscribe_denied_total", reason if reason in DENIALS else "other")
        if self._runtime.debug is not None:
            self._runtime.debug.denied(self.connection, topic, reason)
        if ref is not None:
            self.connection.write_control(control.encode_denied(topic, ref, reason))

    def _unsubscribe(self, topic: str) -> Step | None:
        if names.is_system_topic(topic) or names.name_problem(topic) is not None:
            return None
        self.connection.unsubscribe(topic)
        self._runtime.live.left_topic(self.connection, topic)
        if self._runtime.hooks.get("unsubscribe") is None:
            return None
        return self._hook("unsubscribe", topic=topic)

    async def _hook(self, name: str, **values: Any) -> None:
        """Run a hook whose failure is logged and changes nothing."""
        await self._runtime.attempt(name, self.connection, **values)

    async def _wait_for_open_hook(self) -> None:
        """Wait for the `open` hook to end; no longer than it may take, should it never have begun."""
        self._when_opened = asyncio.Event()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._runtime.settings.websocket.hook_timeout):
                await self._when_opened.wait()

    async def closed(self, code: int, reason: str) -> None:
        """End the connection's side of everything; runs the `close` hook once, after the `open` hook has ended.

        Spec: platform 1.7.
        """
        if self._closed:
            return
        self._closed = True
        runtime, connection = self._runtime, self.connection
        duration = runtime.clock.monotonic() - connection.opened_at
        connection.mark_closed(reason or "connection closed")
        self._early = self._controls = None
        try:
            requests.fail_all(connection)
            runtime.live.connection_closed(connection)
            if self._is_opening:
                await self._wait_for_open_hook()
            if runtime.hooks.get("close") is not None:
                await self._hook(
                    "close",
                    code=code,
                    reason=reason,
                    subscriptions=connection.subscriptions,
                    id=connection.id,
                    duration=duration,
                    messages_in=connection.messages_in,
                    messages_out=connection.messages_out,
                    bytes_in=connection.bytes_in,
                    bytes_out=connection.bytes_out,
                )
        finally:
            runtime.forget(self, code, duration)
        if runtime.events.listeners:
            runtime.events.emit(ConnectionClosedEvent(connection.id, connection.user, code, reason, duration))


def _asks_for_a_stream(found: Classified) -> bool:
    if found.kind is Kind.CALL:
        return bool(found.payload.stream)
    return found.kind is Kind.BATCH and any(
        getattr(entry, "stream", False) for entry in found.payload.entries
    )


def _size(data: str | bytes) -> int:
    """Return how many bytes a message had on its way."""
    if data.__class__ is bytes or data.isascii():
        return len(data)
    return len(data.encode(errors="surrogatepass")) if isinstance(data, str) else len(data)
