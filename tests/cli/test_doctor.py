"""`realtime doctor`, and a uvicorn that works in another way than is assumed. Spec: platform 2.9 and 8.7."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from websockets.asyncio.client import connect

from realtime_cli.serverprobe import Answer, _assertions
from runtime.core.settings import SECTIONS, keys_of
from runtime.server.abilities import ASGI_DIFFERENCES
from tests.cli.apps import PINNED, write_project
from tests.cli.commands import TIMEOUT, realtime, serving

# Python runs a module of this name at its start.
ANOTHER_UVICORN = """
    import uvicorn
    from runtime.server import httpvariants

    uvicorn.__version__ = "9.9.9"
    httpvariants._FLOW_CODE = {"resume_reading": {"renamed"}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "app", {"live/app.py": "", "web/a.txt": "hello"})


@pytest.fixture
def another_uvicorn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(tmp_path / "early", {"sitecustomize.py": ANOTHER_UVICORN})
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "early"))


def applying(data: Any) -> list[str]:
    return [row["feature"] for row in data["asgi_differences"] if row["applies_here"]]


@pytest.mark.spec("PLAT-181")
def test_it_tells_what_is_active_and_each_difference_of_plain_asgi(project: Path) -> None:
    ended = realtime("doctor", cwd=project)
    assert ended.code == 0
    assert f"uvicorn            {uvicorn.__version__}" in ended.out
    assert "write path         fast: frames go straight to the transport" in ended.out
    assert "requests           bounded, on h" in ended.out
    for row in ASGI_DIFFERENCES:
        (line,) = [line for line in ended.out.splitlines() if line.startswith(row.feature)]
        assert row.on_asgi in line
        assert line.endswith("  no")
    assert [row.feature.partition(" ")[0].rstrip(",") for row in ASGI_DIFFERENCES] == [
        "refusal",
        "buffered_amount",
        "cork()",
        "ping()",
        "terminate()",
        "max_payload_length",
        "header_timeout",
    ]


@pytest.mark.spec("PLAT-181")
def test_json_says_the_same_and_what_the_settings_change(project: Path) -> None:
    data = realtime("doctor", "--json", cwd=project).data
    assert data["ok"] is True
    assert data["packages"]["uvicorn"] == uvicorn.__version__
    assert data["write_path"]["active"] == "fast"
    assert data["loop"] in ("uvloop", "asyncio")
    assert data["http"]["bounds"] is True
    assert (applying(data), data["problems"]) == ([], [])
    toml = PINNED + "    loop = 'asyncio'\n    [websocket]\n    fast_path = 'off'\n"
    write_project(project, {"realtime.toml": toml})
    ended = realtime("doctor", "--json", cwd=project)
    assert ended.code == 0
    assert ended.data["loop"] == "asyncio"
    assert ended.data["write_path"]["active"] == "asgi"
    assert 'fast_path = "off"' in ended.data["write_path"]["why"]
    assert [feature.partition(" ")[0] for feature in applying(ended.data)] == [
        "buffered_amount,",
        "cork()",
        "ping(),",
        "max_payload_length",
    ]


@pytest.mark.spec("PLAT-181")
@pytest.mark.usefixtures("another_uvicorn")
def test_an_unknown_uvicorn_is_found(project: Path) -> None:
    ended = realtime("doctor", "--json", cwd=project)
    assert ended.code == 1
    data = ended.data
    assert (data["ok"], data["write_path"]["active"], data["http"]["bounds"]) == (False, "asgi", False)
    assert "uvicorn 9.9.9 is not known" in data["write_path"]["why"]
    assert len(applying(data)) == len(ASGI_DIFFERENCES)
    assert [problem["message"].partition(":")[0] for problem in data["problems"]] == [
        "no fast path",
        "no limits of time and size for requests",
    ]
    ended = realtime("doctor", cwd=project)
    assert ended.code == 1
    assert "no fast path: uvicorn 9.9.9 is not known" in ended.err
    assert "next: pip install" in ended.err


@pytest.mark.usefixtures("another_uvicorn")
async def test_an_unknown_uvicorn_serves_with_its_own_classes(project: Path) -> None:
    with serving(project, stdout=subprocess.PIPE) as (child, url):
        origin: Any = url
        async with connect(url.replace("http", "ws") + "/ws", origin=origin) as ws:
            assert '"welcome"' in await ws.recv()
            child.terminate()
            await ws.wait_closed()
            await asyncio.to_thread(child.wait, TIMEOUT)
        assert (ws.close_code, ws.close_reason) == (1001, "Server shutting down")
    assert child.returncode == 0


@pytest.mark.usefixtures("another_uvicorn")
def test_who_insists_on_the_fast_path_is_told_that_it_cannot_be_had(project: Path) -> None:
    ended = realtime("serve", "--port", "0", "--ws", "fast", cwd=project)
    assert ended.code == 3
    assert '[websocket] fast_path = "on" cannot be had: uvicorn 9.9.9 is not known' in ended.err


@pytest.mark.spec("PLAT-174", "PLAT-102")
def test_it_tells_what_was_written_and_where_and_no_secret(project: Path) -> None:
    (project / "realtime.toml").write_text('[server]\nport = 8123\n[redis]\nurl = "redis://u:hunter2@h"\n')
    ended = realtime("doctor", cwd=project, env={"REALTIME_SERVER__THREADS": "3"})
    lines = [line.split() for line in ended.out.splitlines()]
    assert ["server.port", "8123", "realtime.toml:2"] in lines
    assert ["server.threads", "3", "REALTIME_SERVER__THREADS"] in lines
    assert ["redis.url", '"***"', "realtime.toml:4"] in lines
    assert "hunter2" not in ended.out + ended.err
    data = json.loads(realtime("doctor", "--json", cwd=project).out)
    assert data["settings"]["server.host"] == {"value": "0.0.0.0", "origin": "default"}
    keys = {f"{section}.{key}" for section, struct in SECTIONS.items() for key in keys_of(struct)}
    assert keys <= set(data["settings"])


@pytest.mark.spec("PLAT-174")
def test_it_names_a_file_that_hides_a_package(project: Path) -> None:
    (project / "runtime.py").write_text("")
    ended = realtime("doctor", "--project", project, cwd=project.parent)
    assert ended.code == 1
    assert "runtime.py hides a package of Realtime Toolkit from every import" in ended.err


@pytest.mark.spec("PLAT-174")
@pytest.mark.parametrize(
    ("hook", "status", "means"),
    [
        ("", 404, "no authenticate hook"),
        ("async def authenticate(cookies):\n    return False\n", 401, "refuses who has no session"),
        ("async def authenticate(cookies):\n    return True\n", 204, "lets in who has no session"),
    ],
)
def test_it_tells_what_the_auth_path_of_a_running_server_answers(
    hook: str, status: int, means: str, project: Path
) -> None:
    (project / "hooks.py").write_text(hook)
    settings = (project / "realtime.toml").read_text()
    (project / "realtime.toml").write_text(settings + '\n[metrics]\nenabled = true\nallow = ["private"]\n')
    with serving(project) as (_, url):
        ended = realtime("doctor", "--url", url, "--json", cwd=project)
        data = json.loads(ended.out)
        assert ended.code == 0, ended.err
        assert data["server"]["health"] == {"status": 200, "text": "OK"}
        assert data["server"]["ready"]["status"] == 200
        assert data["server"]["auth"]["status"] == status
        assert means in data["server"]["auth"]["means"]
        assert data["server"]["assertions"] == {}
        assert means in realtime("doctor", "--url", url, cwd=project).out


@pytest.mark.spec("PLAT-174")
def test_a_server_that_is_not_there_is_a_problem(project: Path) -> None:
    ended = realtime("doctor", "--url", "http://127.0.0.1:9", cwd=project)
    assert ended.code == 1
    assert "no server answers at http://127.0.0.1:9" in ended.err
    assert realtime("doctor", "--url", "ftp://x", cwd=project).code == 2


def test_broken_invariants_of_a_running_server_are_counted() -> None:
    text = (
        'realtime_assertion_violations_total{category="subs.shape"} 2.0\n'
        'svelte_realtime_assertion_violations_total{category="subs.shape"} 2\n'
        'realtime_assertion_violations_total{category="other"} 0\n'
    )
    assert _assertions(Answer(200, text)) == {"subs.shape": 2}
    assert _assertions(Answer(401, text)) is None
