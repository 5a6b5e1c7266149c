"""Who may read the metrics, where, and what keeps the server from starting. Spec: platform 3.5."""

from __future__ import annotations

import hmac
import logging
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from runtime.core.settings import MetricsSettings, ServerSettings, Settings, WebSocketSettings
from runtime.server import metricsendpoint
from runtime.server.app import RealtimeApp, create_app
from runtime.server.startup import StartupError, StartupRefused
from tests.server.peers import write_file

OPEN = WebSocketSettings(allowed_origins="*")  # the host pin is not what is looked at here


def make(
    project: Path | None = None, *, env: str = "production", server: Any = None, **metrics: Any
) -> RealtimeApp:
    settings = Settings(
        server=ServerSettings(env=env, **(server or {})),
        websocket=OPEN,
        metrics=MetricsSettings(**{"enabled": True, **metrics}),
    )
    return create_app(project, settings=settings)


async def ask(
    app: RealtimeApp,
    headers: Any = (),
    *,
    path: str = "/metrics",
    method: str = "GET",
    client: Any = ("10.1.2.3", 9),
) -> httpx.Response:
    transport = httpx.ASGITransport(app=app, client=client)
    async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as asking:
        return await asking.request(method, path, headers=headers)


@pytest.fixture
async def started():
    made: list[RealtimeApp] = []

    async def start(*args: Any, **options: Any) -> RealtimeApp:
        app = make(*args, **options)
        made.append(app)
        await app.start()
        return app

    yield start
    for app in made:
        await app.stop()


@pytest.mark.spec("PLAT-88")
async def test_they_are_off_by_default():
    app = create_app(None, settings=Settings(server=ServerSettings(env="test")))
    assert (await ask(app)).status_code == 404
    assert app.runtime.scraping is None


@pytest.mark.spec("PLAT-88")
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("authorization", "Bearer s3cret")], 200),
        ([("authorization", "bearer   s3cret ")], 200),
        ([("x-scrape-token", "s3cret")], 200),
        ([("authorization", "Bearer wrong"), ("x-scrape-token", "s3cret")], 200),
        ([("authorization", "Basic s3cret")], 401),
        ([("authorization", "s3cret")], 401),
        ([("authorization", "Bearer s3cre")], 401),
        ([("authorization", "Bearer s3cretx")], 401),
        ([("authorization", "Bearer S3CRET")], 401),
        ([("authorization", "Bearer ")], 401),
        ([("x-scrape-token", "")], 401),
        ([("x-scrape-token", "\xfc")], 401),
        ([], 401),
    ],
)
async def test_a_token_opens_them(started, headers, status):
    app = await started(token="s3cret")
    answer = await ask(app, [(name, value.encode("latin-1")) for name, value in headers])
    assert answer.status_code == status
    if status == 401:
        assert answer.content == b""
        assert answer.headers["www-authenticate"] == "Bearer"
        assert app.runtime.metrics.get("security_refusals_total", "metrics_token") == 1
    else:
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        assert "realtime_ws_connections 0.0\n" in answer.text


@pytest.mark.spec("PLAT-88")
async def test_tokens_are_compared_in_constant_time(started, monkeypatch):
    compared: list[bytes] = []
    original = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return original(one, other)

    monkeypatch.setattr(metricsendpoint.hmac, "compare_digest", compare)
    await ask(await started(token="s3cret"), {"authorization": "Bearer s3cret", "x-scrape-token": "x"})
    assert compared == [b"x", b"s3cret"]


@pytest.mark.spec("PLAT-88")
@pytest.mark.parametrize(
    ("allow", "client", "status"),
    [
        (["10.0.0.0/8"], "10.1.2.3", 200),
        (["10.0.0.0/8"], "11.1.2.3", 403),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", 200),
        (["fd00::/8"], "fd00::1", 200),
        (["private"], "192.168.1.1", 200),
        (["loopback"], "192.168.1.1", 403),
        (["*"], "8.8.8.8", 200),
        (["private"], None, 200),
        (["10.0.0.0/8"], None, 403),
    ],
)
async def test_networks_open_them(started, allow, client, status):
    app = await started(allow=allow)
    answer = await ask(app, client=(client, 9) if client else None)
    assert answer.status_code == status
    if status == 403:
        assert answer.content == b""
        assert app.runtime.metrics.get("security_refusals_total", "metrics_network") == 1


@pytest.mark.spec("PLAT-88")
@pytest.mark.parametrize("header", ["x-forwarded-for", "x-real-ip", "forwarded"])
async def test_a_proxy_does_not_lend_its_address(started, header):
    app = await started(allow=["loopback"])
    here = ("127.0.0.1", 9)
    assert (await ask(app, client=here)).status_code == 200
    assert (await ask(app, {header: "8.8.8.8"}, client=here)).status_code == 403
    known = await started(allow=["8.8.8.0/24"], server={"address_header": "x-forwarded-for"})
    assert (await ask(known, {"x-forwarded-for": "8.8.8.8"}, client=here)).status_code == 200
    assert (await ask(known, {"x-forwarded-for": "9.8.8.8"}, client=here)).status_code == 403
    assert (await ask(known, client=here)).status_code == 403


@pytest.mark.spec("PLAT-88")
async def test_with_both_both_are_asked(started):
    app = await started(allow=["10.0.0.0/8"], token="t")
    assert (await ask(app)).status_code == 401
    assert (await ask(app, {"x-scrape-token": "t"}, client=("1.1.1.1", 9))).status_code == 403
    assert (await ask(app, {"x-scrape-token": "t"})).status_code == 200


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("POST", 405), ("OPTIONS", 405)])
async def test_other_methods(started, method, status):
    answer = await ask(await started(token="t"), {"x-scrape-token": "t"}, method=method)
    assert answer.status_code == status
    assert method != "HEAD" or answer.content == b""


async def test_the_path_can_move_and_an_app_may_have_ours(started):
    app = await started(token="t", path="/internal/numbers")
    assert (await ask(app, {"x-scrape-token": "t"}, path="/internal/numbers")).status_code == 200
    assert (await ask(app, {"x-scrape-token": "t"})).status_code == 404


@pytest.mark.spec("PLAT-79")
async def test_the_metrics_come_before_the_routes_of_the_app(tmp_path, started):
    write_file(
        tmp_path, "hooks.py", "from starlette.routing import Route\nroutes = [Route('/metrics', None)]\n"
    )
    write_file(tmp_path, "web/metrics", "a file")
    app = await started(tmp_path, token="t")
    assert (await ask(app)).status_code == 401
    off = await started(tmp_path / "web", enabled=False)
    assert (await ask(off)).status_code == 404


async def test_a_scraper_with_the_token_may_ask_by_address(started):
    app = await started(token="t", server={"allowed_hosts": ["elsewhere.test"]})
    assert (await ask(app, {"x-scrape-token": "t"})).status_code == 200
    assert (await ask(app, path="/")).status_code == 400
    near = await started(allow=["private"], server={"allowed_hosts": ["elsewhere.test"]})
    assert (await ask(near)).status_code == 400


@pytest.mark.spec("PLAT-88")
@pytest.mark.parametrize("env", ["production", "staging"])
async def test_production_does_not_start_with_open_metrics(env):
    app = make(env=env)
    with pytest.raises(StartupRefused) as refused:
        await app.start()
    assert refused.value.reason.startswith("SEC040: [metrics] enabled")
    for setting in ("listen = ", "token = ", "allow = "):
        assert setting in refused.value.remedy


@pytest.mark.spec("PLAT-88")
@pytest.mark.parametrize("env", ["dev", "test"])
async def test_a_developer_may_have_them_open(started, env, caplog):
    with caplog.at_level(logging.WARNING, logger="realtime.startup"):
        app = await started(env=env)
    assert ("SEC040" in caplog.text) is (env == "dev")
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as asking:
        assert (await asking.get("/metrics")).status_code == 200


@pytest.mark.spec("PLAT-88")
async def test_a_listener_of_their_own(started):
    app = await started(listen="127.0.0.1:0")
    assert (await ask(app)).status_code == 404
    port = app.runtime.scraping.port
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as asking:
        answer = await asking.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "server" not in answer.headers
        assert "realtime_http_requests_total" in answer.text
        assert (await asking.get("/healthz")).status_code == 404
        assert (await asking.head("/metrics")).content == b""
    await app.stop()
    with pytest.raises(httpx.ConnectError):
        async with httpx.AsyncClient() as asking:
            await asking.get(f"http://127.0.0.1:{port}/metrics")


@pytest.mark.spec("PLAT-88")
async def test_the_own_listener_asks_for_the_token_too(started):
    app = await started(listen="127.0.0.1:0", token="t")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{app.runtime.scraping.port}") as asking:
        assert (await asking.get("/metrics")).status_code == 401
        assert (await asking.get("/metrics", headers={"x-scrape-token": "t"})).status_code == 200


async def test_a_taken_address_keeps_the_app_from_starting():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        app = make(listen=address)
        with pytest.raises(StartupError, match=f"cannot listen on {address} for the metrics"):
            await app.start()


async def test_in_dev_a_worker_may_come_while_the_one_before_it_still_listens(started, caplog):
    first = await started(env="dev", listen="127.0.0.1:0")
    address = f"127.0.0.1:{first.runtime.scraping.port}"
    second = await started(env="dev", listen=address)
    assert second.runtime.scraping.port == first.runtime.scraping.port
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        third = await started(env="dev", listen=address)
        assert third.runtime.is_ready
        assert f"cannot listen on {address} for the metrics" in caplog.text


async def test_topics_are_shortened_by_a_function_of_the_app(tmp_path, started, caplog):
    write_file(
        tmp_path,
        "labels_of_mine.py",
        """
        def short(topic):
            return {"a:1": "letters", "b": 7}.get(topic) or topic[100]
        """,
    )
    app = await started(tmp_path, token="t", map_topic="labels_of_mine.short")
    label = app.runtime.metrics.topic_label
    assert [label(topic) for topic in ("a:1", "b", "c", "d")] == ["letters", "*", "*", "*"]
    assert caplog.text.count("map_topic") == 1


@pytest.mark.parametrize("name", ["no_such_module.x", "json.nothing", "json.__doc__"])
async def test_a_function_that_is_none_keeps_the_app_from_starting(tmp_path, name):
    with pytest.raises(StartupError, match=r"\[metrics\] map_topic"):
        await make(tmp_path, token="t", map_topic=name).start()
