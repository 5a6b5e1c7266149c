"""Which pages may connect, and how the app knows its own address. Spec: platform 8.2, 5.8."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from realtime_cli.rules.families.settings_file import is_loose_origin
from realtime_cli.rules.finding import Finding, Severity, Span
from realtime_cli.rules.rule import Rule
from realtime_cli.rules.settingsview import place_of
from runtime.server.startup import refusals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.project import Project

__all__ = ["AnyOrigin", "LooseOrigin", "NoTransportSecurity", "UnpinnedHost"]

ALLOWED = "websocket.allowed_origins"


def has_hook(project: Project, name: str) -> bool:
    """Return whether the hooks file offers a hook: defined there, or imported, also with all names of a module."""
    hooks = project.hooks
    if hooks is None or hooks.tree is None:
        return False
    top = hooks.bound.scopes[hooks.tree]
    if name in top.names or any(found == name for found, _, _ in project.hook_functions):
        return True
    foreign = (module for module in top.stars if module.partition(".")[0] not in {*hooks.roots, "runtime"})
    return any(True for _ in foreign)  # it cannot be said what they hold


class _Refusal(Rule):
    """A rule that tells why production does not start: it asks what asks at the start."""

    blocking = True

    def check(self, project: Project) -> Iterator[Finding]:
        """Yield the refusals of this rule."""
        if not project.in_production:
            return
        has_upgrade = has_hook(project, "upgrade")
        for refusal in refusals(project.settings.settings, has_upgrade_hook=has_upgrade):
            if refusal.rule == self.id:
                yield self.in_settings(project, refusal.key, refusal.reason.removeprefix(f"{self.id}: "))


class UnpinnedHost(_Refusal):
    """SEC001."""

    id = "SEC001"
    severity = Severity.ERROR
    title = "same-origin policy without a host pin"
    why = (
        "A page is let in when its origin is the host that the request names. Where nothing says which host is the "
        "app's own, both come from whoever sends the request, and any page may act as the visitor."
    )
    how = "set [server] origin, host_header, allowed_hosts or TLS, or write an upgrade hook"


class OpenMetrics(_Refusal):
    """SEC040."""

    id = "SEC040"
    severity = Severity.ERROR
    title = "metrics that everybody can read"
    why = "They tell paths, topics, loads and versions to whoever asks, and each answer costs work."
    how = 'set [metrics] listen = "127.0.0.1:9464", token or allow'


class UnacknowledgedOptOut(_Refusal):
    """SEC019."""

    id = "SEC019"
    severity = Severity.ERROR
    title = "a dangerous opt-out is active and not acknowledged"
    why = "A switch that opens a known hole is to be a decision that somebody wrote down, not a leftover."
    how = "remove the opt-out, or name it in [security] acknowledge"


class AnyOrigin(Rule):
    """SEC004."""

    id = "SEC004"
    severity = Severity.ERROR
    title = "every page may connect with the visitor's cookies"
    why = (
        "The browser sends cookies with a WebSocket whatever page opens it. With every origin allowed, any page that a "
        "visitor opens can call the app in their name."
    )
    how = "list the pages in [websocket] allowed_origins"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for `*` where a hook reads cookies."""
        origins, place = written_origins(project)
        if "*" in origins and reads_cookies(project):
            message = 'allowed_origins = "*" together with a hook that reads cookies lets every page act as the visitor'
            yield self.on(*place, message)


def written_origins(project: Project) -> tuple[tuple[str, ...], tuple[str, Span]]:
    """Return the allowed origins and where they stand, also those for which the server does not start."""
    for problem in project.settings.found.problems:
        if is_loose_origin(project, problem):
            path, line = place_of(problem.origin or "")
            written = project.settings.written(ALLOWED)[problem.origin or ""]
            assert isinstance(written, list)  # noqa: S101 - `is_loose_origin` says so
            return tuple(written), (path, Span(line))
    origins = project.settings.get(ALLOWED)
    path, line = project.settings.place(ALLOWED)
    return (origins,) if isinstance(origins, str) else origins, (path, Span(line))


def reads_cookies(project: Project) -> bool:
    """Return whether a hook looks at cookies, or at the header with them."""
    hooks = project.hooks
    if hooks is None:
        return False
    sources = {hooks, *(source for _, source, _ in project.hook_functions)}
    names = {argument.arg for source in sources for argument in source.nodes(ast.arg)}
    names |= {node.attr for source in sources for node in source.nodes(ast.Attribute)}
    constants = (node.value for source in sources for node in source.nodes(ast.Constant))
    return "cookies" in names or "cookie" in {value.lower() for value in constants if isinstance(value, str)}


class LooseOrigin(Rule):
    """SEC005."""

    id = "SEC005"
    severity = Severity.WARNING
    title = "an allowed origin is no https origin"
    why = (
        "An origin is scheme, host and port. What is written otherwise matches nothing, or lets in pages that anybody "
        "on the way can change."
    )
    how = 'write "https://host", without a path'

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at each entry; it is an error where the server does not start with it."""
        origins, place = written_origins(project)
        refused = any(is_loose_origin(project, problem) for problem in project.settings.found.problems)
        for origin in origins:
            what = _looseness(project, origin)
            if what and origin not in {"*", "same-origin"}:
                found = self.on(*place, f"the origin {origin!r} {what}")
                yield (
                    replace(found, severity=Severity.ERROR)
                    if refused and what != "is not encrypted"
                    else found
                )


def _looseness(project: Project, origin: str) -> str | None:
    """Return what is wrong with an entry of the allowed origins."""
    parts = urlsplit(origin)
    if not parts.scheme or not parts.netloc:
        return "is no origin" if "/" in origin else "is a bare host"
    if parts.path or parts.query or parts.fragment:
        return "has a path"
    if parts.scheme == "http" and project.in_production and not is_local(parts.hostname or ""):
        return "is not encrypted"
    return None


def is_local(host: str) -> bool:
    """Return whether a host is this machine."""
    return host in {"localhost", "::1", ""} or host.startswith("127.") or host.endswith(".localhost")


class NoTransportSecurity(Rule):
    """SEC041."""

    id = "SEC041"
    severity = Severity.WARNING
    title = "nothing encrypts what goes to and from the app"
    why = "Without TLS, and without a proxy that the settings know of, sessions and data can be read on the way."
    how = "terminate TLS: [server] tls_cert and tls_key, or a proxy with origin or protocol_header"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for a listener on every address without any sign of TLS."""
        server = project.settings.settings.server
        open_to_all = server.host in {"0.0.0.0", "::", ""} and server.uds is None  # noqa: S104 - looked for here
        names = server.allowed_hosts
        here_only = bool(names) and all(is_local(name.partition(":")[0]) for name in names)
        if not project.in_production or not open_to_all or here_only:
            return
        pinned = server.origin or project.settings.written("server.origin")
        if not (server.tls_cert or pinned or server.protocol_header or server.host_header):
            message = f"listens on {server.host} without TLS, and nothing says that a proxy has it"
            yield self.in_settings(project, "server.host", message)
