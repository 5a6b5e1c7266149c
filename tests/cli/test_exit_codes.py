"""Every command ends with every code that it may, on a real process. Spec: platform 8.7.

The codes of `call` and `watch` when they are interrupted, and those of `upgrade`, are with the tests of these commands.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from realtime_cli.rules.examples import BASE
from tests.cli.commands import PROGRAM, TIMEOUT, environment, realtime, serving
from tests.cli.dev_process import make_project, running

BROKEN = "import nosuch\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that is clean, so that everything ends with 0."""
    shutil.copytree(BASE, tmp_path / "app")
    return tmp_path / "app"


@contextlib.contextmanager
def taken() -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def break_module(project: Path) -> None:
    (project / "live/broken.py").write_text(BROKEN)


def break_settings(project: Path) -> None:
    (project / "realtime.toml").write_text("[server\n")


def break_value(project: Path) -> None:
    (project / "realtime.toml").write_text('[server]\nport = "x"\n')


def hide_package(project: Path) -> None:
    (project / "runtime.py").write_text("")


def nothing(project: Path) -> None:
    del project


def no_project(project: Path) -> None:
    shutil.rmtree(project)
    project.mkdir()


CASES: list[tuple[str, tuple[str, ...], Callable[[Path], None], int]] = [
    ("new", ("fresh", "--defaults"), nothing, 0),
    ("new", ("no/such:name", "--defaults"), nothing, 2),
    ("new", ("fresh", "--template", "none"), nothing, 2),
    ("check", (), nothing, 0),
    ("check", (), break_module, 1),
    ("check", (), break_value, 1),
    ("check", (), break_settings, 2),
    ("check", (), no_project, 2),
    ("types", (), nothing, 0),
    ("types", ("--check",), nothing, 1),
    ("types", (), break_settings, 2),
    ("types", (), no_project, 2),
    ("routes", (), nothing, 0),
    ("routes", (), break_module, 1),
    ("routes", (), break_settings, 2),
    ("routes", (), no_project, 2),
    ("config", ("show",), nothing, 0),
    ("config", ("schema",), nothing, 0),
    ("config", ("show",), break_value, 2),
    ("config", ("show",), no_project, 2),
    ("doctor", (), nothing, 0),
    ("doctor", ("--url", "http://127.0.0.1:9"), nothing, 1),
    ("doctor", (), break_settings, 2),
    ("doctor", (), no_project, 2),
    ("serve", ("--port", "0"), break_settings, 2),
    ("serve", ("--port", "0"), break_value, 2),
    ("serve", ("--port", "0"), no_project, 2),
    ("serve", ("--port", "0"), break_module, 3),
    ("serve", ("--port", "0"), hide_package, 3),
    ("dev", ("--port", "0"), break_settings, 2),
    ("dev", ("--port", "0"), no_project, 2),
    ("call", ("todos/rename", "--url", "http://127.0.0.1:9"), nothing, 3),
    ("call", ("todos/rename", "--url", "ftp://x"), nothing, 2),
    ("watch", ("todos", "--url", "http://127.0.0.1:9"), nothing, 3),
    ("watch", ("todos", "--url", "ftp://x"), nothing, 2),
]


@pytest.mark.spec("PLAT-169")
@pytest.mark.parametrize(
    ("command", "arguments", "prepare", "code"),
    CASES,
    ids=[f"{command}-{prepare.__name__}-{code}-{i}" for i, (command, _, prepare, code) in enumerate(CASES)],
)
def test_a_command_ends_with_the_code_of_what_happened(
    command: str, arguments: tuple[str, ...], prepare: Callable[[Path], None], code: int, project: Path
) -> None:
    prepare(project)
    # Not from within: `python -m` would take the hiding file for the package.
    outside = prepare is hide_package
    where = ("--project", project) if outside else ()
    ended = realtime(command, *arguments, *where, cwd=project.parent if outside else project)
    assert ended.code == code, ended.out + ended.err
    if code:
        assert "Traceback" not in ended.err, ended.err


@pytest.mark.spec("PLAT-169")
@pytest.mark.parametrize(
    "command", ["new", "dev", "serve", "check", "types", "routes", "config", "doctor", "call", "watch"]
)
def test_an_unknown_flag_is_wrong_usage(command: str, project: Path) -> None:
    assert realtime(command, "--frobnicate", cwd=project).code == 2


@pytest.mark.spec("PLAT-169")
@pytest.mark.parametrize("command", ["serve", "dev"])
def test_a_port_in_use_is_3(command: str, project: Path) -> None:
    with taken() as port:
        ended = realtime(command, "--host", "127.0.0.1", "--port", str(port), cwd=project)
    assert ended.code == 3, ended.err
    assert "in use" in ended.err


@pytest.mark.spec("PLAT-169")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_told_to_stop_ends_with_0(number: int, project: Path) -> None:
    with serving(project) as (child, _):
        child.send_signal(number)
        child.communicate(timeout=TIMEOUT)
        assert child.returncode == 0


@pytest.mark.spec("PLAT-169")
def test_dev_ends_with_0_at_ctrl_c(tmp_path: Path) -> None:
    with running(make_project(tmp_path)) as dev:
        assert dev.port
        dev.signal(signal.SIGINT)
        assert dev.wait_end() == 0


@pytest.mark.spec("PLAT-169")
def test_a_second_signal_during_the_shutdown_is_130(project: Path) -> None:
    (project / "hooks.py").write_text(
        "import asyncio\n\n\nasync def upgrade():\n    return {'id': 'a'}\n\n\n"
        "async def shutdown():\n    print('ending', flush=True)\n    await asyncio.sleep(60)\n"
    )
    child = subprocess.Popen(
        [*PROGRAM, "serve", "--host", "127.0.0.1", "--port", "0"],
        cwd=project,
        env=environment({"REALTIME_SERVER__SHUTDOWN_HOOK_TIMEOUT": "60"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stderr is not None
        assert child.stdout is not None
        while "Listening on" not in child.stderr.readline():
            pass
        child.send_signal(signal.SIGTERM)
        assert child.stdout.readline() == "ending\n"
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=TIMEOUT)
        assert child.returncode == 130
    finally:
        if child.poll() is None:
            child.kill()
            child.communicate()


@pytest.mark.spec("PLAT-169")
def test_an_error_of_the_server_is_1_for_who_calls(project: Path) -> None:
    with serving(project) as (_, url):
        assert realtime("call", "todos/none", "--url", url, cwd=project).code in {1, 3}
