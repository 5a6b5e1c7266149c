"""Recorded frames, and the comparison of ours with them, byte by byte.

A recording was made with the reference's development server. Ours differs from it in three stated ways, which
are applied to the recorded bytes: publishes carry `seq`, a lone publish is a bare envelope instead of a batch
of one, and a handler that returns nothing has `"data":null`. Of what the server made up, only session ids, values
of `seq` and numbers of requests are blanked. Everything else has to be equal, the order of keys included.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

__all__ = ["PROBE_ANSWER", "Mismatch", "Record", "Replay", "comparable", "expected", "read", "seq_of"]

UUID4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
SESSION_ID = re.compile(rf'"sessionId":"{UUID4}"')
REQUEST = re.compile(r'\{"type":"request","ref":([1-9][0-9]*),')
REPLY = re.compile(r'(\{"type":"reply","ref":)([1-9][0-9]*)(,.*)', re.DOTALL)
SEQ = re.compile(r',"seq":([1-9][0-9]*)\}')
PROBE = '{"rpc":"no/such","id":"end","args":[]}'
PROBE_ANSWER = (
    '{"topic":"__rpc","event":"end","data":{"id":"end","ok":false,"code":"NOT_FOUND","error":"Not found"}}'
)
CALL = ('{"rpc":', '{"batch":')


class Mismatch(AssertionError):
    """A frame of ours is not the recorded one."""


@dataclass(frozen=True)
class Record:
    """One line of a recording. `text` is the frame of `C` and `S`, empty for `open`, `close` and binary frames."""

    scene: str
    connection: int
    direction: Literal["C", "S", "open", "close"]
    text: str
    data: bytes = b""


class Batch(msgspec.Struct):
    """A batch frame whose envelopes are kept as they were written."""

    events: list[msgspec.Raw]


def read(path: Path, scenes: Iterable[str]) -> list[Record]:
    """Return the records of `scenes`, in order."""
    wanted = frozenset(scenes)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Record(line["scene"], line["conn"], line["dir"], line.get("text", ""), _data_of(line))
        for line in lines
        if line["scene"] in wanted
    ]


def _data_of(line: dict[str, Any]) -> bytes:
    """Return a binary frame. Of a long one the beginning was kept; the payloads repeat one byte to their end."""
    if "hex" not in line:
        return b""
    data = bytes.fromhex(line["hex"])
    return data + data[-1:] * (line["bytes"] - len(data))


def expected(recorded: str) -> str:
    """Return what ours has to send where the reference sent `recorded`, blanked like `comparable`."""
    if recorded.startswith('{"type":"batch"'):
        events = [
            bytes(event).decode()[:-1] + ',"seq":<n>}'
            for event in msgspec.json.decode(recorded, type=Batch).events
        ]
        return events[0] if len(events) == 1 else f'{{"type":"batch","events":[{",".join(events)}]}}'
    if recorded.startswith('{"topic":"__rpc"') and recorded.endswith('"ok":true}}'):
        return recorded.removesuffix("}}") + ',"data":null}}'
    return _blank_request(SESSION_ID.sub('"sessionId":"<uuid>"', recorded))


def comparable(frame: str) -> str:
    """Return a frame of ours with its session id and the numbers of its envelopes blanked."""
    if frame.startswith('{"type":"welcome"'):
        return SESSION_ID.sub('"sessionId":"<uuid>"', frame)
    if frame.startswith('{"type":"batch"'):
        events = msgspec.json.decode(frame, type=Batch).events
        return (
            f'{{"type":"batch","events":[{",".join(_blank_seq(bytes(event).decode()) for event in events)}]}}'
        )
    return _blank_seq(_blank_request(frame))


def _blank_request(frame: str) -> str:
    return REQUEST.sub('{"type":"request","ref":<n>,', frame, count=1) if REQUEST.match(frame) else frame


def _blank_seq(envelope: str) -> str:
    match = SEQ.fullmatch(envelope, envelope.rfind(',"seq":')) if ',"seq":' in envelope else None
    return envelope if match is None else envelope[: match.start()] + ',"seq":<n>}'


def seq_of(frame: str) -> tuple[str, int] | None:
    """Return topic and number of a published envelope, `None` for every other frame."""
    decoded = json.loads(frame)
    return (decoded["topic"], decoded["seq"]) if "topic" in decoded and "seq" in decoded else None


class Replay:
    """Plays the client's side of one connection and compares what comes back.

    Client frames are sent as recorded, and each recorded server frame has to be the next one that arrives.
    Calls run beside control frames on the server, so a call is sent only when the control frames before it are
    answered: then there is one order in which the answers can come.
    """

    def __init__(
        self, send: Callable[[str | bytes], Awaitable[None]], receive: Callable[[], Awaitable[str]]
    ) -> None:
        self._send = send
        self._receive = receive
        self._refs: set[object] = set()
        #: The numbers of our requests by those of the recorded ones.
        self._requests: dict[str, str] = {}
        #: What the server sent, in order.
        self.received: list[str] = []

    async def run(self, records: Iterable[Record]) -> None:
        """Play records of one connection; `open` and `close` are the caller's.

        Raises:
            Mismatch: the server sent something else.
        """
        pending = list(records)
        while pending:
            record = pending.pop(0)
            if record.direction == "S":
                await self._expect(record)
            elif record.direction == "C":
                if record.data or record.text.startswith(CALL):
                    for answer in self._take_answers(pending):
                        await self._expect(answer)
                await self._send(record.data or self._with_our_number(record.text))
                if record.text:
                    self._note_ref(record.text)

    async def nothing_more(self) -> None:
        """Fail if the server sent a frame that was not recorded: the answer to one more call has to be next.

        Raises:
            Mismatch: something else was.
        """
        await self._send(PROBE)
        await self._expect(Record("end", 0, "S", PROBE_ANSWER))

    def _with_our_number(self, text: str) -> str:
        """Return a recorded frame; an answer to a request of the server names the number of ours."""
        reply = REPLY.fullmatch(text)
        return text if reply is None else f"{reply[1]}{self._requests[reply[2]]}{reply[3]}"

    def _note_ref(self, text: str) -> None:
        frame = json.loads(text)
        if "ref" in frame and frame["type"] != "reply":
            self._refs.add(frame["ref"])

    def _take_answers(self, pending: list[Record]) -> Iterator[Record]:
        """Remove from `pending` the recorded answers to control frames that were sent."""
        for record in [one for one in pending if one.direction == "S"]:
            frame = json.loads(record.text)
            if frame.get("type") != "request" and frame.get("ref") in self._refs:
                pending.remove(record)
                yield record
        self._refs.clear()

    async def _expect(self, record: Record) -> None:
        frame = await self._receive()
        self.received.append(frame)
        wanted, got = expected(record.text), comparable(frame)
        if wanted != got:
            raise Mismatch(f"scene {record.scene}\n  wanted {wanted}\n  got    {got}")
        recorded, ours = REQUEST.match(record.text), REQUEST.match(frame)
        if recorded is not None and ours is not None:
            self._requests[recorded[1]] = ours[1]
