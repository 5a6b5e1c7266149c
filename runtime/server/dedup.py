"""Anonymous requests for one page at one time share one render. Spec: platform 3.7 and 5.10.

This joins what happens at the same moment and is no cache: the next request after the end of a render has its own.

The first request for a page leads: it is served as always, and what it sends is noted. The others wait for it. As soon
as it shows that the answer cannot be shared, they are served as if there had been no leader.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from starlette.datastructures import Headers
from starlette.types import Message

from runtime.core import capacity
from runtime.server.bodylimit import announced_length
from runtime.server.representation import MEMO_KEY
from runtime.server.staticfile import ENTRY_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from runtime.core.metrics import Metrics
    from runtime.server.credentials import Credentials

__all__ = ["RenderSharing"]

Key = tuple[str, str, bytes, bytes]
#: What routing has left in the scope of the leader; it says of which kind an answer is.
_MARKS: Final = ("endpoint", ENTRY_KEY)
_PRIVATE: Final = frozenset({"private", "no-store"})


class _Shared(NamedTuple):
    """A whole answer."""

    start: Message
    body: bytes
    marks: dict[str, Any]
    #: Its compressed forms, made once for all.
    memo: dict[str, bytes | None]


class RenderSharing:
    """Lets the app render each page once for all who ask at the same time.

    Left alone are the paths for which `is_plain` says so, requests that are no GET or HEAD, carry credentials, a body
    or a range, and what is beyond the bounds: `MAX_SSR_DEDUP` pages at once, `MAX_SSR_DEDUP_WAITERS` waiting requests.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        credentials: Credentials,
        metrics: Metrics,
        is_plain: Callable[[Scope], bool],
        include_origin: bool = True,
    ) -> None:
        self._app = app
        self._credentials = credentials
        self._metrics = metrics
        self._is_plain = is_plain
        self._include_origin = include_origin
        self._renders: dict[Key, _Render] = {}
        #: Requests that wait for another one's render.
        self.waiting = 0

    def __len__(self) -> int:
        """Return how many pages are being rendered."""
        return len(self._renders)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        if scope["method"] not in ("GET", "HEAD") or self._is_plain(scope):
            await self._app(scope, receive, send)
            return
        key = self._key(scope) if self._is_eligible(scope) else None
        render = self._renders.get(key) if key is not None else None
        if key is None or not self._has_room(render):
            self._metrics.add("page_dedup_total", "bypass")
            await self._app(scope, receive, send)
        elif render is None:
            self._metrics.add("page_dedup_total", "leader")
            await self._lead(key, scope, receive, send)
        else:
            await self._follow(render, scope, receive, send)

    def _is_eligible(self, scope: Scope) -> bool:
        headers = scope["headers"]
        if self._credentials.are_in(headers) or announced_length(scope):
            return False
        return not any(name in (b"range", b"transfer-encoding") for name, _ in headers)

    def _key(self, scope: Scope) -> Key:
        origin = scope.get("state", {}).get("base_origin", "") if self._include_origin else ""
        path = scope.get("raw_path") or scope["path"].encode()
        return scope["method"], origin, path, scope.get("query_string", b"")

    def _has_room(self, render: _Render | None) -> bool:
        full = None
        if render is None and len(self._renders) >= capacity.get("MAX_SSR_DEDUP"):
            full = "MAX_SSR_DEDUP"
        elif render is not None and self.waiting >= capacity.get("MAX_SSR_DEDUP_WAITERS"):
            full = "MAX_SSR_DEDUP_WAITERS"
        if full is not None:
            capacity.record(full, "bypass", hint="each further request is rendered on its own")
        return full is None

    async def _lead(self, key: Key, scope: Scope, receive: Receive, send: Send) -> None:
        render = _Render(scope, lambda: self._renders.pop(key, None))
        self._renders[key] = render

        async def noted(message: Message) -> None:
            render.note(message)
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            render.end(None)  # unless it has ended already

    async def _follow(self, render: _Render, scope: Scope, receive: Receive, send: Send) -> None:
        self.waiting += 1
        render.follow()
        try:
            await render.ended.wait()
        finally:
            self.waiting -= 1
        shared = render.shared
        if shared is None:
            self._metrics.add("page_dedup_total", "unshared")
            await self._app(scope, receive, send)
            return
        self._metrics.add("page_dedup_total", "shared")
        scope.update(shared.marks)
        await send({**shared.start, "headers": list(shared.start["headers"])})
        await send({"type": "http.response.body", "body": shared.body, MEMO_KEY: shared.memo})


class _Render:
    """What a leader sends, until it is whole or cannot be shared. As long as nobody waits it is hardly looked at."""

    __slots__ = ("_body", "_forget", "_length", "_scope", "_size", "_start", "ended", "followers", "shared")

    def __init__(self, scope: Scope, forget: Callable[[], object]) -> None:
        self._scope = scope
        self._forget = forget
        self._start: Message | None = None
        self._body: list[bytes] = []
        self._size = 0
        #: Length of the answer, once somebody had to know it.
        self._length: int | None = None
        self.followers = 0
        #: Set when `shared` is known.
        self.ended = asyncio.Event()
        self.shared: _Shared | None = None

    def follow(self) -> None:
        """Note that one more waits."""
        self.followers += 1
        self._judge()

    def note(self, message: Message) -> None:
        """Take what the leader sends."""
        if self.ended.is_set():
            return
        if message["type"] == "http.response.start":
            self._start = message
            if self.followers:
                self._judge()
        elif message["type"] != "http.response.body" or self._start is None:
            self.end(None)
        elif message.get("more_body", False):
            self._judge()
            if not self.ended.is_set():
                self._add(message)
        elif self.followers:
            self._add(message)
            self._finish(self._start, message)
        else:
            self.end(None)

    def _judge(self) -> None:
        if self._start is not None and self._length is None and not self.ended.is_set():
            self._length = _shareable_length(self._start)
            if not self._length:
                self.end(None)

    def _add(self, message: Message) -> None:
        body = message.get("body", b"")
        self._body.append(body)
        self._size += len(body)
        if self._size > (self._length or 0):
            self.end(None)

    def _finish(self, start: Message, message: Message) -> None:
        if self.ended.is_set():
            return
        if self._size != self._length:  # HEAD without the body that it stands for, or cut short
            self.end(None)
            return
        body = b"".join(self._body)
        memo: dict[str, bytes | None] = message.setdefault(MEMO_KEY, {})
        marks = {name: self._scope[name] for name in _MARKS if name in self._scope}
        self.end(_Shared({**start, "headers": list(start["headers"])}, body, marks, memo))

    def end(self, shared: _Shared | None) -> None:
        """Tell those who wait; once."""
        if not self.ended.is_set():
            self.shared = shared
            self._body.clear()
            self.ended.set()
            self._forget()


def _shareable_length(start: Message) -> int:
    """Return the length of the answer if anybody may have it, 0 if only who asked. A stream has none."""
    status = start["status"]
    headers = Headers(raw=list(start.get("headers", [])))
    if (
        status < 200
        or start.get("trailers")
        or status == 206
        or status >= 500
        or "set-cookie" in headers
        or "content-encoding" in headers
    ):
        return 0
    if _parts(headers, "vary") - {"accept-encoding"} or _parts(headers, "cache-control") & _PRIVATE:
        return 0
    length = headers.get("content-length", "")
    if not length.isdigit() or len(length) > 9:
        return 0
    if int(length) > capacity.get("MAX_SSR_DEDUP_BODY"):
        capacity.record("MAX_SSR_DEDUP_BODY", "bypass", size=int(length))
        return 0
    return int(length)


def _parts(headers: Headers, name: str) -> set[str]:
    return {
        part.strip().lower() for value in headers.getlist(name) for part in value.split(",") if part.strip()
    }
