"""A page under a strict content security policy, which the how-to about deploying documents."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.async_api import expect
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime import create_app
from runtime.testing import running_server
from tests.browser.conftest import Tabs
from tests.browser.todo_app import LIVE

pytestmark = pytest.mark.browser

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "deploy.md"
PAGE = """<!doctype html>
<html>
  <head><meta charset="utf-8"><title>todos</title><script>window.isInlineRun = true;</script></head>
  <body><p id="count">-</p><script type="module" src="app.js"></script></body>
</html>
"""
SCRIPT = """
import { count } from "SPECIFIER";
count.subscribe((value) => (document.querySelector("#count").textContent = value ?? "-"));
"""


class AddPolicy:
    """Middleware that puts a policy on every response, as the app around ours may do."""

    def __init__(self, app: ASGIApp, policy: str) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["content-security-policy"] = self._policy
            await send(message)

        await self._app(scope, receive, with_policy)


def documented() -> str:
    found = re.search(r"^Content-Security-Policy: (.+)$", HOWTO.read_text(encoding="utf-8"), re.MULTILINE)
    assert found
    return found[1]


@pytest.mark.parametrize(
    ("specifier", "policy"),
    [
        pytest.param("$live/todos.js", documented(), id="the hash of the import map"),
        pytest.param("/live/todos.js", "default-src 'self'", id="imports by path"),
    ],
)
async def test_a_page_under_a_policy_is_live(
    project: Callable[[dict[str, str]], Path], tabs: Tabs, specifier: str, policy: str
) -> None:
    script = SCRIPT.replace("SPECIFIER", specifier)
    files = {"live/todos.py": LIVE, "web/index.html": PAGE, "web/app.js": script}
    app = create_app(project(files))
    app.add_middleware(AddPolicy, policy=policy)
    async with running_server(app) as server:
        page = await tabs.open(server.url)
        await expect(page.locator("#count")).to_have_text("0")
        assert await page.evaluate("window.isInlineRun") is None, "the policy was not in force"
