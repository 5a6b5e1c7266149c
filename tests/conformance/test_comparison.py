"""The comparison itself: it lets the stated differences pass and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.transcripts import (
    PROBE_ANSWER,
    Mismatch,
    Record,
    Replay,
    comparable,
    expected,
    read,
    seq_of,
)

TRANSCRIPTS = Path(__file__).parents[1] / "spec" / "wire-transcripts.jsonl"
SCENES = ("connect", "rpc", "batch", "stream", "stream-dynamic", "stream-denied", "topics", "reconnect")
SERVER_FRAMES = [record.text for record in read(TRANSCRIPTS, SCENES) if record.direction == "S"]


def ours(recorded: str) -> str:
    """Make the frame that a right server of ours would send, from the recorded one."""
    return expected(recorded).replace("<n>", "41").replace("<uuid>", "0b7f5a0e-5d0e-4e1c-9d07-6f1f0f9f1a11")


def test_the_recording_is_complete() -> None:
    assert len(SERVER_FRAMES) == 33
    assert {record.scene for record in read(TRANSCRIPTS, SCENES)} == set(SCENES)


@pytest.mark.parametrize("recorded", SERVER_FRAMES)
def test_a_right_frame_passes(recorded: str) -> None:
    assert comparable(ours(recorded)) == expected(recorded)


def test_only_the_stated_differences_are_applied() -> None:
    changed = {recorded: expected(recorded) for recorded in SERVER_FRAMES if expected(recorded) != recorded}
    assert sorted(changed.values()) == [
        '{"topic":"__rpc","event":"ovyag","data":{"id":"ovyag","ok":true,"data":null}}',
        '{"topic":"__rpc","event":"ovyai","data":{"id":"ovyai","ok":true,"data":null}}',
        '{"topic":"room:a","event":"created","data":{"id":"m1"},"seq":<n>}',
        '{"topic":"things","event":"created","data":{"id":3,"text":"three"},"seq":<n>}',
        '{"topic":"things","event":"deleted","data":{"id":2},"seq":<n>}',
        '{"topic":"things","event":"updated","data":{"id":1,"text":"uno"},"seq":<n>}',
        '{"type":"welcome","sessionId":"<uuid>"}',
        '{"type":"welcome","sessionId":"<uuid>"}',
    ]


def reordered(value: Any) -> Iterator[Any]:
    """Yield the value once for each of its objects, with the first two keys of that object exchanged."""
    if isinstance(value, dict):
        if len(value) > 1:
            (first, a), (second, b), *rest = value.items()
            yield {second: b, first: a, **dict(rest)}
        for key, inner in value.items():
            for changed in reordered(inner):
                yield {**value, key: changed}
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            for changed in reordered(inner):
                yield [*value[:index], changed, *value[index + 1 :]]


@pytest.mark.parametrize("recorded", SERVER_FRAMES)
@pytest.mark.spec("WIRE-119")
def test_a_changed_key_order_fails(recorded: str) -> None:
    frame = json.loads(ours(recorded))
    variants = [json.dumps(changed, separators=(",", ":")) for changed in reordered(frame)]
    assert variants
    for variant in variants:
        assert json.loads(variant) == frame
        assert comparable(variant) != expected(recorded)


@pytest.mark.parametrize("recorded", SERVER_FRAMES)
def test_whitespace_and_further_keys_fail(recorded: str) -> None:
    frame = ours(recorded)
    assert comparable(frame.replace(":", ": ", 1)) != expected(recorded)
    assert comparable(frame[:-1] + ',"x":1}') != expected(recorded)
    assert comparable(frame + " ") != expected(recorded)


def test_a_publish_needs_a_number_and_nothing_else_may_have_one() -> None:
    recorded = '{"type":"batch","events":[{"topic":"t","event":"e","data":1}]}'
    assert comparable('{"topic":"t","event":"e","data":1,"seq":7}') == expected(recorded)
    for wrong in (
        '{"topic":"t","event":"e","data":1}',
        '{"topic":"t","event":"e","data":1,"seq":0}',
        '{"topic":"t","event":"e","data":1,"seq":null}',
        '{"topic":"t","event":"e","data":1,"seq":"7"}',
        '{"topic":"t","event":"e","seq":7,"data":1}',
        '{"type":"batch","events":[{"topic":"t","event":"e","data":1,"seq":7}]}',
    ):
        assert comparable(wrong) != expected(recorded)
    reply = '{"topic":"__rpc","event":"k","data":{"id":"k","ok":true,"data":1}}'
    assert comparable(reply[:-1] + ',"seq":7}') != expected(reply)


def test_batches_of_several_publishes_are_compared_whole() -> None:
    recorded = (
        '{"type":"batch","events":[{"topic":"t","event":"e","data":1},{"topic":"u","event":"e","data":2}]}'
    )
    frame = (
        '{"type":"batch","events":[{"topic":"t","event":"e","data":1,"seq":7},'
        '{"topic":"u","event":"e","data":2,"seq":9}]}'
    )
    assert comparable(frame) == expected(recorded)
    assert comparable(frame.replace(',"seq":9', "")) != expected(recorded)


def test_a_session_id_is_a_uuid() -> None:
    recorded = '{"type":"welcome","sessionId":"bedfb722-39fd-4016-89dc-86835787d03a"}'
    assert comparable('{"type":"welcome","sessionId":"u1"}') != expected(recorded)
    assert comparable('{"type":"welcome","sessionId":"bedfb722-39fd-1016-89dc-86835787d03a"}') != expected(
        recorded
    )


def test_numbers_are_read_from_published_frames_only() -> None:
    assert seq_of('{"topic":"t","event":"e","data":1,"seq":7}') == ("t", 7)
    assert seq_of('{"topic":"t","event":"e","data":{"seq":7}}') is None
    assert seq_of('{"type":"welcome","sessionId":"x"}') is None


class Script:
    """A server that knows the recording by heart; it answers calls and control frames in their own order."""

    def __init__(self, frames: list[str]) -> None:
        self.sent: list[str] = []
        self._frames = iter([*frames, PROBE_ANSWER])

    async def send(self, text: str) -> None:
        self.sent.append(text)

    async def receive(self) -> str:
        return next(self._frames)


def records_of(connection: int) -> list[Record]:
    return [record for record in read(TRANSCRIPTS, SCENES) if record.connection == connection]


@pytest.mark.parametrize("connection", [1, 2])
async def test_a_right_server_passes_and_gets_the_recorded_frames(connection: int) -> None:
    records = records_of(connection)
    server = Script([ours(record.text) for record in records if record.direction == "S"])
    replay = Replay(server.send, server.receive)
    await replay.run(records)
    await replay.nothing_more()
    assert server.sent[:-1] == [record.text for record in records if record.direction == "C"]


async def test_a_call_waits_for_the_answers_to_control_frames() -> None:
    records = records_of(2)
    order: list[str] = []
    server = Script([ours(record.text) for record in records if record.direction == "S"])

    async def send(text: str) -> None:
        order.append("C " + text[:20])

    async def receive() -> str:
        frame = await server.receive()
        order.append("S " + frame[:20])
        return frame

    await Replay(send, receive).run(records)
    assert order[:9] == [
        'C {"type":"hello","cap',
        'C {"type":"subscribe-b',
        'S {"type":"welcome","s',
        *['S {"type":"subscribed"'] * 2,
        *['S {"type":"subscribe-d'] * 2,
        'C {"rpc":"things/secre',
        'S {"topic":"__rpc","ev',
    ]


@pytest.mark.parametrize("broken", range(8))
async def test_a_wrong_server_fails(broken: int) -> None:
    records = records_of(2)
    frames = [ours(record.text) for record in records if record.direction == "S"]
    missing = frames[:broken] + frames[broken + 1 :]
    repeated = frames[: broken + 1] + frames[broken:]
    swapped = list(frames)
    neighbour = (broken + 1) % len(frames)
    swapped[broken], swapped[neighbour] = frames[neighbour], frames[broken]
    for wrong in (missing, repeated, swapped):
        server = Script(wrong)
        replay = Replay(server.send, server.receive)
        with pytest.raises(Mismatch):  # noqa: PT012 - either of the two may see it
            await replay.run(records)
            await replay.nothing_more()
