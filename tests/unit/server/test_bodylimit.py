"""How large a body may be. Spec: platform 3.9."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from runtime.core.settings import ServerSettings, Settings, SettingsError
from runtime.server.settings_source import load_settings


def make(make_site: Any, **server: Any) -> Any:
    async def size(request: Any) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    async def ignore(request: Any) -> PlainTextResponse:
        return PlainTextResponse("not read")

    below = FastAPI()

    @below.post("/size")
    async def size_below(request: Request) -> int:
        return len(await request.body())

    routes = [
        Route("/size", size, methods=["POST", "GET"]),
        Route("/ignore", ignore, methods=["POST"]),
        Mount("/below", below),
    ]
    return make_site({"web/a.txt": "x"}, routes=routes, **server)


def refusals(site: Any) -> dict[str, int]:
    series = site.metrics.snapshot().get("security_refusals_total", {})
    return {labels[0]: count for labels, count in series.items()}


@pytest.mark.spec("PLAT-92")
@pytest.mark.parametrize(("size", "status"), [(0, 200), (10, 200), (11, 413), (10**18, 413)])
@pytest.mark.parametrize("path", ["/size", "/below/size", "/ignore"])
async def test_a_body_that_announces_too_much_is_not_read(make_site, path, size, status):
    site = make(make_site, body_limit=10)
    chunks = [b"x" * size] if size < 100 else []
    answer = await site.client.ask("POST", path, {"content-length": str(size)}, chunks)
    assert answer.status_code == status
    if status == 413:
        assert answer.text == "Content Too Large"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert refusals(site) == {"body_limit": 1}


@pytest.mark.spec("PLAT-92")
@pytest.mark.parametrize(
    ("chunks", "status"), [([b"x" * 5, b"x" * 5], 200), ([b"x" * 5, b"x" * 6, b"x"], 413)]
)
async def test_a_body_of_unknown_length_is_counted(make_site, chunks, status):
    site = make(make_site, body_limit=10)
    answer = await site.client.ask("POST", "/size", {"transfer-encoding": "chunked"}, chunks)
    assert answer.status_code == status
    assert answer.text == ("10" if status == 200 else "Content Too Large")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert refusals(site) == ({} if status == 200 else {"body_limit": 1})
    assert (await site.client.ask("POST", "/below/size", (), chunks)).status_code == status


@pytest.mark.spec("PLAT-92")
async def test_what_nobody_reads_is_not_counted(make_site):
    site = make(make_site, body_limit=10)
    answer = await site.client.ask("POST", "/ignore", {"transfer-encoding": "chunked"}, [b"x" * 100])
    assert (answer.status_code, answer.text) == (200, "not read")


@pytest.mark.spec("PLAT-92")
async def test_a_body_longer_than_announced_is_a_bad_request(make_site):
    site = make(make_site)
    answer = await site.client.ask("POST", "/size", {"content-length": "3"}, [b"ab", b"cd"])
    assert (answer.status_code, answer.text) == (400, "Bad Request")
    assert refusals(site) == {"body_length": 1}


@pytest.mark.spec("PLAT-92")
async def test_by_default_it_is_512_kib(make_site):
    site = make(make_site)
    for size, status in ((512 * 1024, 200), (512 * 1024 + 1, 413)):
        answer = await site.client.ask("POST", "/size", {"content-length": str(size)}, [b"x" * size])
        assert answer.status_code == status


@pytest.mark.spec("PLAT-92", "PLAT-165")
async def test_0_takes_everything(make_site):
    site = make(make_site, body_limit=0)
    size = 2 * 1024**2
    for headers in ({"content-length": str(size)}, {"transfer-encoding": "chunked"}):
        answer = await site.client.ask("POST", "/size", headers, [b"x" * 1024**2] * 2)
        assert (answer.status_code, answer.text) == (200, str(size))


@pytest.mark.spec("PLAT-165")
@pytest.mark.parametrize(
    ("written", "limit"),
    [
        ('"512K"', 512 * 1024),
        ('"512kb"', 512 * 1024),
        ('"2MB"', 2 * 1024**2),
        ('"1g"', 1024**3),
        ("100", 100),
        ("0", None),
    ],
)
def test_forms_of_the_limit(tmp_path, written, limit):
    (tmp_path / "realtime.toml").write_text(f"[server]\nbody_limit = {written}\n")
    assert load_settings(tmp_path, environ={}).settings.server.body_limit == limit
    text = written.strip('"')
    loaded = load_settings(tmp_path, environ={"REALTIME_SERVER__BODY_LIMIT": text})
    assert loaded.settings.server.body_limit == limit


@pytest.mark.spec("PLAT-92", "PLAT-165")
@pytest.mark.parametrize(
    "written", ["-1", '"-1K"', "inf", "nan", '"inf"', '"Infinity"', "1.5", '"1T"', '""', "true"]
)
def test_what_is_no_limit_keeps_the_app_from_starting(tmp_path, written):
    (tmp_path / "realtime.toml").write_text(f"[server]\nbody_limit = {written}\n")
    with pytest.raises(SettingsError, match=r"\[server\] body_limit = .*expected bytes.*realtime.toml:2"):
        load_settings(tmp_path, environ={})


@pytest.mark.parametrize("value", [-1, float("inf"), float("nan"), "-1"])
def test_the_same_in_code(value):
    with pytest.raises(SettingsError, match="body_limit"):
        Settings(server=ServerSettings(body_limit=value))
