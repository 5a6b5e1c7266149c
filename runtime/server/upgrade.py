"""Who is let in: the checks of an upgrade request, cheapest first. Spec: platform 1.5 and 1.6, wire 1.1 to 1.3."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import Headers

from runtime.core.errors import HookTimeout
from runtime.core.tasks import reraise_own_cancellation
from runtime.server.assembly import Handshake
from runtime.server.cookies import parse_cookies
from runtime.server.headercheck import encode_headers
from runtime.server.requestcontext import request_id_of

if TYPE_CHECKING:
    from starlette.types import Scope

    from runtime.server.assembly import Runtime
    from runtime.server.edge import Arrival
    from runtime.server.hooks import Hook

__all__ = ["Accepted", "Refused", "UpgradeResponse", "decide", "joined_headers", "request_url"]

logger = logging.getLogger("realtime.upgrade")

# Headers of the 101 that are the server's business.
_RESERVED: Final = frozenset(
    {
        "connection",
        "content-length",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_RESERVED_PREFIX: Final = "sec-websocket-"


@dataclass(slots=True)
class UpgradeResponse:
    """What an `upgrade` hook returns to add headers to the 101; a list value writes its header once per item.

    Raises:
        ValueError: a name or value that cannot be sent, a header of the handshake (`sec-websocket-*`) or of the
            connection (`connection`, `transfer-encoding` and the like).
    """

    user_data: Any = None
    headers: Mapping[str, str | Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, _ in encode_headers(self.headers):
            text = name.decode()
            if text in _RESERVED or text.startswith(_RESERVED_PREFIX):
                raise ValueError(f"header {text!r} of the 101 answer belongs to the server; leave it out")


@dataclass(slots=True)
class Accepted:
    """The peer is in; `headers` go on the 101."""

    handshake: Handshake
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """The label of `ws_upgrades_total`."""
        return "accepted"


@dataclass(slots=True, frozen=True)
class Refused:
    """The peer stays out. `outcome` is the label of `ws_upgrades_total`."""

    status: int
    body: str
    outcome: str


NOT_READY: Final = Refused(503, "Server is not ready, please retry", "unready")
NO_ADMISSION: Final = Refused(503, "Server is at upgrade capacity, please retry", "admission")
NO_CAPACITY: Final = Refused(503, "Server is at connection capacity, please retry", "capacity")
TOO_MANY: Final = Refused(429, "Too many upgrade requests", "rate")
NOT_LOADED: Final = Refused(500, "WebSocket handler failed to load", "error")
FOREIGN_PAGE: Final = Refused(403, "Origin not allowed", "origin")
DENIED: Final = Refused(401, "Unauthorized", "denied")
FAILED: Final = Refused(500, "Internal Server Error", "error")
TIMED_OUT: Final = Refused(504, "Upgrade timed out", "timeout")
# What `security_refusals_total` calls the refusals that keep an attacker out; the others are load and the app's own.
_RULES: Final = MappingProxyType({"rate": "upgrade_rate", "origin": "origin", "host": "host"})


async def decide(runtime: Runtime, scope: Scope) -> Accepted | Refused:
    """Run the checks of one upgrade request in order; the first that fails answers.

    The caller has counted the request in `runtime.upgrading`, and takes it out once, when the peer is connected,
    refused or gone. It also counts the outcome.
    """
    headers = Headers(scope=scope)
    address = runtime.edge.proxies.remote_address(scope, headers)
    arrival = _check_load(runtime, headers, address) or _check_page(runtime, scope, headers)
    if isinstance(arrival, Refused):
        if arrival.outcome in _RULES:
            runtime.metrics.add("security_refusals_total", _RULES[arrival.outcome])
        return arrival
    decision = Accepted(_handshake(scope, headers, address, arrival.base))
    hook = runtime.hooks.get("upgrade")
    if hook is not None:
        refused = await _ask(runtime, hook, scope, headers, decision)
        if refused is not None:
            return refused
    turns = runtime.edge.turns
    if turns is not None and not await turns.turn():
        return NO_ADMISSION
    if runtime.settings.server.emit_request_id:
        decision.headers.append((b"x-request-id", (decision.handshake.request_id or "").encode()))
    # The shutdown may have said goodbye to everybody meanwhile.
    return decision if runtime.is_ready else NOT_READY


def _check_load(runtime: Runtime, headers: Headers, address: str) -> Refused | None:
    """Return what refuses one more peer, whoever it is, or one more of this address."""
    settings = runtime.settings.websocket
    concurrent, connections = settings.upgrade_admission.max_concurrent, settings.max_connections
    if not runtime.is_ready:
        return NOT_READY
    if concurrent is not None and runtime.upgrading > concurrent:
        return NO_ADMISSION
    if connections is not None and len(runtime.connections) + runtime.upgrading > connections:
        return NO_CAPACITY
    if runtime.edge.may_upgrade(address):
        return None
    runtime.edge.explain_rate(headers)
    return TOO_MANY


def _check_page(runtime: Runtime, scope: Scope, headers: Headers) -> Refused | Arrival:
    """Return what refuses this page, or which address of the app it came to."""
    arrival = runtime.edge.arrive(scope, headers)
    if arrival.problem is not None:
        return Refused(400, arrival.problem, "host")
    if runtime.hooks_problem is not None:
        return NOT_LOADED
    has_hook = runtime.hooks.get("upgrade") is not None
    if runtime.edge.allows_origin(headers, arrival.base, has_upgrade_hook=has_hook):
        return arrival
    runtime.edge.explain_origin(headers, arrival.base)
    return FOREIGN_PAGE


def _handshake(scope: Scope, headers: Headers, address: str, base: str) -> Handshake:
    origins = headers.getlist("origin")
    return Handshake(
        user_data=None,
        has_user=False,
        remote_address=address,
        request_id=request_id_of(headers),
        origin=", ".join(origins) if origins else None,
        path=scope["path"],
        is_secure=base.startswith("https:"),
    )


async def _ask(
    runtime: Runtime, hook: Hook, scope: Scope, headers: Headers, accepted: Accepted
) -> Refused | None:
    """Ask the `upgrade` hook; what it says of the peer goes into `accepted`."""
    handshake = accepted.handshake
    wants = hook.wants
    try:
        answer = await runtime.hooks.run(
            "upgrade",
            runtime.settings.websocket.upgrade_timeout,
            headers=joined_headers(headers) if wants("headers") else None,
            cookies=parse_cookies("; ".join(headers.getlist("cookie"))) if wants("cookies") else None,
            url=request_url(scope),
            query=scope.get("query_string", b"").decode("latin-1"),
            remote_address=handshake.remote_address,
            request_id=handshake.request_id,
            platform=runtime.platform.view(handshake.request_id or ""),
        )
        if answer is False:
            return DENIED
        if isinstance(answer, UpgradeResponse):
            accepted.headers.extend(encode_headers(answer.headers))
            answer = answer.user_data
    except HookTimeout:
        return TIMED_OUT
    except (Exception, asyncio.CancelledError):
        reraise_own_cancellation()
        logger.exception("hook upgrade failed")
        runtime.metrics.add("hook_errors_total", "upgrade")
        return FAILED
    if not _is_nobody(answer):
        handshake.user_data, handshake.has_user = answer, True
    runtime.edge.advice.look_at(handshake.user_data, accepted.headers)
    return None


def _is_nobody(answer: Any) -> bool:
    """Return whether what the hook returned names no user: `None`, or an empty value of a builtin type but `{}`.

    A hook that ends with `return cookies.get("sid", "")` has authenticated nobody. An object of the app's own is a
    user whatever its truth value. Spec: wire 1.3, live-api LIVE-37.
    """
    if isinstance(answer, Mapping):
        return False
    return answer is None or (type(answer).__module__ == "builtins" and not answer)


def joined_headers(headers: Headers) -> dict[str, str]:
    """Return the headers by name in lower case, those that came more than once joined by `, `."""
    joined: dict[str, str] = {}
    for name, value in headers.items():
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def request_url(scope: Scope) -> str:
    """Return the path of a request with its query, if it has one."""
    query: str = scope.get("query_string", b"").decode("latin-1")
    path: str = scope["path"]
    return f"{path}?{query}" if query else path
