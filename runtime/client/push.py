"""Answering requests of the server. Spec: wire 2.5, live-api 25.4."""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any

from runtime.wire.jsoncodec import EncodeError, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.client.connection import ClientConnection
    from runtime.core.tasks import TaskOwner

__all__ = ["MAX_RUNNING_HANDLERS", "PushHandlers"]

logger = logging.getLogger("realtime.client")

#: Requests that are answered at the same time; further ones are refused.
MAX_RUNNING_HANDLERS = 1000


class PushHandlers:
    """One handler per event; its result, or its exception's text, goes back to the server."""

    def __init__(self, connection: ClientConnection, tasks: TaskOwner) -> None:
        self._connection = connection
        self._tasks = tasks
        self._handlers: dict[str, Callable[[Any], Any]] = {}
        self._running = 0

    def on(self, event: str, handler: Callable[[Any], Any]) -> Callable[[], None]:
        """Let `handler(data)`, plain or asynchronous, answer `event`; the newest one of an event wins.

        Returns:
            The function that ends it, unless another handler has taken its place.

        Raises:
            ValueError: an empty event. TypeError: the handler is no function.
        """
        if not isinstance(event, str) or not event:
            raise ValueError(f"event: must be a non-empty string, not {event!r}")
        if not callable(handler):
            raise TypeError(f"handler: must be a function, not {handler!r}")
        self._handlers[event] = handler

        def off() -> None:
            if self._handlers.get(event) is handler:
                del self._handlers[event]

        return off

    def request(self, ref: float | str, event: str, data: Any) -> None:
        """Answer one request of the server."""
        handler, line = self._handlers.get(event), self._connection.line

        def reply(**outcome: Any) -> None:
            frame = encode({"type": "reply", "ref": ref, **outcome})
            if self._connection.line is line:  # on another line the number may be that of another request
                self._connection.send(frame)

        if handler is None:
            reply(error=f"[svelte-realtime] no push handler registered for event '{event}'")  # wire 2.5
        elif self._running >= MAX_RUNNING_HANDLERS:
            reply(error="too many requests are being answered")
        else:
            self._running += 1
            self._tasks.start(self._answer(handler, event, data, reply), name=f"push {event}")

    async def _answer(
        self, handler: Callable[[Any], Any], event: str, data: Any, reply: Callable[..., None]
    ) -> None:
        try:
            result = handler(data)
            if inspect.isawaitable(result):
                result = await result
            reply(data=result)
        except EncodeError as error:
            logger.exception("the push handler of %r returned what has no JSON form", event)
            reply(error=str(error))
        except Exception as error:
            logger.exception("the push handler of %r raised", event)
            reply(error=str(error) or type(error).__name__)
        finally:
            self._running -= 1
