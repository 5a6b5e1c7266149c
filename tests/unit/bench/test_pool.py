from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import peersetup, pool, servers
from bench.case import CannotMeasure
from bench.pool import Pool
from bench.servers import SERVERS, Command, Server
from bench.usage import Stretch, cpu_seconds, resident_bytes
from runtime.testing import eventually

LISTENS = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
    while True:
        connection, _ = listener.accept()
        connection.close()
"""
TEST_SERVERS = {
    "listens": Server("listens", lambda port: Command([sys.executable, "-c", LISTENS, str(port)])),
    "ends": Server("ends", lambda port: Command([sys.executable, "-c", "raise SystemExit(3)"])),
}


def state(group: int) -> str:
    try:
        return (Path("/proc") / str(group) / "stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "gone"


@pytest.fixture
def servers_of_test() -> Iterator[Pool]:
    if not Path("/proc/self/stat").exists():
        pytest.skip("looks at the state of processes in the /proc of Linux")
    with Pool(TEST_SERVERS.__getitem__) as opened:
        yield opened


async def test_a_server_stays_and_is_halted_between_its_turns(servers_of_test: Pool) -> None:
    with servers_of_test.running("listens") as first:
        assert state(first.group) != "T"
        assert cpu_seconds(first.group) > 0
        assert resident_bytes(first.group) > 1024**2
    await eventually(lambda: state(first.group) == "T")
    with servers_of_test.running("listens") as second:
        assert second == first
        await eventually(lambda: state(first.group) != "T")


async def test_a_server_is_replaced_after_a_failure(servers_of_test: Pool) -> None:
    with pytest.raises(RuntimeError, match="lost"), servers_of_test.running("listens") as first:
        raise RuntimeError("lost")
    with servers_of_test.running("listens") as second:
        assert second.group != first.group
    assert state(first.group) == "gone"


async def test_the_end_of_a_pool_ends_halted_servers() -> None:
    with Pool(TEST_SERVERS.__getitem__) as opened, opened.running("listens") as server:
        pass
    with pytest.raises(ProcessLookupError):
        os.killpg(server.group, 0)


def test_a_server_that_ends_at_once_is_reported(servers_of_test: Pool) -> None:
    with pytest.raises(RuntimeError, match="ended with 3 before it listened"), servers_of_test.fresh("ends"):
        pass


async def test_waiting_until_a_server_is_calm_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter(range(1000))
    monkeypatch.setattr(pool, "cpu_seconds", lambda group: float(next(readings)))
    monkeypatch.setattr(pool, "CALM_LIMIT", 0.12)
    with Pool(TEST_SERVERS.__getitem__) as opened, opened.running("listens"):
        pass
    assert 2 <= next(readings) <= 10


def test_a_share_of_a_core_is_taken_over_the_time_between_the_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    used, times = iter([1.0, 1.5]), iter([10.0, 12.0])
    monkeypatch.setattr("bench.usage.cpu_seconds", lambda group: next(used))
    monkeypatch.setattr("bench.usage.time", SimpleNamespace(monotonic=lambda: next(times)))
    stretch = Stretch(1)
    stretch.note("begin")
    stretch.note("end")
    assert stretch.percent == 25.0


@pytest.mark.parametrize("name", sorted(set(SERVERS) - {"ours", "websockets", "starlette"}))
def test_a_peer_that_is_not_installed_says_how_to_get_it(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(servers, "PEER_PYTHON", tmp_path / "python")
    monkeypatch.setattr(servers, "NODE_MODULES", tmp_path / "node_modules")
    monkeypatch.setattr("shutil.which", lambda name: None)
    servers.has_module.cache_clear()
    with pytest.raises(CannotMeasure, match="not installed") as caught:
        SERVERS[name].command(1)
    servers.has_module.cache_clear()
    assert str(tmp_path) not in str(caught.value)


def test_setting_up_peers_says_what_is_not_to_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "python").touch()
    monkeypatch.setattr(peersetup, "PEER_PYTHON", tmp_path / "python")
    monkeypatch.setattr(peersetup, "missing_modules", lambda: ["picows"])
    monkeypatch.setattr(peersetup, "missing_packages", lambda: ["bun"])
    monkeypatch.setattr(peersetup, "_run", lambda *command: "No matching distribution found")
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert peersetup.main() == 0
    assert capsys.readouterr().out.splitlines() == [
        "installing peers into bench/.venv-peers: picows, bun",
        "skipped: picows: No matching distribution found",
        "skipped: bun: npm is not installed",
    ]
