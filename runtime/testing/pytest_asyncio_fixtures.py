"""The fixtures behind `realtime`, `realtime_app` and `realtime_server` for tests that pytest-asyncio runs.

Imported by `runtime.testing.pytest_plugin` only where that plugin is active.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from runtime.testing.env import TestEnv
    from runtime.testing.server import RunningServer

__all__: list[str] = []


@pytest_asyncio.fixture
async def _realtime_env_asyncio() -> AsyncIterator[TestEnv]:
    from runtime.testing.env import TestEnv

    async with TestEnv() as env:
        yield env


@pytest_asyncio.fixture
async def _realtime_app_asyncio(realtime_project: Path) -> AsyncIterator[TestEnv]:
    from runtime.testing.env import TestEnv

    async with TestEnv.from_project(realtime_project) as env:
        yield env


@pytest_asyncio.fixture
async def _realtime_server_asyncio(realtime_project: Path) -> AsyncIterator[RunningServer]:
    from runtime.testing.server import running_server

    async with running_server(realtime_project) as server:
        yield server
