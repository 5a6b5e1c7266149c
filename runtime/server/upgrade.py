"""Who is let in: the checks of an upgrade request, cheapest first. Spec: platform 1.5 and 1.6, wire 1.1 to 1.3."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers

from runtime.server.assembly import Handshake
from runtime.server.cookies import parse_cookies
from runtime.server.origin import is_allowed_origin

if TYPE_CHECKING:
    from starlette.types import Scope

    from runtime.server.assembly import Runtime

__all__ = ["Accepted", "Refused", "UpgradeResponse", "decide"]

logger = logging.getLogger("realtime.upgrade")

MAX_REQUEST_ID = 128
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(slots=True)
class UpgradeResponse:
    """What an `upgrade` hook returns to add headers to the 101; a list value writes its header once per item."""

    user_data: Any = None
    headers: Mapping[str, str | Sequence[str]] = field(default_factory=dict)


@dataclass(slots=True)
class Accepted:
    """The peer is in; `headers` go on the 101."""

    handshake: Handshake
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


@dataclass(slots=True, frozen=True)
class Refused:
    """The peer stays out."""

    status: int
    body: str


NOT_READY = Refused(503, "Server is not ready, please retry")


async def decide(runtime: Runtime, scope: Scope) -> Accepted | Refused:
    """Run the checks of one upgrade request in order; the first that fails answers.

    The caller has counted the request in `runtime.upgrading` and takes it out when the peer is connected or refused.
    """
    if not runtime.is_ready:
        return NOT_READY
    limit = runtime.settings.websocket.max_connections
    if limit is not None and len(runtime.connections) + runtime.upgrading > limit:
        return Refused(503, "Server is at connection capacity, please retry")
    if runtime.hooks_problem is not None:
        return Refused(500, "WebSocket handler failed to load")
    headers = Headers(scope=scope)
    hook = runtime.hooks.get("upgrade")
    origins = headers.getlist("origin")
    origin = ", ".join(origins) if origins else None  # two of them are no origin, and so refused
    scheme = "https" if scope.get("scheme") in ("wss", "https") else "http"
    checked = not (runtime.is_dev and runtime.settings.dev.skip_origin_check)
    if checked and not is_allowed_origin(
        origin,
        policy=runtime.settings.websocket.allowed_origins,
        host=headers.get("host", ""),
        scheme=scheme,
        has_upgrade_hook=hook is not None,
    ):
        return Refused(403, "Origin not allowed")
    client = scope.get("client")
    handshake = Handshake(
        user_data=None,
        has_user=False,
        remote_address=client[0] if client else "",
        request_id=_request_id(headers.get("x-request-id")),
        origin=origin,
        path=scope["path"],
        is_secure=scheme == "https",
    )
    if hook is None:
        return Accepted(handshake)
    decision = await _ask(runtime, scope, headers, handshake)
    # The shutdown may have said goodbye to everybody while the hook ran.
    return decision if runtime.is_ready else NOT_READY


async def _ask(runtime: Runtime, scope: Scope, headers: Headers, handshake: Handshake) -> Accepted | Refused:
    query = scope.get("query_string", b"").decode("latin-1")
    try:
        answer = await runtime.hooks.run(
            "upgrade",
            runtime.settings.websocket.upgrade_timeout,
            headers=_joined(headers),
            cookies=parse_cookies("; ".join(headers.getlist("cookie"))),
            url=f"{scope['path']}?{query}" if query else scope["path"],
            query=query,
            remote_address=handshake.remote_address,
            request_id=handshake.request_id,
            platform=runtime.platform.view(handshake.request_id or ""),
        )
    except TimeoutError:
        return Refused(504, "Upgrade timed out")
    except Exception:
        logger.exception("hook upgrade failed")
        runtime.metrics.add("hook_errors_total", "upgrade")
        return Refused(500, "Internal Server Error")
    if answer is False:
        return Refused(401, "Unauthorized")
    extra: list[tuple[bytes, bytes]] = []
    if isinstance(answer, UpgradeResponse):
        try:
            extra = _extra_headers(answer.headers)
        except ValueError as error:
            logger.error("hook upgrade: %s", error)
            return Refused(500, "Internal Server Error")
        answer = answer.user_data
    if not _is_nobody(answer):
        handshake.user_data, handshake.has_user = answer, True
    return Accepted(handshake, extra)


def _is_nobody(answer: Any) -> bool:
    """Return whether what the hook returned names no user: `None`, or an empty value of a builtin type but `{}`.

    A hook that ends with `return cookies.get("sid", "")` has authenticated nobody. An object of the app's own is a
    user whatever its truth value. Spec: wire 1.3, live-api LIVE-37.
    """
    if isinstance(answer, Mapping):
        return False
    return answer is None or (type(answer).__module__ == "builtins" and not answer)


def _request_id(sent: str | None) -> str:
    """Return the id that the client sent if it is usable (1 to 128 visible ASCII characters), else a fresh one."""
    trimmed = (sent or "").strip()
    if 1 <= len(trimmed) <= MAX_REQUEST_ID and all("!" <= character <= "~" for character in trimmed):
        return trimmed
    return str(uuid.uuid4())


def _joined(headers: Headers) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in headers.items():
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def _extra_headers(headers: Mapping[str, str | Sequence[str]]) -> list[tuple[bytes, bytes]]:
    made = []
    for name, values in headers.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be the name of a header")
        for value in values if isinstance(values, list | tuple) else [values]:
            if not isinstance(value, str) or any(character in "\r\n\0" for character in value):
                raise ValueError(f"header {name!r}: a value must be text of one line, not {value!r}")
            made.append((name.lower().encode(), value.encode("latin-1")))
    return made
