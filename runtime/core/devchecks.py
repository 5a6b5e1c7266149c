"""What only dev looks at: payloads that a browser reads differently, calls from a foreign thread, a lost `await`.

Each look costs a walk or a stack frame, so outside dev nothing here exists. Spec: platform 2.2 and 2.6, wire 2.1.
"""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from runtime.core import capacity
from runtime.core.assertions import dev_assert
from runtime.wire import jsoncodec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["DevChecks", "Watched"]

logger = logging.getLogger("realtime.platform")

T = TypeVar("T")

MAX_SAFE_INTEGER = 2**53 - 1  # the largest whole number that JavaScript keeps exactly
CALLER = 3  # frames from `watched` up to whoever called the method of the platform
MAX_WALKED = 10_000  # values of one payload that are looked at
_RAW = (bytes, bytearray, memoryview)


class DevChecks:
    """The looks of one worker; `is_foreign_thread` tells whether the caller is outside of the loop's thread."""

    __slots__ = ("_is_foreign_thread", "_warned", "is_stream")

    def __init__(self, is_foreign_thread: Callable[[], bool]) -> None:
        self._is_foreign_thread = is_foreign_thread
        self._warned: set[str] = set()
        #: Whether clients have a topic through a stream, so that they merge its events; the live side sets it.
        self.is_stream: Callable[[str], bool] | None = None

    def sizes(self) -> dict[str, int]:
        """Return how many topics were warned of."""
        return {"PAYLOAD_WARN_CAP": len(self._warned)}

    def thread(self, method: str) -> None:
        """Warn of a platform method that runs in another thread than the loop's."""
        dev_assert(
            not self._is_foreign_thread(),
            f"platform.{method} was called from another thread than the event loop's; "
            f"use platform.threadsafe.{method}",
        )

    def payload(self, topic: str, data: Any) -> None:
        """Warn, once per topic, of what the browser will not read as it was given.

        Raises:
            ValueError: an event of a stream that clients would take for the end of a replay. Spec: wire 5.6.
        """
        if _is_end_marker(data) and self.is_stream is not None and self.is_stream(topic):
            raise ValueError(
                f"data: an event on {topic!r} has the key 'reqId'; clients of a stream take it for the end of a replay "
                "and do not merge it. Give the key another name"
            )
        if data is None or topic in self._warned or len(self._warned) >= capacity.get("PAYLOAD_WARN_CAP"):
            return
        try:
            plain = jsoncodec.to_plain(data, _RAW)
        except jsoncodec.EncodeError:
            return  # the publish itself says so
        for path, problem in _problems(plain):
            self._warned.add(topic)
            if len(self._warned) == capacity.get("PAYLOAD_WARN_CAP"):
                capacity.record(
                    "PAYLOAD_WARN_CAP", "warn", hint="payloads of further topics are not looked at"
                )
            logger.warning("publish on %r: data%s %s", topic, path, problem)
            return

    def watched(self, coroutine: Coroutine[Any, Any, T], what: str) -> Coroutine[Any, Any, T]:
        """Return `coroutine`, which reports the place of its call should nobody await it."""
        caller = sys._getframe(CALLER)
        place = f"{caller.f_code.co_filename}:{caller.f_lineno} in {caller.f_code.co_name}"
        return Watched(coroutine, what, place)


class Watched(Coroutine[Any, Any, T]):
    """A coroutine that knows where it was made, and says so when it is thrown away without having run."""

    __slots__ = ("_coroutine", "_is_awaited", "_place", "_what")

    def __init__(self, coroutine: Coroutine[Any, Any, T], what: str, place: str) -> None:
        self._coroutine = coroutine
        self._what = what
        self._place = place
        self._is_awaited = False

    def send(self, value: Any) -> Any:
        """Run on to the next wait."""
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        """Run on with an exception."""
        return self._coroutine.throw(*error)

    def close(self) -> None:
        """End it, as whoever does not want it any more does."""
        self._coroutine.close()

    def __await__(self) -> Any:
        self._is_awaited = True  # this object itself is thrown away before the coroutine begins
        return self._coroutine.__await__()

    def __del__(self) -> None:
        coroutine: Any = self._coroutine
        if not self._is_awaited and inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
            coroutine.close()
            logger.error(
                "%s at %s was called without await, so it did nothing; write: await %s",
                self._what,
                self._place,
                self._what,
            )


def _is_end_marker(data: Any) -> bool:
    return "reqId" in data if isinstance(data, Mapping) else hasattr(data, "reqId")


def _problems(value: Any) -> Iterator[tuple[str, str]]:
    """Yield where in plain data something travels differently, and how; level by level, `MAX_WALKED` values at most."""
    level: list[tuple[str, Any]] = [("", value)]
    walked = 0
    while level:
        inner: list[tuple[str, Any]] = []
        for path, item in level:
            walked += 1
            if walked > MAX_WALKED:
                return
            if isinstance(item, dict):
                inner += [(f"{path}[{key!r}]", value) for key, value in item.items()]
            elif isinstance(item, list | tuple):
                inner += [(f"{path}[{index}]", value) for index, value in enumerate(item)]
            elif isinstance(item, _RAW):
                yield path, f"holds {len(item)} bytes, which travel as base64 text; decode them in the client"
            elif isinstance(item, int) and not -MAX_SAFE_INTEGER <= item <= MAX_SAFE_INTEGER:
                yield path, "is a whole number beyond 2^53-1, which JavaScript rounds; send it as a string"
        level = inner
