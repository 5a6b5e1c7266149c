"""`realtime dev`: an edit of a live module reaches open connections, and a mistake reaches nobody but its author."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.dev_process import DevProcess, dev_channel, make_project, rpc, running, save

HELLO = """
from runtime import live

@live.public
@live
async def hello(ctx):
    return {value!r}
"""


def hello(value: str) -> str:
    return HELLO.format(value=value)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path)


@pytest.mark.spec("LIVE-172", "LIVE-173")
async def test_one_connection_sees_every_edit(project: Path) -> None:
    with running(project) as dev:
        async with rpc(dev.port) as client:
            assert (await client.call("todos/hello"))["data"] == "one"
            for number in range(20):
                save(project / "live/todos.py", hello(f"edit {number}"))
                await client.until("todos/hello", f"edit {number}")
            assert client.socket.state.name == "OPEN"
        assert dev.wait_event("close")["code"] == 1000
        dev.wait(lambda: len(dev.events("reload")) == 20, "twenty reloads")


@pytest.mark.spec("LIVE-172")
async def test_a_syntax_error_keeps_the_old_code_and_is_shown_everywhere(project: Path) -> None:
    with running(project) as dev:
        async with rpc(dev.port) as client, dev_channel(dev.port) as page:
            await page.next("ok")
            save(project / "live/todos.py", "from runtime import live\n\nasync def broken(:\n    pass\n")
            [problem] = (await page.next("error"))["problems"]
            assert problem["file"] == "live/todos.py"
            assert problem["line"] == 3
            assert problem["errorType"] == "SyntaxError"
            assert [3, "async def broken(:"] in problem["excerpt"]
            assert (await client.call("todos/hello"))["data"] == "one"
            assert dev.wait_event("problems")["problems"][0]["line"] == 3
            async with dev_channel(dev.port) as late:
                assert (await late.next("error"))["problems"] == [problem]
            save(project / "live/todos.py", hello("right"))
            await page.next("ok")
            await client.until("todos/hello", "right")


async def test_a_failing_import_shows_the_users_frames_only(project: Path) -> None:
    with running(project) as dev:
        async with dev_channel(dev.port) as page:
            save(project / "live/todos.py", "def deep():\n    return {}['no']\n\ndeep()\n")
            [problem] = (await page.next("error"))["problems"]
        assert (problem["errorType"], problem["line"]) == ("KeyError", 2)
        assert "live/todos.py" in problem["traceback"]
        assert "importlib" not in problem["traceback"]


@pytest.mark.spec("LIVE-6")
@pytest.mark.parametrize(
    ("added", "kind"),
    [
        (
            "@live.public\n@live.stream('same')\nasync def one(ctx):\n    return []\n"
            "@live.public\n@live.stream('same')\nasync def two(ctx):\n    return []\n",
            "DuplicateTopic",
        ),
    ],
)
async def test_a_clash_is_shown_and_changes_nothing(project: Path, added: str, kind: str) -> None:
    with running(project) as dev:
        async with rpc(dev.port) as client, dev_channel(dev.port) as page:
            save(project / "live/todos.py", hello("new") + added)
            problems = (await page.next("error"))["problems"]
            assert problems[0]["errorType"] == kind
            assert (await client.call("todos/hello"))["data"] == "one"
            save(project / "live/todos.py", hello("right"))
            await page.next("ok")
            await client.until("todos/hello", "right")


@pytest.mark.spec("LIVE-172")
async def test_new_deleted_and_renamed_modules(project: Path) -> None:
    with running(project) as dev:
        async with rpc(dev.port) as client:
            save(project / "live/notes.py", hello("new"))
            await client.until("notes/hello", "new")
            (project / "live/notes.py").rename(project / "live/memos.py")
            await client.until("memos/hello", "new")
            assert (await client.call("notes/hello"))["code"] == "NOT_FOUND"
            mark = dev.mark()
            (project / "live/memos.py").unlink()
            dev.wait_event("reload", mark, removed=["memos"])
            assert (await client.call("memos/hello"))["code"] == "NOT_FOUND"
            save(project / "live/admin/users.py", hello("deep"))
            await client.until("admin/users/hello", "deep")
            assert (await client.call("todos/hello"))["data"] == "one"


@pytest.mark.spec("LIVE-8")
async def test_a_module_that_fails_at_the_start_does_not_stop_the_others(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"live/bad.py": "import no_such_package\n", "live/ugly.py": "1/0\n"})
    with running(project) as dev:
        async with rpc(dev.port) as client, dev_channel(dev.port) as page:
            assert (await client.call("todos/hello"))["data"] == "one"
            problems = (await page.next("error"))["problems"]
            assert {problem["file"] for problem in problems} == {"live/bad.py", "live/ugly.py"}
            save(project / "live/bad.py", hello("good"))
            await client.until("bad/hello", "good")
            [left] = (await page.next("error"))["problems"]
            assert left["file"] == "live/ugly.py"
            (project / "live/ugly.py").unlink()
            await page.next("ok")


KEEP = """
from runtime import live

kept = live.keep("count", lambda: {start})
plain = []

@live.public
@live
async def add(ctx):
    kept.append(1)
    plain.append(1)
    return [len(kept), len(plain), {edit!r}]
"""


@pytest.mark.spec("LIVE-203")
async def test_kept_values_survive_and_a_plain_list_does_not(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"live/keep.py": KEEP.format(start="[]", edit="a")})
    with running(project) as dev:
        async with rpc(dev.port) as client:
            assert (await client.call("keep/add"))["data"] == [1, 1, "a"]
            mark = dev.mark()
            save(project / "live/keep.py", KEEP.format(start="[]", edit="b"))
            dev.wait_event("reload", mark)
            assert (await client.call("keep/add"))["data"] == [2, 1, "b"]
            mark = dev.mark()
            save(project / "live/keep.py", KEEP.format(start="[0, 0, 0, 0, 0]", edit="c"))
            dev.wait_event("reload", mark)
            assert (await client.call("keep/add"))["data"] == [6, 1, "c"]


STREAM = """
from runtime import live

@live.public
@live.stream("list", merge="set")
async def list_(ctx):
    return {value!r}
"""


@pytest.mark.spec("LIVE-173")
async def test_subscribers_of_a_changed_stream_get_the_new_value(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"live/lists.py": STREAM.format(value=["old"])})
    with running(project) as dev:
        async with rpc(dev.port) as client:
            await client.socket.send(
                json.dumps({"rpc": "lists/list_", "id": "s", "args": [], "stream": True})
            )
            reply = await client.frame(lambda frame: frame.get("event") == "s")
            assert reply["data"]["data"] == ["old"]
            save(project / "live/lists.py", STREAM.format(value=["new"]))
            refreshed = await client.frame(lambda frame: frame.get("event") == "refreshed")
            assert refreshed["data"] == ["new"]
            told = await client.frame(lambda frame: frame.get("event") == "reload")
            assert told["data"]["modules"] == ["lists"]


async def test_a_running_call_ends_in_the_old_code(tmp_path: Path) -> None:
    slow = """
import asyncio
from runtime import live

gate = live.keep("gate", asyncio.Event)

@live.public
@live
async def wait(ctx):
    await gate.wait()
    return VALUE

@live.public
@live
async def release(ctx):
    gate.set()
    return VALUE

VALUE = "{}"
"""
    project = make_project(tmp_path, {"live/slow.py": slow.format("old")})
    with running(project) as dev:
        async with rpc(dev.port) as client, rpc(dev.port) as other:
            await client.socket.send(json.dumps({"rpc": "slow/wait", "id": "w", "args": []}))
            mark = dev.mark()
            save(project / "live/slow.py", slow.format("new"))
            dev.wait_event("reload", mark)
            assert (await other.call("slow/release"))["data"] == "new"
            reply = await client.frame(lambda frame: frame.get("event") == "w")
            assert reply["data"]["data"] == "old"


def reloads_of(dev: DevProcess, since: int) -> list[list[str]]:
    return [entry["modules"] for entry in dev.events("reload", since) if entry.get("modules")]


async def test_two_hundred_files_are_one_reload(tmp_path: Path) -> None:
    names = [f"m{number:03}" for number in range(200)]
    project = make_project(tmp_path, {f"live/{name}.py": hello("before") for name in names})
    # Written elsewhere and moved, so that a machine with other work does not draw the burst out.
    written = tmp_path / "written"
    written.mkdir()
    for name in names:
        (written / f"{name}.py").write_text(hello("after"))
    with running(project) as dev:
        async with rpc(dev.port) as client:
            mark = dev.mark()
            for name in names:
                (written / f"{name}.py").replace(project / f"live/{name}.py")
            await client.until("m199/hello", "after")
            save(project / "live/todos.py", hello("later"))
            await client.until("todos/hello", "later")
            dev.wait_event("reload", mark, modules=["todos"])
            assert reloads_of(dev, mark) == [names, ["todos"]]


async def test_a_git_checkout_is_one_reload(tmp_path: Path) -> None:
    names = [f"m{number:03}" for number in range(200)]
    project = make_project(tmp_path, {f"live/{name}.py": hello("before") for name in names})
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}

    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main")
        subprocess.run(
            ["git", *identity, *arguments], cwd=project, check=True, env=environ, capture_output=True
        )

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "before")
    git("checkout", "-q", "-b", "other")
    for name in names:
        (project / f"live/{name}.py").write_text(hello("after"))
    git("rm", "-q", "--cached", "live/m000.py")
    (project / "live/m000.py").unlink()
    git("commit", "-q", "-a", "-m", "after")
    git("checkout", "-q", "main")
    with running(project) as dev:
        async with rpc(dev.port) as client:
            assert (await client.call("m000/hello"))["data"] == "before"
            mark = dev.mark()
            git("checkout", "-q", "other")
            await client.until("m199/hello", "after")
            assert (await client.call("m000/hello"))["code"] == "NOT_FOUND"
            git("checkout", "-q", "main")
            await client.until("m199/hello", "before")
            save(project / "live/last.py", hello("last"))
            dev.wait_event("reload", mark, modules=["last"])
            assert [len(modules) for modules in reloads_of(dev, mark)] == [199, 200, 1]


async def test_a_touch_is_no_reload(project: Path) -> None:
    with running(project) as dev:
        async with rpc(dev.port) as client:
            mark = dev.mark()
            os.utime(project / "live/todos.py")
            save(project / "live/todos.py", (project / "live/todos.py").read_text())
            save(project / "live/other.py", hello("x"))
            await client.until("other/hello", "x")
            dev.wait_event("reload", mark, modules=["other"])
            assert reloads_of(dev, mark) == [["other"]]


async def test_styles_swap_and_other_web_files_reload_the_page(project: Path) -> None:
    import httpx

    with running(project) as dev:
        base = f"http://127.0.0.1:{dev.port}"
        async with dev_channel(dev.port) as page, httpx.AsyncClient(base_url=base, trust_env=False) as web:
            await page.next("ok")
            html = (await web.get("/")).text
            assert '<script type="module" src="/__realtime/dev.js">' in html
            script = await web.get("/__realtime/dev.js")
            assert script.headers["content-type"].startswith("text/javascript")
            save(project / "web/style.css", "h1 { color: blue }")
            assert (await page.next("css"))["paths"] == ["/style.css"]
            assert "blue" in (await web.get("/style.css")).text
            save(project / "web/index.html", "<!doctype html><title>t</title><h1>page two</h1>")
            await page.next("page")
            assert "page two" in (await web.get("/")).text
            save(project / "web/new.txt", "new")
            await page.next("page")
            assert (await web.get("/new.txt")).text == "new"


async def test_pages_can_tell_what_changed_while_nobody_served(project: Path) -> None:
    async def greeting(port: int) -> str:
        async with dev_channel(port) as page:
            return str((await page.next("hello"))["web"])

    with running(project) as dev:
        first = await greeting(dev.port)
        async with dev_channel(dev.port) as page:
            await page.next("ok")
            save(project / "web/style.css", "h1 { color: blue }")
            second = (await page.next("css"))["web"]
        assert await greeting(dev.port) == second != first
    with running(project) as dev:
        assert await greeting(dev.port) == second
    save(project / "web/index.html", "<!doctype html><title>t</title><h1>page two</h1>")
    with running(project) as dev:
        assert await greeting(dev.port) not in (first, second)


async def test_the_dev_channel_is_closed_to_other_sites(project: Path) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus

    with running(project) as dev, pytest.raises(InvalidStatus, match="403"):
        async with connect(f"ws://127.0.0.1:{dev.port}/__realtime/dev", origin="http://evil.example"):
            pass


async def test_no_reload_follows_nothing(project: Path) -> None:
    with running(project, "--no-reload") as dev:
        async with rpc(dev.port) as client:
            save(project / "live/todos.py", hello("new"))
            save(project / "hooks.py", "")
            for _ in range(20):
                assert (await client.call("todos/hello"))["data"] == "one"
        assert dev.events("reload") == []
