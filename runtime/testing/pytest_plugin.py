"""The pytest fixtures `realtime`, `realtime_app` and `realtime_server`, and what they are made with.

Loaded by pytest in every run of every environment that has us installed, so it imports nothing of the runtime
until a test asks for a fixture. The fixtures serve tests run by anyio (asyncio backend) and by pytest-asyncio
alike: the public names are plain fixtures which pick the asynchronous one of whichever plugin drives the
test, so that the environment lives in the loop of its test. Spec: live-api 20.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from runtime.testing.env import TestEnv
    from runtime.testing.server import RunningServer

__all__ = ["realtime", "realtime_app", "realtime_options", "realtime_project", "realtime_server"]

ASYNCIO_FIXTURES = "runtime.testing.pytest_asyncio_fixtures"


def pytest_configure(config: pytest.Config) -> None:
    """Make the fixtures known to pytest-asyncio where it is installed and switched on."""
    if config.pluginmanager.has_plugin("asyncio"):
        config.pluginmanager.import_plugin(ASYNCIO_FIXTURES)


@pytest.fixture
def realtime(request: pytest.FixtureRequest) -> TestEnv:
    """An empty `TestEnv`: register live functions, connect clients; it is cleaned up after the test."""
    env: TestEnv = request.getfixturevalue(f"_realtime_env_{_driver(request)}")
    return env


@pytest.fixture
def realtime_app(request: pytest.FixtureRequest) -> TestEnv:
    """A `TestEnv` of the project under test (`live/*.py`, `hooks.py`, `realtime.toml`), without sockets."""
    env: TestEnv = request.getfixturevalue(f"_realtime_app_{_driver(request)}")
    return env


@pytest.fixture
def realtime_server(request: pytest.FixtureRequest) -> RunningServer:
    """The project under test on a real server at a free local port; see `RunningServer` for its addresses."""
    server: RunningServer = request.getfixturevalue(f"_realtime_server_{_driver(request)}")
    return server


@pytest.fixture
def realtime_project(request: pytest.FixtureRequest) -> Path:
    """The folder of the project under test: the test's own or the nearest parent with a `realtime.toml`."""
    from runtime.testing.projects import find_project

    return find_project(request.path.parent, request.config.rootpath)


@pytest.fixture
def realtime_options() -> dict[str, Any]:
    """What `realtime` and `realtime_app` give to `TestEnv`, as `{"timeout": 1}`; define it anew to change that."""
    return {}


@pytest.fixture
async def _realtime_env_anyio(realtime_options: dict[str, Any]) -> AsyncIterator[TestEnv]:
    from runtime.testing.env import TestEnv

    async with TestEnv(**realtime_options) as env:
        yield env


@pytest.fixture
async def _realtime_app_anyio(
    realtime_project: Path, realtime_options: dict[str, Any]
) -> AsyncIterator[TestEnv]:
    from runtime.testing.env import TestEnv

    async with TestEnv.from_project(realtime_project, **realtime_options) as env:
        yield env


@pytest.fixture
async def _realtime_server_anyio(realtime_project: Path) -> AsyncIterator[RunningServer]:
    from runtime.testing.server import running_server

    async with running_server(realtime_project) as server:
        yield server


def _driver(request: pytest.FixtureRequest) -> str:
    if "anyio_backend" in request.fixturenames:
        backend = request.getfixturevalue("anyio_backend")
        name = backend if isinstance(backend, str) else backend[0]
        if name != "asyncio":
            pytest.fail(
                f"the realtime fixtures run on asyncio, this test on {name}: "
                "define a fixture anyio_backend that returns 'asyncio'",
                pytrace=False,
            )
        return "anyio"
    if request.config.pluginmanager.has_plugin(ASYNCIO_FIXTURES):
        return "asyncio"
    pytest.fail(
        'the realtime fixtures need an async test: write `async def`, and set anyio_mode = "auto" under '
        "[tool.pytest.ini_options] or mark the test with @pytest.mark.anyio",
        pytrace=False,
    )
