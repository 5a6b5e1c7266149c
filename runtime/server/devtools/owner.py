"""The devtools of one worker, and the routes of their page. Spec: live-api 21.2, platform 4 `[dev]`."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from runtime.core.publisher import Publisher
from runtime.core.redaction import REDACTED_KEYS
from runtime.live.runningcalls import RunningCalls
from runtime.server.clientfile import ClientFile
from runtime.server.devtools.access import CHALLENGE, refusal
from runtime.server.devtools.paths import describe_paths
from runtime.server.devtools.recorder import Recorder
from runtime.server.devtools.state import WorkerState
from runtime.server.devtools.taps import SeenConnection, SeenDebugPublisher, SeenInbound, SeenPublisher
from runtime.server.wsdebug import DebugPublisher
from runtime.wire import jsoncodec

if TYPE_CHECKING:
    from starlette.requests import Request

    from runtime.core.connection import Connection
    from runtime.server.assembly import Runtime
    from runtime.server.inbound import Inbound

__all__ = ["PAGE_PATH", "Devtools"]

PAGE_PATH: Final = "/__realtime"
# By its place and not by import: the client packages stand to the right of this one in the order of layers.
FILES: Final = Path(__file__).parents[2] / "client" / "browser" / "devtools"
MAX_FRAMES_PER_ANSWER: Final = 500
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
_MEDIA: Final = {".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}


class Devtools:
    """Records what passes through a worker while the page asks for it, and answers the page."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._id = uuid.uuid4().hex
        keys = REDACTED_KEYS | {name.lower() for name in runtime.settings.devtools.redact}
        self._keys = keys
        self.recorder = Recorder(runtime.clock, keys, lambda path: runtime.live.registry.find(path))
        self.running = RunningCalls()
        self._state = WorkerState(runtime, self.recorder, self.running, keys)
        self._scripts: dict[str, ClientFile] = {}

    # ------------------------------------------------------------ what the worker is made of

    def publisher(self, plain: Any) -> Any:
        """Return what makes the publisher instead of the class `plain`; one that is not ours stays."""
        seen: dict[Any, type[SeenPublisher]] = {Publisher: SeenPublisher, DebugPublisher: SeenDebugPublisher}
        kind = seen.get(plain)
        if kind is None:
            return plain

        def make(*parts: Any) -> Publisher:
            made = kind(*parts)
            made.recorder = self.recorder
            return made

        return make

    def connection(self, **parts: Any) -> Connection:
        """Make a connection that is seen."""
        return SeenConnection(self.recorder, **parts)

    def inbound(self, connection: Connection) -> Inbound:
        """Make the reader of a connection that is seen."""
        return SeenInbound(self.recorder, self._runtime, connection)

    def start(self) -> None:
        """Look at the live side of the worker, which is made by now."""
        self._runtime.live.dispatcher.running = self.running

    def read(self) -> dict[str, Any]:
        """Return the present state of the worker, which has a JSON form and no secret in it."""
        return self._state.read()

    # ------------------------------------------------------------ the page

    def routes(self) -> list[BaseRoute]:
        """Return the routes of the page, its files and its data, and of the overlay."""
        return [
            Route(PAGE_PATH, self._page),
            Route(f"{PAGE_PATH}/files/{{name}}", self._file),
            Route(f"{PAGE_PATH}/poll", self._poll),
            Route(f"{PAGE_PATH}/paths", self._paths),
        ]

    def _refused(self, request: Request, *, is_page: bool = False) -> Response | None:
        status = refusal(self._runtime.settings, request.headers, is_page=is_page)
        if status is None:
            return None
        self._runtime.metrics.add("security_refusals_total", "devtools")
        headers = {**HEADERS, "www-authenticate": CHALLENGE} if status == 401 else HEADERS
        return Response(None, status, headers)

    async def _page(self, request: Request) -> Response:
        refused = self._refused(request, is_page=True)
        if refused is not None:
            return refused
        headers = {**HEADERS, "content-security-policy": POLICY, "x-frame-options": "DENY"}
        return Response((FILES / "page.html").read_bytes(), media_type="text/html", headers=headers)

    async def _file(self, request: Request) -> Response:
        """Answer with a file of the page, to everybody: what it shows is asked for by itself."""
        name: str = request.path_params["name"]
        known = {file.name for file in FILES.iterdir()} if FILES.is_dir() else set()
        if name not in known or name.endswith(".html"):
            return Response("Not Found", 404, media_type="text/plain")
        if name.endswith(".js"):
            script = self._scripts.setdefault(name, ClientFile(FILES / name, fresh=True))
            return script.respond(request)
        media = _MEDIA.get(Path(name).suffix, "application/octet-stream")
        return Response(
            (FILES / name).read_bytes(), media_type=media, headers={**HEADERS, "cache-control": "no-cache"}
        )

    async def _poll(self, request: Request) -> Response:
        """Answer with the state and the frames behind number `after`; from now on they are recorded."""
        refused = self._refused(request)
        if refused is not None:
            return refused
        self.recorder.look()
        frames = self.recorder.frames
        try:
            after = int(request.query_params.get("after", "0"))
        except ValueError:
            return Response("after: must be a number", 400, HEADERS, "text/plain")
        if (
            request.query_params.get("worker") != self._id
        ):  # the numbers of another worker, which this one replaced
            after = 0
        body = {
            "worker": self._id,
            # Names and texts of clients may hold lone surrogates, which only this encoder writes.
            "state": msgspec.Raw(jsoncodec.encode(self.read())),
            "last": frames.last,
            "skipped": self.recorder.skipped,
            "frames": frames.after(after, MAX_FRAMES_PER_ANSWER),
        }
        return _json(body)

    async def _paths(self, request: Request) -> Response:
        """Answer with everything that is registered."""
        refused = self._refused(request)
        if refused is not None:
            return refused
        live = self._runtime.live
        return _json(
            {
                "generation": live.generation.number,
                "socket": self._runtime.settings.websocket.path,
                "paths": msgspec.Raw(jsoncodec.encode(describe_paths(live.registry, self._keys))),
            }
        )


def _json(body: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json", headers=HEADERS)
