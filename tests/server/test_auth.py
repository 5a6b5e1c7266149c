"""The request before a connect, over real sockets. Spec: wire 1.5, platform 1.4 and 5.6."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from runtime.core.settings import SecuritySettings, ServerSettings, Settings, WebSocketSettings
from runtime.testing import eventually
from tests.server.peers import write_file
from tests.server.sockets import TIMEOUT, Served, receive, served

PATH = "/__ws/auth"
OURS = {"x-requested-with": "realtime"}
SEEN = """
    import asyncio
    from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
"""


@contextlib.asynccontextmanager
async def app(
    folder: Path, hook: str, *, security: dict[str, Any] | None = None, env: str = "test", **websocket: Any
) -> AsyncIterator[Served]:
    """Serve an app whose hooks.py has these lines."""
    write_file(folder, "hooks.py", SEEN + hook)
    settings = Settings(
        server=ServerSettings(env=env, shutdown_timeout=1, allowed_hosts=["127.0.0.1"]),
        websocket=WebSocketSettings(**websocket),
        security=SecuritySettings(**(security or {})),
    )
    async with served(folder, settings) as server:
        yield server


async def ask(server: Served, method: str = "POST", path: str = PATH, **options: Any) -> httpx.Response:
    options.setdefault("headers", OURS)
    async with httpx.AsyncClient(base_url=server.http) as client:
        return await client.request(method, path, **options)


def refusals(server: Served, rule: str) -> int:
    return server.runtime.metrics.get("security_refusals_total", rule)


@pytest.mark.spec("WIRE-12", "PLAT-10")
async def test_success_is_204_with_the_cookies_that_the_hook_set(tmp_path: Path) -> None:
    hook = """
    async def authenticate(cookies):
        cookies.set("sid", cookies.get("sid") + "-renewed", path="/", http_only=True, max_age=60)
        cookies.delete("old", path="/")
    """
    async with app(tmp_path, hook) as server:
        answer = await ask(server, headers={**OURS, "cookie": 'sid="a%20b"; sid=second'})
    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-length" not in answer.headers
    assert answer.headers.get_list("set-cookie") == [
        "sid=a%20b-renewed; Path=/; Max-Age=60; HttpOnly",
        "old=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0",
    ]


@pytest.mark.spec("PLAT-10")
async def test_the_hook_is_told_all_of_the_request(tmp_path: Path) -> None:
    hook = """
    async def authenticate(
        request, headers, cookies, url, remote_address, get_client_address, platform, request_id
    ):
        return JSONResponse({
            "body": (await request.body()).decode(),
            "again": (await request.body()).decode(),
            "method": request.method,
            "many": headers["x-many"],
            "cookies": dict(cookies.get_all()),
            "url": url,
            "address": [remote_address, get_client_address(), request.state.client_address],
            "ids": [platform.request_id, request_id, request.state.request_id],
        })
    """
    async with app(tmp_path, hook) as server:
        headers = [
            *OURS.items(),
            ("X-Many", "1"),
            ("x-many", "2"),
            ("cookie", "a=1"),
            ("x-request-id", "r-1"),
        ]
        answer = await ask(server, path=f"{PATH}?from=page", headers=headers, content=b"the body")
    assert answer.json() == {
        "body": "the body",
        "again": "the body",
        "method": "POST",
        "many": "1, 2",
        "cookies": {"a": "1"},
        "url": f"{PATH}?from=page",
        "address": ["127.0.0.1"] * 3,
        "ids": ["r-1"] * 3,
    }
    assert "x-request-id" not in answer.headers


@pytest.mark.spec("WIRE-12", "PLAT-10")
async def test_false_is_401_without_cookies(tmp_path: Path) -> None:
    hook = """
    def authenticate(cookies):
        cookies.set("sid", "1")
        return False
    """
    async with app(tmp_path, hook) as server:
        answer = await ask(server)
        assert refusals(server, "auth_denied") == 1
    assert (answer.status_code, answer.text) == (401, "Unauthorized")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "set-cookie" not in answer.headers


@pytest.mark.spec("WIRE-12", "PLAT-10")
async def test_a_response_passes_with_its_cookies_first(tmp_path: Path) -> None:
    hook = """
    def authenticate(cookies):
        cookies.set("theirs", "2")
        answer = PlainTextResponse("renewed", 403, {"x-own": "1", "content-length": "1"})
        answer.set_cookie("own", "1")
        return answer
    """
    async with app(tmp_path, hook) as server:
        answer = await ask(server)
    assert (answer.status_code, answer.text, answer.headers["x-own"]) == (403, "renewed", "1")
    assert answer.headers.get_list("content-length") == ["7"]
    assert [cookie.partition(";")[0] for cookie in answer.headers.get_list("set-cookie")] == [
        "own=1",
        "theirs=2",
    ]


async def test_a_streamed_response_and_one_without_a_body_pass_too(tmp_path: Path) -> None:
    hook = """
    def authenticate(cookies, url):
        cookies.set("a", "1")
        if url.endswith("?304"):
            return Response(status_code=304)
        async def parts():
            yield "one "
            yield "two"
        return StreamingResponse(parts(), headers={"content-length": "3"})
    """
    async with app(tmp_path, hook) as server:
        answer = await ask(server)
        assert (answer.text, answer.headers["set-cookie"]) == ("one two", "a=1")
        assert "content-length" not in answer.headers
        empty = await ask(server, path=f"{PATH}?304")
        assert (empty.status_code, empty.content, empty.headers["set-cookie"]) == (304, b"", "a=1")
        assert "content-length" not in empty.headers


@pytest.mark.spec("WIRE-12")
@pytest.mark.parametrize("answer", ["True", "{'id': 1}", "0", "''"])
async def test_anything_else_is_success_and_told_once(
    answer: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with app(tmp_path, f"\n    def authenticate(): return {answer}\n") as server:
        assert [(await ask(server)).status_code for _ in range(2)] == [204, 204]
    assert [record.name for record in caplog.records].count("realtime.auth") == 1


@pytest.mark.spec("WIRE-13", "PLAT-10")
@pytest.mark.parametrize("failure", ["raise RuntimeError('detail')", "raise TimeoutError('of a database')"])
async def test_an_exception_is_500_without_detail_and_without_cookies(failure: str, tmp_path: Path) -> None:
    hook = f"""
    def authenticate(cookies):
        cookies.set("sid", "1")
        {failure}
    """
    async with app(tmp_path, hook) as server:
        answer = await ask(server)
        assert server.runtime.metrics.get("hook_errors_total", "authenticate") == 1
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    assert "set-cookie" not in answer.headers


@pytest.mark.spec("PLAT-10", "PLAT-115")
@pytest.mark.parametrize(
    "hook",
    [
        "cookies.set('a', 'b', path='/\\r\\nX: 1')",
        "return Response('x', headers={'x-evil': 'a\\r\\nset-cookie: b=c'})",
        "return Response('x', headers={'two words': 'a'})",
    ],
)
async def test_headers_cannot_be_smuggled_in(hook: str, tmp_path: Path) -> None:
    async with app(tmp_path, f"\n    def authenticate(cookies):\n        {hook}\n") as server:
        answer = await ask(server)
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    assert not {"x", "set-cookie", "x-evil"} & set(answer.headers)


@pytest.mark.spec("PLAT-10")
async def test_a_slow_hook_is_504_and_ended(tmp_path: Path) -> None:
    hook = """
    async def authenticate(cookies):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cookies.set("late", "1")
            return None  # too late
    """
    async with app(tmp_path, hook, auth_timeout=0.05) as server:
        answer = await ask(server)
        assert (answer.status_code, answer.text) == (504, "Upgrade timed out")
        assert "set-cookie" not in answer.headers


@pytest.mark.spec("WIRE-13", "PLAT-10")
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE"])
async def test_other_methods_are_405(method: str, tmp_path: Path) -> None:
    hook = "\n    def authenticate(): raise RuntimeError('it ran')\n"
    async with app(tmp_path, hook) as server:
        preflight = {
            "origin": server.http,
            "access-control-request-method": "POST",
            "x-http-method-override": "POST",
        }
        answer = await ask(server, method, headers={**OURS, **preflight})
        assert refusals(server, "auth_method") == 1
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.text == ("" if method == "HEAD" else "Method Not Allowed")
    assert answer.headers["content-type"].startswith("text/plain")
    assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.spec("WIRE-14", "PLAT-108", "PLAT-167")
@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({"x-requested-with": "svelte-adapter-uws"}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"origin": "http://127.0.0.1:{port}"}, True),
        ({}, False),
        ({"origin": "http://evil.example", "cookie": "sid=1"}, False),
        ({"sec-fetch-site": "cross-site", "cookie": "sid=1", **OURS}, False),
    ],
)
async def test_a_foreign_page_is_403_before_the_hook(
    headers: dict[str, str], passes: bool, tmp_path: Path
) -> None:
    hook = "\n    def authenticate(cookies): cookies.set('ran', '1')\n"
    async with app(tmp_path, hook) as server:
        port = server.address.rpartition(":")[2]
        answer = await ask(server, headers={name: value.format(port=port) for name, value in headers.items()})
        assert refusals(server, "auth_origin") == int(not passes)
    if passes:
        assert (answer.status_code, answer.headers["set-cookie"]) == (204, "ran=1")
    else:
        assert (answer.status_code, answer.text) == (403, "Origin not allowed")
        assert "set-cookie" not in answer.headers


async def test_the_gate_can_be_switched_off(tmp_path: Path) -> None:
    hook = "\n    def authenticate(): pass\n"
    async with app(tmp_path, hook, security={"auth_require_origin": False}) as server:
        assert (await ask(server, headers={"origin": "http://evil.example"})).status_code == 204


@pytest.mark.spec("WIRE-13", "PLAT-10")
@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(("size", "status"), [(65536, 204), (65537, 413)])
async def test_a_large_body_is_413_by_its_header_or_while_it_is_read(
    declared: bool, size: int, status: int, tmp_path: Path
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"x" * (size - 1)
        yield b"x"

    content: Any = b"x" * size if declared else chunks()
    hook = "\n    def authenticate(cookies): cookies.set('ran', '1')\n"
    async with app(tmp_path, hook) as server:
        answer = await ask(server, content=content)
        assert refusals(server, "auth_body") == int(status == 413)
    assert answer.status_code == status
    assert ("set-cookie" in answer.headers) is (status == 204)
    assert answer.text == ("Content Too Large" if status == 413 else "")


@pytest.mark.spec("WIRE-13")
async def test_a_length_that_is_announced_is_enough_to_refuse(tmp_path: Path) -> None:
    """The body never comes: an answer shows that it was not waited for."""
    hook = "\n    def authenticate(): pass\n"
    head = f"POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\nx-requested-with: realtime\r\ncontent-length: 100000\r\n\r\n"
    async with app(tmp_path, hook) as server, asyncio.timeout(TIMEOUT):
        host, _, port = server.address.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        with contextlib.closing(writer):
            writer.write(head.encode())
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 413 ")


async def test_nothing_runs_for_a_client_that_leaves_in_its_body(tmp_path: Path) -> None:
    hook = "\n    def authenticate(): raise RuntimeError('it ran')\n"
    head = f"POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\nx-requested-with: realtime\r\ncontent-length: 100\r\n\r\nhalf"
    async with app(tmp_path, hook) as server:
        host, _, port = server.address.partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(head.encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert (await ask(server)).status_code == 500  # the one that did run
        await eventually(lambda: len(server.server.server_state.connections) == 0)
        assert server.runtime.metrics.get("hook_errors_total", "authenticate") == 1


@pytest.mark.spec("PLAT-10", "PLAT-167")
async def test_an_address_that_asks_too_often_is_429(tmp_path: Path) -> None:
    hook = "\n    def authenticate(): pass\n"
    limits = {"auth_rate_limit": 2, "auth_rate_limit_window": 60}
    async with app(tmp_path, hook, env="production", **limits) as server:
        foreign = [(await ask(server, headers={})).status_code for _ in range(5)]
        assert foreign == [403] * 5  # a foreign page cannot use up the budget of its visitor
        answers = [await ask(server) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [204, 204, 429, 429]
        assert answers[-1].text == "Too many requests"
        assert refusals(server, "auth_rate") == 2
    async with app(tmp_path, hook, env="test", **limits) as server:
        assert {(await ask(server)).status_code for _ in range(10)} == {204}


@pytest.mark.spec("WIRE-13", "PLAT-11")
async def test_without_the_hook_the_path_is_like_any_other(tmp_path: Path) -> None:
    async with app(tmp_path, "") as server:
        for method in ("POST", "GET"):
            answer = await ask(server, method)
            assert (answer.status_code, answer.text) == (404, "Not Found")


@pytest.mark.spec("PLAT-11", "PLAT-79")
async def test_the_path_can_be_another(tmp_path: Path) -> None:
    async with app(tmp_path, "\n    def authenticate(): pass\n", auth_path="/session") as server:
        assert (await ask(server, path="/session")).status_code == 204
        assert (await ask(server)).status_code == 404


async def test_hooks_that_do_not_load_are_no_reason_to_give_up(tmp_path: Path) -> None:
    """A client takes 404 for final; in dev the hooks will load again."""
    async with app(tmp_path, "\n    def authenticate(:\n", env="dev") as server:
        answer = await ask(server)
        assert (answer.status_code, answer.text) == (500, "WebSocket handler failed to load")


async def test_a_server_that_stops_says_try_again(tmp_path: Path) -> None:
    async with app(tmp_path, "\n    def authenticate(): pass\n") as server:
        server.runtime.is_ready = False
        assert (await ask(server)).status_code == 503
        server.runtime.is_ready = True


async def test_both_clients_pass_and_connect_with_the_new_cookie(tmp_path: Path) -> None:
    hook = """
    def authenticate(cookies):
        cookies.set("sid", "fresh", path="/")

    def upgrade(cookies):
        return {"id": cookies.get("sid")}
    """
    write_file(
        tmp_path, "live/a.py", "from runtime import live\n@live\nasync def who(ctx): return ctx.user['id']\n"
    )
    async with app(tmp_path, hook) as server:
        from runtime.client import connect

        async with connect(server.ws, auth=True) as client:
            assert await client.call("a/who") == "fresh"
        async with httpx.AsyncClient(base_url=server.http) as client:
            browser = {"sec-fetch-site": "same-origin", "origin": server.http, **OURS}
            cookie = (await client.post(PATH, headers=browser)).headers["set-cookie"].partition(";")[0]
        async with server.connect(additional_headers={"cookie": cookie}) as ws:
            await receive(ws)
            await ws.send(json.dumps({"rpc": "a/who", "id": "1", "args": []}))
            assert (await receive(ws))["data"]["data"] == "fresh"
