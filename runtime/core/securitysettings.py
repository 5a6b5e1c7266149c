"""`[security]`: opt-outs of the defaults that protect the app. Spec: platform 4, 5."""

from __future__ import annotations

from typing import Annotated

from runtime.core import addresskinds
from runtime.core import settingkinds as kinds
from runtime.core.settingkeys import flag_key, size_key
from runtime.core.settingsection import Key, Section

__all__ = ["SecuritySettings"]


class SecuritySettings(Section, frozen=True, kw_only=True):
    """`[security]`: opt-outs of the defaults of platform chapter 5."""

    allow_system_topic_subscribe: Annotated[
        bool, flag_key("Let clients subscribe to topics that begin with `__`, through the subscribe hook.")
    ] = False
    allow_non_ascii_topics: Annotated[bool, flag_key("Let clients use topics beyond printable ASCII.")] = (
        False
    )
    auth_require_origin: Annotated[
        bool, flag_key("Refuse requests to `auth_path` that a foreign page may have sent.")
    ] = True
    unsafe_same_origin_without_host_pin: Annotated[
        bool, flag_key("Start although nothing says which host is the app's own.")
    ] = False
    cookie_attribute_check: Annotated[
        bool, flag_key("Refuse cookie paths and domains that smuggle in other attributes.")
    ] = True
    compress_credentialed_responses: Annotated[
        bool, flag_key("Also compress answers to requests with cookies or other credentials.")
    ] = False
    credential_headers: Annotated[
        tuple[str, ...],
        Key(
            kinds.text_list(addresskinds.header_name(), "names of headers"),
            "Headers that are credentials beside `Cookie`, `Authorization` and `Proxy-Authorization`.",
        ),
    ] = ("x-api-key",)
    dedup_include_origin: Annotated[
        bool, flag_key("Never share a page between requests to different hosts.")
    ] = True
    acknowledge: Annotated[
        tuple[str, ...],
        Key(
            kinds.text_list(kinds.text_line(), "names of settings"),
            "Dangerous opt-outs of this section that production accepts, by name.",
        ),
    ] = ()
    replay_authorize: Annotated[
        bool, flag_key("Ask the subscribe hook before a topic's history is given to a client.")
    ] = True
    idempotency_namespace: Annotated[
        bool, flag_key("Keep the idempotency keys of each live function apart from those of the others.")
    ] = True
    allow_system_topic_publish: Annotated[
        bool, flag_key("Let `ctx.publish` and its siblings publish to topics that begin with `__`.")
    ] = False
    async_predicates: Annotated[
        str,
        Key(
            kinds.choice("await", "legacy_allow"),
            "What an access check that is `async` gives: its result, or, as before 0.5, always yes.",
        ),
    ] = "await"
    redact_urls: Annotated[bool, flag_key("Write `***` for passwords in addresses.")] = True
    redact_logs: Annotated[bool, flag_key("Write `***` for secrets in log records.")] = True
    bus_allow_system_topics: Annotated[bool, flag_key("Take topics that begin with `__` from the bus.")] = (
        False
    )
    bus_max_bytes: Annotated[int, size_key("Largest message that is taken from the bus.", 1024, 1024**3)] = (
        1024 * 1024
    )
    bus_allowed_system_topics: Annotated[
        tuple[str, ...],
        Key(
            kinds.text_list(kinds.text_line(), "names of topics"),
            "Topics with `__` in front that the bus may bring.",
        ),
    ] = ("__realtime",)
    require_guard: Annotated[
        str,
        Key(
            kinds.choice("off", "warn", "error"),
            "What is said of a live module without `_guard` whose functions are not public.",
        ),
    ] = "warn"
    max_envelope_depth: Annotated[
        int,
        Key(
            kinds.integer(8, 1000), "Deepest nesting of an inbound message; `MAX_ENVELOPE_DEPTH` is the same."
        ),
    ] = 64
