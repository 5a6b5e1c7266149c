"""What the page shows of a worker besides frames: read from the parts themselves when it asks."""

from __future__ import annotations

import dataclasses
import heapq
from itertools import islice
from typing import TYPE_CHECKING, Any

from runtime.core import capacity
from runtime.core.redaction import redacted
from runtime.plugins.lifetime import PluginState
from runtime.plugins.presence import Presence
from runtime.server.capacitysizes import sizes_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from runtime.core.connection import Connection
    from runtime.live.aggregates import AggregateReport
    from runtime.live.runningcalls import RunningCalls
    from runtime.live.streamsubs import StreamSub
    from runtime.server.assembly import Runtime
    from runtime.server.devtools.recorder import Recorder

__all__ = ["WorkerState"]

MAX_LOOKED_AT = 20_000  # topics among which those with most subscribers are looked for, and subscriptions
MAX_TOPICS_OF_ONE = 100  # topics that are named of one connection
MAX_PEOPLE_OF_ONE = 100  # people that are named of one room or topic
#: Counters of what was lost, refused or dropped, for the gauges.
LOSSES = (
    "ws_frames_dropped_total",
    "rpc_calls_dropped_total",
    "ws_control_dropped_total",
    "upload_frames_dropped_total",
    "security_refusals_total",
    "ws_frames_unhandled_total",
)


class WorkerState:
    """Makes the answers of one worker. Every list has at most `MAX_DEVTOOLS_ROWS` rows and says how many there are."""

    def __init__(
        self, runtime: Runtime, recorder: Recorder, running: RunningCalls, keys: Collection[str]
    ) -> None:
        self._runtime = runtime
        self._recorder = recorder
        self._running = running
        self._keys = keys
        self._started = runtime.clock.now()

    def read(self) -> dict[str, Any]:
        """Return the present state; everything in it has a JSON form, and no value of a secret is in it."""
        return {
            "worker": self._worker(),
            "connections": self._connections(),
            "topics": self._topics(),
            "pending": self._pending(),
            "presence": self._presence(),
            "cron": self._cron(),
            "aggregates": self._aggregates(),
            "pressure": self._pressure(),
        }

    def _worker(self) -> dict[str, Any]:
        runtime = self._runtime
        now = runtime.clock.now()
        return {
            "env": runtime.settings.server.env,
            "now": now,
            "uptime": now - self._started,
            "generation": runtime.live.generation.number,
            "problems": len(runtime.problems),
            "recordingSince": self._recorder.since,
            "ready": runtime.is_ready,
            "draining": runtime.is_draining,
        }

    # ------------------------------------------------------------ connections and topics

    def _connections(self) -> dict[str, Any]:
        everybody = self._runtime.connections
        rows = [self._connection(one) for one in islice(everybody.values(), _rows())]
        return {"total": len(everybody), "rows": rows}

    def _connection(self, connection: Connection) -> dict[str, Any]:
        topics = connection.all_topics
        streams = self._runtime.live.streams.subs
        return {
            "id": connection.id,
            "user": redacted(connection.user, self._keys),
            "address": connection.remote_address,
            "origin": connection.origin,
            "path": connection.path,
            "age": self._runtime.clock.monotonic() - connection.opened_at,
            "caps": sorted(connection.caps),
            "topics": sorted(islice(topics, MAX_TOPICS_OF_ONE)),
            "topicCount": len(topics),
            "streams": sorted(
                {
                    sub.endpoint.path
                    for topic in islice(topics, MAX_TOPICS_OF_ONE)
                    for sub in streams.of(connection, topic)
                }
            ),
            "messagesIn": connection.messages_in,
            "messagesOut": connection.messages_out,
            "bytesIn": connection.bytes_in,
            "bytesOut": connection.bytes_out,
            "buffered": connection.buffered_amount,
            "limit": connection.max_backpressure,
            "dropped": connection.dropped,
            "questions": len(connection.requests or ()),
        }

    def _topics(self) -> dict[str, Any]:
        subscriptions, rates = self._runtime.subscriptions, self._recorder.rates
        limit = _rows()
        streams = self._streams()
        looked_at = islice(subscriptions.members, MAX_LOOKED_AT)
        biggest = heapq.nlargest(limit, looked_at, key=lambda topic: len(subscriptions.members[topic]))
        published = rates.topics()
        names = list(dict.fromkeys([*published[: limit // 2], *biggest, *subscriptions.holds, *published]))
        second = int(self._runtime.clock.monotonic())
        rows = []
        for topic in names[:limit]:
            count = rates.get(topic)
            events, size = count.rates(second) if count is not None else (0.0, 0.0)
            held = subscriptions.holds.get(topic)
            rows.append(
                {
                    "topic": topic,
                    "subscribers": subscriptions.count(topic),
                    "loading": len(held) if held else 0,
                    "rate": events,
                    "bytesRate": size,
                    "events": count.events if count is not None else 0,
                    "lastEvent": count.last_event if count is not None else None,
                    "lastAt": count.last_at if count is not None else None,
                    "seq": self._runtime.sequence.current(topic)
                    if self._runtime.sequence.knows(topic)
                    else None,
                    "recorded": topic in self._runtime.publisher.recorders,
                    "streams": streams.get(topic, []),
                }
            )
        return {"total": max(subscriptions.topics, len(names)), "rows": rows}

    def _streams(self) -> dict[str, list[dict[str, Any]]]:
        """Return by topic which streams are held on it, by how many, with their merge."""
        found: dict[str, dict[str, dict[str, Any]]] = {}
        subs: Iterable[StreamSub] = islice(self._runtime.live.streams.subs.all(), MAX_LOOKED_AT)
        for sub in subs:
            row = found.setdefault(sub.topic, {}).setdefault(
                sub.endpoint.path,
                {
                    "path": sub.endpoint.path,
                    "merge": sub.endpoint.options.merge if sub.endpoint.options is not None else None,
                    "connections": 0,
                },
            )
            row["connections"] += 1
        return {topic: list(rows.values()) for topic, rows in found.items()}

    # ------------------------------------------------------------ calls and people

    def _pending(self) -> dict[str, Any]:
        now = self._runtime.clock.monotonic()
        find = self._runtime.live.registry.find
        rows = [
            {
                "path": call.path[:256],
                "id": call.id,
                "stream": call.is_stream,
                "known": find(call.path) is not None,
                "connection": call.connection.id,
                "gone": call.connection.closed,
                "age": now - call.started,
            }
            for call in islice(self._running, _rows())
        ]
        return {"total": len(self._running), "rows": rows, "uploads": self._runtime.live.uploads.active}

    def _presence(self) -> dict[str, Any]:
        limit = _rows()
        presence = self._runtime.live.streams.presence
        rooms = [self._people(topic, "room", presence.roster(topic)) for topic in presence.topics[:limit]]
        for thing in self._runtime.platform.parts.closing:
            plugin = thing.plugin if isinstance(thing, PluginState) else None
            if isinstance(plugin, Presence):
                found = ((topic, plugin.list_nowait(topic)) for topic in plugin.topics[:limit])
                rooms += [self._people(topic, "Presence", people) for topic, people in found]
        return {"total": len(rooms), "rows": rooms[:limit], "users": len(self._runtime.live.pushes)}

    def _people(self, topic: str, kind: str, people: list[dict[str, Any]]) -> dict[str, Any]:
        shown = [redacted(one, self._keys) for one in people[:MAX_PEOPLE_OF_ONE]]
        return {"topic": topic, "kind": kind, "count": len(people), "people": shown}

    # ------------------------------------------------------------ what runs by itself

    def _cron(self) -> dict[str, Any]:
        jobs = self._runtime.live.cron.jobs
        rows = [dataclasses.asdict(job) for job in jobs[: _rows()]]
        for row in rows:
            if row["error"] is not None:  # exceptions name addresses with their passwords
                row["error"] = self._runtime.redactor.trace(row["error"])
            found = self._runtime.live.registry.jobs.get(row["path"])
            row["place"] = f"{found.file}:{found.line}" if found is not None else ""
            row["doc"] = found.doc if found is not None else ""
        return {"total": len(jobs), "rows": rows}

    def _aggregates(self) -> dict[str, Any]:
        reports = self._runtime.live.aggregates.reports
        return {"total": len(reports), "rows": [self._aggregate(one) for one in reports[: _rows()]]}

    def _aggregate(self, report: AggregateReport) -> dict[str, Any]:
        windows = [
            {"name": name, "topic": topic, "value": redacted(value, self._keys)}
            for name, (topic, value) in report.windows.items()
        ]
        return {
            "path": report.path,
            "source": report.source,
            "restoring": report.is_restoring,
            "waiting": report.waiting,
            "windows": windows,
        }

    # ------------------------------------------------------------ pressure

    def _pressure(self) -> dict[str, Any]:
        runtime = self._runtime
        snapshot = runtime.platform.parts.sampler.snapshot
        thresholds = runtime.settings.websocket.pressure
        sizes = sizes_of(runtime)
        return {
            "snapshot": dataclasses.asdict(snapshot) | {"top_publishers": []},
            "thresholds": {
                "memory_ratio": thresholds.memory_ratio,
                "publish_rate": thresholds.publish_rate,
                "subscriber_ratio": thresholds.subscriber_ratio,
            },
            "subscriptions": runtime.subscriptions.total,
            "sizes": [
                {"name": name, "size": size, "limit": capacity.get(name)}
                for name, size in sorted(sizes.items())
            ],
            "met": [
                {"name": name, "action": action, "count": count}
                for (name, action), count in sorted(capacity.events.items())
            ],
            "losses": {name: runtime.metrics.total(name) for name in LOSSES},
            "kept": {"frames": len(self._recorder.frames), "bytes": self._recorder.frames.size_bytes},
        }


def _rows() -> int:
    return capacity.get("MAX_DEVTOOLS_ROWS")
