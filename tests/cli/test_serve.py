"""`realtime serve`."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path
from textwrap import dedent

import pytest
from websockets.asyncio.client import connect

from tests.cli.apps import PINNED, write_project
from tests.cli.commands import PROGRAM, TIMEOUT, environment, realtime, serving

APP = """
    from runtime import live

    @live.public
    @live
    async def fail(ctx):
        raise RuntimeError("private detail")
"""

HOOK = """
    from pathlib import Path

    def shutdown(reason):
        (Path(__file__).parent / "reason").write_text(reason)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "app", {"live/app.py": APP, "web/index.html": "<head></head>hello"})


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
        return answer.read().decode()


async def test_it_serves_the_page_and_the_socket_without_tracebacks(project: Path) -> None:
    with serving(project) as (_, url):
        page = await asyncio.to_thread(get, url)
        assert "hello" in page
        assert "importmap" in page
        assert "__realtime/dev.js" not in page
        async with connect(url.replace("http", "ws") + "/ws", origin=url) as ws:
            await ws.send('{"rpc":"app/fail","id":"1","args":[]}')
            async for text in ws:
                frame = json.loads(text)
                if frame.get("topic") == "__rpc":
                    break
        assert frame["event"] == "1"
        assert frame["data"] == {
            "id": "1",
            "ok": False,
            "code": "INTERNAL_ERROR",
            "error": "Internal server error",
        }


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_ends_it_gracefully_with_0(sent: signal.Signals, project: Path) -> None:
    with serving(project) as (child, url):
        async with connect(url.replace("http", "ws") + "/ws", origin=url) as ws:
            child.send_signal(sent)
            await asyncio.to_thread(child.wait, TIMEOUT)
            async for _ in ws:
                pass
        assert (ws.close_code, ws.close_reason) == (1001, "Server shutting down")
        assert child.returncode == 0


async def test_the_hook_is_told_of_a_hangup_as_of_a_request_to_stop(project: Path) -> None:
    write_project(project, {"hooks.py": HOOK})
    with serving(project) as (child, _):
        child.send_signal(signal.SIGHUP)
        assert await asyncio.to_thread(child.wait, TIMEOUT) == 0
    assert (project / "reason").read_text() == "SIGTERM"


async def test_a_hangup_that_is_ignored_stays_so(project: Path) -> None:
    write_project(project, {"hooks.py": HOOK})
    with serving(project, program=("nohup", *PROGRAM)) as (child, url):
        child.send_signal(signal.SIGHUP)
        assert await asyncio.to_thread(get, f"{url}/healthz") == "OK"
        child.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(child.wait, TIMEOUT) == 0
    assert (project / "reason").read_text() == "SIGINT"


def test_a_second_signal_ends_it_at_once_with_130(project: Path) -> None:
    hooks = """
        import asyncio

        async def shutdown():
            print("waiting", flush=True)
            await asyncio.sleep(600)
    """
    write_project(project, {"hooks.py": hooks})
    child = subprocess.Popen(
        [*PROGRAM, "serve", "--port", "0", "--json"],
        cwd=project,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith("}"):
                break
        child.terminate()
        assert child.stdout.readline() == "waiting\n"
        child.terminate()
        assert child.wait(TIMEOUT) == 130


STUCK = """
    import asyncio, time
    from runtime import live

    @live
    async def stubborn(ctx):
        while True:
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                pass

    @live(thread=True)
    def blocked(ctx):
        time.sleep(600)

    @live
    async def elsewhere(ctx):
        await asyncio.to_thread(time.sleep, 600)
"""


async def shut_down_while_running(
    project: Path, name: str, *, signals: int, timeout: float
) -> tuple[int, str]:
    """Serve, call an endpoint that does not end, send signals; return exit code and what was said."""
    write_project(
        project,
        {
            "live/stuck.py": STUCK,
            "realtime.toml": f"[server]\nallowed_hosts = ['127.0.0.1']\nshutdown_timeout = {timeout}\n",
        },
    )
    child = subprocess.Popen(
        [*PROGRAM, "serve", "--host", "127.0.0.1", "--port", "0"],
        cwd=project,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stderr is not None
        for line in child.stderr:
            if "Listening on" in line:
                break
        url = line.split("Listening on ")[1].split()[0]
        async with connect(url.replace("http", "ws") + "/ws", origin=url) as ws:
            await ws.send(json.dumps({"rpc": f"stuck/{name}", "id": "1", "args": []}))
            await ws.send('{"rpc":"app/fail","id":"2","args":[]}')
            async for text in ws:
                if '"event":"2"' in text:
                    break
            child.send_signal(signal.SIGTERM)
            await ws.wait_closed()
            if signals == 2:
                child.send_signal(signal.SIGINT)
        try:
            _, said = await asyncio.to_thread(child.communicate, timeout=TIMEOUT)
        finally:
            child.kill()
    return child.returncode, said


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("stubborn", "task live calls:stuck/stubborn"),
        ("blocked", "thread realtime_0"),
        ("elsewhere", "thread (asyncio|uvloop)_0"),
    ],
)
async def test_code_that_does_not_end_is_named_and_left_behind(project: Path, name: str, left: str) -> None:
    code, said = await shut_down_while_running(project, name, signals=1, timeout=0)
    assert code == 0
    assert "1 calls were still running at the shutdown timeout and were cancelled" in said
    assert re.search(f"WARNING realtime: 1 things of the app do not end and are left: {left}\n", said)


async def test_a_second_signal_does_not_wait_for_running_calls(project: Path) -> None:
    code, said = await shut_down_while_running(project, "stubborn", signals=2, timeout=600)
    assert code == 130
    assert "Traceback" not in said.partition("app/fail failed")[0]


def test_json_announces_the_address(project: Path) -> None:
    child = subprocess.Popen(
        [*PROGRAM, "serve", "--host", "127.0.0.1", "--port", "0", "--json"],
        cwd=project,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    text = ""
    for line in child.stdout:
        text += line
        if line.startswith("}"):
            break
    said = json.loads(text)
    assert said["ok"] is True
    assert "hello" in get(said["url"])
    assert said["ready_ms"] > 0
    child.terminate()
    _, err = child.communicate(timeout=TIMEOUT)
    assert "Listening" not in err
    assert child.returncode == 0


def test_a_taken_port_ends_with_3_and_names_holder_and_next(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = realtime("serve", "--host", "127.0.0.1", "--port", str(port), cwd=project)
    assert ended.code == 3
    assert f"port {port} on 127.0.0.1 is in use" in ended.err
    if Path("/proc/net/tcp").exists():
        assert " by " in ended.err
        assert "(pid " in ended.err
    assert "realtime serve --port " in ended.err


@pytest.mark.parametrize(
    ("workers", "said"),
    [
        ("2", "workers = 2: this version serves with one process"),
        ("0", '[server] workers = "0": expected a whole number, 1 to 1024, or auto (command line)'),
        ("x", '[server] workers = "x": expected a whole number, 1 to 1024, or auto (command line)'),
    ],
)
def test_more_than_one_worker_is_refused_with_2(workers: str, said: str, project: Path) -> None:
    ended = realtime("serve", "--workers", workers, cwd=project)
    assert ended.code == 2
    assert said in ended.err


@pytest.mark.parametrize("workers", ["1", "auto"])
def test_one_worker_is_allowed(workers: str, project: Path) -> None:
    with serving(project, "--workers", workers) as (_, url):
        assert get(f"{url}/healthz") == "OK"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"live/bad.py": "x = 1 / 0\n"}, "live/bad.py:1: ZeroDivisionError"),
        ({"live/bad.py": "def f(:\n"}, "live/bad.py:1: SyntaxError"),
        ({"hooks.py": "import nothing_of_this_name\n"}, "hooks.py:1: ModuleNotFoundError"),
        ({"hooks.py": "def init():\n    raise OSError('no database')\n"}, "no database"),
        ({"runtime/__init__.py": ""}, "hides a package of Realtime Toolkit"),
    ],
)
def test_code_that_does_not_start_ends_with_3_and_its_place(
    files: dict[str, str], message: str, project: Path
) -> None:
    write_project(project, files)
    ended = realtime("serve", "--port", "0", "--project", project, cwd=Path("/"))
    assert ended.code == 3
    assert message in ended.err
    assert "Listening" not in ended.err
    assert "could not start" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("toml", "arguments", "message"),
    [
        ("[server\n", (), "realtime.toml"),
        ("[server]\nport = 'many'\n", (), "realtime.toml:2"),
        ("", ("--port", "70000"), "port"),
        ("", ("--env", "not a word"), "env"),
    ],
)
def test_an_unreadable_setting_ends_with_2(
    toml: str, arguments: tuple[str, ...], message: str, project: Path
) -> None:
    write_project(project, {"realtime.toml": toml})
    ended = realtime("serve", *arguments, cwd=project)
    assert ended.code == 2
    assert message in ended.err


def test_an_address_of_another_machine_ends_with_3(project: Path) -> None:
    ended = realtime("serve", "--host", "192.0.2.1", "--port", "0", cwd=project)
    assert ended.code == 3
    assert "cannot listen on 192.0.2.1:0" in ended.err


def test_env_tables_and_log_level_count(project: Path) -> None:
    write_project(
        project,
        {
            "realtime.toml": dedent(PINNED) + "[env.staging.server]\nlog_level = 'debug'\n",
            "hooks.py": "import logging\ndef init():\n    logging.getLogger('app').debug('quiet thing')\n",
        },
    )
    for arguments, shown in (((), False), (("--env", "staging"), True)):
        child = subprocess.Popen(
            [*PROGRAM, "serve", "--port", "0", *arguments],
            cwd=project,
            env=environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stderr is not None
        said = ""
        for line in child.stderr:
            said += line
            if "Listening" in line:
                break
        child.terminate()
        child.communicate(timeout=TIMEOUT)
        assert ("DEBUG app: quiet thing" in said) is shown


@pytest.mark.spec("PLAT-83")
def test_it_writes_compressed_siblings_first(project: Path) -> None:
    (project / "web/style.css").write_text("p { color: red }\n" * 100)
    with serving(project, "--precompress") as (_, url):
        request = urllib.request.Request(f"{url}/style.css", headers={"accept-encoding": "gzip"})
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            assert answer.headers["content-encoding"] == "gzip"
            assert answer.read() == (project / "web/style.css.gz").read_bytes()
