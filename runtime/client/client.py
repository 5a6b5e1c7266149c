"""`connect()` and the client that it gives: the parts put together. Spec: live-api 26."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

from runtime.client.auth import Preflight
from runtime.client.calls import REPLY_TOPIC, Calls
from runtime.client.connection import ClientConnection
from runtime.client.inbound import SYSTEM_TOPIC, Inbound
from runtime.client.livepath import LivePath
from runtime.client.offline import OfflineQueue
from runtime.client.options import ClientOptions
from runtime.client.plugins import Group, Plugins
from runtime.client.push import PushHandlers
from runtime.client.replays import Replays, ReplayTopic
from runtime.client.streams import Stream, Streams
from runtime.client.streamstate import StreamPorts
from runtime.client.topichandle import Topic
from runtime.client.topics import TopicEvent, Topics
from runtime.client.topicstores import AfterTopics, StoreTable, TopicStore
from runtime.client.transport import Transport, WebSocketTransport, shown_url
from runtime.client.upload import Upload, Uploads
from runtime.core.clock import Clock, SystemClock
from runtime.core.tasks import TaskOwner
from runtime.wire.binary import UPLOAD_TOPIC
from runtime.wire.names import is_user_id

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from types import TracebackType

    from runtime.client.pending import PendingResult
    from runtime.client.stores import Store

__all__ = ["Connecting", "Realtime", "connect"]


class Realtime:
    """A connection to a server of Realtime Toolkit that reconnects by itself. Made by `connect`.

    Belongs to the loop in which it was made; nothing of it may be used from other threads.

    Attributes:
        status: store of `connecting`, `open`, `disconnected`, `failed`.
        failure: store of the cause of the last loss, a dict with `kind`, `class`, `reason` and `code` or
            `status`; `None` while open and after `close`.
        quiescent: store of whether no stream is loading or reconnecting.
        health: store of `healthy` or `degraded`, as the server says.
        denials: store of the last refused subscription, a dict with `topic`, `reason`, `ref`, or `None`.
        resumed: store of the server's report after a reconnect, topic to outcome, or `None` before.
    """

    def __init__(
        self,
        url: str,
        options: ClientOptions,
        *,
        transport: Transport | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        clock, rng = clock or SystemClock(), rng or random.Random()  # noqa: S311 - jitter, not secrets
        self.url = url
        self._options = options
        self._tasks = tasks = TaskOwner("client")
        if transport is None:
            transport = WebSocketTransport(url, headers=options.headers, ssl=options.ssl)
        preflight = None
        if options.auth_path is not None:
            preflight = Preflight(
                url, options.auth_path, headers=options.headers, ssl=options.ssl, clock=clock
            )
        self._connection = connection = ClientConnection(
            transport, options, url=shown_url(url), preflight=preflight, clock=clock, rng=rng, tasks=tasks
        )
        self._topics = Topics(connection.end_of_turn)
        self._inbound = Inbound(self._topics)
        self._calls = Calls(connection, options, clock, rng)
        self._uploads = Uploads(connection, options, clock, tasks)
        self._offline = OfflineQueue(connection, self._calls, options, clock=clock, tasks=tasks)
        self._push = PushHandlers(connection, tasks)
        self._streams = Streams()
        self._after_topics = after = AfterTopics(connection)
        self._stores = StoreTable()
        self._plugins = Plugins(connection, self._topics, after, self._stores, clock)
        self._replays = Replays(connection, self._topics, after, options, clock)
        self._ports = StreamPorts(
            calls=self._calls,
            topics=self._topics,
            options=options,
            clock=clock,
            rng=rng,
            idle_soon=_soon,
            status_changed=self._streams.status_changed,
        )
        self._wire()
        self.status: Store[str] = connection.status
        self.failure: Store[dict[str, Any] | None] = connection.failure
        self.quiescent: Store[bool] = self._streams.quiescent
        self.health: Store[str] = self._inbound.health
        self.denials: Store[dict[str, Any] | None] = self._inbound.denials
        self.resumed: Store[dict[str, Any] | None] = self._inbound.resumed
        #: `rt.live.todos.add("milk")` is `rt.call("todos/add", "milk")`; names with `-` as items: `rt.live["a-b"]`.
        self.live: LivePath[PendingResult[Any]] = LivePath(self.call)

    def __repr__(self) -> str:
        return f"<Realtime {shown_url(self.url)} {self.status.value}>"

    @property
    def volatile_dropped(self) -> int:
        """Calls of `fire` that were dropped because nothing could be sent."""
        return self._calls.volatile_dropped

    def start(self) -> None:
        """Begin to connect, without waiting; `connect` does this."""
        self._connection.start()

    async def ready(self, timeout: float | None = None) -> None:
        """Wait until the connection is open, at most `timeout` seconds (the option `open_timeout` when missing).

        Raises:
            RpcError: `TIMEOUT`, or `CONNECTION_CLOSED` when it ended for good.
        """
        await self._connection.ready(self._options.open_timeout if timeout is None else timeout)

    async def close(self) -> None:
        """Send what waits, close the connection and end everything that used it. May be called again."""
        try:
            await self._connection.close()
        finally:
            await self._tasks.close()

    def configure(self, **options: Any) -> None:
        """Change the given options from now on; the address of the server stays, and so does `auth`.

        Raises:
            TypeError: an unknown option. ValueError: a value out of range, or one that cannot change later.
        """
        fixed = {"auth", "headers", "ssl"} & set(options)
        if fixed:
            raise ValueError(f"{', '.join(sorted(fixed))}: can only be given to connect()")
        self._options.change(options)

    # ------------------------------------------------------------ calls

    def call(
        self,
        path: str,
        *args: Any,
        timeout: float | None = None,
        idempotency_key: str | None = None,
        fresh: bool = True,
    ) -> PendingResult[Any]:
        """Send a call now and return its result to come: `await rt.call("todos/add", "milk")`.

        Cancelling it drops the answer; the server goes on. `create_task` takes it as well as `gather` does.

        Args:
            path: as in `todos/add`.
            args: anything with a JSON form.
            timeout: seconds for the answer; the option `timeout` when missing.
            idempotency_key: see `live.idempotent`.
            fresh: `False` shares the answer of an equal call that was made in the same turn of the loop.

        Raises:
            TypeError: an argument has no JSON form. ValueError: a `timeout` that is not above 0.
            RpcError: from awaiting, when the call failed.
        """
        if self._offline.takes_calls and not self._calls.is_collecting:
            return self._offline.add(path, args, timeout=timeout, idempotency_key=idempotency_key)
        send = self._calls.call if fresh else self._calls.shared_call
        return send(path, args, timeout=timeout, idempotency_key=idempotency_key)

    def batch(
        self, collect: Callable[[], Iterable[Any]], *, sequential: bool = False
    ) -> PendingResult[list[Any]]:
        """Send the calls that `collect` makes and returns as one frame; return their results to come, in order.

        `a, b = await rt.batch(lambda: [rt.call("x/a"), rt.call("x/b")])`. Each call has its own outcome as well;
        one failure fails the whole.

        Args:
            collect: makes the calls, without awaiting, and returns them.
            sequential: the server runs them one after the other instead of together.
        """
        return self._calls.batch(collect, sequential=sequential)

    def fire(self, path: str, *args: Any) -> None:
        """Send a call that is not answered. Dropped, and counted, while offline or too much is unsent."""
        self._calls.fire(path, args)

    def call_binary(
        self,
        path: str,
        data: bytes | bytearray | memoryview,
        *args: Any,
        timeout: float | None = None,
    ) -> PendingResult[Any]:
        """Send bytes with a call, to a function under `live.binary`, and return its result to come.

        Raises:
            TypeError: `data` is not bytes, or an argument has no JSON form. ValueError: as `call`.
            RpcError: from awaiting, as `call`; `PAYLOAD_TOO_LARGE` for arguments of more than 65,535 bytes.
        """
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data: must be bytes, not {type(data).__name__}")
        return self._calls.binary_call(path, bytes(data), args, timeout=timeout)

    def upload(self, path: str, source: Any, *args: Any) -> Upload:
        """Send a file of any size to a function under `live.upload`: `await rt.upload("files/put", Path("a.bin"))`.

        The handle tells how far it is, and `cancel` ends it. The source is read while it is sent.

        Args:
            path: as in `files/put`.
            source: bytes, a path, a file object opened for bytes, or an iterable of bytes, synchronous or not.
            args: anything with a JSON form.

        Raises:
            TypeError: no such source, or an argument without a JSON form.
            RpcError: from awaiting; see `Upload`.
        """
        return self._uploads.begin(path, source, args)

    # ------------------------------------------------------------ streams and topics

    def stream(
        self,
        path: str,
        *args: Any,
        merge: str = "crud",
        key: str = "id",
        prepend: bool = False,
        max: int | None = None,
        keep_order: bool = True,
    ) -> Stream:
        """Return a handle on a stream; nothing is sent until it is used.

        Handles with the same path and arguments share one subscription and one value. The merge options hold
        until the server's answer brings its own. `keep_order=False` removes rows as the browser does, where the
        last row moves into the gap.

        Raises:
            ValueError: an unknown strategy. TypeError: an argument has no JSON form.
        """
        rules = {"merge": merge, "key": key, "prepend": prepend, "max": max, "keep_order": keep_order}
        return self._streams.handle(path, args, rules, self._ports)

    def on(self, topic: str) -> Topic:
        """Return a handle on the bare events of a topic."""
        return Topic(self._topics, topic)

    def presence(self, topic: str, *, max_age: float = 0.0) -> TopicStore[list[Any]]:
        """Return the store of the data of those present on a topic.

        Being present, and hearing of others, is up to the server: subscribe to the topic itself. Like all stores
        of this kind it works while it is entered with `async with`, subscribed to, or iterated over.

        Args:
            topic: the topic.
            max_age: forget who is in no heartbeat for so many seconds; 0 never does.
        """
        return self._plugins.presence(topic, max_age)

    def cursor(self, topic: str, *, max_age: float = 0.0) -> TopicStore[dict[str, Any]]:
        """Return the store of the cursors on a topic: key to `{"user": ..., "data": ...}`, asked for at each open.

        Args:
            topic: the topic.
            max_age: forget a cursor that did not move for so many seconds; 0 never does.
        """
        return self._plugins.cursor(topic, max_age)

    def group(self, name: str) -> Group:
        """Return the store of the last event of a group; its `members` is a store of `{"role": ...}`."""
        return self._plugins.group(name)

    def on_replay(self, topic: str, *, since: int = 0) -> ReplayTopic:
        """Return the events of a topic that the server keeps: those after number `since`, then the live ones.

        None comes twice, also across reconnects; an event `truncated` says that not all of them were kept.

        Raises:
            ValueError: `since` is not the number of an event.
        """
        if not isinstance(since, int) or isinstance(since, bool) or since < 0:
            raise ValueError(f"since: must be the number of an event, 0 or above, not {since!r}")
        return self._stores.get(("replay", topic, since), lambda: self._replays.topic(topic, since))

    def on_push(self, event: str, handler: Callable[[Any], Any]) -> Callable[[], None]:
        """Let `handler(data)` answer the server's requests named `event`; return the function that ends it."""
        return self._push.on(event, handler)

    def on_signal(self, user_id: str, handler: Callable[[str, Any], object]) -> Callable[[], None]:
        """Call `handler(event, data)` for each signal to that user; return the function that ends it.

        Raises:
            ValueError: not a user id.
        """
        if not is_user_id(user_id):
            raise ValueError(f"user_id: {user_id!r} cannot be part of a topic")
        return self._topics.listen(f"__signal:{user_id}", lambda event: handler(event.event, event.data))

    # ------------------------------------------------------------ inside

    def _wire(self) -> None:
        connection, inbound, calls, streams = self._connection, self._inbound, self._calls, self._streams
        connection.opening = lambda: inbound.opening_frames(resume=not connection.was_too_big)
        connection.sources = [self._topics.turn_frames, self._after_topics.turn_frames, calls.turn_frames]
        connection.receive = inbound.receive
        inbound.request = self._push.request
        self._topics.listen(REPLY_TOPIC, calls.on_reply)
        self._topics.listen(UPLOAD_TOPIC, self._uploads.on_reply)
        self._topics.listen(SYSTEM_TOPIC, self._on_system_event)
        inbound.denied.add(lambda denial: streams.denied(*denial))
        connection.opened.add(self._on_opened)
        connection.lost.add(self._on_lost)

    def _on_opened(self, reopened: bool) -> None:
        self._inbound.opened()
        self._streams.opened()
        self._offline.opened()

    def _on_lost(self, over: bool) -> None:
        self._after_topics.forget()
        self._calls.fail_all(over)
        self._uploads.fail_all(over)
        self._streams.lost(self._connection.end_error() if over else None)
        if over:
            self._offline.ended()
        else:
            self._offline.lost()

    def _on_system_event(self, event: TopicEvent) -> None:
        # In dev the server names the streams whose code has changed. Spec: live-api 21.1.
        if event.event == "reload" and isinstance(event.data, dict):
            self._streams.reload(_texts(event.data.get("resubscribe")), _texts(event.data.get("modules")))


class Connecting:
    """What `connect` returns: `async with` it, or await it and close the client yourself."""

    def __init__(self, client: Realtime) -> None:
        self._client = client

    async def _open(self) -> Realtime:
        client = self._client
        client.start()
        try:
            if client._options.open_timeout:
                await client.ready()
        except BaseException:
            await client.close()
            raise
        return client

    def __await__(self) -> Generator[Any, None, Realtime]:
        return self._open().__await__()

    async def __aenter__(self) -> Realtime:
        return await self._open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()


def connect(url: str, **options: Any) -> Connecting:
    """Connect to the WebSocket endpoint at `url`, as in `ws://localhost:3000/ws`.

    `async with connect(url) as rt:` closes at the end; `rt = await connect(url)` leaves that to you. Both wait
    for the first connection, for `open_timeout` seconds at most; after that the client reconnects by itself.

    Args:
        url: `ws://` or `wss://`, with the endpoint's path.
        options: see `runtime.client.ClientOptions`.

    Raises:
        ValueError: a bad address or a value out of range. TypeError: an unknown option.
        RpcError: from entering or awaiting, `TIMEOUT` or `CONNECTION_CLOSED` when there is no connection.
    """
    return Connecting(Realtime(url, ClientOptions.of(options)))


def _texts(value: Any) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _soon(fn: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(fn)
