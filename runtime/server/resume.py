"""A client that comes back: what it missed, what it is told about that, and its own questions about a topic's history.

Spec: wire 3.2 `resume`, 6.4 and 8.4; platform 1.8.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import msgspec

from runtime.core.resumes import accepted
from runtime.core.tasks import reraise_own_cancellation
from runtime.wire import control, names

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from runtime.core.connection import Connection
    from runtime.server.assembly import Runtime

__all__ = ["ReplayRequest", "answer", "request_of", "run"]

logger = logging.getLogger("realtime.resume")


class ReplayRequest(msgspec.Struct, frozen=True):
    """A client wants the events of a topic behind a number; nothing but the topic has been looked at."""

    topic: str
    since: Any
    req_id: Any


async def run(runtime: Runtime, connection: Connection, frame: control.Resume) -> None:
    """Run the app's `resume` hook, or without one replay every topic that has a history, then write `resumed`.

    Whatever goes wrong or takes longer than `hook_timeout`, `resumed` comes, and it says of each topic how far the
    client can trust what it has.
    """
    seen = accepted(frame.last_seen_seqs)
    resumes = runtime.platform.parts.resumes
    resume = resumes.begin(connection, seen)
    try:
        if runtime.hooks.get("resume") is not None:
            await runtime.attempt(
                "resume", connection, session_id=frame.session_id, last_seen_seqs=dict(seen)
            )
        elif seen and runtime.platform.replay is not None:
            await _catch_up(runtime, connection, seen)
    finally:
        report = resumes.end(connection, resume)
    limit = runtime.settings.websocket.max_outbound_frame or 0
    connection.write_control(control.encode_resumed(report, limit))


async def _catch_up(runtime: Runtime, connection: Connection, seen: dict[str, int]) -> None:
    try:
        async with asyncio.timeout(runtime.settings.websocket.hook_timeout):
            await runtime.platform.replay.catch_up(connection, seen, connection.platform)
    except (Exception, asyncio.CancelledError):
        reraise_own_cancellation()
        logger.exception("connection %s could not be given all that it missed", connection.id)


def request_of(runtime: Runtime, message: dict[str, Any] | None) -> ReplayRequest | None:
    """Return the question in a message that is no frame of the transport, or `None` when it is none for us.

    With a `message` hook only questions about topics of `platform.replay` are ours; the others are the app's.
    """
    if message is None or message.get("type") != "replay":
        return None
    topic, replay = message.get("topic"), runtime.platform.replay
    if replay is None or not isinstance(topic, str) or names.name_problem(topic) is not None:
        return None
    if runtime.hooks.get("message") is not None and not replay.is_recorded(topic):
        return None
    return ReplayRequest(topic, message.get("since"), message.get("reqId"))


def answer(runtime: Runtime, connection: Connection, request: ReplayRequest) -> Coroutine[Any, Any, object]:
    """Return what answers a question, if the client may subscribe to the topic."""
    answering: Coroutine[Any, Any, object] = runtime.platform.replay.replay(
        connection, request.topic, request.since, connection.platform, request.req_id
    )
    return answering
