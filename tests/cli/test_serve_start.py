"""How `realtime serve` starts: in one order, and a failure leaves nothing behind. Spec: platform 1.9 and 8.7."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.cli.apps import PINNED, write_project
from tests.cli.commands import realtime, serving

NOTES = """
    from pathlib import Path

    def note(step):
        with (Path(__file__).parent / "steps").open("a") as file:
            file.write(step + "\\n")
"""
HOOKS = """
    from notes import note

    note("hooks")

    def init():
        note("init")
        {init}

    def shutdown():
        note("shutdown")
"""
LIVE = """
    from notes import note
    note("live")
    {live}
"""


def make(tmp_path: Path, *, init: str = "pass", live: str = "", toml: str = "") -> Path:
    return write_project(
        tmp_path,
        {
            "realtime.toml": PINNED + toml,
            "notes.py": NOTES,
            "hooks.py": HOOKS.format(init=init),
            "live/app.py": LIVE.format(live=live),
        },
    )


def steps(project: Path) -> list[str]:
    file = project / "steps"
    return file.read_text().split() if file.exists() else []


@pytest.mark.spec("PLAT-37")
def test_settings_come_before_the_port_and_the_port_before_the_code(tmp_path: Path) -> None:
    project = make(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = ("--host", "127.0.0.1", "--port", str(taken.getsockname()[1]))
        assert realtime("serve", *where, cwd=project).code == 3
        assert steps(project) == []
        for wrong in ("idle_timout = 5", "tls_cert = 'cert.pem'"):
            make(tmp_path, toml=f"    {wrong}\n")
            ended = realtime("serve", *where, cwd=project)
            assert ended.code == 2
            assert wrong.partition(" ")[0] in ended.err
            assert "in use" not in ended.err
    assert steps(project) == []


@pytest.mark.spec("PLAT-37")
@pytest.mark.parametrize(
    ("changes", "code", "done"),
    [
        ({"live": "raise RuntimeError"}, 3, ["hooks", "live"]),
        ({"init": "raise RuntimeError"}, 3, ["hooks", "live", "init"]),
        ({"init": "raise SystemExit"}, 3, ["hooks", "live", "init"]),
        ({"toml": "    [security]\n    cookie_attribute_check = false\n"}, 2, ["hooks", "live"]),
    ],
)
def test_a_failed_start_leaves_no_socket_and_runs_no_shutdown(
    tmp_path: Path, changes: dict[str, str], code: int, done: list[str]
) -> None:
    project = make(tmp_path, **changes)
    ended = realtime("serve", "--uds", "app.sock", cwd=project)
    assert ended.code == code
    assert steps(project) == done
    assert not (project / "app.sock").exists()
    assert "Listening" not in ended.err


@pytest.mark.spec("PLAT-37")
def test_it_says_that_it_listens_when_init_has_returned(tmp_path: Path) -> None:
    project = make(tmp_path)
    with serving(project) as (child, _):
        assert steps(project) == ["hooks", "live", "init"]
    assert child.returncode == 0
    assert steps(project) == ["hooks", "live", "init", "shutdown"]
