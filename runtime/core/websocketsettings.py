"""`[websocket]`: connections, what they may send, and how they come in. Spec: platform 4."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from runtime.core import settingkinds as kinds
from runtime.core.pressuresettings import PressureSettings
from runtime.core.settingkeys import flag_key, limit_key, rate_key, size_key, window_key
from runtime.core.settingsection import Key, Section

__all__ = ["UpgradeAdmissionSettings", "WebSocketSettings"]


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

    enabled: Annotated[bool, flag_key("Take WebSocket connections.")] = True
    path: Annotated[str, Key(kinds.url_path(), "Path of the WebSocket endpoint.")] = "/ws"
    auth_path: Annotated[
        str,
        Key(kinds.url_path(), "Path of the request before each connect; it needs the `authenticate` hook."),
    ] = "/__ws/auth"
    max_payload_length: Annotated[
        int, size_key("Largest inbound message; a larger one closes the connection with 1009.", 1024, 1024**3)
    ] = 1024**2
    max_backpressure: Annotated[
        int, size_key("Bytes waiting for one peer beyond which publishes skip it.", 1024, 1024**3)
    ] = 1024**2
    max_outbound_frame: Annotated[
        int | None,
        size_key("Largest envelope that may be published; 0 is no limit.", 1024, 1024**3, off=True),
    ] = 1024**2
    fast_path: Annotated[
        str,
        Key(
            kinds.choice("auto", "on", "off"),
            "Write to the transport without ASGI in between: where the server allows it, always, or never.",
        ),
    ] = "auto"
    compression: Annotated[
        bool, flag_key("Agree to permessage-deflate; a published frame is deflated once for all peers.")
    ] = False
    close_on_backpressure_for: Annotated[
        float | None,
        limit_key("A peer whose buffer has been full for so long is closed with 1013; 0 is never.", 0.001),
    ] = None
    resync_on_drop: Annotated[
        bool,
        flag_key(
            "Load a stream anew for a peer that missed an event of it; `live.stream` may say otherwise."
        ),
    ] = False
    upload_pause: Annotated[
        float | None,
        limit_key(
            "Reading from a peer stops for so long at most while an upload's handler is behind; 0 is never."
        ),
    ] = 10.0
    text_keepalive: Annotated[
        float | None,
        limit_key("A text ping is sent after so long without outbound text; 0 switches it off.", 1.0),
    ] = 60.0
    idle_timeout: Annotated[
        float | None,
        limit_key(
            "A connection without inbound traffic for so long is closed; 0 switches it off.", 8.0, 960.0
        ),
    ] = 120.0
    ping: Annotated[bool, flag_key("Send protocol pings at half of `idle_timeout`.")] = True
    seq_base: Annotated[
        Literal["clock", 0], Key(kinds.seq_base(), "Where the numbers of published envelopes start.")
    ] = "clock"
    upgrade_timeout: Annotated[float | None, limit_key("Longest time the `upgrade` hook may take.")] = 10.0
    auth_timeout: Annotated[
        float | None,
        limit_key("Longest time the `authenticate` hook may take, and before it the body of the request."),
    ] = 10.0
    hook_timeout: Annotated[float | None, limit_key("Longest time any other connection hook may take.")] = (
        30.0
    )
    signals: Annotated[
        bool, flag_key("Every connection whose user data has an `id` gets the signals to that user.")
    ] = False
    ws_debug: Annotated[
        bool, flag_key("Log what each connection does, with topics and without data; not for production.")
    ] = False
    allowed_origins: Annotated[str | tuple[str, ...], Key(kinds.origins(), "Pages that may connect.")] = (
        "same-origin"
    )
    upgrade_rate_limit: Annotated[int | None, rate_key("Connects")] = 10
    upgrade_rate_limit_window: Annotated[float, window_key("upgrade_rate_limit")] = 10.0
    auth_rate_limit: Annotated[int | None, rate_key("Requests to `auth_path`")] = 30
    auth_rate_limit_window: Annotated[float, window_key("auth_rate_limit")] = 10.0
    auth_body_limit: Annotated[
        int, size_key("Largest body of a request to `auth_path`; at most `body_limit`.", 1024, 1024**3)
    ] = 64 * 1024
    max_connections: Annotated[
        int | None,
        Key(kinds.integer(1, off=True), "Connections of one process; further ones get 503. 0 is no limit."),
    ] = None
    upgrade_admission: UpgradeAdmissionSettings = msgspec.field(default_factory=UpgradeAdmissionSettings)
    pressure: PressureSettings = msgspec.field(default_factory=PressureSettings)
