"""What each reconnected peer said it had seen, what became of it, and up to which number it was told the rest.

Between the reading of a history and the subscription that follows, events reach nobody on the new connection; the
numbers kept here let that gap be closed when the subscription takes effect. Spec: wire 8.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from runtime.core import capacity
from runtime.wire import names
from runtime.wire.replay import is_since

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from runtime.core.connection import Connection
    from runtime.plugins.protocols import ReplayOutcome

__all__ = ["GapFiller", "Resume", "Resumes", "accepted"]


def accepted(last_seen_seqs: Mapping[str, Any]) -> dict[str, int]:
    """Return the entries that can be resumed: topics a client may name, with integers from 0 on, so many as allowed.

    At most `MAX_RESUME_TOPICS`, the first ones. Spec: wire 8.4, platform 1.8.
    """
    limit = capacity.get("MAX_RESUME_TOPICS")
    found: dict[str, int] = {}
    for topic, number in last_seen_seqs.items():
        if not (is_since(number) and names.name_problem(topic) is None) or names.is_system_topic(topic):
            continue
        if len(found) >= limit:
            capacity.record(
                "MAX_RESUME_TOPICS", "skip", hint="a client resumes more topics than are looked at"
            )
            break
        found[topic] = number
    return found


class GapFiller(Protocol):
    """A history that can send a connection what came into it behind a number."""

    def fill(self, ws: Connection, topic: str, since: int) -> Awaitable[None] | None:
        """Send what came since, if anything did; `None` when that is done already."""


class Resume:
    """One resume of one connection: `seen` is what the client reported and what passed the checks."""

    __slots__ = ("_outcomes", "seen")

    def __init__(self, seen: Mapping[str, int]) -> None:
        self.seen = seen
        self._outcomes: dict[str, ReplayOutcome] | None = {}

    def note(self, topic: str, since: int, outcome: ReplayOutcome) -> None:
        """Note what a replay from `since` on has sent, unless it left out something of what the client lacks."""
        if self._outcomes is None or topic not in self.seen or since > self.seen[topic]:
            return
        self._outcomes[topic] = outcome

    def close(self) -> dict[str, dict[str, Any]]:
        """Return the report, topic by topic, and note nothing more. A topic that nobody replayed is `truncated`."""
        outcomes, self._outcomes = self._outcomes or {}, None
        return {topic: _entry(outcomes.get(topic)) for topic in self.seen}


class Resumes:
    """The resumes of the open connections of one worker; at most `MAX_RESUME_TOPICS` topics for each."""

    __slots__ = ("_gaps", "_resumes", "began")

    def __init__(self) -> None:
        self._resumes: dict[Connection, Resume] = {}
        self._gaps: dict[Connection, dict[str, tuple[GapFiller, int]]] = {}
        #: Told of a connection that comes back, and what it has seen.
        self.began: Callable[[Connection, Mapping[str, int]], object] | None = None

    def begin(self, connection: Connection, seen: Mapping[str, int]) -> Resume:
        """Note that `connection` reported `seen`; outcomes of replays go to the returned resume from now on."""
        self._gaps.pop(connection, None)
        if self.began is not None:
            self.began(connection, seen)
        made = self._resumes[connection] = Resume(seen)
        return made

    def end(self, connection: Connection, resume: Resume) -> dict[str, dict[str, Any]]:
        """Return the report of `resume`, which is over."""
        if self._resumes.get(connection) is resume:
            del self._resumes[connection]
        return resume.close()

    def note(
        self, connection: Connection, topic: str, since: int, outcome: ReplayOutcome, source: GapFiller
    ) -> None:
        """Note the outcome of a replay of `source`; nothing while no resume of `connection` runs."""
        resume = self._resumes.get(connection)
        if resume is None:
            return
        resume.note(topic, since, outcome)
        if outcome.read_to is None or topic not in resume.seen or connection.is_subscribed(topic):
            return
        self._gaps.setdefault(connection, {})[topic] = (source, outcome.read_to)

    def close_gap(self, connection: Connection, topic: str) -> Awaitable[None] | None:
        """Send what came since the resume read the history of `topic`, once; call it when the connection got on it.

        Returns `None` when that is done, or what has to be awaited for it.
        """
        gaps = self._gaps.get(connection) if self._gaps else None
        found = gaps.pop(topic, None) if gaps else None
        if found is None:
            return None
        if not gaps:
            del self._gaps[connection]
        source, since = found
        return source.fill(connection, topic, since)

    def forget(self, connection: Connection) -> None:
        """Drop everything about a connection that is gone."""
        self._resumes.pop(connection, None)
        self._gaps.pop(connection, None)


def _entry(outcome: ReplayOutcome | None) -> dict[str, Any]:
    if outcome is None:
        return {"state": "truncated"}
    entry: dict[str, Any] = {"state": outcome.state}
    if outcome.state == "filled":
        entry["count"] = outcome.count
    elif outcome.state == "denied":
        entry["code"] = outcome.code
    return entry
