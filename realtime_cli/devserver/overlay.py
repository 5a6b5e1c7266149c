"""The dev channel: what is wrong with the project, and what changed, for every page that is open.

A WebSocket at `/__realtime/dev` that sends JSON texts and reads nothing: first `hello` with the worker's id and
what `web/` holds, and `error` or `ok`, then whatever happens. The script `/__realtime/dev.js` in each page shows it.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from realtime_cli.devserver.channel import distinct
from runtime.server.origin import is_allowed_origin
from runtime.server.proxies import BadAuthority, Proxies

if TYPE_CHECKING:
    from starlette.requests import Request

    from realtime_cli.devserver.channel import Problem
    from runtime.core.settings import Settings

__all__ = ["CHANNEL_PATH", "SCRIPT_PATH", "DevChannel"]

CHANNEL_PATH: Final = "/__realtime/dev"
SCRIPT_PATH: Final = "/__realtime/dev.js"
SCRIPT_FILE: Final = Path(__file__).with_name("dev.js")

MAX_PAGES = 1000
"""Pages that may listen; further ones are closed with 1013."""

MAX_WAITING = 100
"""Messages that wait for one page; a page that does not read is closed with 1013 and comes back."""

MAX_PROBLEMS = 20
"""Problems that are sent; a page can show no more."""


class DevChannel:
    """The open pages and the problems that they show. All methods belong to the loop's thread."""

    def __init__(self, worker: str, settings: Settings) -> None:
        self._worker = worker
        self.web = ""
        """What changes with the files of the web folder; pages that have seen another value load again."""
        self._settings = settings
        self._proxies = Proxies(settings.server)
        self._problems: dict[str, list[Problem]] = {}
        self._pages: dict[WebSocket, asyncio.Queue[str | None]] = {}
        self._close = (1001, "Server shutting down")

    @property
    def pages(self) -> int:
        """Number of pages that listen."""
        return len(self._pages)

    @property
    def problems(self) -> list[Problem]:
        """Everything that is wrong now, whoever found it."""
        return distinct(problem for found in self._problems.values() for problem in found)

    def routes(self) -> list[BaseRoute]:
        """Return the routes of the channel and its script."""
        return [WebSocketRoute(CHANNEL_PATH, self._listen), Route(SCRIPT_PATH, self._script)]

    def set_problems(self, source: str, problems: list[Problem]) -> None:
        """Replace what `source` finds wrong, and tell the pages if that changes anything."""
        if problems == self._problems.get(source, []):
            return
        self._problems[source] = problems
        self._tell(self._state())

    def css_changed(self, paths: list[str]) -> None:
        """Let pages swap these style sheets, named by URL path."""
        self._tell({"kind": "css", "paths": paths, "web": self.web})

    def page_changed(self) -> None:
        """Let pages load again."""
        self._tell({"kind": "page"})

    def stubs_changed(self, modules: list[str]) -> None:
        """Tell pages which live modules have new code."""
        self._tell({"kind": "stubs", "modules": modules})

    def close(self, code: int, reason: str) -> None:
        """Close the pages' connections once everything is sent; later ones too."""
        self._close = (code, reason)
        for queue in self._pages.values():
            with contextlib.suppress(asyncio.QueueFull):
                queue.put_nowait(None)

    def _state(self) -> dict[str, Any]:
        problems = self.problems
        return {"kind": "error", "problems": problems[:MAX_PROBLEMS]} if problems else {"kind": "ok"}

    def _tell(self, message: dict[str, Any]) -> None:
        text = msgspec.json.encode(message).decode()
        for page, queue in list(self._pages.items()):
            try:
                queue.put_nowait(text)
            except asyncio.QueueFull:
                self._pages.pop(page)
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(None)

    def _may_listen(self, page: WebSocket) -> bool:
        """Whether the page may see source code: the origin rule of the app's own connections."""
        if self._settings.dev.skip_origin_check:
            return True
        try:
            base = self._proxies.base_origin(page.scope, page.headers)
        except BadAuthority:
            return False
        return is_allowed_origin(
            page.headers.get("origin"),
            policy=self._settings.websocket.allowed_origins,
            base=base,
            has_upgrade_hook=True,  # a program that is no browser may listen
        )

    async def _listen(self, page: WebSocket) -> None:
        if not self._may_listen(page):
            await page.close(1008)  # before it is accepted: 403
            return
        await page.accept()
        if len(self._pages) >= MAX_PAGES:
            await page.close(1013, "too many pages")
            return
        queue: asyncio.Queue[str | None] = asyncio.Queue(MAX_WAITING)
        for message in ({"kind": "hello", "worker": self._worker, "web": self.web}, self._state()):
            queue.put_nowait(msgspec.json.encode(message).decode())
        self._pages[page] = queue
        try:
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(self._read(page, queue), name="dev channel")
                await self._send(page, queue)
                reading.cancel()
        finally:
            self._pages.pop(page, None)

    async def _send(self, page: WebSocket, queue: asyncio.Queue[str | None]) -> None:
        while (text := await queue.get()) is not None:
            try:
                await page.send_text(text)
            except (WebSocketDisconnect, RuntimeError):  # gone meanwhile
                return
        if page.application_state is WebSocketState.CONNECTED:
            code, reason = self._close if page in self._pages else (1013, "too slow")
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await page.close(code, reason)

    async def _read(self, page: WebSocket, queue: asyncio.Queue[str | None]) -> None:
        """Take note of the page's end; what it says is not looked at."""
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while True:
                message = await page.receive()
                if message["type"] == "websocket.disconnect":
                    break
        self._pages.pop(page, None)
        with contextlib.suppress(asyncio.QueueFull):
            queue.put_nowait(None)

    async def _script(self, request: Request) -> Response:
        script = await asyncio.to_thread(SCRIPT_FILE.read_bytes)
        return Response(script, media_type="text/javascript", headers={"cache-control": "no-cache"})
