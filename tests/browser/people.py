"""Browser pages of several people: a profile for each, as on machines of their own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

from playwright.async_api import Browser, BrowserContext, Page

from tests.browser.conftest import TIMEOUT_MS

__all__ = ["People", "people_of"]


class People:
    """Opens pages as somebody, and keeps what went wrong in them."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.profiles: dict[str, BrowserContext] = {}
        self.errors: list[str] = []

    async def open(self, url: str, name: str, **profile: Any) -> Page:
        """Return a tab of the person called `name`, in a profile made with the first one.

        The cookie `visitor` says who it is; the options of the profile are those of Playwright's contexts.
        """
        if name not in self.profiles:
            self.profiles[name] = context = await self._browser.new_context(**profile)
            context.set_default_timeout(TIMEOUT_MS)
            visitor = quote(json.dumps({"id": f"{name.encode().hex():a<12}", "name": name}))
            await context.add_cookies([{"name": "visitor", "value": visitor, "url": url}])
        page = await self.profiles[name].new_page()
        page.on("pageerror", lambda error: self.errors.append(f"{name}: {error}"))
        await page.goto(url)
        return page


@asynccontextmanager
async def people_of(browser: Browser) -> AsyncIterator[People]:
    """People whose pages close at the end; an exception that no script caught fails the test."""
    people = People(browser)
    try:
        yield people
    finally:
        for context in people.profiles.values():
            await context.close()
    assert people.errors == [], "uncaught in a page"
