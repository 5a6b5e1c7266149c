"""UPG132: keys of more than 256 characters."""

from __future__ import annotations

import pytest

from tests.upgrade.projects import flagged, upgrade

SERVICES = (
    "from runtime.cluster import IdempotencyStore, TaskRunner\nfrom runtime.plugins import Dedup, Lock\n\n"
    "idem = IdempotencyStore(redis)\nrunner = TaskRunner(pg)\ndedup = Dedup()\nlocks = Lock()\n"
)
HEAD = "import json\nfrom services import dedup, idem, locks, runner\n\n\nasync def f(body, msg):\n    {}\n"


@pytest.mark.parametrize(
    "line",
    [
        "await idem.acquire(idempotency_key='x' * 256)",
        "await other.acquire(idempotency_key='x' * 300)",
        "await idem.acquire(body['id'])",
        "dedup.claim(str(body['id']))",
        "dedup.claim(f'a:{body}')",
        "json.dumps(msg)",
        "await runner.run('charge', input='x' * 300)",
        "json = other; dedup.claim(json.dumps(msg))",
    ],
)
def test_look_alikes_stay(line: str) -> None:
    source = HEAD.format(line)
    done = upgrade({"live/a.py": source, "services.py": SERVICES}, only="UPG132")
    assert [one.row for one in done.findings if one.path] == []
    assert done.files["live/a.py"] == source


@pytest.mark.spec("UPGC-60")
@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("await idem.acquire(idempotency_key='x' * 300)", "C-07"),
        (f"await idem.purge('{'k' * 257}')", "C-07"),
        ("await runner.run('charge', idempotency_key='x' * 300)", "C-15"),
        ("dedup.claim(json.dumps(msg))", "D-15"),
        ("dedup.claim(str(body))", "D-15"),
        ("await locks.with_lock(body.decode(), f)", "D-15"),
        ("await locks.with_lock(key='a' * 200 + 'b' * 100, fn=f)", "D-15"),
    ],
)
def test_long_keys_are_told(line: str, row: str) -> None:
    assert flagged("UPG132", HEAD.format(line), services=SERVICES) == [(row, 6)]


@pytest.mark.spec("UPGC-60")
def test_keys_of_tasks_are_told_once() -> None:
    done = upgrade({"services.py": SERVICES, "b.py": SERVICES}, only="UPG132")
    assert [one.row for one in done.findings] == ["C-15"]
