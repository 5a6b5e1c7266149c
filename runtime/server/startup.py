"""What keeps an app from starting, and what is said at its start. Spec: platform 1.9, 5.0 and 5.8."""

from __future__ import annotations

import logging
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from runtime.core.errors import RealtimeError
from runtime.core.settings import SecuritySettings
from runtime.live import tracing
from runtime.live.problems import LoadProblem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from runtime.core.metrics import Metrics
    from runtime.core.settings import Settings
    from runtime.live.registry import LiveModule

__all__ = [
    "StartupError",
    "StartupRefused",
    "active_optouts",
    "announce",
    "refusals",
    "refuse_unsafe",
    "require_extras",
    "require_guards",
]

logger = logging.getLogger("realtime.startup")

# Where the developer alone connects: nothing is refused at the start there.
OWN_ENVIRONMENTS: Final = ("dev", "test")
# Opt-outs that re-open a known hole; production starts with one only if it is acknowledged.
DANGEROUS: Final = frozenset(
    {
        "allow_system_topic_publish",
        "async_predicates",
        "cookie_attribute_check",
        "dedup_include_origin",
        "idempotency_namespace",
        "redact_logs",
        "redact_urls",
        "replay_authorize",
    }
)

# Switches that are no booleans: any value but the default opts out.
OTHER_SWITCHES: Final = frozenset({"async_predicates"})

# Limits and rules outside of `[security]`: what switches one off, how that is written, and what it means.
OFF: Final[Mapping[str, tuple[Any, str, str]]] = MappingProxyType(
    {
        "server.body_limit": (
            None,
            "0",
            "takes a body of any size from anybody (SEC042); set what the app needs",
        ),
        "server.header_timeout": (None, "0", "lets a peer take for ever to say what it wants; keep a limit"),
        "server.min_body_rate": (None, "0", "lets a peer send its body as slowly as it likes; keep a limit"),
        "server.trusted_proxies": (
            ("*",),
            '["*"]',
            "believes the address that any client names (SEC022); list them",
        ),
        "websocket.upgrade_rate_limit": (
            None,
            "0",
            "lets one address connect as often as it likes (SEC024); keep a limit",
        ),
        "websocket.auth_rate_limit": (
            None,
            "0",
            "lets one address sign in as often as it likes; keep a limit",
        ),
        "websocket.compression": (
            True,
            "true",
            "compresses secrets together with what others chose (SEC012)",
        ),
    }
)

NO_HOST_PIN: Final = (
    'nothing says which host is the app\'s own, so [websocket] allowed_origins = "same-origin" proves nothing'
)
HOST_PIN_REMEDY: Final = """\
set [server] allowed_hosts or origin in realtime.toml:
  [server]
  allowed_hosts = ["localhost", "127.0.0.1"]   # the names under which the app is reached; these to try it here
  origin = "https://app.example.com"           # or the address that people type, also behind a proxy
  host_header = "x-forwarded-host"             # or the header in which your proxy passes the host on
Or list the pages that may connect in [websocket] allowed_origins, or decide in an upgrade hook in hooks.py.
[security] unsafe_same_origin_without_host_pin = true starts without any of them."""

OPEN_METRICS: Final = "SEC040: [metrics] enabled shows the metrics of the app to everybody who can reach it"
OPEN_METRICS_REMEDY: Final = """\
set one of these in realtime.toml:
  [metrics]
  listen = "127.0.0.1:9464"        # a listener of their own
  token = "env:METRICS_TOKEN"      # or what the scraper sends as Authorization: Bearer ...
  allow = ["10.0.0.0/8"]           # or the networks it asks from"""

OPEN_DEVTOOLS: Final = "[devtools] enabled shows every frame of the app to everybody who can reach it"
OPEN_DEVTOOLS_REMEDY: Final = """\
set a token in realtime.toml, or leave the devtools to `realtime dev`:
  [devtools]
  token = "env:DEVTOOLS_TOKEN"     # the password that the browser asks for at /__realtime"""


class StartupError(RealtimeError):
    """The app cannot start. `problems` say what is wrong where."""

    def __init__(self, message: str, problems: Sequence[LoadProblem] = ()) -> None:
        super().__init__("\n".join([message, *(str(problem) for problem in problems)]))
        self.problems = list(problems)


class StartupRefused(StartupError):
    """The settings are not safe to start with: only an edit helps. `reason` is what is wrong, `remedy` what to do.

    `rule` is the id by which `realtime check` tells the same, `key` the setting (`section.key`) that it is about.
    """

    def __init__(self, reason: str, remedy: str, *, rule: str = "", key: str = "") -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason = reason
        self.remedy = remedy
        self.rule = rule
        self.key = key


def refuse_unsafe(settings: Settings, *, has_upgrade_hook: bool) -> None:
    """Refuse settings that leave a known hole open, outside of dev and test; in dev say what production would do.

    Raises:
        StartupRefused: a same-origin policy without a host pin, metrics or devtools that everybody may read, or a
            dangerous opt-out that is not acknowledged.
    """
    found = refusals(settings, has_upgrade_hook=has_upgrade_hook)
    if not found:
        return
    if settings.server.env not in OWN_ENVIRONMENTS:
        raise found[0]
    if settings.server.env == "dev":
        for refusal in found:
            logger.warning(
                "realtime serve will refuse to start: %s; %s",
                refusal.reason,
                refusal.remedy.partition(":\n")[0],
            )


def refusals(settings: Settings, *, has_upgrade_hook: bool) -> list[StartupRefused]:
    """Return everything for which production does not start; `realtime check` tells the same."""
    return [
        *_unpinned(settings, has_upgrade_hook),
        *_open_metrics(settings),
        *_open_devtools(settings),
        *_unacknowledged(settings),
    ]


def require_extras(settings: Settings) -> None:
    """Refuse settings that need a package which is not installed.

    Raises:
        StartupRefused: the message names the extra.
    """
    if settings.tracing.enabled and not tracing.is_installed():
        raise StartupRefused(
            "[tracing] enabled = true needs OpenTelemetry, which is not installed",
            "pip install 'realtime-toolkit[otel]', or leave the setting out",
            key="tracing.enabled",
        )


def require_guards(settings: Settings, modules: Iterable[LiveModule]) -> None:
    """Report live modules that anybody may call, outside of dev and test; there `dev` says it of each module.

    Raises:
        StartupError: with `[security] require_guard = "error"`, naming each.
    """
    if settings.server.env in OWN_ENVIRONMENTS or settings.security.require_guard == "off":
        return
    found = {module.file: text for module in modules if (text := module.unguarded) is not None}
    if found and settings.security.require_guard == "error":
        problems = [
            LoadProblem(file, None, "NoGuard", text.removeprefix(f"{file}: ")) for file, text in found.items()
        ]
        raise StartupError('live modules have no guard, and [security] require_guard = "error"', problems)
    for text in found.values():
        logger.warning("%s", text)


def cluster_mode_problem(mode: str, system: str) -> str | None:
    """Return why workers cannot share a port in this way on a system (`sys.platform`), None when they can."""
    if mode == "reuseport" and not system.startswith("linux"):
        return f'cluster_mode = "reuseport" does not work on {system}'
    return None


def active_optouts(settings: Settings) -> list[str]:
    """Return the switches of `[security]` that are not at their safe default, by name."""
    defaults = SecuritySettings()
    return [
        name
        for name in SecuritySettings.__struct_fields__
        if (isinstance(getattr(defaults, name), bool) or name in OTHER_SWITCHES)
        and getattr(settings.security, name) != getattr(defaults, name)
    ]


def announce(settings: Settings, metrics: Metrics) -> None:
    """Say once, at the start, what is switched off and what a proxy would need; count each opt-out."""
    for name in active_optouts(settings):
        metrics.add("security_optouts", name)
        value = msgspec.json.encode(getattr(settings.security, name)).decode()
        logger.warning("security.%s = %s: a default that protects the app is off", name, value)
    server = settings.server
    if server.env in OWN_ENVIRONMENTS:
        return
    for key, (off, shown, text) in OFF.items():
        if attrgetter(key)(settings) == off:
            section, _, name = key.rpartition(".")
            metrics.add("security_optouts", name)
            logger.warning("[%s] %s = %s %s", section, name, shown, text)
    if not settings.websocket.enabled:
        return
    if not (server.origin or server.host_header or server.protocol_header or server.tls_cert):
        logger.warning(
            "nothing says whether people reach the app by https: behind a proxy that ends TLS, set [server] origin or "
            "protocol_header; without it the browser's pages are refused"
        )


def _unpinned(settings: Settings, has_upgrade_hook: bool) -> Iterator[StartupRefused]:
    server, websocket = settings.server, settings.websocket
    pinned = (
        server.origin or server.host_header or server.allowed_hosts or server.tls_cert or has_upgrade_hook
    )
    if pinned or not websocket.enabled or websocket.allowed_origins != "same-origin":
        return
    if not settings.security.unsafe_same_origin_without_host_pin:
        yield StartupRefused(NO_HOST_PIN, HOST_PIN_REMEDY, rule="SEC001", key="websocket.allowed_origins")


def _open_metrics(settings: Settings) -> Iterator[StartupRefused]:
    metrics = settings.metrics
    if metrics.enabled and metrics.listen is None and metrics.token is None and not metrics.allow:
        yield StartupRefused(OPEN_METRICS, OPEN_METRICS_REMEDY, rule="SEC040", key="metrics.enabled")


def _open_devtools(settings: Settings) -> Iterator[StartupRefused]:
    if settings.devtools.enabled and settings.devtools.token is None:
        yield StartupRefused(OPEN_DEVTOOLS, OPEN_DEVTOOLS_REMEDY)


def _unacknowledged(settings: Settings) -> Iterator[StartupRefused]:
    for name in active_optouts(settings):
        if name in DANGEROUS and name not in settings.security.acknowledge:
            value = msgspec.json.encode(getattr(settings.security, name)).decode()
            yield StartupRefused(
                f"security.{name} = {value} re-opens a known hole",
                f'add "{name}" to security.acknowledge or remove it',
                rule="SEC019",
                key=f"security.{name}",
            )
