"""UPG121: locks."""

from __future__ import annotations

import pytest

from tests.upgrade.projects import after, flagged, stays

SERVICES = "from runtime.plugins import Lock\n\nlocks = Lock()\ncache = {}\n"
HEAD = "from services import cache, locks\n\n\nasync def f():\n    {line}\n"


@pytest.mark.parametrize(
    "line",
    [
        "cache.clear()",
        "f = locks.clear",
        "await locks.with_lock('a', f, max_wait=2)",
        "await locks.with_lock('a', f, **o)",
    ],
)
def test_look_alikes_stay(line: str) -> None:
    assert stays("UPG121", HEAD.format(line=line), services=SERVICES)


def test_a_lock_outside_of_what_clients_call_may_wait() -> None:
    assert stays(
        "UPG121", HEAD.format(line="await locks.with_lock('a', f)"), path="jobs.py", services=SERVICES
    )


@pytest.mark.spec("UPGC-56")
def test_clear_gets_a_todo() -> None:
    text = after("UPG121", HEAD.format(line="locks.clear()"), services=SERVICES)
    assert text == HEAD.format(
        line="# TODO(realtime-upgrade UPG121): waiters are now rejected with LOCK_CLEARED\n    locks.clear()"
    )


@pytest.mark.spec("UPGC-56")
def test_waiting_without_a_limit_is_told() -> None:
    assert flagged("UPG121", HEAD.format(line="await locks.with_lock('a', f)"), services=SERVICES) == [
        ("D-20", 5)
    ]
    hook = HEAD.replace("async def f()", "async def close(ws, ctx)").format(
        line="await locks.with_lock('a', f)"
    )
    assert flagged("UPG121", hook, path="hooks.py", services=SERVICES) == [("D-20", 5)]
