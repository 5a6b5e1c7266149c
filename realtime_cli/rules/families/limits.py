"""Limits that are off or do not fit to each other. Spec: platform 8.2, 8.3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from realtime_cli.rules.finding import Finding, Severity
from realtime_cli.rules.rule import Rule
from runtime.core import capacity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.project import Project

__all__ = ["LargeBodies", "LargeMessages", "NoIdleTimeout", "NoUpgradeLimit", "OpenGates", "UselessBound"]

LARGE_BODY = 100 * 1024 * 1024
MANY_CONNECTIONS = 1000  # from here on a restart brings more at once than a server should take in
PROXY_IDLE = 60.0  # seconds after which common proxies close a silent connection
FEW, MANY = 8, 64  # a bound of at least MANY by default is of no use below FEW
KILL_GRACE = 30.0  # seconds that orchestrators commonly wait before they kill


class NoUpgradeLimit(Rule):
    """SEC024."""

    id = "SEC024"
    severity = Severity.WARNING
    title = "no limit of connects per address"
    why = "One machine can keep the server busy with handshakes."
    how = "keep a limit, such as [websocket] upgrade_rate_limit = 10"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for a limit that is off."""
        for key, what in (
            ("upgrade_rate_limit", "connects"),
            ("auth_rate_limit", "requests to the auth endpoint"),
        ):
            if project.settings.get(f"websocket.{key}") is None:
                message = f"{key} = 0: nobody counts {what} of an address"
                yield self.in_settings(
                    project, f"websocket.{key}", message, f"keep a limit: [websocket] {key} = 10"
                )


class LargeBodies(Rule):
    """SEC042."""

    id = "SEC042"
    severity = Severity.WARNING
    title = "bodies of requests may be very large"
    why = "A body is held in memory until its handler has it: a few requests fill the machine."
    how = "set [server] body_limit to what forms need, and take files by @live.upload"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for no limit, or one beyond what a form needs."""
        limit = project.settings.get("server.body_limit")
        if limit is None or limit > LARGE_BODY:
            shown = "any size" if limit is None else f"{limit} bytes"
            yield self.in_settings(project, "server.body_limit", f"body_limit lets in bodies of {shown}")


class OpenGates(Rule):
    """CAP003."""

    id = "CAP003"
    severity = Severity.WARNING
    title = "a restart may bring all clients at once"
    why = (
        "Thousands of handshakes in one moment make all of them slow, so that clients give up and come again."
    )
    how = "set [websocket.upgrade_admission] max_concurrent = 1000 and per_tick_budget = 64"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for admission that is off where many connections are expected."""
        settings = project.settings.settings
        expected = settings.websocket.max_connections
        many = project.in_production and expected is not None and expected > MANY_CONNECTIONS
        if many and settings.websocket.upgrade_admission.max_concurrent is None:
            message = f"{expected} connections may come at once, and nothing limits handshakes in progress"
            yield self.in_settings(project, "websocket.upgrade_admission.max_concurrent", message)


class LargeMessages(Rule):
    """CAP006."""

    id = "CAP006"
    severity = Severity.WARNING
    title = "one message may be larger than what a connection may have waiting"
    why = "A single echo of it goes over the bound, and the client loses frames."
    how = "raise [websocket] max_backpressure, or lower max_payload_length"

    def check(self, project: Project) -> Iterator[Finding]:
        """Compare the two sizes."""
        websocket = project.settings.settings.websocket
        keys = ("websocket.max_payload_length", "websocket.max_backpressure")
        written = any(project.settings.written(key) for key in keys)  # a profile chooses for small machines
        if written and websocket.max_payload_length > websocket.max_backpressure:
            message = (
                f"max_payload_length ({websocket.max_payload_length}) is more than max_backpressure "
                f"({websocket.max_backpressure})"
            )
            yield self.in_settings(project, "websocket.max_payload_length", message)


class NoIdleTimeout(Rule):
    """CAP012."""

    id = "CAP012"
    severity = Severity.WARNING
    title = "connections that are gone are not noticed"
    why = "A phone that lost its network never says goodbye: its connection stays and counts until somebody notices."
    how = "set [websocket] idle_timeout = 120 with ping = true, or at most 50 without pings"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for no timeout, or one that a proxy is faster than."""
        websocket = project.settings.settings.websocket
        if websocket.idle_timeout is None:
            yield self.in_settings(
                project, "websocket.idle_timeout", "idle_timeout = 0 never closes a connection"
            )
        elif websocket.idle_timeout > PROXY_IDLE and not websocket.ping:
            seconds = f"{websocket.idle_timeout:g} s"
            message = f"without pings a proxy closes silent connections before idle_timeout ({seconds})"
            yield self.in_settings(project, "websocket.idle_timeout", message)


class UselessBound(Rule):
    """CAP004."""

    id = "CAP004"
    severity = Severity.WARNING
    title = "a bound is so small or so large that it is of no use"
    why = "Below the floor a feature refuses ordinary use; above the ceiling memory runs out long before."
    how = "choose a value within the range, or remove the line"

    def check(self, project: Project) -> Iterator[Finding]:
        """Compare each bound that was written with its range."""
        for name, value in project.settings.settings.capacity.items():
            floor, ceiling = capacity_range(name)
            if not floor <= value <= ceiling:
                side = f"below {floor}" if value < floor else f"above {ceiling}"
                yield self.in_settings(
                    project,
                    f"capacity.{name}",
                    f"{name} = {value} is {side}",
                    f"choose {floor} to {ceiling}; the default is {capacity.DEFAULTS[name]}",
                )


def capacity_range(name: str) -> tuple[int, int]:
    """Return the smallest and largest useful value of a bound.

    What usually holds many things is of no use with a handful, and nothing is with a thousand times the default.
    """
    default = capacity.DEFAULTS[name]
    return FEW if default >= MANY else 1, default * 1000
