"""What stands between the network and the app, made once from the settings: proxies, hosts, origins, rates."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from runtime.server.admission import TurnBudget
from runtime.server.advice import Advice
from runtime.server.hosts import HostRule
from runtime.server.origin import is_allowed_origin
from runtime.server.proxies import BadAuthority, Proxies, is_loopback
from runtime.server.ratewindow import SlidingWindow, network_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from starlette.datastructures import Headers

    from runtime.core.clock import Clock
    from runtime.core.settings import Settings

__all__ = ["BAD_REQUEST", "INVALID_HOST", "Arrival", "Edge"]

logger = logging.getLogger("realtime.upgrade")

BAD_REQUEST: Final = "Bad Request"
INVALID_HOST: Final = "Invalid host"
FORWARDED: Final = ("x-forwarded-for", "x-real-ip")
MAX_TOLD: Final = 100  # refused origins that are explained in the log; further ones are only counted
MAX_SHOWN: Final = 80  # characters of what a client sent in the log


class Arrival(NamedTuple):
    """The app's own origin as a request has it, and the body of the 400 for one that is for no host of the app."""

    base: str
    problem: str | None


class Edge:
    """The rules that a request passes before anything of the app sees it. Spec: platform 1.6, 3.8, 5.8, 5.14."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        websocket = settings.websocket
        self._settings = settings
        self._spares_own = settings.server.env in ("dev", "test")
        self._checks_origin = not (settings.is_dev and settings.dev.skip_origin_check)
        self._told: set[str] = set()
        self._rate_told = False
        self.proxies = Proxies(settings.server)
        self.hosts = HostRule(settings.server)
        self._upgrades = _window(websocket.upgrade_rate_limit, websocket.upgrade_rate_limit_window, clock)
        self._auths = _window(websocket.auth_rate_limit, websocket.auth_rate_limit_window, clock)
        budget = websocket.upgrade_admission.per_tick_budget
        self.turns = TurnBudget(budget) if budget is not None else None
        self.advice = Advice()

    def sizes(self) -> dict[str, int]:
        """Return how many upgrades wait for a turn, and how many addresses the fuller of the rate windows has."""
        windows = [window for window in (self._upgrades, self._auths) if window is not None]
        return {
            "MAX_DEFERRED_UPGRADES": 0 if self.turns is None else self.turns.waiting,
            "MAX_UPGRADE_RATE_ENTRIES": max((len(window) for window in windows), default=0),
        }

    def may_upgrade(self, address: str) -> bool:
        """Return whether this client may connect now, by `upgrade_rate_limit`; one that may is counted."""
        return self._admits(self._upgrades, address)

    def may_authenticate(self, address: str) -> bool:
        """Return whether this client may ask the auth path now, by `auth_rate_limit`; one that may is counted."""
        return self._admits(self._auths, address)

    def explain_rate(self, headers: Headers) -> None:
        """Say once that a rate limit counts everybody behind a proxy as one, if that is what it looks like."""
        forwarded = next((name for name in FORWARDED if name in headers), None)
        if forwarded is not None and self._settings.server.address_header is None and not self._rate_told:
            self._rate_told = True
            logger.warning(
                "refused a client by the upgrade rate although it came through a proxy: all of its clients count as "
                'one; set [server] address_header = "%s"',
                forwarded,
            )

    def arrive(self, scope: Mapping[str, Any], headers: Headers) -> Arrival:
        """Return which address of the app the request is for, and whether the app answers there."""
        pinned = self._settings.server.origin
        if pinned is not None and not self.hosts.is_on:
            return Arrival(pinned, None)  # nothing asks for the host
        try:
            url = self.proxies.base_url(scope, headers)
        except BadAuthority:
            return Arrival("", BAD_REQUEST)
        return Arrival(pinned or url.origin, None if self.hosts.allows(url.host) else INVALID_HOST)

    def allows_origin(self, headers: Headers, base: str, *, has_upgrade_hook: bool) -> bool:
        """Return whether the page that sent the request may connect; `base` is the app's own origin."""
        if not self._checks_origin:
            return True
        sent = headers.getlist("origin")
        origin = ", ".join(sent) if sent else None  # two of them are no origin, and so refused
        policy = self._settings.websocket.allowed_origins
        return is_allowed_origin(origin, policy=policy, base=base, has_upgrade_hook=has_upgrade_hook)

    def explain_origin(self, headers: Headers, base: str) -> None:
        """Say once per page why it was refused: in a browser it only sees that it cannot connect."""
        sent = headers.get("origin")
        shown = "without an Origin header" if sent is None else f"from {sent[:MAX_SHOWN]!r}"
        if shown not in self._told and len(self._told) < MAX_TOLD:
            self._told.add(shown)
            logger.warning("refused a connection %s: %s", shown, self._hint(sent, base))

    def _hint(self, sent: str | None, base: str) -> str:
        settings = self._settings
        if sent is None:
            return "only an upgrade hook can let programs in that are no browsers"
        if settings.websocket.allowed_origins != "same-origin":
            hint, table = "[websocket] allowed_origins does not list it", "[env.production.websocket]"
        elif settings.server.origin is not None:
            hint, table = f"[server] origin is {base!r}", "[env.production.server]"
        else:
            return f"the app's own pages are those of {base!r}; behind a proxy set [server] origin"
        return (
            f"{hint}; if only production is to have that, move it below {table}" if settings.is_dev else hint
        )

    def _admits(self, window: SlidingWindow | None, address: str) -> bool:
        if window is None or not address:  # a peer without an address came over a unix socket
            return True
        if self._spares_own and is_loopback(address):
            return True
        return window.admits(network_of(address))


def _window(limit: int | None, window: float, clock: Clock) -> SlidingWindow | None:
    return SlidingWindow(limit, window, clock) if limit is not None else None
