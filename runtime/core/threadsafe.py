"""The platform for other threads: what they publish is checked and encoded there, and sent in the loop's thread.

Spec: platform 2.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

from runtime.core import assertions, capacity, coalesce, nesting
from runtime.core.assertions import assert_invariant
from runtime.core.errors import CapacityExceeded, PlatformNotReady

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runtime.core.connection import Connection
    from runtime.core.messages import BatchMessage
    from runtime.core.platformcore import PlatformCore

__all__ = ["ThreadDoor", "ThreadsafePlatform"]

logger = logging.getLogger("realtime.platform")


class ThreadDoor:
    """Hand work to the loop's thread, in order. What arrives in one burst wakes the loop once."""

    __slots__ = ("_is_woken", "_lock", "_loop", "_thread", "_waiting")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        #: What waits, and how many watchers deep it was put here.
        self._waiting: list[tuple[Callable[[], object], int]] = []
        self._is_woken = False

    def open(self) -> None:
        """Work in the running loop from now on; called by its thread."""
        with self._lock:
            self._loop = asyncio.get_running_loop()
            self._thread = threading.get_ident()
            self._is_woken = False  # the wake of an earlier loop may never come

    def close(self) -> None:
        """Take nothing any more; what was taken is dropped."""
        with self._lock:
            self._loop = None
            self._waiting = []

    def sizes(self) -> dict[str, int]:
        """Return how much waits for the loop."""
        return {"MAX_THREADSAFE_QUEUE": len(self._waiting)}

    def is_foreign(self) -> bool:
        """Return whether the caller is in another thread than the loop's."""
        return self._loop is not None and threading.get_ident() != self._thread

    def put(self, work: Callable[[], object]) -> None:
        """Have `work()` called in the loop's thread soon.

        Raises:
            PlatformNotReady: the app has not been started, or was stopped.
            CapacityExceeded: `MAX_THREADSAFE_QUEUE` wait already.
        """
        limit = capacity.get("MAX_THREADSAFE_QUEUE")
        with self._lock:
            loop = self._loop
            if loop is None or loop.is_closed():
                raise PlatformNotReady("the app is not running; platform.threadsafe needs its event loop")
            has_room = len(self._waiting) < limit
            if has_room:
                if not self._is_woken:
                    loop.call_soon_threadsafe(self._work)
                    self._is_woken = True
                self._waiting.append((work, nesting.depth()))
        if not has_room:
            # Not under the lock: this logs, and a log handler may publish what is logged.
            capacity.record("MAX_THREADSAFE_QUEUE", "reject", hint="a thread publishes faster than the loop")
            raise CapacityExceeded(f"calls of other threads that wait for the loop exceeded {limit}")

    def _work(self) -> None:
        assert_invariant(threading.get_ident() == self._thread, assertions.LOOP_THREAD)
        with self._lock:
            waiting, self._waiting = self._waiting, []
            self._is_woken = False
        for work, depth in waiting:
            nesting.enter(depth)
            try:
                work()
            except Exception:
                # Its caller has gone on; the others must not suffer.
                logger.exception("a call of platform.threadsafe failed")


class ThreadsafePlatform:
    """Publishing and sending for threads. Every method returns `None` at once; the loop does the rest, in order.

    Data is encoded before a method returns, so the caller may change it afterwards. Arguments that are wrong raise at
    the call, as on `Platform`; further `PlatformNotReady` without a running app, and `CapacityExceeded` when
    `MAX_THREADSAFE_QUEUE` calls wait for the loop.
    """

    __slots__ = ("_core",)

    def __init__(self, core: PlatformCore) -> None:
        self._core = core

    def publish(
        self,
        topic: str,
        event: str,
        data: Any = None,
        *,
        relay: bool = True,
        seq: bool | int = True,
        volatile: bool = False,
    ) -> None:
        """Do what `Platform.publish` does."""
        core = self._core
        made = core.event(topic, event, data, False if volatile else seq, relay)
        core.publisher.check(made)
        core.threads.put(lambda: core.publish(made))

    def batch(self, messages: Iterable[BatchMessage]) -> None:
        """Do what `Platform.batch` does."""
        core = self._core
        made = core.events(list(enumerate(messages)))
        core.threads.put(lambda: core.publish_each(made))

    def publish_batched(self, messages: list[BatchMessage] | tuple[BatchMessage, ...]) -> None:
        """Do what `Platform.publish_batched` does."""
        core = self._core
        made = core.events_together(messages)
        core.threads.put(lambda: core.publish_together(made))

    def send(self, ws: Connection, topic: str, event: str, data: Any = None) -> None:
        """Do what `Platform.send` does."""
        core = self._core
        frame = core.direct(topic, event, data)
        core.threads.put(lambda: core.send(ws, frame))

    def send_to(self, where: Callable[[Any], bool], topic: str, event: str, data: Any = None) -> None:
        """Do what `Platform.send_to` does; `where` runs in the loop's thread."""
        core = self._core
        frame = core.direct(topic, event, data)
        core.threads.put(lambda: core.send_to(where, frame))

    def send_coalesced(self, ws: Connection, *, key: str, topic: str, event: str, data: Any = None) -> None:
        """Do what `Platform.send_coalesced` does. The data is encoded when it leaves: do not change it meanwhile."""
        core = self._core
        coalesce.check(key, topic, event)
        core.threads.put(lambda: core.send_coalesced(ws, key, topic, event, data))
