"""What a running server answers when `realtime doctor --url` asks it."""

from __future__ import annotations

import http.client
import re
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from realtime_cli.exitcodes import USAGE, CommandFailed

if TYPE_CHECKING:
    from runtime.core.settings import Settings

__all__ = ["Answer", "ServerAnswers", "ask_server"]

TIME_LIMIT = 5.0  # seconds for each question
MAX_BODY = 4 * 1024 * 1024  # bytes of an answer that are read
_ASSERTIONS = re.compile(
    r'^\w*assertion_violations_total\{(?:[^}]*,)?category="([^"]*)"[^}]*\} ([0-9.e+]+)', re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said to one question: `status` is None when there was no answer, then `text` says why."""

    status: int | None
    text: str

    @property
    def line(self) -> str:
        """The answer in a line."""
        first = self.text.strip().split("\n", 1)[0][:80]
        return first if self.status is None else f"{self.status} {first}".rstrip()


@dataclass(frozen=True, slots=True)
class ServerAnswers:
    """What a running server answered.

    Attributes:
        health, ready: of the two endpoints, None when the settings switch one off.
        auth: of the auth path, and what that means for clients.
        assertions: counts of broken invariants by category, None when the metrics are not to be had there.
        problems: what somebody should do something about: what is wrong and what to do.
    """

    health: Answer | None
    ready: Answer | None
    auth: Answer
    auth_means: str
    assertions: dict[str, int] | None
    problems: tuple[tuple[str, str], ...]

    def as_data(self) -> dict[str, Any]:
        """Return it for ``--json``."""

        def plain(answer: Answer | None) -> dict[str, Any] | None:
            return None if answer is None else {"status": answer.status, "text": answer.text[:200]}

        return {
            "health": plain(self.health),
            "ready": plain(self.ready),
            "auth": {**(plain(self.auth) or {}), "means": self.auth_means},
            "assertions": self.assertions,
        }


def ask_server(url: str, settings: Settings) -> ServerAnswers:
    """Ask a server for its health, its auth path and its metrics, at the paths of the settings.

    Raises:
        CommandFailed: the address is none of http or https (exit code 2).
    """
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in {"http", "https", "ws", "wss"} or not parts.hostname:
        raise CommandFailed(
            f"--url: {url!r} is no address of a server", hint="such as http://localhost:3000", code=USAGE
        )
    server, websocket = settings.server, settings.websocket
    health = _ask(parts, "GET", server.health_path) if server.health_path else None
    ready = _ask(parts, "GET", server.ready_path) if server.ready_path else None
    auth = _ask(parts, "POST", websocket.auth_path, {"x-requested-with": "realtime", "content-length": "0"})
    metrics = settings.metrics
    headers = {"authorization": f"Bearer {metrics.token}"} if metrics.token else {}
    scrape = _ask(parts, "GET", metrics.path, headers) if metrics.enabled and not metrics.listen else None
    assertions = _assertions(scrape)
    problems = []
    if all(one is None or one.status is None for one in (health, ready, auth)):
        problems.append((f"no server answers at {parts.scheme}://{parts.netloc}", "start it: realtime serve"))
    elif ready is not None and ready.status != 200:
        problems.append((f"the server is not ready: {ready.line}", "its log says what it waits for"))
    if assertions:
        names = ", ".join(f"{category} {count}" for category, count in sorted(assertions.items()))
        problems.append(
            (f"invariants of ours were broken: {names}", "please report it, with the log lines [.../assert]")
        )
    return ServerAnswers(health, ready, auth, _meaning(auth), assertions, tuple(problems))


def _ask(parts: Any, method: str, path: str, headers: dict[str, str] | None = None) -> Answer:
    is_secure = parts.scheme in {"https", "wss"}
    port = parts.port or (443 if is_secure else 80)
    if is_secure:
        context = ssl.create_default_context()
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            parts.hostname, port, timeout=TIME_LIMIT, context=context
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname, port, timeout=TIME_LIMIT)
    try:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.read(MAX_BODY).decode(errors="replace"))
    except (OSError, http.client.HTTPException) as problem:
        return Answer(None, str(problem) or type(problem).__name__)
    finally:
        connection.close()


def _meaning(auth: Answer) -> str:
    """Return what an answer of the auth path means for clients that ask it before they connect."""
    if auth.status is None:
        return "no answer"
    if auth.status == 404:
        return "no authenticate hook: clients must not be told to authenticate first (auth: true), or they give up"
    if auth.status == 403:
        return "refused as a foreign page would be; pages of the app and native clients pass"
    if auth.status in {401, 400}:
        return "there is a hook, and it refuses who has no session"
    if 200 <= auth.status < 300:
        return "there is a hook, and it lets in who has no session"
    return "the hook failed; the server's log says why" if auth.status >= 500 else "an answer of the hook"


def _assertions(scrape: Answer | None) -> dict[str, int] | None:
    if scrape is None or scrape.status != 200:
        return None
    found: dict[str, int] = {}
    for category, count in _ASSERTIONS.findall(scrape.text):
        if float(count):
            found[category] = max(found.get(category, 0), int(float(count)))
    return found
