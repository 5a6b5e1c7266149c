"""Every setting of the runtime, one frozen struct per section of `realtime.toml`; no file is read here.

Each key carries its kind (type, range) and its sentence in one place, its annotation; loading, error texts
and the reference page are made from that. A struct made in code is checked and converted like a file:
`ServerSettings(port=0)`, `WebSocketSettings(max_payload_length="2M")`. Spec: platform 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

import msgspec

from runtime.core import devkinds
from runtime.core import settingkinds as kinds
from runtime.core.backendsettings import PostgresSettings, RedisSettings
from runtime.core.capacityprofiles import PROFILES, REFERENCE
from runtime.core.checksettings import CheckSettings
from runtime.core.cronsettings import CronSettings
from runtime.core.devkinds import PublishRateWarning, SilentTopicWarning
from runtime.core.devtoolsettings import DevtoolsSettings
from runtime.core.metricsettings import MetricsSettings
from runtime.core.pressuresettings import PressureSettings
from runtime.core.securitysettings import SecuritySettings
from runtime.core.serversettings import ServerSettings
from runtime.core.settingkeys import flag_key
from runtime.core.settingkinds import RateRule
from runtime.core.settingsection import Key, Section, SettingsError, keys_of
from runtime.core.tracingsettings import TracingSettings
from runtime.core.websocketsettings import UpgradeAdmissionSettings, WebSocketSettings

__all__ = [
    "PROFILE",
    "SECTIONS",
    "CheckSettings",
    "CronSettings",
    "DevSettings",
    "DevtoolsSettings",
    "Key",
    "MetricsSettings",
    "PostgresSettings",
    "PressureSettings",
    "RateLimitSettings",
    "RateRule",
    "RedisSettings",
    "SecuritySettings",
    "ServerSettings",
    "Settings",
    "SettingsError",
    "UpgradeAdmissionSettings",
    "WebSocketSettings",
    "bound_name",
    "capacity_key",
    "keys_of",
]

PROFILE = "profile"  # the key of `[capacity]` that is no bound
_DEPTHS = frozenset({"MAX_ENVELOPE_DEPTH", "MAX_JSON_DEPTH"})
RESERVED_PREFIXES = ("/__ws", "/__realtime", "/live/")
AUTH_PREFIX = "/__ws/"  # only the auth path may begin with it


class RateLimitSettings(Section, frozen=True, kw_only=True):
    """`[rate_limits]`: limits of RPC calls per caller. Spec: live-api 5.3."""

    default: Annotated[
        RateRule | None, Key(kinds.rate_rule(), "Limit of every RPC path without one of its own.")
    ] = None
    overrides: Annotated[Mapping[str, RateRule], Key(kinds.rate_rules(), "Limits by RPC path.")] = (
        msgspec.field(default_factory=lambda: MappingProxyType({}))
    )
    exempt: Annotated[
        tuple[str, ...], Key(kinds.text_list(kinds.text_line(), "RPC paths"), "RPC paths without a limit.")
    ] = ()


class DevSettings(Section, frozen=True, kw_only=True):
    """`[dev]`: read when `env` is `"dev"`; everywhere else the defaults stand."""

    reload: Annotated[bool, flag_key("Take changed code without a restart.")] = True
    devtools: Annotated[bool, flag_key("Answer with the devtools page at `/__realtime`.")] = True
    types: Annotated[bool, flag_key("Keep the `.d.ts` and `.pyi` files of the live modules fresh.")] = True
    check: Annotated[bool, flag_key("Show what `realtime check` finds, after each save.")] = True
    skip_origin_check: Annotated[bool, flag_key("Accept WebSocket connections from any page.")] = False
    silent_topic_warning: Annotated[
        SilentTopicWarning | None,
        Key(devkinds.silent_topic_warning(), "Name stream topics on which nothing is published, once each."),
    ] = SilentTopicWarning()
    publish_rate_warning: Annotated[
        PublishRateWarning | None,
        Key(devkinds.publish_rate_warning(), "Name topics with more events than a page shows, once each."),
    ] = PublishRateWarning()


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of one app. `capacity` holds only the bounds that differ from `runtime.core.capacity`.

    `profile`, also as a key of `capacity`, puts those of a size of machine in the place of the defaults, with
    `[websocket] max_backpressure` and `max_connections`. Spec: platform 6.3.

    Raises:
        SettingsError: a capacity name or value, or settings that exclude each other.
    """

    server: ServerSettings = msgspec.field(default_factory=ServerSettings)
    websocket: WebSocketSettings = msgspec.field(default_factory=WebSocketSettings)
    security: SecuritySettings = msgspec.field(default_factory=SecuritySettings)
    capacity: Mapping[str, Any] = msgspec.field(default_factory=lambda: MappingProxyType({}))
    profile: str = REFERENCE
    metrics: MetricsSettings = msgspec.field(default_factory=MetricsSettings)
    rate_limits: RateLimitSettings = msgspec.field(default_factory=RateLimitSettings)
    tracing: TracingSettings = msgspec.field(default_factory=TracingSettings)
    cron: CronSettings = msgspec.field(default_factory=CronSettings)
    redis: RedisSettings = msgspec.field(default_factory=RedisSettings)
    postgres: PostgresSettings = msgspec.field(default_factory=PostgresSettings)
    devtools: DevtoolsSettings = msgspec.field(default_factory=DevtoolsSettings)
    dev: DevSettings = msgspec.field(default_factory=DevSettings)
    check: CheckSettings = msgspec.field(default_factory=CheckSettings)

    @property
    def is_dev(self) -> bool:
        """Whether this is a developer's own server, where clients get tracebacks."""
        return self.server.env == "dev"

    @property
    def has_devtools(self) -> bool:
        """Whether the devtools page is served."""
        return self.dev.devtools if self.is_dev else self.devtools.enabled

    def __post_init__(self) -> None:
        capacity: dict[str, Any] = {PROFILE: self.profile}
        for name, value in self.capacity.items():
            key = capacity_key(name)
            if key is None:
                raise SettingsError(f"unknown capacity {name!r}", key=f"capacity.{name}")
            try:
                capacity[bound_name(name)] = key.kind.parse(value)
            except ValueError:
                message = f"capacity {name}: expected {key.kind.expected}, not {value!r}"
                raise SettingsError(message, key=f"capacity.{name}") from None
        self._set_profile(capacity.pop(PROFILE))
        bounds = {**PROFILES[self.profile].bounds, **capacity}
        msgspec.structs.force_setattr(self, "capacity", MappingProxyType(bounds))
        if not self.is_dev and self.dev != DevSettings():
            msgspec.structs.force_setattr(self, "dev", DevSettings())
        self._check_paths()
        self._check_tls()
        self._check_auth_body()

    def _set_profile(self, name: str) -> None:
        if name not in PROFILES:
            message = f"there is no profile {name!r}; it is one of {', '.join(PROFILES)}"
            raise SettingsError(message, key=f"capacity.{PROFILE}")
        msgspec.structs.force_setattr(self, "profile", name)
        usual = WebSocketSettings()
        changed = {
            key: value
            for key, value in PROFILES[name].websocket.items()
            if getattr(self.websocket, key) == getattr(usual, key)
        }
        if changed:
            msgspec.structs.force_setattr(
                self, "websocket", msgspec.structs.replace(self.websocket, **changed)
            )

    def _check_tls(self) -> None:
        for given, missing in (("tls_cert", "tls_key"), ("tls_key", "tls_cert")):
            if getattr(self.server, given) is not None and getattr(self.server, missing) is None:
                message = f"server.{given} is set and server.{missing} is not; TLS needs both, or neither"
                raise SettingsError(message, key=f"server.{given}")

    def _check_auth_body(self) -> None:
        body, auth = self.server.body_limit, self.websocket.auth_body_limit
        # The default is no wish of anybody's: below a smaller body_limit it is that.
        if body is not None and auth > body and auth != WebSocketSettings().auth_body_limit:
            message = (
                f"websocket.auth_body_limit is {auth} bytes, but server.body_limit lets no body of more than {body} "
                "through; lower the one or raise the other"
            )
            raise SettingsError(message, key="websocket.auth_body_limit")

    def _check_paths(self) -> None:
        taken: dict[str, str] = {}
        paths = {
            "server.health_path": self.server.health_path,
            "server.ready_path": self.server.ready_path,
            "websocket.path": self.websocket.path,
            "websocket.auth_path": self.websocket.auth_path,
        }
        if self.metrics.enabled and self.metrics.listen is None:
            paths["metrics.path"] = self.metrics.path
        for key, path in paths.items():
            if path is None:
                continue
            own = key == "websocket.auth_path" and path.startswith(AUTH_PREFIX)
            if path.startswith(RESERVED_PREFIXES) and not own:
                message = f"{key} = {path!r} is reserved for Realtime Toolkit; choose a path of your own"
                raise SettingsError(message, key=key)
            if path in taken:
                message = f"{key} and {taken[path]} are both {path!r}; give one of them another path"
                raise SettingsError(message, key=key)
            taken[path] = key


#: The sections with keys of their own, by name; `a.b` is the field `b` of `a` and stands behind it.
#: `[capacity]` has the names of its bounds instead.
SECTIONS: Mapping[str, type[msgspec.Struct]] = MappingProxyType(
    {
        "server": ServerSettings,
        "websocket": WebSocketSettings,
        "websocket.upgrade_admission": UpgradeAdmissionSettings,
        "websocket.pressure": PressureSettings,
        "security": SecuritySettings,
        "rate_limits": RateLimitSettings,
        "cron": CronSettings,
        "redis": RedisSettings,
        "postgres": PostgresSettings,
        "metrics": MetricsSettings,
        "tracing": TracingSettings,
        "devtools": DevtoolsSettings,
        "dev": DevSettings,
        "check": CheckSettings,
    }
)


def capacity_key(name: str) -> Key | None:
    """Return the key of a bound of `[capacity]`, or of `profile`, in either case; `None` when there is none."""
    from runtime.core.capacity import DEFAULTS

    name = bound_name(name)
    if name == PROFILE:
        doc = "Bounds for a size of machine, in the place of the defaults."
        return Key(kinds.choice(*PROFILES), doc, default_text=f'`"{REFERENCE}"`')
    default: Any = DEFAULTS.get(name)
    if default is None:
        return None
    kind = kinds.integer(8, 1000) if name in _DEPTHS else kinds.integer(1)
    return Key(kind, f"Bound {name}.", default_text=f"`{default}`")


def bound_name(name: str) -> str:
    """Return how a key of `[capacity]` is spelled, which may be written in either case."""
    return PROFILE if name.lower() == PROFILE else name.upper()
