"""Fixtures of the server tests: apps from sources given in the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.server.peers import App, write_file
from tests.server.sockets import Forced

AppFactory = Callable[..., Awaitable[App]]


@pytest.fixture(params=["auto", "off"], ids=["fast", "asgi"])
def write_path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Serve on the fast path, then over plain ASGI: both keep the same promises (platform 2.9)."""
    path: str = request.param
    monkeypatch.setattr(Forced, "fast_path", path)
    return path


@pytest.fixture
async def make_app(tmp_path: Path) -> AsyncIterator[AppFactory]:
    """`await make_app({"live/todos.py": "..."}, env="dev")` gives a started app; it is stopped after the test."""
    made: list[App] = []

    async def factory(files: dict[str, str], *, env: str = "test", start: bool = True, **options: Any) -> App:
        project = tmp_path / f"app{len(made)}"
        project.mkdir()
        for name, source in files.items():
            write_file(project, name, source)
        app = App(project, env, **options)
        made.append(app)
        if start:
            await app.runtime.start()
        return app

    yield factory
    for app in made:
        await app.runtime.stop()
