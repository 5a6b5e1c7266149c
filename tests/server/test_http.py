"""The HTTP side under uvicorn, asked over a real socket with requests that no client library would send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from runtime.core.settings import ServerSettings, Settings
from runtime.server.app import create_app
from runtime.server.serving import RealtimeServer
from tests.server.peers import write_file

TIMEOUT = 10.0
FILES = {
    "realtime.toml": "# secret\n",
    "live/todos.py": "from runtime import live\n@live\nasync def add(ctx, text: str):\n    return text\n",
    "web/index.html": "<!doctype html><head><title>home</title></head>",
    "web/a.txt": "0123456789",
    "web/docs/index.html": "<title>docs</title>",
    "web/hello.html.j2": "<title>{{ request.query_params['name'] }}</title>",
    "web/fail.html.j2": "{{ 1 / 0 }}",
}


class Asked:
    """A running server and how to ask it."""

    def __init__(self, project: Path, server: RealtimeServer) -> None:
        self.project = project
        self.port: int = server.servers[0].sockets[0].getsockname()[1]

    async def raw(self, request: bytes) -> bytes:
        """Send bytes and return everything until the server closes."""
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                writer.write(request)
                await writer.drain()
                return await reader.read()
            finally:
                writer.close()
                await writer.wait_closed()

    async def ask(self, target: str, *headers: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of one request, as they came over the wire."""
        lines = [f"{method} {target} HTTP/1.1", "host: t", "connection: close", *headers, "", ""]
        head, _, body = (await self.raw("\r\n".join(lines).encode())).partition(b"\r\n\r\n")
        status, *fields = head.decode("latin-1").split("\r\n")
        pairs = [field.partition(": ") for field in fields]
        names = [name.lower() for name, _, _ in pairs if name.lower() != "connection"]
        assert len(names) == len(set(names)), f"a header came twice: {names}"
        return int(status.split()[1]), {name.lower(): value for name, _, value in pairs}, body


@asynccontextmanager
async def running(project: Path, files: dict[str, str | bytes], **server: Any) -> AsyncIterator[Asked]:
    project.mkdir()
    for name, content in files.items():
        if isinstance(content, bytes):
            (project / name).write_bytes(content)
        else:
            write_file(project, name, content)
    app = create_app(project, settings=Settings(server=ServerSettings(**{"env": "test", **server})))
    serving = RealtimeServer(app, host="127.0.0.1", port=0, log_level="critical")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serving.serve(), name="server")
        async with asyncio.timeout(TIMEOUT):
            await serving.ready.wait()
        yield Asked(project, serving)
        serving.should_exit = True


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Asked]]]:
    async with AsyncExitStack() as stack:

        async def start(files: dict[str, str | bytes] | None = None, **server: Any) -> Asked:
            return await stack.enter_async_context(running(tmp_path / "app", files or dict(FILES), **server))

        yield start


@pytest.mark.spec("PLAT-80")
async def test_a_file_over_the_wire(serve):
    site = await serve()
    status, headers, body = await site.ask("/a.txt")
    assert (status, body) == (200, b"0123456789")
    assert headers["content-length"] == "10"
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-cache"
    assert "date" in headers
    assert "server" not in headers
    status, headers, body = await site.ask("/a.txt", f"if-none-match: {headers['etag']}")
    assert (status, body) == (304, b"")
    status, headers, body = await site.ask("/a.txt", "range: bytes=2-3")
    assert (status, body, headers["content-range"]) == (206, b"23", "bytes 2-3/10")


async def test_page_stub_and_client_fit_together(serve):
    site = await serve()
    status, _, page = await site.ask("/")
    assert status == 200
    assert page.startswith(
        b'<!doctype html><head><script type="importmap">{"imports":{"$live/":"/live/"}}</script>'
    )
    status, headers, stub = await site.ask("/live/todos.js")
    assert (status, headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    assert stub == b'import { __rpc } from "./client.js";\nexport const add = __rpc("todos/add");\n'
    status, headers, client = await site.ask("/live/client.js")
    assert (status, headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    assert b" as __rpc," in client  # among the exports of the small form


@pytest.mark.spec("PLAT-81")
@pytest.mark.parametrize(
    "target", ["/", "/a.txt", "/hello?name=x", "/live/todos.js", "/live/client.js", "/healthz", "/no"]
)
async def test_head_is_get_without_the_body(serve, target):
    site = await serve()
    get_status, get_headers, body = await site.ask(target)
    status, headers, nothing = await site.ask(target, method="HEAD")
    assert (status, nothing) == (get_status, b"")
    assert headers["content-length"] == str(len(body))
    assert {**headers, "date": ""} == {**get_headers, "date": ""}


@pytest.mark.spec("PLAT-86")
@pytest.mark.parametrize(
    "target",
    [
        "/../realtime.toml",
        "/docs/../../realtime.toml",
        "/%2e%2e/realtime.toml",
        "/..%5crealtime.toml",
        "/a.txt%00",
        "//a.txt",
    ],
)
async def test_nothing_outside_the_folder_is_served(serve, target):
    site = await serve()
    status, headers, body = await site.ask(target)
    assert (status, body) == (404, b"Not Found")
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("target", ["/%ff", "/docs/%c3%28"])
async def test_path_that_is_not_utf8(serve, target):
    assert (await (await serve()).ask(target))[::2] == (400, b"Bad Request")


@pytest.mark.spec("PLAT-85")
async def test_redirects_keep_the_query(serve):
    site = await serve()
    status, headers, _ = await site.ask("/docs?a=%20b")
    assert (status, headers["location"]) == (308, "/docs/?a=%20b")
    status, headers, _ = await site.ask("/hello/?name=x")
    assert (status, headers["location"]) == (308, "/hello?name=x")


async def test_streamed_file_arrives_whole(serve):
    content = bytes(range(256)) * 4096
    site = await serve(
        {"realtime.toml": "", "web/x.txt": "", "web/big.bin": content}, static_memory_file=1024
    )
    status, headers, body = await site.ask("/big.bin")
    assert (status, headers["content-length"], body) == (200, str(len(content)), content)
    status, headers, body = await site.ask("/big.bin", "range: bytes=-300")
    assert (status, body) == (206, content[-300:])


async def test_several_requests_on_one_connection(serve):
    site = await serve()
    requests = [
        "GET /a.txt HTTP/1.1\r\nhost: t\r\nif-none-match: *\r\n\r\n",
        "HEAD /a.txt HTTP/1.1\r\nhost: t\r\n\r\n",
        "POST /a.txt HTTP/1.1\r\nhost: t\r\ncontent-length: 3\r\n\r\nabc",
        "GET /a.txt HTTP/1.1\r\nhost: t\r\nrange: bytes=99-\r\n\r\n",
        "GET /nothing HTTP/1.1\r\nhost: t\r\n\r\n",
        "GET /a.txt HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n",
    ]
    answer = await site.raw("".join(requests).encode())
    statuses = [int(part.split()[0]) for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [304, 200, 405, 416, 404, 200]
    assert answer.endswith(b"\r\n\r\n0123456789")


async def test_template_and_its_failure(serve):
    site = await serve()
    assert (await site.ask("/hello?name=%3Cb%3E"))[2].endswith(b"<title>&lt;b&gt;</title>")
    status, headers, body = await site.ask("/fail", "accept: text/html")
    assert (status, body) == (500, b"Internal Server Error")
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.spec("PLAT-87")
async def test_health_and_readiness(serve):
    site = await serve()
    assert (await site.ask("/healthz"))[::2] == (200, b"OK")
    assert (await site.ask("/readyz"))[::2] == (200, b'{"ready":true}')


@pytest.mark.spec("PLAT-79")
async def test_plain_request_to_the_socket_path(serve):
    assert (await (await serve()).ask("/ws"))[0] == 426
