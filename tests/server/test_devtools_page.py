"""The page `/__realtime` and its data over a real server: what it tells, and to whom."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from runtime import create_app
from runtime.core.settings import (
    DevSettings,
    DevtoolsSettings,
    MetricsSettings,
    ServerSettings,
    Settings,
)
from runtime.server.devtools.owner import FILES as PAGE_FILES
from runtime.server.startup import StartupRefused
from runtime.testing import RunningServer, eventually, running_server
from tests.server.peers import write_file

TOKEN = "correct-horse-battery"
LIVE = """
    # realtime-allow-public: tests
    from typing import Literal

    import msgspec
    from runtime import Lifetime, Reducer, live


    class Item(msgspec.Struct):
        text: str
        priority: Literal["low", "high"] = "low"


    @live.stream("todos", key="id")
    async def todos(ctx):
        "Everything there is to do."
        return []


    @live
    async def add(ctx, item: Item, times: int = 1, *tags: str):
        ctx.publish("todos", "created", {"id": 1, "text": item.text})
        return item


    @live
    async def login(ctx, name: str, password: str = "letmein"):
        return name


    @live.cron("0 0 1 1 *", "years", tz="UTC")
    async def year(ctx):
        "Once a year."
        return 1


    class Counted(live.Aggregate):
        source, topic = "todos", "counted"
        windows = {"total": Lifetime()}
        count = Reducer(init=lambda: 0, reduce=lambda acc, event, data: acc + 1)


    board = live.room(
        topic=lambda id: f"board:{id}",
        init=lambda ctx, id: [],
        presence=lambda ctx: {"name": "ada", "token": "hidden"},
    )
"""
HOOKS = """
    def upgrade(ctx):
        return {"id": "ada", "token": "hidden"}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_file(tmp_path, "live/todos.py", LIVE)
    write_file(tmp_path, "hooks.py", HOOKS)
    write_file(tmp_path, "web/index.html", "<!doctype html><title>home</title>")
    return tmp_path


@asynccontextmanager
async def served(
    folder: Path, env: str = "dev", **settings: Any
) -> AsyncIterator[tuple[RunningServer, httpx.AsyncClient]]:
    server = ServerSettings(env=env, shutdown_timeout=0.2, allowed_hosts=("127.0.0.1",))
    app = create_app(folder, settings=Settings(server=server, **settings))
    async with running_server(app) as running, httpx.AsyncClient(base_url=running.url) as client:
        yield running, client


async def poll(client: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    answer = await client.get("/__realtime/poll", params=query)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def test_the_page_names_only_files_that_are_there_and_may_load_nothing_else(folder: Path) -> None:
    async with served(folder) as (_, client):
        page = await client.get("/__realtime")
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert page.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in page.headers["content-security-policy"]
        for name in ("page.js", "devtools.css"):
            assert f"__realtime/files/{name}" in page.text
        for file in PAGE_FILES.iterdir():
            answer = await client.get(f"/__realtime/files/{file.name}")
            assert answer.status_code == (404 if file.suffix == ".html" else 200), file.name
            assert answer.headers["x-content-type-options"] == "nosniff"
        assert (await client.get("/__realtime/files/..%2frealtime.js")).status_code == 404
        assert (await client.post("/__realtime")).status_code == 405


async def test_the_state_of_everything_is_told(folder: Path) -> None:
    async with served(folder) as (running, client):
        await poll(client)
        async with running.connect() as peer:
            async with peer.stream("todos/todos"), peer.stream("todos/board/__data", "kitchen"):
                await peer.call("todos/add", {"text": "milk"})
                answer = await poll(client)
                state = answer["state"]
                [connection] = state["connections"]["rows"]
                assert connection["user"]["id"] == "ada"
                assert connection["user"]["token"] == "[REDACTED]"
                assert {"todos", "board:kitchen"} <= set(connection["topics"])
                assert connection["streams"] == ["todos/board/__data", "todos/todos"]
                topics = {row["topic"]: row for row in state["topics"]["rows"]}
                assert (topics["todos"]["subscribers"], topics["todos"]["events"]) == (1, 1)
                assert topics["todos"]["streams"] == [
                    {"path": "todos/todos", "merge": "crud", "connections": 1}
                ]
                [room] = state["presence"]["rows"]
                assert (room["topic"], room["kind"], room["count"]) == ("board:kitchen", "room", 1)
                assert room["people"] == [{"key": "ada", "data": {"name": "ada", "token": "[REDACTED]"}}]
                [job] = state["cron"]["rows"]
                assert (job["path"], job["schedule"], job["last_status"]) == ("todos/year", "0 0 1 1 *", None)
                assert job["next_run"] > state["worker"]["now"]
                [aggregate] = state["aggregates"]["rows"]
                assert aggregate["windows"] == [
                    {"name": "total", "topic": "counted:total", "value": {"count": 1}}
                ]
                assert state["pressure"]["snapshot"]["reason"] == "NONE"
                assert {row["name"] for row in state["pressure"]["sizes"]} >= {
                    "MAX_TOPICS",
                    "MAX_DEVTOOLS_FRAMES",
                }
                assert "hidden" not in (await client.get("/__realtime/poll")).text
        await eventually(lambda: not running.runtime.connections)
        assert (await poll(client))["state"]["connections"] == {"total": 0, "rows": []}


async def test_frames_come_once_and_from_the_start_of_another_worker(folder: Path) -> None:
    async with served(folder) as (running, client):
        first = await poll(client)
        assert first["frames"] == []
        async with running.connect() as peer:
            await peer.call("todos/login", "ada", "hidden")
            second = await poll(client, after=first["last"], worker=first["worker"])
            assert [frame["n"] for frame in second["frames"]] == list(range(1, second["last"] + 1))
            assert (await poll(client, after=second["last"], worker=second["worker"]))["frames"] == []
            again = await poll(client, after=second["last"], worker="another")
            assert again["frames"] == second["frames"]
        assert (await client.get("/__realtime/poll", params={"after": "x"})).status_code == 400


async def test_paths_are_told_with_what_they_take(folder: Path) -> None:
    async with served(folder) as (_, client):
        answer = (await client.get("/__realtime/paths")).json()
    paths = {one["path"]: one for one in answer["paths"]}
    assert answer["socket"] == "/ws"
    item, times, tags = paths["todos/add"]["parameters"]
    assert (item["name"], item["type"], item["required"]) == ("item", "Item", True)
    assert item["schema"]["$defs"]["Item"]["required"] == ["text"]
    assert (times["required"], times["default"], times["schema"]) == (False, 1, {"type": "integer"})
    assert tags["variadic"] is True
    assert paths["todos/login"]["parameters"][1]["default"] == "[REDACTED]"
    stream = paths["todos/todos"]
    assert (stream["kind"], stream["topic"], stream["merge"], stream["doc"]) == (
        "stream", "todos", "crud", "Everything there is to do.",
    )  # fmt: skip
    assert stream["options"]["key"] == "id"
    assert "todos/year" not in paths, "clients cannot call it"
    assert not any(one["exposed"] for one in paths.values()), "the module says that anybody may"


async def test_what_anybody_may_call_by_mistake_is_marked(tmp_path: Path) -> None:
    write_file(tmp_path, "live/open.py", "from runtime import live\n@live\nasync def f(ctx): ...\n")
    async with served(tmp_path) as (_, client):
        answer = (await client.get("/__realtime/paths")).json()
    assert [one["exposed"] for one in answer["paths"]] == [True]


@pytest.mark.parametrize(
    "path", ["/__realtime", "/__realtime/poll", "/__realtime/paths", "/__realtime/files/page.js"]
)
@pytest.mark.parametrize(
    ("env", "settings"),
    [
        pytest.param("production", {}, id="in production"),
        pytest.param("test", {}, id="in tests"),
        pytest.param("dev", {"dev": DevSettings(devtools=False)}, id="switched off"),
        pytest.param(
            "production", {"devtools": DevtoolsSettings(token=TOKEN)}, id="a token alone switches nothing on"
        ),
    ],
)
async def test_there_is_no_page_elsewhere(
    folder: Path, path: str, env: str, settings: dict[str, Any]
) -> None:
    async with served(folder, env, **settings) as (running, client):
        assert (await client.get(path)).status_code == 404
        assert running.runtime.devtools is None


async def test_production_does_not_start_with_a_page_for_everybody(folder: Path) -> None:
    with pytest.raises(StartupRefused, match=r"\[devtools\] enabled shows every frame") as refused:
        async with served(folder, "production", devtools=DevtoolsSettings(enabled=True)):
            pass  # it does not come so far
    assert "DEVTOOLS_TOKEN" in refused.value.remedy


def basic(token: str, name: str = "") -> str:
    return f"Basic {base64.b64encode(f'{name}:{token}'.encode()).decode()}"


@pytest.mark.parametrize("path", ["/__realtime", "/__realtime/poll", "/__realtime/paths"])
async def test_in_production_it_asks_for_the_token(folder: Path, path: str) -> None:
    devtools = DevtoolsSettings(enabled=True, token=TOKEN)
    async with served(folder, "production", devtools=devtools) as (running, client):
        recorder = running.runtime.devtools.recorder  # type: ignore[union-attr]  # it is on
        wrong = (
            None,
            "",
            basic("wrong"),
            basic(TOKEN[:-1]),
            f"Bearer {TOKEN}x",
            f"Digest {TOKEN}",
            "Basic %%%",
        )
        for given in wrong:
            answer = await client.get(path, headers={} if given is None else {"authorization": given})
            assert answer.status_code == 401, given
            assert answer.headers["www-authenticate"].startswith("Basic realm=")
            assert answer.content == b""
        assert not recorder.is_on, "who is refused starts nothing"
        assert running.runtime.metrics.get("security_refusals_total", "devtools") == len(wrong)
        for given in (basic(TOKEN), basic(TOKEN, "anybody"), f"Bearer {TOKEN}", f"bearer {TOKEN}"):
            assert (await client.get(path, headers={"authorization": given})).status_code == 200


async def test_a_token_holds_in_dev_as_well(folder: Path) -> None:
    async with served(folder, devtools=DevtoolsSettings(token=TOKEN)) as (_, client):
        assert (await client.get("/__realtime/poll")).status_code == 401
        assert (await client.get("/__realtime/files/door.js")).status_code == 200, "pages of the app load it"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_another_site_gets_no_data(folder: Path, site: str) -> None:
    async with served(folder) as (_, client):
        headers = {"sec-fetch-site": site}
        assert (await client.get("/__realtime/poll", headers=headers)).status_code == 403
        assert (await client.get("/__realtime/paths", headers=headers)).status_code == 403
        assert (await client.get("/__realtime", headers=headers)).status_code == 200, "a link may lead to it"
        foreign = await client.get("/__realtime/poll", headers={"host": "evil.example"})
        assert foreign.status_code == 400


async def test_who_asks_beside_somebody_with_the_token_gets_an_answer_of_his_own(folder: Path) -> None:
    devtools = DevtoolsSettings(enabled=True, token=TOKEN)
    async with served(folder, "production", devtools=devtools) as (_, client):
        asked = [{"authorization": basic(TOKEN)}, {}] * 5
        answers = await asyncio.gather(*(client.get("/__realtime", headers=headers) for headers in asked))
        assert [answer.status_code for answer in answers] == [200, 401] * 5


async def test_the_client_of_production_has_nothing_of_it(folder: Path) -> None:
    async with served(folder, "production", metrics=MetricsSettings()) as (_, client):
        packed = (await client.get("/live/client.js")).text
        page = (await client.get("/")).text
    assert "__realtime/files" not in packed + page
    assert "realtime.devtools" not in packed


async def test_it_works_below_a_mount_point(folder: Path) -> None:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    settings = Settings(server=ServerSettings(env="dev", shutdown_timeout=0.2))
    inner = create_app(folder, settings=settings, lifespan="manual")
    outer = Starlette(routes=[Mount("/rt", inner)])
    await inner.start()
    try:
        transport = httpx.ASGITransport(app=outer)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            page = await client.get("/rt/__realtime")
            assert 'src="__realtime/files/page.js"' in page.text, (
                "relative to the page: below the mount point"
            )
            assert (await client.get("/rt/__realtime/files/page.js")).status_code == 200
            assert (await client.get("/rt/__realtime/poll")).status_code == 200
    finally:
        await inner.stop()


async def test_names_that_utf8_cannot_hold_are_told_as_json_holds_them(folder: Path) -> None:
    write_file(folder, "hooks.py", 'def upgrade():\n    return {"id": "ada", "name": "a\\ud800"}\n')
    write_file(folder, "live/odd.py", LIVE.replace('"letmein"', '"\\ud800"').replace("password", "word"))
    async with served(folder) as (running, client):
        await poll(client)
        async with running.connect():
            [row] = (await poll(client))["state"]["connections"]["rows"]
            assert row["user"]["name"] == "a\ud800"
        paths = (await client.get("/__realtime/paths")).json()["paths"]
        [login] = [path for path in paths if path["path"] == "odd/login"]
        assert login["parameters"][1]["default"] == "\ud800"
