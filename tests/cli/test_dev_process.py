"""`realtime dev` as a process: ports, signals, exit codes, and what it prints without a terminal."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.dev_process import PATIENCE, DevProcess, breathe, make_project, rpc, running, save

PROCESS = """
import os, time
from runtime import live

@live.public
@live
async def pid(ctx):
    return os.getpid()

@live.public
@live
async def die(ctx):
    os._exit(9)

@live.public
@live
async def block(ctx):
    print("blocked", flush=True)
    time.sleep(600)

@live.public
@live
async def talk(ctx, text: str):
    print(text)

@live.public
@live
async def fail(ctx):
    raise RuntimeError("on purpose")
"""

HOOKS = """
import asyncio

async def shutdown(platform, reason):
    print("shutdown hook ran", flush=True)
    await asyncio.sleep({pause})
    print("shutdown hook ended", flush=True)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path, {"live/process.py": PROCESS, "hooks.py": HOOKS.format(pause=0)})


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:  # a child of a process that is gone may stay as a zombie where nobody reaps it
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return True


async def gone(pid: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while is_running(pid):
            await breathe()


async def worker_of(dev: DevProcess) -> int:
    async with rpc(dev.port) as client:
        return int((await client.call("process/pid"))["data"])


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `realtime dev` where it cannot start, until it ends."""
    return subprocess.run(
        [sys.executable, "-m", "realtime_cli", "dev", "--project", str(project), *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_to_the_parent_ends_everything_in_order(project: Path, number: int) -> None:
    with running(project) as dev:
        async with rpc(dev.port) as client:
            pid = (await client.call("process/pid"))["data"]
            dev.signal(number)
            assert await client.closed() == (1001, "Server shutting down")
        assert await asyncio.to_thread(dev.wait_end) == 0
        await gone(pid)
        assert "shutdown hook ended" in dev.output
        assert "Traceback" not in dev.output


async def test_ctrl_c_in_the_terminal_reaches_parent_and_worker_and_ends_in_order(project: Path) -> None:
    with running(project) as dev:
        pid = await worker_of(dev)
        os.killpg(dev.popen.pid, signal.SIGINT)
        assert await asyncio.to_thread(dev.wait_end) == 0
        await gone(pid)
        assert dev.output.count("shutdown hook ended") == 1
        assert "Traceback" not in dev.output


async def test_a_second_ctrl_c_ends_at_once(project: Path) -> None:
    save(project / "hooks.py", HOOKS.format(pause=600))
    with running(project) as dev:
        pid = await worker_of(dev)
        dev.signal()
        await asyncio.to_thread(dev.wait_text, "shutdown hook ran")
        dev.wait_event("stop")
        dev.signal()
        assert await asyncio.to_thread(dev.wait_end) == 130
        await gone(pid)


async def test_ctrl_c_ends_a_worker_that_is_blocked(project: Path) -> None:
    with running(project) as dev:
        pid = await worker_of(dev)
        async with rpc(dev.port) as client:
            await client.socket.send(json.dumps({"rpc": "process/block", "id": "b", "args": []}))
            await asyncio.to_thread(dev.wait_text, "blocked")
            dev.signal()
            assert await asyncio.to_thread(dev.wait_end) == 0
        await gone(pid)


async def test_ctrl_c_while_a_worker_starts(project: Path) -> None:
    save(
        project / "hooks.py",
        "import asyncio\nasync def init():\n    print('starts', flush=True)\n    await asyncio.sleep(600)\n",
    )
    dev = DevProcess(project, "--port", "0")
    try:
        dev.wait_text("starts")
        dev.signal()
        assert await asyncio.to_thread(dev.wait_end) == 0
        assert "Traceback" not in dev.output
    finally:
        dev.stop()


async def test_ctrl_c_while_a_worker_still_imports_the_server(project: Path, tmp_path: Path) -> None:
    interrupt = """
import os, signal, sys
if "realtime_cli.devserver.worker" in sys.orig_argv:
    os.kill(os.getpid(), signal.SIGINT)
"""
    save(tmp_path / "early/sitecustomize.py", interrupt)
    with running(project, env={"PYTHONPATH": str(tmp_path / "early")}) as dev:
        assert await worker_of(dev)
        assert "Traceback" not in dev.output


@pytest.mark.slow  # the limit after which a worker counts as stuck, in real seconds
async def test_a_call_that_never_ends_does_not_keep_the_fix_away(project: Path) -> None:
    endless = (
        "from runtime import live\n\n@live.public\n@live\nasync def hello(ctx):\n"
        "    print('runs', flush=True)\n    while True:\n        pass\n"
    )
    right = (project / "live/todos.py").read_text()
    save(project / "live/todos.py", endless)
    with running(project) as dev:
        pid = await worker_of(dev)
        async with rpc(dev.port) as client:
            await client.socket.send(json.dumps({"rpc": "todos/hello", "id": "h", "args": []}))
            await asyncio.to_thread(dev.wait_text, "runs")
            save(project / "live/todos.py", right)
            stuck = await asyncio.to_thread(dev.wait_event, "stuck")
            assert "no answer from the worker for 3 s" in stuck["message"]
            await gone(pid)
        async with rpc(dev.port) as client:
            assert (await client.call("todos/hello"))["data"] == "one"


async def test_a_reader_that_goes_away_disturbs_no_call(project: Path) -> None:
    command = [sys.executable, "-m", "realtime_cli", "dev", "--json-log", "--project", str(project)]
    reading, writing = os.pipe()
    with os.fdopen(reading) as output:
        process = subprocess.Popen(
            [*command, "--port", "0"],
            stdout=writing,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        os.close(writing)
        port = json.loads(output.readline())["port"]
    try:
        async with rpc(port) as client:
            for _ in range(3):
                assert (await client.call("process/talk", "to nobody"))["ok"]
        save(project / "hooks.py", HOOKS.format(pause=0) + "# new\n")  # the parent prints, too
        async with rpc(port) as client:
            assert (await client.call("process/talk", "to nobody"))["ok"]
    finally:
        process.send_signal(signal.SIGINT)
        _, err = await asyncio.to_thread(process.communicate, timeout=PATIENCE)
    assert process.returncode == 0
    assert err == ""


async def test_the_worker_ends_when_the_parent_is_killed(project: Path) -> None:
    with running(project) as dev:
        pid = await worker_of(dev)
        dev.popen.kill()
        await gone(pid)


async def test_a_blocked_worker_ends_when_the_parent_is_killed(project: Path) -> None:
    with running(project) as dev:
        pid = await worker_of(dev)
        async with rpc(dev.port) as client:
            await client.socket.send(json.dumps({"rpc": "process/block", "id": "b", "args": []}))
            await asyncio.to_thread(dev.wait_text, "blocked")
            dev.popen.kill()
            await gone(pid)


async def test_a_worker_that_dies_is_replaced(project: Path) -> None:
    with running(project) as dev:
        pid = await worker_of(dev)
        mark = dev.mark()
        async with rpc(dev.port) as client:
            await client.socket.send(json.dumps({"rpc": "process/die", "id": "d", "args": []}))
            await client.socket.wait_closed()
        assert await worker_of(dev) != pid
        dev.wait_event("crash", mark)


async def test_workers_share_nothing_with_processes_of_the_user(project: Path) -> None:
    child = "import subprocess\nchild = subprocess.Popen(['sleep', '600'])\nprint('child', child.pid, flush=True)\n"
    save(project / "hooks.py", child)
    with running(project) as dev:
        dev.wait_text("child ")
        pid = int(next(line for line in dev.lines if line.startswith("child ")).split()[1])
        port = dev.port
        try:
            dev.signal()
            assert await asyncio.to_thread(dev.popen.wait, PATIENCE) == 0
            socket.create_server(("127.0.0.1", port)).close()  # not held by the child
        finally:
            os.kill(pid, signal.SIGKILL)


def test_a_taken_port_is_reported(project: Path, taken: int) -> None:
    ended = run(project, "--port", str(taken))
    assert ended.returncode == 3
    assert f"port {taken} on 127.0.0.1 is in use" in ended.stderr
    if sys.platform == "linux":
        assert f"(pid {os.getpid()})" in ended.stderr
    assert "realtime dev --port auto" in ended.stderr


def test_auto_takes_the_next_free_port(project: Path, taken: int) -> None:
    save(project / "realtime.toml", f"[server]\nport = {taken}\n[dev]\ntypes = false\n")
    dev = DevProcess(project, "--port", "auto")
    try:
        assert dev.wait_event("listening")["port"] != taken
    finally:
        dev.stop()


def test_yes_takes_the_next_free_port(project: Path, taken: int) -> None:
    dev = DevProcess(project, "--port", str(taken), "--yes")
    try:
        assert dev.wait_event("listening")["port"] != taken
    finally:
        dev.stop()


@pytest.mark.parametrize("port", ["-1", "65536", "http", "1.5"])
def test_a_port_that_is_none(project: Path, port: str) -> None:
    ended = run(project, f"--port={port}")
    assert ended.returncode == 2
    assert f"--port {port}: expected a number" in ended.stderr


def test_an_address_that_is_not_ours(project: Path) -> None:
    ended = run(project, "--host", "203.0.113.1", "--port", "0")
    assert ended.returncode == 3
    assert "cannot listen on 203.0.113.1" in ended.stderr


@pytest.mark.parametrize(
    ("file", "text", "place"),
    [
        ("realtime.toml", "[server]\nprot = 1\n", "realtime.toml:2"),
        ("realtime.toml", "[server\n", "realtime.toml"),
        (".env", "A=1\nnonsense\n", ".env:2"),
    ],
)
def test_broken_settings_at_the_start(project: Path, file: str, text: str, place: str) -> None:
    save(project / file, text)
    ended = run(project, "--port", "0")
    assert ended.returncode == 2
    assert place in ended.stderr
    assert f"next: correct {file} and run realtime dev again" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_secret_in_the_environment_file_is_not_shown(project: Path) -> None:
    save(project / ".env", "SECRET=hunter2\nnonsense\nOTHER=hunter3\n")
    ended = run(project, "--port", "0")
    assert "hunter" not in ended.stderr + ended.stdout


def test_no_project(tmp_path: Path) -> None:
    ended = run(tmp_path)
    assert ended.returncode == 2
    assert "realtime.toml" in ended.stderr
    assert "realtime new" in ended.stderr


def test_a_file_that_hides_a_package_of_ours(project: Path) -> None:
    save(project / "runtime.py", "")
    ended = run(project, "--port", "0")
    assert ended.returncode == 3
    assert "runtime.py hides a package of Realtime Toolkit" in ended.stderr


def test_a_start_that_ends_the_process(project: Path) -> None:
    save(project / "hooks.py", "import os\nos._exit(5)\n")
    ended = run(project, "--port", "0")
    assert ended.returncode == 3
    assert "exit code 5" in ended.stderr


async def test_lines_for_people_without_a_terminal(project: Path) -> None:
    environ = {**os.environ, "FORCE_COLOR": ""}
    command = [sys.executable, "-m", "realtime_cli", "dev", "--project", str(project), "--port", "0"]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
        env=environ,
    )
    assert process.stderr is not None
    assert process.stdout is not None
    text = ""
    try:
        async with asyncio.timeout(PATIENCE):
            while "stop  Ctrl-C" not in text:
                text += (await process.stderr.readline()).decode()
            port = int(text.partition("http://localhost:")[2].split()[0])
            async with rpc(port) as client:
                await client.call("process/talk", "said by the app")
                await client.call("process/fail")
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as web:
                await web.get("/")
                await web.get("/style.css")
                await web.get("/missing")
            while "/missing" not in text:
                text += (await process.stderr.readline()).decode()
    finally:
        process.send_signal(signal.SIGINT)
        out, rest = await process.communicate()
    text += rest.decode()
    assert process.returncode == 0
    assert "\x1b" not in text
    assert "\r" not in text
    assert "said by the app" in out.decode()
    lines = [line.split() for line in text.splitlines()]
    [failed] = [line for line in lines if line[1:3] == ["rpc", "process/fail"]]
    assert failed[3] == "-"
    assert failed[-2:] == ["ms", "INTERNAL_ERROR"]
    assert any(line[1:3] == ["open", "127.0.0.1"] for line in lines)
    assert any(line[1:2] == ["close"] and "1000" in line for line in lines)
    assert any(line[1:4] == ["http", "/", "GET"] and line[-1] == "200" for line in lines)
    assert any(line[1:4] == ["http", "/missing", "GET"] and line[-1] == "404" for line in lines)
    assert not any("/style.css" in line for line in lines)
    assert "RuntimeError: on purpose" in text
    assert "live/process.py" in text
    assert "dispatch.py" not in text


def test_quiet_prints_only_what_is_wrong(project: Path) -> None:
    save(project / "live/bad.py", "1/0\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "realtime_cli", "dev", "--project", str(project), "--port", "0", "--quiet"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr is not None
    lines: list[str] = []
    while "ZeroDivisionError: division" not in "".join(lines):
        line = process.stderr.readline()
        assert line, lines
        lines.append(line)
    process.send_signal(signal.SIGINT)
    out, rest = process.communicate(timeout=PATIENCE)
    assert "live code does not load" in lines[0]
    assert "http://" not in "".join(lines) + rest
    assert out.startswith("shutdown hook ran")  # what the app prints itself


def test_type_declarations_are_written_and_kept_fresh(project: Path) -> None:
    save(project / "realtime.toml", "")
    written = project / "types/live/todos.d.ts"
    with running(project) as dev:
        dev.wait(lambda: written.exists() and "hello" in written.read_text(), "declarations")
        mark = dev.mark()
        text = (project / "live/todos.py").read_text()
        save(project / "live/todos.py", text.replace("hello", "goodbye"))
        dev.wait_event("reload", mark)
        dev.wait(lambda: "goodbye" in written.read_text(), "new declarations")
        assert len(dev.events("reload", mark)) == 1  # what we write asks for no reload
