"""The request before each connect that turns credentials into cookies. Spec: wire 1.5."""

from __future__ import annotations

import asyncio
import http.client
import urllib.parse
from email.utils import parsedate_to_datetime
from http.cookies import CookieError, Morsel, SimpleCookie
from typing import TYPE_CHECKING

from runtime.client.transport import add_cookies, origin_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ssl import SSLContext

    from runtime.core.clock import Clock

__all__ = ["Preflight", "PreflightFailed"]

#: Seconds for the whole request.
REQUEST_TIMEOUT = 10.0
NETWORK_ERROR = "network error"

#: Cookies of the server that are sent back; further names are left out.
MAX_COOKIES = 180


class PreflightFailed(Exception):
    """The server did not answer with 2xx; `status` is 0 when it did not answer at all."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason

    @property
    def is_terminal(self) -> bool:
        """Whether trying again is useless: the server refused."""
        return 400 <= self.status < 500


class Preflight:
    """Sends `POST <path>` to the server of a WebSocket address and keeps the cookies that come back.

    Cookies live in this object and are sent to that server only, whatever their domain and path say.
    """

    def __init__(
        self, url: str, path: str, *, headers: Mapping[str, str], ssl: SSLContext | None, clock: Clock
    ) -> None:
        self._parts = urllib.parse.urlsplit(url)
        self._path = path
        self._headers = {"Origin": origin_of(url), "X-Requested-With": "realtime", **headers}
        self._ssl = ssl
        self._clock = clock
        self._cookies: dict[str, str] = {}

    @property
    def cookies(self) -> str | None:
        """The value of a `Cookie` header, or `None` when there are no cookies."""
        return "; ".join(f"{name}={value}" for name, value in self._cookies.items()) or None

    async def run(self) -> None:
        """Send the request and take its cookies.

        Raises:
            PreflightFailed: any answer but 2xx, or none.
        """
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT):
                status, reason, cookies = await asyncio.to_thread(self._request)
        except (OSError, TimeoutError, http.client.HTTPException) as error:
            raise PreflightFailed(0, NETWORK_ERROR) from error
        for cookie in cookies:
            self._take(cookie)
        if not 200 <= status < 300:
            raise PreflightFailed(status, reason)

    def _request(self) -> tuple[int, str, list[str]]:
        host, port = self._parts.hostname or "", self._parts.port
        connection: http.client.HTTPConnection
        if self._parts.scheme == "wss":
            connection = http.client.HTTPSConnection(host, port, timeout=REQUEST_TIMEOUT, context=self._ssl)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=REQUEST_TIMEOUT)
        headers = dict(self._headers)
        if self.cookies:
            add_cookies(headers, self.cookies)
        try:
            connection.request("POST", self._path, headers=headers)
            response = connection.getresponse()
            return response.status, response.reason, response.headers.get_all("Set-Cookie") or []
        finally:
            connection.close()

    def _take(self, header: str) -> None:
        try:
            parsed: SimpleCookie = SimpleCookie(header)
        except CookieError:
            return
        for name, morsel in parsed.items():
            if self._expired(morsel):
                self._cookies.pop(name, None)
            elif name in self._cookies or len(self._cookies) < MAX_COOKIES:
                self._cookies[name] = morsel.coded_value

    def _expired(self, morsel: Morsel[str]) -> bool:
        max_age, expires = morsel["max-age"], morsel["expires"]
        try:
            if max_age:
                return int(max_age) <= 0
            return bool(expires) and parsedate_to_datetime(expires).timestamp() <= self._clock.now()
        except ValueError:
            return False
