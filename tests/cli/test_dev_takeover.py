"""`realtime dev`: what only a new process can take in comes with one, and nobody is turned away meanwhile."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.cli.dev_process import PATIENCE, breathe, dev_channel, make_project, rpc, running, save

WHO = """
import os
from runtime import live
import settings_of_mine

@live.public
@live
async def pid(ctx):
    return os.getpid()

@live.public
@live
async def value(ctx):
    return settings_of_mine.VALUE

@live.public
@live
async def environment(ctx, name: str):
    return os.environ.get(name)

@live.public
@live
async def user(ctx):
    return ctx.user
"""

HOOKS = """
import asyncio

async def upgrade(cookies):
    return {{"name": {name!r}}}

async def init(platform):
    await asyncio.sleep({pause})
"""


def hooks(name: str, pause: float = 0) -> str:
    return HOOKS.format(name=name, pause=pause)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {
        "hooks.py": hooks("first"),
        "live/who.py": WHO,
        "settings_of_mine.py": "VALUE = 'a'\n",
        "script.py": "1",
    }
    return make_project(tmp_path, files)


async def user_of(port: int) -> str:
    async with rpc(port) as client:
        return str((await client.call("who/user"))["data"]["name"])


async def test_hooks_take_over_and_no_connection_attempt_fails(project: Path) -> None:
    attempts = {"http": 0, "websocket": 0}
    failures: list[BaseException] = []
    users: set[str] = set()
    done = asyncio.Event()

    async def visit(port: int) -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as web:
            while not done.is_set():
                try:
                    response = await web.get("/style.css", headers={"connection": "close"})
                    assert response.status_code == 200
                    attempts["http"] += 1
                except Exception as error:
                    failures.append(error)

    async def join(port: int) -> None:
        while not done.is_set():
            try:
                async with connect(f"ws://127.0.0.1:{port}/ws", origin=f"http://127.0.0.1:{port}") as socket:
                    attempts["websocket"] += 1
                    await socket.send(json.dumps({"rpc": "who/user", "id": "u", "args": []}))
                    async for text in socket:
                        frame = json.loads(text)
                        if frame.get("event") == "u":
                            users.add(frame["data"]["data"]["name"])
                            break
            except ConnectionClosed as closed:
                if closed.rcvd is None or closed.rcvd.code != 1012:  # it was dropped, not told
                    failures.append(closed)
            except Exception as error:
                failures.append(error)

    with running(project) as dev:
        port = dev.port
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(visit(port))
                group.create_task(join(port))
            for number in range(3):
                mark = dev.mark()
                save(project / "hooks.py", hooks(f"new {number}"))
                await asyncio.to_thread(dev.wait_event, "ready", mark)
                async with asyncio.timeout(PATIENCE):
                    while f"new {number}" not in users:
                        await breathe()
            done.set()
        assert failures == []
        assert attempts["http"] > 20
        assert attempts["websocket"] > 20


async def test_open_connections_are_told_to_come_back(project: Path) -> None:
    with running(project) as dev:
        async with rpc(dev.port) as client, dev_channel(dev.port) as page:
            first = (await page.next("hello"))["worker"]
            old = (await client.call("who/pid"))["data"]
            save(project / "hooks.py", hooks("second"))
            assert await client.closed() == (1012, "Handler reloaded")
            async with rpc(dev.port) as again, dev_channel(dev.port) as page_again:
                assert (await again.call("who/pid"))["data"] != old
                assert (await again.call("who/user"))["data"]["name"] == "second"
                assert (await page_again.next("hello"))["worker"] != first


async def test_the_old_worker_serves_while_the_new_one_starts(project: Path) -> None:
    with running(project) as dev:
        mark = dev.mark()
        save(project / "hooks.py", hooks("second", pause=1.0))
        dev.wait_event("restart", mark, files=["hooks.py"])
        assert await user_of(dev.port) == "first"
        save(project / "live/todos.py", (project / "live/todos.py").read_text().replace("one", "two"))
        async with rpc(dev.port) as client:
            await client.until("todos/hello", "two")
            assert dev.events("ready", mark) == []
        dev.wait_event("ready", mark)
        assert await user_of(dev.port) == "second"
        async with rpc(dev.port) as client:
            await client.until("todos/hello", "two")


@pytest.mark.parametrize(
    ("broken", "error", "line"),
    [
        ("def upgrade(:\n", "SyntaxError", 1),
        ("import no_such_package\n", "ModuleNotFoundError", 1),
        ("\nasync def init(platform):\n    raise ValueError('no database')\n", "ValueError", 3),
        ("import sys\nsys.exit(4)\n", "SystemExit", 2),
        ("def upgrade(nonsense):\n    pass\n", "HookSignatureError", None),
    ],
)
async def test_a_broken_hooks_file_leaves_the_old_worker_and_an_overlay(
    project: Path, broken: str, error: str, line: int | None
) -> None:
    with running(project) as dev:
        async with rpc(dev.port) as client, dev_channel(dev.port) as page:
            await page.next("ok")
            save(project / "hooks.py", broken)
            [problem] = (await page.next("error"))["problems"]
            assert (problem["file"], problem["errorType"], problem["line"]) == ("hooks.py", error, line)
            assert dev.wait_event("problems")["problems"] == [problem]
            assert (await client.call("todos/hello"))["data"] == "one"
            assert await user_of(dev.port) == "first"
            mark = dev.mark()
            save(project / "hooks.py", hooks("second"))
            dev.wait_event("ready", mark)
        async with dev_channel(dev.port) as page:
            await page.next("ok")
        assert await user_of(dev.port) == "second"


async def test_a_worker_that_dies_while_it_starts_leaves_the_old_one(project: Path) -> None:
    with running(project) as dev:
        async with dev_channel(dev.port) as page:
            await page.next("ok")
            save(project / "hooks.py", "import os\nos._exit(7)\n")
            [problem] = (await page.next("error"))["problems"]
            assert "exit code 7" in problem["message"]
            assert await user_of(dev.port) == "first"


@pytest.mark.spec("PLAT-2")
@pytest.mark.parametrize(
    "broken", ["def upgrade(:\n", "async def init(platform):\n    raise ValueError('no')\n"]
)
async def test_hooks_that_are_broken_at_the_start_refuse_connections_until_they_are_right(
    project: Path, broken: str
) -> None:
    save(project / "hooks.py", broken)
    with running(project) as dev:
        base = f"http://127.0.0.1:{dev.port}"
        async with httpx.AsyncClient(base_url=base, trust_env=False) as web:
            html = await web.get("/")
            assert html.status_code == 200
            assert "/__realtime/dev.js" in html.text
        with pytest.raises(InvalidStatus, match="500"):
            await user_of(dev.port)
        async with dev_channel(dev.port) as page:
            [problem] = (await page.next("error"))["problems"]
            assert problem["file"] == "hooks.py"
        mark = dev.mark()
        save(project / "hooks.py", hooks("right"))
        dev.wait_event("ready", mark)
        async with dev_channel(dev.port) as page:
            await page.next("ok")
        assert await user_of(dev.port) == "right"


async def test_imported_modules_ask_for_a_new_worker_and_others_do_not(project: Path) -> None:
    with running(project) as dev:
        async with rpc(dev.port) as client:
            mark = dev.mark()
            save(project / "script.py", "2")
            save(project / "tests/test_x.py", "2")
            save(project / "live/todos.py", (project / "live/todos.py").read_text().replace("one", "two"))
            await client.until("todos/hello", "two")
            assert dev.events("restart", mark) == []
        for value in ("b", "c", "d"):  # same size, in the same second: cached bytecode must not win
            mark = dev.mark()
            save(project / "settings_of_mine.py", f"VALUE = {value!r}\n")
            dev.wait_event("ready", mark)
            async with rpc(dev.port) as client:
                assert (await client.call("who/value"))["data"] == value


async def test_a_broken_imported_module_is_repaired(project: Path) -> None:
    with running(project) as dev:
        async with dev_channel(dev.port) as page:
            await page.next("ok")
            save(project / "hooks.py", "import helper\n" + hooks("second"))
            assert (await page.next("error"))["problems"][0]["errorType"] == "ModuleNotFoundError"
            mark = dev.mark()
            save(project / "helper.py", "x = \n")
            problems = (await page.next("error"))["problems"]
            assert (problems[0]["file"], problems[0]["errorType"]) == ("helper.py", "SyntaxError")
            assert dev.events("ready", mark) == []
            save(project / "helper.py", "x = 1\n")
            dev.wait_event("ready", mark)
        assert await user_of(dev.port) == "second"


USES_HELPER = """
from runtime import live
import helper

@live.public
@live
async def value(ctx):
    return helper.VALUE
"""


@pytest.mark.parametrize("at_start", [True, False])
async def test_a_helper_that_a_live_module_cannot_import_is_noticed_when_it_is_right(
    project: Path, at_start: bool
) -> None:
    if at_start:
        save(project / "live/uses.py", USES_HELPER)
    with running(project) as dev:
        async with rpc(dev.port) as client, dev_channel(dev.port) as page:
            if not at_start:
                await page.next("ok")
                save(project / "live/uses.py", USES_HELPER)
            assert (await page.next("error"))["problems"][0]["errorType"] == "ModuleNotFoundError"
            assert ("keeps serving" in dev.wait_event("problems")["message"]) is not at_start
            save(project / "helper.py", "VALUE = 1/0\n")
            [problem] = (await page.next("error"))["problems"]
            assert (problem["file"], problem["errorType"]) == ("helper.py", "ZeroDivisionError")
            save(project / "helper.py", "VALUE = 1+0\n")  # same size: cached bytecode must not win
            await page.next("ok")
            assert (await client.call("uses/value"))["data"] == 1
            assert dev.events("restart") == []


async def test_a_helper_that_breaks_leaves_the_old_worker_until_it_is_right(project: Path) -> None:
    files = {"helper.py": "VALUE = 'one'\n", "live/uses.py": USES_HELPER, "live/bad.py": "import nothing\n"}
    for name, text in files.items():
        save(project / name, text)
    with running(project) as dev:
        async with rpc(dev.port) as client, dev_channel(dev.port) as page:
            await page.next("error")  # live/bad.py, which never was there
            save(project / "helper.py", "VALUE = \n")
            problems = (await page.next("error"))["problems"]
            assert [problem["file"] for problem in problems] == ["live/bad.py", "helper.py"]
            assert (await client.call("uses/value"))["data"] == "one"
            assert dev.events("ready") == []
            mark = dev.mark()
            save(project / "helper.py", "VALUE = 'two'\n")
            dev.wait_event("ready", mark)
        async with rpc(dev.port) as client, dev_channel(dev.port) as page:
            assert (await client.call("uses/value"))["data"] == "two"
            [problem] = (await page.next("error"))["problems"]
            assert problem["file"] == "live/bad.py"


async def test_old_code_of_a_broken_live_module_is_not_lost_to_a_new_worker(project: Path) -> None:
    with running(project) as dev:
        async with rpc(dev.port) as client, dev_channel(dev.port) as page:
            await page.next("ok")
            before = (project / "live/todos.py").read_text()
            save(project / "live/todos.py", "1/0\n")
            await page.next("error")
            mark = dev.mark()
            save(project / "hooks.py", hooks("second"))
            dev.wait_event("problems", mark)
            assert (await client.call("todos/hello"))["data"] == "one"
            assert await user_of(dev.port) == "first"
            save(project / "live/todos.py", before)
            dev.wait_event("ready", mark)
        assert await user_of(dev.port) == "second"


async def test_the_environment_file_is_read_and_followed(project: Path) -> None:
    save(project / ".env", "export COLOUR='blue' # mine\nSHELL_WINS=file\n")
    with running(project, env={"SHELL_WINS": "shell"}) as dev:
        async with rpc(dev.port) as client:
            assert (await client.call("who/environment", "COLOUR"))["data"] == "blue"
            assert (await client.call("who/environment", "SHELL_WINS"))["data"] == "shell"
        mark = dev.mark()
        save(project / ".env", "OTHER=1\n")
        dev.wait_event("ready", mark)
        async with rpc(dev.port) as client:
            assert (await client.call("who/environment", "OTHER"))["data"] == "1"
            assert (await client.call("who/environment", "COLOUR"))["data"] is None


@pytest.mark.parametrize(
    ("file", "text", "line"),
    [
        ("realtime.toml", "[server]\nprot = 1\n", 2),
        (".env", "A=1\nnonsense\n", 2),
        ("realtime.toml", "[ser", None),
    ],
)
async def test_broken_settings_leave_the_old_worker_and_an_overlay(
    project: Path, file: str, text: str, line: int | None
) -> None:
    with running(project) as dev:
        async with dev_channel(dev.port) as page:
            await page.next("ok")
            save(project / file, text)
            [problem] = (await page.next("error"))["problems"]
            assert problem["file"] == file
            assert line is None or problem["line"] == line
            assert "when you save it" in problem["hint"]
            assert await user_of(dev.port) == "first"
            mark = dev.mark()
            save(project / file, "")
            dev.wait_event("ready", mark)
        assert await user_of(dev.port) == "first"


async def test_another_port_in_the_settings_waits_for_the_next_start(project: Path) -> None:
    with running(project) as dev:
        mark = dev.mark()
        save(project / "realtime.toml", "[server]\nport = 1\n")
        dev.wait_event("ready", mark)
        assert dev.events("warning", mark) == []  # the command line said which port
        save(project / "realtime.toml", "[server]\nport = 1\nhost = 'localhost'\n")
        warning = dev.wait_event("warning", mark)
        assert "localhost:0" in warning["message"]
        assert await user_of(dev.port) == "first"


async def test_the_live_folder_may_move(project: Path) -> None:
    with running(project) as dev:
        save(project / "code/notes.py", (project / "live/todos.py").read_text())
        mark = dev.mark()
        save(project / "realtime.toml", '[dev]\ntypes = false\n[server]\nlive = "code"\n')
        dev.wait_event("ready", mark)
        async with rpc(dev.port) as client:
            assert (await client.call("notes/hello"))["data"] == "one"
            save(project / "code/notes.py", (project / "live/todos.py").read_text().replace("one", "two"))
            await client.until("notes/hello", "two")
