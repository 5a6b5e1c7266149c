"""The fixtures as an app author meets them: in a project of their own, with a pytest of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LIVE = """
from runtime import live

@live
async def add(ctx, text: str):
    ctx.publish("todos", "created", {"id": text})
    return {"id": text, "user": ctx.user}

@live.stream("todos")
async def list(ctx):
    return []
"""
HOOKS = """
STARTED = []

def init():
    STARTED.append(True)

def upgrade(headers):
    return {"name": headers.get("x-name", "nobody")}

def subscribe(topic):
    return topic == "todos"
"""
TESTS = """
{imports}
from runtime import live
from runtime.testing import TestEnv, eventually

@live
async def double(ctx, n: int):
    return 2 * n

{mark}
async def test_env(realtime):
    assert isinstance(realtime, TestEnv)
    realtime.register("math", {{"double": double}})
    assert await realtime.connect().call("math/double", 4) == 8

{mark}
async def test_app(realtime_app):
    assert realtime_app.runtime.is_ready
    client = realtime_app.connect({{"name": "ann"}})
    stream = client.subscribe("todos/list")
    await stream.ready()
    assert (await client.call("todos/add", "milk"))["user"]["name"] == "ann"
    await stream.wait_for(lambda rows: rows == [{{"id": "milk"}}])

{mark}
async def test_time_and_chaos(realtime):
    realtime.register("math", {{"double": double}})
    client = realtime.connect({{"id": 1}})
    fired = []
    realtime.clock.call_later(60, fired.append, 1)
    await realtime.tick(60)
    realtime.chaos.set(drop_rate=0.5, seed=1)
    realtime.chaos.disconnect(client)
    await client.ready()
    assert (await client.call("math/double", 4), fired, realtime.published) == (8, [1], [])

{mark}
async def test_server(realtime_server):
    async with realtime_server.connect(headers={{"X-Name": "bob"}}) as rt, rt.stream("todos/list") as todos:
        await todos.ready()
        assert (await rt.call("todos/add", "tea"))["user"]["name"] == "bob"
        await eventually(lambda: todos.value == [{{"id": "tea"}}])
    assert realtime_server.url.startswith("http://127.0.0.1:")
"""


def project(folder: Path, tests: str, ini: str) -> Path:
    (folder / "live").mkdir()
    (folder / "tests" / "deep").mkdir(parents=True)
    (folder / "live" / "todos.py").write_text(LIVE)
    (folder / "hooks.py").write_text(HOOKS)
    (folder / "realtime.toml").write_text("")
    (folder / "tests" / "deep" / "test_app.py").write_text(tests)
    (folder / "pytest.ini").write_text(f"[pytest]\nfilterwarnings = error\n{ini}")
    return folder


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *arguments],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def backend(value: str, *, autouse: bool = False) -> str:
    """A conftest that chooses anyio's backend."""
    return f"import pytest\n\n@pytest.fixture(autouse={autouse})\ndef anyio_backend():\n    return {value}\n"


def test_the_fixtures_work_under_anyio(tmp_path: Path) -> None:
    folder = project(tmp_path, TESTS.format(imports="", mark=""), "anyio_mode = auto\n")
    (folder / "conftest.py").write_text(backend("'asyncio'"))
    done = run_pytest(folder, "tests", "-p", "no:asyncio")
    assert "4 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(("mode", "mark"), [("strict", "@pytest.mark.asyncio"), ("auto", "")])
def test_the_fixtures_work_under_pytest_asyncio(tmp_path: Path, mode: str, mark: str) -> None:
    ini = f"asyncio_mode = {mode}\nasyncio_default_fixture_loop_scope = function\n"
    folder = project(tmp_path, TESTS.format(imports="import pytest", mark=mark), ini)
    done = run_pytest(folder, "tests")
    assert "4 passed" in done.stdout, done.stdout + done.stderr


OPTIONS = """
import pytest

@pytest.fixture
def realtime_options():
    return {{"timeout": 0.5, "now": 5.0, "chaos": {{"drop_rate": 1, "seed": 3}}}}

{mark}
async def test_env(realtime):
    assert (realtime.timeout, realtime.clock.now(), realtime.chaos.config.seed) == (0.5, 5.0, 3)

{mark}
async def test_app(realtime_app):
    assert (realtime_app.timeout, realtime_app.clock.now(), realtime_app.chaos.config.seed) == (0.5, 5.0, 3)
    client = realtime_app.connect({{"name": "ann"}})
    await client.call("todos/add", "milk")
    assert realtime_app.chaos.dropped == 1
"""

HANGING = """
{imports}
from runtime import live
from runtime.testing import TestEnv

@live
async def never(ctx):
    import asyncio
    await asyncio.Event().wait()

{mark}
async def test_call():
    async with TestEnv(timeout=0.1) as env:
        env.register("m", {{"never": never}})
        await env.connect({{"id": "ann"}}).call("m/never")

{mark}
async def test_published():
    async with TestEnv() as env:
        await env.published.wait_for("created", topic="todos", timeout=0.1)
"""


either_plugin = pytest.mark.parametrize(
    ("imports", "mark", "ini", "option"),
    [
        ("", "", "anyio_mode = auto\n", "no:asyncio"),
        (
            "import pytest",
            "@pytest.mark.asyncio",
            "asyncio_mode = strict\nasyncio_default_fixture_loop_scope = function\n",
            "no:anyio",
        ),
    ],
    ids=["anyio", "pytest-asyncio"],
)


@either_plugin
def test_the_fixtures_are_made_with_the_options_of_the_module(
    tmp_path: Path, imports: str, mark: str, ini: str, option: str
) -> None:
    folder = project(tmp_path, OPTIONS.format(mark=mark), ini)
    (folder / "conftest.py").write_text(backend("'asyncio'"))
    done = run_pytest(folder, "tests", "-p", option)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


@either_plugin
def test_a_test_that_waits_in_vain_ends_with_the_frames(
    tmp_path: Path, imports: str, mark: str, ini: str, option: str
) -> None:
    folder = project(tmp_path, HANGING.format(imports=imports, mark=mark), ini)
    (folder / "conftest.py").write_text(backend("'asyncio'"))
    done = run_pytest(folder, "tests", "-p", option)
    assert "2 failed" in done.stdout, done.stdout + done.stderr
    assert "TIMEOUT: RPC 'm/never' timed out after 0.1s" in done.stdout
    assert "last frames of <TestClient {'id': 'ann'} " in done.stdout
    assert '-> {"rpc":"m/never"' in done.stdout
    assert "no such publish 'created' on 'todos' within 0.1s" in done.stdout


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    folder = project(tmp_path, "def test_sync(realtime):\n    pass\n", "anyio_mode = auto\n")
    (folder / "realtime.toml").unlink()
    for name, chosen, test in [
        ("noproject", backend("'asyncio'"), "async def test_app(realtime_app):\n    pass\n"),
        ("othertrio", backend("('trio', {})", autouse=True), "def test_env(realtime):\n    pass\n"),
    ]:
        (folder / "tests" / name).mkdir()
        (folder / "tests" / name / "conftest.py").write_text(chosen)
        (folder / "tests" / name / f"test_{name}.py").write_text(test)
    done = run_pytest(folder, "tests", "-p", "no:asyncio")
    assert "3 errors" in done.stdout
    assert "the realtime fixtures need an async test" in done.stdout
    assert f"no realtime.toml in {folder / 'tests' / 'noproject'}" in done.stdout
    assert "define a fixture anyio_backend that returns 'asyncio'" in done.stdout


def test_the_plugin_imports_nothing_before_a_fixture_is_asked_for() -> None:
    code = "import sys, runtime.testing.pytest_plugin; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = (
        "runtime.server",
        "runtime.client",
        "runtime.core",
        "runtime.live",
        "starlette",
        "msgspec",
        "websockets",
    )
    assert not [name for name in loaded if name.startswith(heavy)]
