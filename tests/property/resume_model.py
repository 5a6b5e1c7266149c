"""A client as wire 5 to 8 describe it, for the machine that cuts its line: written from the document, not from ours.

It has a listener of one topic, which also reads the answers of a resume, and streams. What it reads and what it sends
waits in two queues, so that a cut can come between any two frames; what waits then is lost.
"""

from __future__ import annotations

import itertools
import json
from collections import deque
from typing import Any

from runtime.wire.names import is_system_topic

FEED = "feed"
LATEST_KEPT = 5


class Listener:
    """Somebody who wants every event of a topic, and to be told when that cannot be."""

    def __init__(self) -> None:
        #: Everything above this number is owed; `None` before the first event and after a `truncated`.
        self.base: int | None = None
        self.have: set[int] = set()

    def reset(self) -> None:
        self.base = None
        self.have.clear()

    def live(self, seq: int) -> None:
        if self.base is None:
            self.base = seq - 1
        missing = set(range(self.base + 1, seq)) - self.have
        assert not missing, f"{len(missing)} were passed over before {seq}, the first {min(missing)}"
        self.have.add(seq)

    def check(self, current: int) -> None:
        """Fail unless everything up to `current` has come."""
        if self.base is not None:
            missing = set(range(self.base + 1, current + 1)) - self.have
            assert not missing, f"{len(missing)} are missing up to {current}, the first {min(missing)}"


class Stream:
    """One stream store: its value, its number from replies, whether it listens."""

    def __init__(self, path: str, topic: str, merge: str) -> None:
        self.path = path
        self.topic = topic
        self.merge = merge
        self.value: Any = None
        self.seq: int | None = None
        self.asked: int | None = None
        self.request: str | None = None
        self.is_attached = False
        #: Whether it was answered on this connection.
        self.is_fresh = False

    def apply(self, event: str, data: Any) -> None:
        if self.merge == "latest":
            self.value = [*self.value, data][-LATEST_KEPT:]
            return
        rows = [row for row in self.value if row["id"] != data["id"]]
        known = len(rows) < len(self.value)
        if event == "created" or (event == "updated" and known):
            rows.append(data)
        if event in ("created", "updated", "deleted"):
            self.value = rows

    def answer(self, reply: dict[str, Any]) -> None:
        self.request = None
        self.seq = reply["seq"]
        if reply.get("replay") is True:
            for missed in reply["data"]:
                self.apply(missed["event"], missed["data"])
        else:
            self.value = reply["data"]
        self.is_attached = self.is_fresh = True


class Client:
    """What survives a cut, and one connection at a time."""

    def __init__(self) -> None:
        self.session: str | None = None
        self.seen: dict[str, int] = {}
        self.listener = Listener()
        self.streams = [Stream("things/todo", "todo", "crud"), Stream("things/log", "log", "latest")]
        self.up: deque[str] = deque()
        self.is_online = False
        self.replies: list[tuple[Stream, int | None, dict[str, Any]]] = []
        self._ids = itertools.count(1)
        self._reported: dict[str, int] = {}
        self._awaits_report = False
        self._numbers: dict[str, int] = {}
        self._replayed: set[int] = set()
        self._question: int | None = None
        self._is_in_answer = False

    # ---------------------------------------------------------------- sending

    def opened(self) -> None:
        """Queue the block of a new connection, in the order of wire 1.6."""
        self.is_online = True
        self._numbers, self._replayed, self._question = {}, set(), None
        self._is_in_answer = False
        self._reported, self._awaits_report = {}, False
        self.send({"type": "hello", "caps": ["batch"]})
        if self.session and self.seen:
            self._reported = dict(self.seen)
            self._awaits_report = True
            self.send({"type": "resume", "sessionId": self.session, "lastSeenSeqs": self.seen})
        topics = [FEED, *(stream.topic for stream in self.streams if stream.is_attached)]
        self.send({"type": "subscribe-batch", "topics": topics, "ref": 1})

    def renew(self, stream: Stream) -> None:
        """Leave the topic and ask anew from the last number, as a store does after a reconnect."""
        if stream.is_attached:
            self.send({"type": "unsubscribe", "topic": stream.topic})
        stream.is_attached = False
        stream.request = f"r{next(self._ids)}"
        stream.asked = stream.seq
        frame: dict[str, Any] = {"rpc": stream.path, "id": stream.request, "args": [], "stream": True}
        if stream.seq is not None:
            frame["seq"] = stream.seq
        self.send(frame)

    def ask_for_missed(self) -> None:
        """Ask for everything behind what is there without a hole."""
        if self.listener.base is None or self._question is not None:
            return
        self._question = max(self.listener.have, default=self.listener.base)
        self.send({"type": "replay", "topic": FEED, "since": self._question, "reqId": 7})

    def send(self, frame: dict[str, Any]) -> None:
        self.up.append(json.dumps(frame))

    def cut(self) -> None:
        self.is_online = False
        self.up.clear()
        for stream in self.streams:
            stream.request, stream.is_fresh = None, False

    # ---------------------------------------------------------------- reading

    def read(self, text: str) -> None:
        frame = json.loads(text)
        if frame.get("type") == "batch":
            for envelope in frame["events"]:
                self._envelope(envelope)
        elif frame.get("topic") and "event" in frame:
            self._envelope(frame)
        elif frame["type"] == "welcome":
            self.session = frame["sessionId"]
        elif frame["type"] == "resumed":
            self._report(frame.get("topics", {}))
        elif frame["type"] == "subscribed":
            assert not self._awaits_report, "an acknowledgement overtook `resumed`"
        elif frame["type"] == "subscribe-denied" and frame["topic"] == FEED:
            self.listener.reset()

    def _report(self, topics: dict[str, Any]) -> None:
        self._awaits_report = False
        assert topics.keys() == self._reported.keys()
        if topics.get(FEED, {}).get("state") not in ("complete", "filled"):
            self.listener.reset()

    def _envelope(self, envelope: dict[str, Any]) -> None:
        topic, event, data, seq = envelope["topic"], envelope["event"], envelope["data"], envelope.get("seq")
        if seq is not None:
            assert seq > self._numbers.get(topic, 0), f"{topic}: {seq} after {self._numbers[topic]}"
            self._numbers[topic] = seq
            self.seen[topic] = max(self.seen.get(topic, 0), seq)
        if topic == FEED:
            assert not self._awaits_report, "a live event overtook `resumed`"
            assert not self._is_in_answer, "a live event slipped into a replay"
            assert seq not in self._replayed, f"{seq} came live and replayed"
            self.listener.live(seq)
        elif topic == f"__replay:{FEED}":
            self._replay(event, data)
        elif topic == "__realtime" and event == "lagged":
            if FEED in data["topics"]:
                self.listener.reset()
        elif topic == "__rpc":
            self._reply(event, data)
        elif not is_system_topic(topic):
            for stream in self.streams:
                if stream.topic == topic and stream.is_attached:
                    stream.apply(event, data)

    def _replay(self, event: str, data: Any) -> None:
        is_answer = isinstance(data, dict) and data.get("reqId") == 7
        if event == "msg":
            self._is_in_answer = is_answer
            if not is_answer:
                # An answer to a question may repeat what came; what the server sends by itself may not.
                assert data["seq"] not in self._replayed, f"{data['seq']} was replayed twice"
                assert data["seq"] > self._numbers.get(FEED, 0), f"{data['seq']} came live and replayed"
                self._replayed.add(data["seq"])
            self.listener.have.add(data["seq"])
            return
        self._is_in_answer = False
        truncated = event == "denied" or bool(data and data.get("truncated"))
        if is_answer:
            since, self._question = self._question, None
            if not truncated and since is not None and self.listener.base is not None:
                self.listener.check(max([since, *self.listener.have]))
        elif truncated and not self._awaits_report:
            self.listener.reset()  # the gap before the subscription could not be closed

    def _reply(self, id: str, data: dict[str, Any]) -> None:
        for stream in self.streams:
            if stream.request == id:
                if not data["ok"]:
                    stream.request = None
                    return
                stream.answer(data)
                self.replies.append((stream, stream.asked, data))
                self.send({"type": "subscribe", "topic": stream.topic, "ref": 2})
