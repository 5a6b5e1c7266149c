"""What stands beside the metrics of a worker on export: their help texts, and the reference's names for them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HELP", "reference_name"]

#: One line for people, by the name of the metric without its prefix.
HELP: Mapping[str, str] = MappingProxyType(
    {
        "aggregate_reducer_errors_total": "What functions of aggregates raised.",
        "assertion_violations_total": "Violated checks of what must always hold; each is a bug of Realtime Toolkit.",
        "bus_rejected_total": "Messages of a bus that were dropped, by what was wrong with them.",
        "capacity_events_total": "How often a bound was met, and what was done then.",
        "capacity_limit": "Bounds in force.",
        "capacity_size": "Present sizes of what has a bound.",
        "cron_errors_total": "Runs of jobs that failed.",
        "cron_total": "Runs of jobs by outcome, and ticks in which nothing could run.",
        "cursor_broadcasts_total": "Cursor positions that were published.",
        "cursor_throttled_total": "Cursor positions that a newer one replaced before they were published.",
        "cursor_updates_total": "Cursor positions that clients sent.",
        "extensions_assertion_violations_total": "Violations in the cluster layer, counted once more.",
        "group_joins_rejected_total": "Joins that a full group refused.",
        "group_joins_total": "Members who came to a group.",
        "group_leaves_total": "Members who left a group.",
        "group_publishes_total": "Publishes to a group.",
        "hook_duration_seconds": "How long hooks took.",
        "hook_errors_total": "Hooks that raised.",
        "hook_timeouts_total": "Hooks that were ended because they took too long.",
        "http_in_flight": "HTTP requests in progress.",
        "http_request_duration_seconds": "From a request to the end of its answer.",
        "http_requests_total": "HTTP requests that were answered.",
        "idempotency_aborts_total": "Works that failed and freed their key.",
        "idempotency_acquired_total": "Idempotency keys whose work began.",
        "idempotency_commits_total": "Results that were stored.",
        "idempotency_hits_total": "Calls that got the stored result of an earlier one.",
        "idempotency_lost_total": "Works that took longer than their key was theirs.",
        "idempotency_pending_total": "Calls that found the same work running.",
        "lock_timeouts_total": "Calls that gave up waiting for a lock.",
        "lock_wait_seconds": "From asking for a lock to having it.",
        "loop_lag_seconds": "By how much the event loop was late.",
        "metrics_collector_errors_total": "Values that could not be read for a scrape.",
        "metrics_series_dropped_total": "Label sets beyond what a metric may have.",
        "page_dedup_total": "Requests for pages by whether a render was shared.",
        "notify_total": "Users who were told something, by what became of it.",
        "presence_joins_total": "Users who came to a topic.",
        "presence_leaves_total": "Users who left a topic.",
        "presence_total_online": "Users who are on a topic now.",
        "pressure_memory_ratio": "Resident memory over its limit.",
        "pressure_reason": "1 for the present reason of pressure.",
        "publish_total": "Publishes by the door they came through.",
        "push_total": "Users who were asked something, by what became of it.",
        "ratelimit_allowed_total": "Uses that a rate limit allowed.",
        "ratelimit_bans_total": "Keys that a rate limit banned.",
        "ratelimit_denied_total": "Uses that a rate limit denied.",
        "replay_messages_replayed_total": "Messages that were sent again to clients that came back.",
        "replay_publishes_total": "Messages that are kept for clients that come back.",
        "replay_truncations_total": "Clients that came back too late for all they had missed.",
        "rpc_calls_dropped_total": "Calls that were not run or not answered.",
        "rpc_duration_seconds": "How long calls took.",
        "rpc_errors_total": "Calls that failed, by code.",
        "rpc_total": "Calls and stream requests.",
        "security_optouts": "1 for each protection that is switched off.",
        "security_refusals_total": "Requests that a rule refused.",
        "stream_subscriptions": "Subscriptions to streams.",
        "upload_aborts_total": "Uploads that failed, by code.",
        "upload_bytes_total": "Bytes of uploads that were taken.",
        "upload_frames_dropped_total": "Malformed frames of uploads.",
        "uploads_active": "Uploads that go on.",
        "watcher_depth_exceeded_total": "Publishes that watchers made too deep to be watched.",
        "ws_bytes_in_total": "Bytes of the messages of clients.",
        "ws_bytes_out_total": "Bytes of what was published, once per receiver.",
        "ws_coalesced_evicted_total": "Coalesced values that were given up because too many waited.",
        "ws_coalesced_pending": "Coalesced values that wait for their clients.",
        "ws_connection_bytes_in": "Bytes that a connection brought in all.",
        "ws_connection_bytes_out": "Bytes that a connection alone was sent in all.",
        "ws_connection_close_total": "Closed connections by code.",
        "ws_connection_duration_seconds": "How long connections lived.",
        "ws_connection_messages_in": "Messages that a connection brought in all.",
        "ws_connection_messages_out": "Messages that a connection alone was sent in all.",
        "ws_connections": "Open connections.",
        "ws_control_dropped_total": "Control frames that were not looked at.",
        "ws_control_errors_total": "Malformed control frames.",
        "ws_deliveries_total": "Published messages, once per receiver.",
        "ws_frames_dropped_total": "Frames that a slow client did not get.",
        "ws_frames_unhandled_total": "Frames that nothing took.",
        "ws_publishes_total": "Publishes.",
        "ws_subscribe_denied_total": "Subscribes that were refused.",
        "ws_subscriptions": "Pairs of a connection and a topic.",
        "ws_topic_publish_bytes": "Bytes per second on the busiest topics.",
        "ws_topic_publish_rate": "Messages per second on the busiest topics.",
        "ws_topics": "Topics with a subscriber.",
        "ws_upgrades_total": "WebSocket handshakes by outcome.",
    }
)

EXTENSIONS_ASSERTIONS = "extensions_assertion_violations_total"
_LIVE_LAYER = frozenset(
    {
        "assertion_violations_total",
        "cron_errors_total",
        "cron_total",
        "rpc_duration_seconds",
        "rpc_errors_total",
        "rpc_total",
        "stream_subscriptions",
        "upload_aborts_total",
        "upload_bytes_total",
        "upload_frames_dropped_total",
        "uploads_active",
    }
)
_UNPREFIXED = (
    "admission_",
    "cursor_",
    "group_",
    "presence_",
    "ratelimit_",
    "replay_",
    "ws_connection_",
    "ws_topic_",
)


def exported_name(name: str, prefix: str) -> str:
    """Return what a metric is called at a scrape; one is called the same everywhere. Spec: platform 6.4."""
    return name if name == EXTENSIONS_ASSERTIONS else f"{prefix}{name}"


def reference_name(name: str) -> str | None:
    """Return what the JavaScript reference calls a metric, `None` for what only we have. Spec: platform 6.4 and 9.3."""
    if name in _LIVE_LAYER:
        return f"svelte_realtime_{name}"
    if name == "metrics_series_dropped_total":
        return "prometheus_series_dropped_total"
    return name if name.startswith(_UNPREFIXED) else None
