"""`realtime serve` on a Unix socket, and where it listens at all. Spec: platform 3.9 and 4."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import unix_connect

from realtime_cli.ports import CannotBind, bind_unix
from tests.cli.apps import write_project
from tests.cli.commands import TIMEOUT, realtime, serving

ORIGIN: Any = "http://localhost"


HOOKS = """
    import asyncio
    from pathlib import Path

    async def init():
        (Path(__file__).parent / "loop").write_text(type(asyncio.get_running_loop()).__module__)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    # The path of a socket has at most 107 bytes.
    return write_project(tmp_path, {"live/app.py": "", "web/index.html": "<head></head>hello"})


def get(path: Path, url: str) -> httpx.Response:
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), timeout=TIMEOUT) as client:
        return client.get(url)


@pytest.mark.spec("PLAT-94")
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_it_serves_on_a_unix_socket_and_removes_it_at_the_end(project: Path, loop: str) -> None:
    pytest.importorskip(loop)
    path = project / "app.sock"
    text = f"[server]\nallowed_hosts = ['localhost']\nuds = 'app.sock'\nuds_mode = 0o640\nloop = '{loop}'\n"
    write_project(project, {"realtime.toml": text, "hooks.py": HOOKS})
    with serving(project, where=()) as (child, url):
        assert (project / "loop").read_text().partition(".")[0] == loop
        assert url == f"unix:{path}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert "hello" in get(path, "http://localhost/").text
        async with unix_connect(str(path), "ws://localhost/ws", origin=ORIGIN) as ws:
            assert '"welcome"' in await ws.recv()
    assert child.returncode == 0
    assert not path.exists()


@pytest.mark.spec("PLAT-94")
def test_the_flag_names_a_path_from_here_and_the_default_mode_lets_the_group_in(project: Path) -> None:
    with serving(project, "--uds", "made.sock", where=()) as (_, url):
        path = project / "made.sock"
        assert url == f"unix:{path}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o660


@pytest.mark.spec("PLAT-94")
def test_a_socket_on_which_nobody_accepts_is_replaced(project: Path) -> None:
    path = project / "app.sock"
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(path))
    with serving(project, "--uds", "app.sock", where=()):
        assert "hello" in get(path, "http://localhost/").text


@pytest.mark.spec("PLAT-94")
def test_what_is_in_use_or_no_socket_stays_and_ends_with_3(project: Path) -> None:
    path = project / "app.sock"
    with serving(project, "--uds", "app.sock", where=()):
        ended = realtime("serve", "--uds", "app.sock", cwd=project)
        assert ended.code == 3
        assert f"somebody accepts connections on {path}" in ended.err
        assert "hello" in get(path, "http://localhost/").text
    path.write_text("precious")
    ended = realtime("serve", "--uds", "app.sock", cwd=project)
    assert ended.code == 3
    assert f"{path} is no socket" in ended.err
    assert path.read_text() == "precious"


def test_a_socket_that_another_server_has_replaced_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    first = bind_unix(path, 0o600)
    path.unlink()
    second = bind_unix(path, 0o600)
    first.close()
    assert path.exists()
    second.close()
    assert not path.exists()
    second.close()


@pytest.mark.parametrize(
    ("name", "message"), [("x" * 200, "too long"), ("missing/app.sock", "No such file or directory")]
)
def test_a_path_that_cannot_be_taken_says_why(tmp_path: Path, name: str, message: str) -> None:
    before = os.umask(0o022)
    os.umask(before)
    with pytest.raises(CannotBind, match=message):
        bind_unix(tmp_path / name, 0o600)
    assert os.umask(before) == before


def test_flags_for_a_port_win_over_a_socket_in_the_settings(project: Path) -> None:
    write_project(project, {"realtime.toml": "[server]\nallowed_hosts = ['127.0.0.1']\nuds = 'app.sock'\n"})
    with serving(project) as (_, url):
        assert url.startswith("http://127.0.0.1:")
    ended = realtime("serve", "--uds", "x", "--port", "0", cwd=project)
    assert ended.code == 2
    assert "--uds stands instead of --host and --port" in ended.err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--ws", "quick"), "--ws quick: there is no such way to write frames"),
        (("--access-log", "xml"), 'expected one of "off", "text", "json" (command line)'),
        (("--log-level", "loud"), 'expected one of "debug", "info"'),
    ],
)
def test_a_wrong_word_ends_with_2_and_the_right_ones(
    project: Path, flags: tuple[str, ...], message: str
) -> None:
    ended = realtime("serve", "--port", "0", *flags, cwd=project)
    assert ended.code == 2
    assert message in ended.err


def test_without_uvloop_asyncio_is_taken_unless_uvloop_is_asked_for(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = {"early/sitecustomize.py": "import sys\nsys.modules['uvloop'] = None\n", "hooks.py": HOOKS}
    write_project(project, hidden)
    monkeypatch.setenv("PYTHONPATH", str(project / "early"))
    with serving(project):
        assert (project / "loop").read_text().partition(".")[0] == "asyncio"
    monkeypatch.setenv("REALTIME_SERVER__LOOP", "uvloop")
    ended = realtime("serve", "--port", "0", cwd=project)
    assert ended.code == 2
    assert '[server] loop = "uvloop", and uvloop is not installed' in ended.err
    assert "pip install uvloop" in ended.err


@pytest.mark.parametrize("way", ["auto", "fast", "asgi"])
async def test_each_way_to_write_frames_serves(project: Path, way: str) -> None:
    path = project / "app.sock"
    with serving(project, "--ws", way, "--uds", "app.sock", where=(), stdout=subprocess.PIPE):
        async with unix_connect(str(path), "ws://localhost/ws", origin=ORIGIN) as ws:
            assert '"welcome"' in await ws.recv()
