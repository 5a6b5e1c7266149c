"""What app authors test with; the pytest fixtures are in `runtime.testing.pytest_plugin`.

Names are loaded when they are first used: pytest imports this package in every run.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime.core.capacity import capacity_override
    from runtime.testing.caps import reset_caps, set_caps
    from runtime.testing.chaos import Chaos, ChaosConfig
    from runtime.testing.client import Disconnected, TestCall, TestClient
    from runtime.testing.clock import FakeClock
    from runtime.testing.context import TestContext, expect_guard_rejects
    from runtime.testing.env import TestEnv
    from runtime.testing.eventlog import EventLog, PublishedEvent
    from runtime.testing.outbound import drop_outbound, ipc_reorder, slow_drain, worker_flap
    from runtime.testing.projects import find_project
    from runtime.testing.server import RunningServer, running_server
    from runtime.testing.stream import TestStream, subscribe_at
    from runtime.testing.upload import TestUpload
    from runtime.testing.waiting import eventually

_HOMES = {
    "Chaos": "runtime.testing.chaos",
    "ChaosConfig": "runtime.testing.chaos",
    "Disconnected": "runtime.testing.client",
    "EventLog": "runtime.testing.eventlog",
    "FakeClock": "runtime.testing.clock",
    "PublishedEvent": "runtime.testing.eventlog",
    "RunningServer": "runtime.testing.server",
    "TestCall": "runtime.testing.client",
    "TestClient": "runtime.testing.client",
    "TestContext": "runtime.testing.context",
    "TestEnv": "runtime.testing.env",
    "TestStream": "runtime.testing.stream",
    "TestUpload": "runtime.testing.upload",
    "capacity_override": "runtime.core.capacity",
    "drop_outbound": "runtime.testing.outbound",
    "eventually": "runtime.testing.waiting",
    "expect_guard_rejects": "runtime.testing.context",
    "find_project": "runtime.testing.projects",
    "ipc_reorder": "runtime.testing.outbound",
    "reset_caps": "runtime.testing.caps",
    "running_server": "runtime.testing.server",
    "set_caps": "runtime.testing.caps",
    "slow_drain": "runtime.testing.outbound",
    "subscribe_at": "runtime.testing.stream",
    "worker_flap": "runtime.testing.outbound",
}

__all__ = [
    "Chaos",
    "ChaosConfig",
    "Disconnected",
    "EventLog",
    "FakeClock",
    "PublishedEvent",
    "RunningServer",
    "TestCall",
    "TestClient",
    "TestContext",
    "TestEnv",
    "TestStream",
    "TestUpload",
    "capacity_override",
    "drop_outbound",
    "eventually",
    "expect_guard_rejects",
    "find_project",
    "ipc_reorder",
    "reset_caps",
    "running_server",
    "set_caps",
    "slow_drain",
    "subscribe_at",
    "worker_flap",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'runtime.testing' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
