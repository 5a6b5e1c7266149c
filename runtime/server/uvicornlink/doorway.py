"""The way in for a plain upgrade request: past uvicorn's WebSocket protocol, through ASGI, to the fast path.

The app sees an ASGI WebSocket as under any server. When it accepts and its endpoint takes the peer over, the answer is
written here and nothing of uvicorn's WebSocket side was ever made. Everything else, an unusual request, a refusal, a
WebSocket of the app's own, goes on in a `LinkedProtocol` that is brought to where the peer is.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

from uvicorn.protocols.utils import (
    ClientDisconnected,
    get_client_addr,
    get_local_addr,
    get_path_with_query_string,
    get_remote_addr,
    is_ssl,
)

from runtime.server.asgisink import PEER_LINK
from runtime.server.fastpath.handshake import encode_accept, read_upgrade
from runtime.server.httpprotocol import BoundedHttp
from runtime.server.uvicornlink.linked import GONE, MAX_EARLY_BYTES, LinkedProtocol
from runtime.wire import closing

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from starlette.types import Message, Scope
    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from runtime.server.fastpath.group import PeerGroup
    from runtime.server.fastpath.peer import FastPeer

__all__ = ["Doorway"]

logger = logging.getLogger("uvicorn.error")  # where uvicorn says the same of its own protocols


class Doorway(asyncio.Protocol):
    """Runs the app for a plain upgrade request; an accepted peer goes to the fast path, all others to `LinkedProtocol`.

    Once another protocol object has the peer, whatever comes here is handed to it.
    """

    linked: type[LinkedProtocol] = LinkedProtocol

    __slots__ = (
        "_accept",
        "_app_state",
        "_config",
        "_connections",
        "_done",
        "_early",
        "_head",
        "_is_detached",
        "_is_gone",
        "_key",
        "_linked",
        "_loop",
        "_scope",
        "_server_state",
        "_told",
        "transport",
    )

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._connections: Any = server_state.connections
        self.transport: asyncio.Transport = GONE
        self._head = self._key = b""
        self._scope: Scope | None = None
        #: The peer's bytes between its request and the answer.
        self._early = b""
        #: The app's `websocket.accept`, until it is clear who goes on with the peer.
        self._accept: Message | None = None
        self._told = self._is_gone = self._is_detached = False
        self._linked: LinkedProtocol | None = None
        #: How the app ended, for the protocol that goes on.
        self._done: asyncio.Future[None] | None = None

    # ------------------------------------------------------------------ what the transport and uvicorn call

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the peer over from uvicorn's HTTP protocol."""
        self.transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Take the request, which comes whole, and what a hasty peer sends behind it."""
        if self._linked is not None:
            self._linked.data_received(data)
        elif self._head:
            self._early += data
            if len(self._early) > MAX_EARLY_BYTES:
                self.terminate()
        else:
            self._begin(data)

    def eof_received(self) -> None:
        """Let the transport close."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the peer has gone; the app hears of it when it next asks or answers."""
        if self._linked is not None:
            self._linked.connection_lost(exc)
        else:
            self._is_gone = True
            self._connections.discard(self)

    def pause_writing(self) -> None:
        """Note that the peer is behind."""
        if self._linked is not None:
            self._linked.pause_writing()

    def resume_writing(self) -> None:
        """Note that the peer has caught up."""
        if self._linked is not None:
            self._linked.resume_writing()

    def shutdown(self) -> None:
        """Close because the server stops."""
        self._go_on().shutdown()

    def _begin(self, head: bytes) -> None:
        self._head = head
        config = self._config
        takes_none = not (self.linked.compresses or config.ws_per_message_deflate)
        upgrade = read_upgrade(head, with_extensions=takes_none)
        if upgrade is None:
            self._hand_over(self.linked(config, self._server_state, self._app_state, self._loop))
            return
        self._key = upgrade.key
        path, _, query = upgrade.target.partition("?")
        root = config.root_path
        transport = self.transport
        # Until this method returns, the transport has the protocol that read the request and knows both addresses.
        http: Any = transport.get_protocol()
        if not isinstance(http, BoundedHttp):
            http = None
        self._scope = {
            "type": "websocket",
            "asgi": {"version": config.asgi_version, "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "wss" if is_ssl(transport) else "ws",
            "server": http.server if http is not None else get_local_addr(transport),
            "client": http.client if http is not None else get_remote_addr(transport),
            "root_path": root,
            "path": root + (unquote(path) if "%" in path else path),
            "raw_path": (root + path).encode("ascii"),
            "query_string": query.encode("ascii"),
            "headers": upgrade.headers,
            "subprotocols": upgrade.subprotocols,
            "state": self._app_state.copy(),
            "extensions": {"websocket.http.response": {}, PEER_LINK: {"link": self}},
        }
        # Never an eager one, whatever the loop makes: uvicorn sets this object as the transport's protocol when this
        # method returns, and the fast path has to come behind that. The server's set keeps it and sees its end.
        task = asyncio.Task(self._run(self._scope), loop=self._loop)
        self._server_state.tasks.add(task)
        task.add_done_callback(self._server_state.tasks.discard)

    # ------------------------------------------------------------------ the app

    async def _run(self, scope: Scope) -> None:
        app: Any = self._config.loaded_app
        error: BaseException | None = None
        try:
            await app(scope, self.receive, self.send)
        except BaseException as caught:
            error = caught
        self._scope = None  # it holds this object
        if self._linked is None and not self._is_detached and not self._is_gone:
            self._go_on()  # which knows what to say of an app that ends without an answer
        if self._done is not None:
            if not self._done.done():
                if error is None:
                    self._done.set_result(None)
                else:
                    self._done.set_exception(error)
        elif error is not None and not isinstance(error, ClientDisconnected):
            logger.error("Exception in ASGI application\n", exc_info=error)

    async def _rest_of_app(self, scope: Any, receive: Any, send: Any) -> None:
        """Stand in for the app in the protocol that goes on: the app itself has been running since before."""
        if self._done is not None:
            await self._done

    async def receive(self) -> Any:
        """Return the next ASGI message; a peer that was given away has left, as far as ASGI is concerned."""
        if self._linked is None:
            if not self._told:
                self._told = True
                return {"type": "websocket.connect"}
            if self._is_gone or self._is_detached:
                return {"type": "websocket.disconnect", "code": closing.ABNORMAL}
        return await self._go_on().receive()

    async def send(self, message: Any) -> None:
        """Take an ASGI message; an `accept` waits until the next turn of the loop for `take_over`."""
        if self._linked is None:
            if self._is_gone or self._is_detached:
                raise ClientDisconnected
            if message["type"] == "websocket.accept" and self._accept is None:
                self._accept = message
                self._loop.call_soon(self._settle)
                return
        await self._go_on().send(message)

    def _settle(self) -> None:
        """Accept the peer for an app that does not hand it to the fast path."""
        if self._linked is None and not self._is_detached and not self._is_gone:
            self._go_on()

    # ------------------------------------------------------------------ who goes on with the peer

    def _go_on(self) -> LinkedProtocol:
        """Return the protocol that goes on with the peer, with the state that it would have had from the start."""
        linked = self._linked
        if linked is None:
            linked = self.linked(self._config, self._server_state, self._app_state, self._loop)
            linked.app = self._rest_of_app
            self._done = self._loop.create_future()
            self._hand_over(linked)
            if self._told:
                linked.queue.get_nowait()
            accept, self._accept = self._accept, None
            if accept is not None:
                _run_through(linked.send(accept))
        return linked

    def _hand_over(self, linked: LinkedProtocol) -> None:
        self._linked = linked
        self._connections.discard(self)
        linked.connection_made(self.transport)
        linked.data_received(self._head)
        early, self._early = self._early, b""
        if early:
            linked.data_received(early)
        self._head = b""

    def take_over(self, group: PeerGroup) -> FastPeer | None:
        """Give the transport of an accepted peer to the fast path; `None` when the peer has gone meanwhile."""
        if self._linked is not None:
            return self._linked.take_over(group)
        transport, accept = self.transport, self._accept
        if accept is None or self._is_gone or transport.is_closing():
            return None
        headers = [*self._server_state.default_headers, *accept.get("headers", ())]
        if accept.get("subprotocol"):
            headers.append((b"Sec-WebSocket-Protocol", accept["subprotocol"].encode("latin-1")))
        answer = encode_accept(self._key, headers)
        self._is_detached = True
        self._connections.discard(self)
        peer = group.take(transport, self._connections, deflates=False, answer=answer)
        transport.set_protocol(peer)
        early, self._early = self._early, b""
        if early:
            self._loop.call_soon(peer.data_received, early)
        # Reading began with uvicorn's protocol, which is not handed buffers.
        transport.pause_reading()
        transport.resume_reading()
        self._log_accepted()
        self.transport = GONE
        return peer

    def _log_accepted(self) -> None:
        if self._scope is not None and logger.isEnabledFor(logging.INFO):
            scope = cast("Any", self._scope)
            client, path = get_client_addr(scope), get_path_with_query_string(scope)
            logger.info('%s - "WebSocket %s" [accepted]', client, path)

    def terminate(self) -> None:
        """Drop the peer at once, with whatever it has not read."""
        if self._linked is not None:
            self._linked.terminate()
        else:
            self._is_gone = True
            self.transport.abort()

    def close_within_bound(self) -> None:
        """Abort the peer in `CLOSE_TIMEOUT` seconds unless it has gone by then."""
        if not self._is_gone:
            self._go_on().close_within_bound()

    def refused(self) -> None:
        """Note that an HTTP answer ended the handshake."""
        if self._linked is not None:
            self._linked.refused()


def _run_through(sending: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that has nothing to wait for."""
    try:
        sending.send(None)
    except StopIteration:
        return
    sending.close()
    raise AssertionError("a protocol that has sent nothing yet waits for its peer")  # pragma: no cover
