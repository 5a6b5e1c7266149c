"""`live.webhook`: what another service posts becomes an event on a topic, once it has proven who it is.

`verify` says whether the body is theirs and what it is, `transform` what becomes of it, `dedupe_key` whether it came
before. Spec: live-api 13.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from runtime.core.currentplatform import get_platform
from runtime.core.errors import PlatformNotReady
from runtime.live import collector
from runtime.live.callables import call
from runtime.live.webhooksignature import SignatureCheck, github, hmac, stripe
from runtime.plugins.dedup import Dedup
from runtime.plugins.options import seconds
from runtime.wire import names

if TYPE_CHECKING:
    from runtime.core.platform import Platform
    from runtime.plugins.protocols import DedupProtocol

__all__ = ["Webhook", "WebhookResult", "Webhooks", "webhook"]

logger = logging.getLogger("realtime.live")

Verify = Callable[[bytes, Mapping[str, str]], Any]

#: Bytes of a body that are read of a webhook with a path.
MAX_BODY: Final = 1024 * 1024
#: Seconds in which a repeated event is known.
DEDUPE_TTL: Final = 86_400.0
#: Seconds that a repeated delivery waits for the one before it, which is still worked on.
REPEAT_WAIT: Final = 30.0
#: Characters of a key that are stored as they are; of a longer one its digest is.
MAX_PLAIN_KEY: Final = 128
#: Refusals that are logged; all of them are counted.
LINES_PER_MINUTE: Final = 10
_PATH: Final = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@/-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class WebhookResult:
    """What the sender is answered: an HTTP status and a short text."""

    status: int
    body: str


_OK = WebhookResult(200, "OK")
_IGNORED = WebhookResult(200, "Ignored")
_DUPLICATE = WebhookResult(200, "Duplicate")
_UNVERIFIED = WebhookResult(400, "Verification failed")
_FAILED = WebhookResult(500, "Internal Server Error")


class Webhook:
    """One declared webhook; made by `live.webhook`. `path` is where the app answers it, `None` for nowhere."""

    def __init__(
        self,
        topic: str,
        *,
        verify: Verify,
        transform: Callable[[Any], Any],
        path: str | None,
        max_body: int,
        dedupe_key: Callable[[Any], Any] | None,
        dedupe: DedupProtocol | None,
        file: str,
        line: int,
    ) -> None:
        self.topic = topic
        self.path = path
        self.max_body = max_body
        self.file = file
        self.line = line
        self._verify = verify
        self._transform = transform
        self._dedupe_key = dedupe_key
        self._dedupe = dedupe
        #: Whether a delivery that is worked on was taken, by its key. Bounded by the requests that run.
        self._running: dict[str, asyncio.Future[bool]] = {}
        self._minute = -math.inf
        self._lines = 0

    def __repr__(self) -> str:
        return f"<webhook on {self.topic!r}{f' at {self.path}' if self.path else ''}>"

    async def handle(
        self, *, body: bytes | str, headers: Mapping[str, str], platform: Platform | None = None
    ) -> WebhookResult:
        """Take one delivery: check it, and publish what it says. Never raises for what the sender sent.

        Args:
            body: as it came over the network; a signature is over these bytes.
            headers: of the request, in any case.
            platform: where to publish, by default the running app's.

        Raises:
            PlatformNotReady: no app was started.
        """
        target = get_platform() if platform is None else platform
        if target is None:
            raise PlatformNotReady("a webhook was handled before the app was started; do it in a request")
        lowered = {name.lower(): value for name, value in headers.items()}
        try:
            # Text that was decoded so becomes the bytes again that it was.
            raw = body.encode("utf-8", "surrogateescape") if isinstance(body, str) else bytes(body)
            event = await self._verified(raw, lowered, target)
        except Exception as error:
            target.metrics.add("security_refusals_total", "webhook")
            self._log_refusal(error, target.parts.clock.monotonic())
            return _UNVERIFIED
        try:
            return await self._publish_once(event, target)
        except Exception:
            logger.exception("%r failed; the sender is told to try again", self)
            return _FAILED

    async def _verified(self, body: bytes, headers: Mapping[str, str], platform: Platform) -> Any:
        if isinstance(self._verify, SignatureCheck):
            return self._verify.check(body, headers, platform.parts.clock.now())
        return await call(self._verify, body, headers)

    def _log_refusal(self, error: Exception, now: float) -> None:
        """Say why, a few times a minute: anybody can send what is not signed."""
        if now - self._minute >= 60:
            self._minute, self._lines = now, 0
        self._lines += 1
        if self._lines <= LINES_PER_MINUTE:
            # Its text may quote what a stranger sent, so it is shown as a literal, and not all of it.
            logger.warning("%r: verification failed: %s: %.200r", self, type(error).__name__, str(error))

    async def _publish_once(self, event: Any, platform: Platform) -> WebhookResult:
        key = await self._key_of(event)
        if key is None or self._dedupe is None:
            return await self._publish(event, platform)
        running = self._running.get(key)
        if running is not None:
            return await _repeated(running)
        running = self._running[key] = asyncio.get_running_loop().create_future()
        was_taken = False
        try:
            result = await self._publish_claimed(key, event, platform, self._dedupe)
            was_taken = True
        finally:
            del self._running[key]
            running.set_result(was_taken)
        return result

    async def _publish_claimed(
        self, key: str, event: Any, platform: Platform, dedupe: DedupProtocol
    ) -> WebhookResult:
        if not await dedupe.claim(key):
            return _DUPLICATE
        try:
            return await self._publish(event, platform)
        except BaseException:
            await dedupe.delete(key)
            raise

    async def _publish(self, event: Any, platform: Platform) -> WebhookResult:
        made = await call(self._transform, event)
        if made is None:
            return _IGNORED
        name, data = _pair(made)
        platform.publish(self.topic, name, data)
        return _OK

    async def _key_of(self, event: Any) -> str | None:
        """Return the key by which a repeated event is known; `None` for an event without one.

        Raises:
            TypeError: it is neither a string nor a whole number.
        """
        if self._dedupe_key is None:
            return None
        found = await call(self._dedupe_key, event)
        if found is None or found == "":
            return None
        if isinstance(found, bool) or not isinstance(found, str | int):
            raise TypeError(f"dedupe_key: must return a string, a whole number or None, not {found!r}")
        text = str(found)
        if len(text) > MAX_PLAIN_KEY:
            text = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        prefix = hashlib.sha256(f"{self.topic}\n{self.path}".encode()).hexdigest()[:16]
        return f"webhook:{prefix}:{text}"


class Webhooks:
    """`live.webhook(...)` and the ready-made checks of signatures."""

    hmac = staticmethod(hmac)
    stripe = staticmethod(stripe)
    github = staticmethod(github)

    def __call__(
        self,
        topic: str,
        *,
        verify: Verify,
        transform: Callable[[Any], Any],
        path: str | None = None,
        max_body: int = MAX_BODY,
        dedupe_key: Callable[[Any], Any] | None = None,
        dedupe_ttl: float | timedelta = DEDUPE_TTL,
        dedupe: DedupProtocol | None = None,
    ) -> Webhook:
        """Declare that what another service posts is published on `topic`.

        Args:
            topic: where it is published.
            verify: `(body, headers)`, returns the event or raises; `live.webhook.hmac`, `.stripe` or `.github` make
                one. `body` is the bytes as they came, the names of `headers` are in lower case. May be async.
            transform: `(event)`, returns `{"event": name, "data": data}` or `(name, data)`, or `None` for what is of no
                interest. May be async. If it raises, the sender is told to try again.
            path: answer `POST` requests there, as in `"/hooks/stripe"`; without it call `handle` in a route.
            max_body: bytes; a longer body is answered 413. `[server] body_limit` does not count for `path`.
            dedupe_key: `(event)`, the id of a delivery: one that came before is not published again. `None` for an
                event that has none. While this worker is at the one before, a repeated one waits for how that ends.
            dedupe_ttl: seconds in which a repeated id is known.
            dedupe: keeps the ids, in the place of this worker: a `Dedup` or its twin of several processes, which has a
                `ttl` of its own.

        Raises:
            ValueError, TypeError: an argument that cannot be; the message names it.
        """
        _check(topic, verify, transform, path, max_body)
        if dedupe_key is not None and not callable(dedupe_key):
            raise TypeError(f"dedupe_key: must be a function of the event, not {dedupe_key!r}")
        if dedupe is not None and not all(
            callable(getattr(dedupe, name, None)) for name in ("claim", "delete")
        ):
            raise TypeError(f"dedupe: must have claim(id) and delete(id), which {dedupe!r} has not")
        ttl = dedupe_ttl.total_seconds() if isinstance(dedupe_ttl, timedelta) else dedupe_ttl
        ttl = seconds("live.webhook", "dedupe_ttl", ttl)
        current = collector.current()
        frame = sys._getframe(1)
        if dedupe is None and dedupe_key is not None:
            module = str(frame.f_globals.get("__name__", ""))
            same = sum((one.topic, one.path) == (topic, path) for one in current.webhooks)
            dedupe = current.keep.get(module, f"webhook {topic} {path} {same}", _ids, (ttl,))
        made = Webhook(
            topic,
            verify=verify,
            transform=transform,
            path=path,
            max_body=max_body,
            dedupe_key=dedupe_key,
            dedupe=dedupe,
            file=frame.f_code.co_filename,
            line=frame.f_lineno,
        )
        current.webhooks.append(made)
        return made


#: `live.webhook`.
webhook = Webhooks()


def _ids(ttl: float) -> Dedup:
    return Dedup(ttl=ttl)


async def _repeated(running: asyncio.Future[bool]) -> WebhookResult:
    """Answer the repetition of a delivery that is worked on: who is told that it is there does not send it again."""
    try:
        async with asyncio.timeout(REPEAT_WAIT):
            was_taken = await asyncio.shield(running)
    except TimeoutError:
        was_taken = False
    return _DUPLICATE if was_taken else _FAILED


def _pair(made: Any) -> tuple[str, Any]:
    """Return event name and data of what `transform` returned.

    Raises:
        TypeError: it is neither of the two forms.
    """
    if isinstance(made, Mapping) and isinstance(made.get("event"), str):
        return made["event"], made.get("data")
    if isinstance(made, tuple | list) and len(made) == 2 and isinstance(made[0], str):
        return made[0], made[1]
    raise TypeError(f'transform: must return {{"event", "data"}}, (event, data) or None, not {made!r}')


def _check(topic: Any, verify: Any, transform: Any, path: Any, max_body: Any) -> None:
    problem = names.name_problem(topic) if isinstance(topic, str) else "it must be a string"
    if problem is not None:
        raise ValueError(f"topic: {problem}: {topic!r}")
    if names.is_system_topic(topic):
        raise ValueError(f"topic: {topic!r} begins with the reserved prefix '__'")
    if not callable(verify):
        raise TypeError(
            f"verify: must be a function (body, headers), or live.webhook.hmac(secret), not {type(verify).__name__}"
        )
    if not callable(transform):
        raise TypeError(f"transform: must be a function of the event, not {transform!r}")
    if path is not None and (not isinstance(path, str) or not _PATH.fullmatch(path) or path.startswith("//")):
        raise ValueError(f'path: must be the path of a URL, as in "/hooks/stripe", not {path!r}')
    if path is not None and path.startswith("/live/"):
        raise ValueError(f"path: {path!r} is below /live/, which belongs to the live modules")
    if isinstance(max_body, bool) or not isinstance(max_body, int) or max_body < 1:
        raise ValueError(f"max_body: must be a whole number of bytes above 0, not {max_body!r}")
