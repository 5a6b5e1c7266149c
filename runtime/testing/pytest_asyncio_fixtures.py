"""The fixtures behind `realtime`, `realtime_app` and `realtime_server` for tests that pytest-asyncio runs.

Imported by `runtime.testing.pytest_plugin` only where that plugin is active.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from runtime.testing.env import TestEnv
    from runtime.testing.server import RunningServer

__all__: list[str] = []


async def _env(realtime_options: dict[str, Any]) -> AsyncIterator[TestEnv]:
    from runtime.testing.env import TestEnv

    async with TestEnv(**realtime_options) as env:
        yield env


async def _app(realtime_project: Path, realtime_options: dict[str, Any]) -> AsyncIterator[TestEnv]:
    from runtime.testing.env import TestEnv

    async with TestEnv.from_project(realtime_project, **realtime_options) as env:
        yield env


async def _server(realtime_project: Path) -> AsyncIterator[RunningServer]:
    from runtime.testing.server import running_server

    async with running_server(realtime_project) as server:
        yield server


# Called and not used as a decorator: the package is no dependency of ours, so its types are not known.
_fixture: Any = importlib.import_module("pytest_asyncio").fixture
_realtime_env_asyncio = _fixture(_env)
_realtime_app_asyncio = _fixture(_app)
_realtime_server_asyncio = _fixture(_server)
