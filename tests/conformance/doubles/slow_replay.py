"""A history in a store that is far away: it numbers the events, and each reading takes its time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from runtime.core.connection import Connection
from runtime.core.platform import Platform
from runtime.core.resumes import accepted
from runtime.plugins import Gap, ReplayMessage, ReplayOutcome
from runtime.wire import jsoncodec, names
from runtime.wire.replay import is_since
from tests.conformance.doubles.line import Line

__all__ = ["SlowReplay"]


class _Topic:
    def __init__(self) -> None:
        self.seq = 0
        self.events: list[ReplayMessage] = []


class SlowReplay:
    """Implements `ReplayProtocol` for topics that are published through it alone."""

    def __init__(self, *, size: int = 1000, authorize: bool = True) -> None:
        self._size = size
        self._authorize = authorize
        self._topics: dict[str, _Topic] = {}
        self._line = Line()

    async def publish(self, platform: Platform | None, topic: str, event: str, data: Any = None) -> bool:
        assert platform is not None
        encoded = jsoncodec.encode(data)

        def store() -> int:
            kept = self._topics.setdefault(topic, _Topic())
            kept.seq += 1
            kept.events.append(ReplayMessage(kept.seq, topic, event, encoded))
            del kept.events[: -self._size]
            return kept.seq

        seq = await self._line.run(store)
        return platform.publish(topic, event, jsoncodec.decode(encoded), seq=seq)

    async def seq(self, topic: str) -> int:
        return await self._line.run(lambda: self._of(topic).seq)

    async def since(self, topic: str, seq: int) -> list[ReplayMessage]:
        if not is_since(seq):
            return []
        return await self._line.run(lambda: [one for one in self._of(topic).events if one.seq > seq])

    async def gap(self, topic: str, last_seen: int) -> Gap:
        if not is_since(last_seen):
            raise ValueError(f"last_seen must be an integer >= 0, not {last_seen!r}")
        return await self._line.run(lambda: self._gap(topic, last_seen))

    async def replay(
        self,
        ws: Connection,
        topic: str,
        since: int,
        platform: Platform | None = None,
        req_id: int | str | None = None,
    ) -> ReplayOutcome:
        platform = platform or ws.platform
        echo = {} if req_id is None else {"reqId": req_id}
        if self._authorize and platform.settings.security.replay_authorize:
            code = "INVALID_TOPIC" if names.is_system_topic(topic) else None
            code = code or await platform.check_subscribe(ws, topic)
            if code is not None:
                platform.send(ws, f"__replay:{topic}", "denied", {"code": code, **echo})
                return ReplayOutcome("denied", code=code)
        if not is_since(since):
            platform.send(ws, f"__replay:{topic}", "end", echo or None)
            return ReplayOutcome("truncated")
        subscriptions = platform.parts.subscriptions
        hold = subscriptions.reserve(ws, topic)
        assert hold is not None
        try:
            missed, gap = await self._line.run(
                lambda: (
                    [one for one in self._of(topic).events if one.seq > since],
                    self._gap(topic, since),
                )
            )
            # What was held meanwhile comes live right behind the end.
            missed = [one for one in missed if hold.first_seq is None or one.seq < hold.first_seq]
            for one in missed:
                message = {**echo, "seq": one.seq, "event": one.event, "data": one.data}
                platform.send(ws, f"__replay:{topic}", "msg", message)
            flag = {"truncated": True} if gap.truncated else {}
            platform.send(ws, f"__replay:{topic}", "end", {**echo, **flag} or None)
        finally:
            subscriptions.unreserve(ws, topic, hold)
        state = "truncated" if gap.truncated else "filled" if missed else "complete"
        return ReplayOutcome(state, len(missed))  # type: ignore[arg-type]  # one of the three

    def resume_hook(self) -> Callable[..., Awaitable[None]]:
        async def resume(ws: Connection, last_seen_seqs: Mapping[str, int], platform: Platform) -> None:
            for topic, seq in accepted(last_seen_seqs).items():
                await self.replay(ws, topic, seq, platform)

        return resume

    async def clear(self) -> None:
        def script() -> None:
            for kept in self._topics.values():
                kept.events.clear()

        await self._line.run(script)

    async def clear_topic(self, topic: str) -> None:
        await self._line.run(self._of(topic).events.clear)

    def _of(self, topic: str) -> _Topic:
        return self._topics.get(topic) or _Topic()

    def _gap(self, topic: str, last_seen: int) -> Gap:
        kept = self._of(topic)
        following = next((one.seq for one in kept.events if one.seq > last_seen), None)
        if last_seen > kept.seq or (following is None and kept.seq > last_seen):
            return Gap(truncated=True, missing_from=last_seen + 1 if last_seen < kept.seq else None)
        if following is not None and following > last_seen + 1:
            return Gap(truncated=True, missing_from=last_seen + 1)
        return Gap(truncated=False)
