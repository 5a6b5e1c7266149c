"""A stream of a `TestClient`, and one as an older client has it. Spec: live-api 20."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from runtime.client.errors import RpcError
from runtime.client.streams import Stream
from runtime.testing.eventlog import EventLog
from runtime.testing.outcome import live_error
from runtime.testing.waiting import holds

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.client.streamstate import StreamEvent
    from runtime.core.errors import LiveError
    from runtime.testing.client import TestClient

__all__ = ["TestStream", "subscribe_at"]


class TestStream:
    """A stream of a `TestClient`, subscribed from the beginning. Every wait of it has a limit."""

    __test__ = False

    def __init__(self, client: TestClient, stream: Stream) -> None:
        self._client = client
        self._stream = stream
        #: Every live event since the subscription, as `.event` and `.data`; `events.wait_for("created")` waits.
        self.events: EventLog[StreamEvent] = EventLog("event", client.last_frames)
        self._off_events = stream.on_event(self.events.add)
        stream.open()

    def __repr__(self) -> str:
        return f"<TestStream {self._stream!r}>"

    @property
    def value(self) -> Any:
        """The present value, `None` until it is loaded."""
        return self._stream.value

    @property
    def status(self) -> str:
        """`loading`, `connected`, `reconnecting` or `error`."""
        return self._stream.status

    @property
    def error(self) -> LiveError | None:
        """Why the stream was refused, or `None`."""
        error = self._stream.error
        return None if error is None else live_error(error)

    @property
    def topic(self) -> str | None:
        """The topic, once the server named it."""
        return self._stream.topic

    @property
    def has_more(self) -> bool:
        """Whether there is a further page."""
        return self._stream.has_more

    async def ready(self, timeout: float | None = None) -> Any:
        """Wait for the first value and return it; at most `timeout` seconds, of the env when it is missing.

        Raises:
            LiveError: the stream was refused, or `TIMEOUT`, with the last frames as a note.
        """
        try:
            return await self._stream.ready(self._limit(timeout))
        except RpcError as error:
            raise live_error(error, self._client.last_frames) from error

    async def wait_for(self, predicate: Callable[[Any], Any], timeout: float | None = None) -> Any:
        """Wait until `predicate(value)` is true for a loaded value, and return that value.

        Raises:
            TimeoutError: with the last value, the stream's error and the last frames.
            TypeError: `predicate` is asynchronous. Exception: what it raised.
        """
        limit = self._limit(timeout)
        found: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def look(value: Any) -> None:
            if not self._stream.is_loaded or found.done():
                return
            try:
                if holds(predicate, value):
                    found.set_result(value)
            except Exception as error:
                found.set_exception(error)

        off = self._stream.subscribe(look)
        try:
            async with asyncio.timeout(limit):
                return await found
        except TimeoutError:
            raise TimeoutError(
                f"the value did not come within {limit:g}s; the last one was {self.value!r}, error {self.error}\n"
                f"{self._client.last_frames()}"
            ) from None
        finally:
            off()

    def simulate_publish(self, event: str, data: Any = None) -> None:
        """Publish on the stream's topic, as a live function would.

        Raises:
            RuntimeError: the topic is not known yet; await `ready()` first.
        """
        if self.topic is None:
            raise RuntimeError("the topic of the stream is not known yet; await ready() first")
        self._client.platform.publish(self.topic, event, data)

    async def load_more(self, *extra: Any) -> bool:
        """Load the next page; return whether there are more."""
        try:
            return await self._stream.load_more(*extra)
        except RpcError as error:
            raise live_error(error, self._client.last_frames) from error

    async def close(self) -> None:
        """Unsubscribe."""
        self._off_events()
        await self._stream.close()

    def at_schema_version(self, version: int) -> TestStream:
        """Return the same stream as a client of that schema version has it; see `subscribe_at`."""
        return TestStream(self._client, self._stream.at_schema_version(version))

    def _limit(self, timeout: float | None) -> float:
        return self._client.timeout if timeout is None else timeout


AnyStream = TypeVar("AnyStream", TestStream, Stream)


def subscribe_at(stream: AnyStream, schema_version: int) -> AnyStream:
    """Return a stream of its own that subscribes as a client of schema version `schema_version` does.

    What the loader returns goes through the stream's `migrate` steps from there on; the version stays across
    reconnects, as the code of an old client does. Spec: live-api 8.8.

    Args:
        stream: of a `TestClient`, or of the Python client.
        schema_version: 0 or above.

    Raises:
        TypeError: it is no such stream, or no such number.
    """
    if not isinstance(stream, TestStream | Stream):
        raise TypeError(
            f"stream: must be one that client.subscribe(...) or rt.stream(...) returned, not {stream!r}"
        )
    if isinstance(schema_version, bool) or not isinstance(schema_version, int) or schema_version < 0:
        raise TypeError(f"schema_version: must be a whole number, 0 or above, not {schema_version!r}")
    return stream.at_schema_version(schema_version)
