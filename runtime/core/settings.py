"""Every setting of the runtime, one frozen struct per section of `realtime.toml`; no file is read here.

Each key carries its kind (type, range) and its sentence in one place, its annotation; loading, error texts
and the reference page are made from that. A struct made in code is checked and converted like a file:
`ServerSettings(port=0)`, `WebSocketSettings(max_payload_length="2M")`. Spec: platform 4.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

import msgspec

from runtime.core import addresskinds, devkinds, filekinds
from runtime.core import settingkinds as kinds
from runtime.core.checksettings import CheckSettings
from runtime.core.cronsettings import CronSettings
from runtime.core.devkinds import PublishRateWarning, SilentTopicWarning
from runtime.core.devtoolsettings import DevtoolsSettings
from runtime.core.metricsettings import MetricsSettings
from runtime.core.pressuresettings import PressureSettings
from runtime.core.settingkinds import RateRule
from runtime.core.settingsection import Key, Section, SettingsError, keys_of

__all__ = [
    "SECTIONS",
    "CheckSettings",
    "CronSettings",
    "DevSettings",
    "DevtoolsSettings",
    "Key",
    "MetricsSettings",
    "PressureSettings",
    "RateLimitSettings",
    "RateRule",
    "SecuritySettings",
    "ServerSettings",
    "Settings",
    "SettingsError",
    "UpgradeAdmissionSettings",
    "WebSocketSettings",
    "capacity_key",
    "keys_of",
]

RESERVED_PREFIXES = ("/__ws", "/__realtime", "/live/")
AUTH_PREFIX = "/__ws/"  # only the auth path may begin with it


def _default_threads() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    cpus = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(32, cpus + 4)


def _size(doc: str, minimum: int, maximum: int, *, off: bool = False) -> Key:
    return Key(kinds.size(minimum, maximum, off=off), doc)


def _limit(doc: str, minimum: float = 0.001, maximum: float = 3600.0) -> Key:
    return Key(kinds.duration(minimum, maximum, off=True), doc)


def _flag(doc: str) -> Key:
    return Key(kinds.boolean(), doc)


def _header(doc: str) -> Key:
    return Key(addresskinds.header_name(), doc)


def _rate(what: str) -> Key:
    return Key(
        kinds.integer(1, off=True),
        f"{what} per client address and window, in dev and test not of this machine; 0 is no limit.",
    )


def _window(what: str) -> Key:
    return Key(kinds.duration(0.1, 3600.0), f"Length of the window of `{what}`.")


class ServerSettings(Section, frozen=True, kw_only=True):
    """`[server]`: the process, its folders and the HTTP side. Durations in seconds, sizes in bytes."""

    env: Annotated[
        str,
        Key(
            kinds.name_word(),
            "Name of the environment: decides error detail and which `[env.<name>]` tables apply.",
            default_text='`"production"` in `serve`, `"dev"` in `dev`, `"test"` under pytest',
        ),
    ] = "production"
    host: Annotated[str, Key(kinds.text_line(), "Address to listen on.")] = "0.0.0.0"  # noqa: S104 - platform 4 fixes this default
    port: Annotated[int, Key(kinds.integer(0, 65535), "TCP port to listen on; 0 takes any free one.")] = 3000
    uds: Annotated[
        str | None, Key(filekinds.file_path(), "Unix socket to listen on, instead of `host` and `port`.")
    ] = None
    uds_mode: Annotated[
        int, Key(filekinds.file_mode(), "Permissions of the Unix socket: who may connect.")
    ] = 0o660
    tls_cert: Annotated[
        str | None,
        Key(
            filekinds.file_path(),
            "Certificate chain in PEM form; with it `realtime serve` speaks https and wss.",
        ),
    ] = None
    tls_key: Annotated[
        str | None, Key(filekinds.file_path(), "Private key of `tls_cert` in PEM form, without a password.")
    ] = None
    tls_min_version: Annotated[
        str, Key(kinds.choice("1.2", "1.3"), "Oldest version of TLS that clients may speak.")
    ] = "1.2"
    origin: Annotated[
        str | None,
        Key(
            addresskinds.web_origin(),
            "The address that people type; pages of it may connect, whatever `Host` says.",
        ),
    ] = None
    allowed_hosts: Annotated[
        tuple[str, ...],
        Key(
            addresskinds.hosts(),
            "Names under which the app answers, others get 400; in dev and test also this machine's own.",
        ),
    ] = ()
    protocol_header: Annotated[
        str | None, _header("Header in which the proxy says `http` or `https`, such as `x-forwarded-proto`.")
    ] = None
    host_header: Annotated[
        str | None, _header("Header in which the proxy says the host, such as `x-forwarded-host`.")
    ] = None
    port_header: Annotated[
        str | None, _header("Header in which the proxy says the port, such as `x-forwarded-port`.")
    ] = None
    address_header: Annotated[
        str | None,
        _header("Header in which the proxy says the client's address, such as `x-forwarded-for`."),
    ] = None
    xff_depth: Annotated[
        int,
        Key(kinds.integer(1), "Which entry of `x-forwarded-for` is the client, counted from the right."),
    ] = 1
    trusted_proxies: Annotated[
        tuple[str, ...],
        Key(
            addresskinds.networks(),
            "Peers whose proxy headers are believed; `private` is this machine and private networks.",
        ),
    ] = ("private",)
    emit_request_id: Annotated[bool, _flag("Send the id of each request as `x-request-id`.")] = False
    hooks: Annotated[
        str,
        Key(
            kinds.module_path(), 'File with the hooks, or its module as in `"app.hooks"`; it may be missing.'
        ),
    ] = "hooks.py"
    live: Annotated[str, Key(kinds.project_path(), "Folder with the live modules.")] = "live"
    web: Annotated[
        str, Key(kinds.project_path(), "Folder with static files and pages; it may be missing.")
    ] = "web"
    body_limit: Annotated[
        int | None,
        _size("Largest body of a request; a larger one gets 413. 0 is no limit.", 1, 2**50, off=True),
    ] = 512 * 1024
    header_timeout: Annotated[
        float | None,
        _limit("Longest time for the head of a request to arrive, and for its first byte after connecting."),
    ] = 10.0
    keepalive_timeout: Annotated[
        float | None, _limit("A connection without a new request for so long after an answer is closed.")
    ] = 10.0
    request_timeout: Annotated[
        float | None, _limit("Longest time until the answer to a request begins; then 503. 0 is no limit.")
    ] = None
    stream_write_timeout: Annotated[
        float | None,
        _limit("An answer of which the client takes no byte for so long is cut off."),
    ] = 30.0
    min_body_rate: Annotated[
        int | None,
        _size("Bytes per second that a request body must come with, over 10 seconds.", 1, 1024**3, off=True),
    ] = 1024
    init_timeout: Annotated[float | None, _limit("Longest time the `init` hook may take.")] = 60.0
    shutdown_hook_timeout: Annotated[float | None, _limit("Longest time the `shutdown` hook may take.")] = (
        10.0
    )
    shutdown_timeout: Annotated[
        float,
        Key(kinds.duration(0.0, 3600.0), "Longest wait for running requests and `close` hooks at shutdown."),
    ] = 30.0
    shutdown_delay: Annotated[
        float,
        Key(
            kinds.duration(0.0, 3600.0),
            "Time at shutdown in which `ready_path` says 503 and everything else still works.",
        ),
    ] = 0.0
    shutdown_spread: Annotated[
        float,
        Key(kinds.duration(0.0, 3600.0), "Time over which the connections are closed at shutdown."),
    ] = 0.0
    health_path: Annotated[
        str | None,
        Key(kinds.url_path(off=True), "Answers 200 as soon as the process runs; `false` switches it off."),
    ] = "/healthz"
    ready_path: Annotated[
        str | None,
        Key(kinds.url_path(off=True), "Answers 200 when the app takes connections; `false` switches it off."),
    ] = "/readyz"
    ready_pressure: Annotated[bool, _flag("Let `ready_path` say 503 while the pressure is `MEMORY`.")] = False
    static_immutable: Annotated[
        tuple[str, ...],
        Key(kinds.path_prefixes(), "Paths whose files never change: cached for a year, without ETag."),
    ] = ("/_app/immutable/",)
    static_memory_file: Annotated[
        int,
        _size("Static files up to this size are held in memory; larger ones stream from disk.", 0, 1024**3),
    ] = 8 * 1024**2
    static_memory_total: Annotated[
        int, _size("Memory for static files in all; beyond it they stream from disk.", 0, 64 * 1024**3)
    ] = 256 * 1024**2
    precompress: Annotated[
        bool,
        _flag("Send `x.br`, `x.gz` or `x.zst` beside a static file `x` when it is smaller and accepted."),
    ] = True
    compress: Annotated[
        bool, _flag("Compress pages and answers of the app's routes for clients that take it.")
    ] = True
    memory_limit: Annotated[
        int | None,
        Key(
            kinds.alternative(kinds.size(1024**2, 2**50), "auto"),
            "Memory of all workers together; `auto` is that of the container, else of the machine.",
        ),
    ] = None
    threads: Annotated[
        int,
        Key(
            kinds.integer(1, 1024),
            "Worker threads for handlers marked `@live(thread=True)`.",
            default_text="CPUs + 4, at most 32",
        ),
    ] = msgspec.field(default_factory=_default_threads)
    access_log: Annotated[
        str,
        Key(
            kinds.choice("off", "text", "json"),
            "A line per request and per WebSocket, without queries, header values and bodies.",
        ),
    ] = "off"
    log_level: Annotated[
        str,
        Key(
            kinds.choice("debug", "info", "warning", "error", "critical"),
            "Least severe log record that is shown.",
        ),
    ] = "info"
    log_format: Annotated[
        str, Key(kinds.choice("text", "json"), "Form of the log records of `realtime serve`.")
    ] = "text"
    loop: Annotated[
        str,
        Key(
            kinds.choice("auto", "asyncio", "uvloop"),
            "Event loop; `auto` takes uvloop where it is installed.",
        ),
    ] = "auto"


class UpgradeAdmissionSettings(Section, frozen=True, kw_only=True):
    """`[websocket.upgrade_admission]`: how many peers are let in at a time; start with 1,000 and 64."""

    max_concurrent: Annotated[
        int | None,
        Key(kinds.integer(1, off=True), "Upgrade requests in progress; further ones get 503. 0 is no limit."),
    ] = None
    per_tick_budget: Annotated[
        int | None,
        Key(
            kinds.integer(1, off=True),
            "Upgrades completed in one turn of the event loop; the rest waits for the next. 0 is no limit.",
        ),
    ] = None


class WebSocketSettings(Section, frozen=True, kw_only=True):
    """`[websocket]`: the endpoint and its limits. `None` where the file says 0: no limit, or off."""

    enabled: Annotated[bool, _flag("Take WebSocket connections.")] = True
    path: Annotated[str, Key(kinds.url_path(), "Path of the WebSocket endpoint.")] = "/ws"
    auth_path: Annotated[
        str,
        Key(kinds.url_path(), "Path of the request before each connect; it needs the `authenticate` hook."),
    ] = "/__ws/auth"
    max_payload_length: Annotated[
        int, _size("Largest inbound message; a larger one closes the connection with 1009.", 1024, 1024**3)
    ] = 1024**2
    max_backpressure: Annotated[
        int, _size("Bytes waiting for one peer beyond which publishes skip it.", 1024, 1024**3)
    ] = 1024**2
    max_outbound_frame: Annotated[
        int | None, _size("Largest envelope that may be published; 0 is no limit.", 1024, 1024**3, off=True)
    ] = 1024**2
    fast_path: Annotated[
        str,
        Key(
            kinds.choice("auto", "on", "off"),
            "Write to the transport without ASGI in between: where the server allows it, always, or never.",
        ),
    ] = "auto"
    compression: Annotated[
        bool, _flag("Agree to permessage-deflate; a published frame is deflated once for all peers.")
    ] = False
    close_on_backpressure_for: Annotated[
        float | None,
        _limit("A peer whose buffer has been full for so long is closed with 1013; 0 is never.", 0.001),
    ] = None
    resync_on_drop: Annotated[
        bool,
        _flag("Load a stream anew for a peer that missed an event of it; `live.stream` may say otherwise."),
    ] = False
    upload_pause: Annotated[
        float | None,
        _limit(
            "Reading from a peer stops for so long at most while an upload's handler is behind; 0 is never."
        ),
    ] = 10.0
    text_keepalive: Annotated[
        float | None,
        _limit("A text ping is sent after so long without outbound text; 0 switches it off.", 1.0),
    ] = 60.0
    idle_timeout: Annotated[
        float | None,
        _limit("A connection without inbound traffic for so long is closed; 0 switches it off.", 8.0, 960.0),
    ] = 120.0
    ping: Annotated[bool, _flag("Send protocol pings at half of `idle_timeout`.")] = True
    seq_base: Annotated[
        Literal["clock", 0], Key(kinds.seq_base(), "Where the numbers of published envelopes start.")
    ] = "clock"
    upgrade_timeout: Annotated[float | None, _limit("Longest time the `upgrade` hook may take.")] = 10.0
    auth_timeout: Annotated[
        float | None,
        _limit("Longest time the `authenticate` hook may take, and before it the body of the request."),
    ] = 10.0
    hook_timeout: Annotated[float | None, _limit("Longest time any other connection hook may take.")] = 30.0
    signals: Annotated[
        bool, _flag("Every connection whose user data has an `id` gets the signals to that user.")
    ] = False
    ws_debug: Annotated[
        bool, _flag("Log what each connection does, with topics and without data; not for production.")
    ] = False
    allowed_origins: Annotated[str | tuple[str, ...], Key(kinds.origins(), "Pages that may connect.")] = (
        "same-origin"
    )
    upgrade_rate_limit: Annotated[int | None, _rate("Connects")] = 10
    upgrade_rate_limit_window: Annotated[float, _window("upgrade_rate_limit")] = 10.0
    auth_rate_limit: Annotated[int | None, _rate("Requests to `auth_path`")] = 30
    auth_rate_limit_window: Annotated[float, _window("auth_rate_limit")] = 10.0
    auth_body_limit: Annotated[
        int, _size("Largest body of a request to `auth_path`; at most `body_limit`.", 1024, 1024**3)
    ] = 64 * 1024
    max_connections: Annotated[
        int | None,
        Key(kinds.integer(1, off=True), "Connections of one process; further ones get 503. 0 is no limit."),
    ] = None
    upgrade_admission: UpgradeAdmissionSettings = msgspec.field(default_factory=UpgradeAdmissionSettings)
    pressure: PressureSettings = msgspec.field(default_factory=PressureSettings)


class SecuritySettings(Section, frozen=True, kw_only=True):
    """`[security]`: opt-outs of the defaults of platform chapter 5."""

    allow_system_topic_subscribe: Annotated[
        bool, _flag("Let clients subscribe to topics that begin with `__`, through the subscribe hook.")
    ] = False
    allow_non_ascii_topics: Annotated[bool, _flag("Let clients use topics beyond printable ASCII.")] = False
    auth_require_origin: Annotated[
        bool, _flag("Refuse requests to `auth_path` that a foreign page may have sent.")
    ] = True
    unsafe_same_origin_without_host_pin: Annotated[
        bool, _flag("Start although nothing says which host is the app's own.")
    ] = False
    cookie_attribute_check: Annotated[
        bool, _flag("Refuse cookie paths and domains that smuggle in other attributes.")
    ] = True
    compress_credentialed_responses: Annotated[
        bool, _flag("Also compress answers to requests with cookies or other credentials.")
    ] = False
    credential_headers: Annotated[
        tuple[str, ...],
        Key(
            kinds.text_list(addresskinds.header_name(), "names of headers"),
            "Headers that are credentials beside `Cookie`, `Authorization` and `Proxy-Authorization`.",
        ),
    ] = ("x-api-key",)
    dedup_include_origin: Annotated[
        bool, _flag("Never share a page between requests to different hosts.")
    ] = True
    acknowledge: Annotated[
        tuple[str, ...],
        Key(
            kinds.text_list(kinds.text_line(), "names of settings"),
            "Dangerous opt-outs of this section that production accepts, by name.",
        ),
    ] = ()
    replay_authorize: Annotated[
        bool, _flag("Ask the subscribe hook before a topic's history is given to a client.")
    ] = True
    idempotency_namespace: Annotated[
        bool, _flag("Keep the idempotency keys of each live function apart from those of the others.")
    ] = True
    allow_system_topic_publish: Annotated[
        bool, _flag("Let `ctx.publish` and its siblings publish to topics that begin with `__`.")
    ] = False
    max_envelope_depth: Annotated[
        int,
        Key(
            kinds.integer(8, 1000), "Deepest nesting of an inbound message; `MAX_ENVELOPE_DEPTH` is the same."
        ),
    ] = 64


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

    reload: Annotated[bool, _flag("Take changed code without a restart.")] = True
    devtools: Annotated[bool, _flag("Answer with the devtools page at `/__realtime`.")] = True
    types: Annotated[bool, _flag("Keep the `.d.ts` and `.pyi` files of the live modules fresh.")] = True
    skip_origin_check: Annotated[bool, _flag("Accept WebSocket connections from any page.")] = False
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

    Raises:
        SettingsError: a capacity name or value, or settings that exclude each other.
    """

    server: ServerSettings = msgspec.field(default_factory=ServerSettings)
    websocket: WebSocketSettings = msgspec.field(default_factory=WebSocketSettings)
    security: SecuritySettings = msgspec.field(default_factory=SecuritySettings)
    capacity: Mapping[str, int] = msgspec.field(default_factory=lambda: MappingProxyType({}))
    metrics: MetricsSettings = msgspec.field(default_factory=MetricsSettings)
    rate_limits: RateLimitSettings = msgspec.field(default_factory=RateLimitSettings)
    cron: CronSettings = msgspec.field(default_factory=CronSettings)
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
        capacity: dict[str, int] = {}
        for name, value in self.capacity.items():
            key = capacity_key(name)
            if key is None:
                raise SettingsError(f"unknown capacity {name!r}", key=f"capacity.{name}")
            try:
                capacity[name.upper()] = key.kind.parse(value)
            except ValueError:
                message = f"capacity {name}: expected {key.kind.expected}, not {value!r}"
                raise SettingsError(message, key=f"capacity.{name}") from None
        msgspec.structs.force_setattr(self, "capacity", MappingProxyType(capacity))
        if not self.is_dev and self.dev != DevSettings():
            msgspec.structs.force_setattr(self, "dev", DevSettings())
        self._check_paths()
        self._check_tls()
        self._check_auth_body()

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
        "metrics": MetricsSettings,
        "devtools": DevtoolsSettings,
        "dev": DevSettings,
        "check": CheckSettings,
    }
)


def capacity_key(name: str) -> Key | None:
    """Return the key of a bound of `[capacity]`, named in either case; `None` when there is no such bound."""
    from runtime.core.capacity import DEFAULTS

    default: Any = DEFAULTS.get(name.upper())
    return (
        None
        if default is None
        else Key(kinds.integer(1), f"Bound {name.upper()}.", default_text=f"`{default}`")
    )
