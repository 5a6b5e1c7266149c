"""The recorded client against our server: the same frames in, the same bytes out."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.conformance.serving import serving
from tests.conformance.transcripts import Mismatch, Record, Replay, read, seq_of

HERE = Path(__file__).parent
TRANSCRIPTS = HERE.parent / "spec" / "wire-transcripts.jsonl"
SCENES = (
    "connect",
    "rpc",
    "batch",
    "idempotent",
    "stream",
    "stream-dynamic",
    "stream-denied",
    "topics",
    "push",
    "binary",
    "upload",
    "upload-abort",
    "reconnect",
    "unsubscribe",
)
OF_THE_SECOND = {"reconnect", "unsubscribe"}
#: Scenes whose frames show what an earlier one left.
NEEDS = {"idempotent": "batch", "upload-abort": "upload"}
RECORDS = read(TRANSCRIPTS, SCENES)
FRAME_TIMEOUT = 10.0


@pytest.fixture(params=["auto", "off"], ids=["fast", "asgi"])
async def url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    async with serving(HERE / "things", request.param) as (_, address):
        yield address


@contextlib.asynccontextmanager
async def replay(url: str) -> AsyncIterator[tuple[Replay, ClientConnection]]:
    async with connect(url, compression=None) as websocket:

        async def receive() -> str:
            async with asyncio.timeout(FRAME_TIMEOUT):
                frame = await websocket.recv()
            assert isinstance(frame, str), "the server sent a binary frame"
            return frame

        yield Replay(websocket.send, receive), websocket


def of_connection(number: int) -> list[Record]:
    return [record for record in RECORDS if record.connection == number]


@pytest.mark.spec("WIRE-119", "WIRE-24", "WIRE-25", "WIRE-34", "WIRE-60", "WIRE-68", "WIRE-90")
async def test_the_recorded_scenes_give_the_recorded_frames(url: str) -> None:
    async with replay(url) as (first, websocket):
        await first.run(of_connection(1))
        await first.nothing_more()
        # As recorded, the first connection is lost without a close frame (1006).
        websocket.transport.abort()
    async with replay(url) as (second, _):
        await second.run(of_connection(2))
        await second.nothing_more()
    numbers = [found for frame in first.received for found in [seq_of(frame)] if found]
    assert numbers == [("things", 1), ("things", 2), ("things", 3), ("room:a", 1)]


@pytest.mark.parametrize("scene", [scene for scene in SCENES if scene not in OF_THE_SECOND])
async def test_a_scene_alone_gives_its_frames(url: str, scene: str) -> None:
    """Each scene of the first connection needs the opening and the state after `reset`, and what `NEEDS` says."""
    opening = [record for record in of_connection(1) if record.scene in {"connect"}]
    reset = [record for record in of_connection(1) if "ovya0" in record.text]
    scenes = {scene, NEEDS.get(scene)}
    own = [
        record for record in of_connection(1) if record.scene in scenes and record not in [*opening, *reset]
    ]
    async with replay(url) as (one, _):
        await one.run([*opening, *reset, *own])
        await one.nothing_more()


def with_keys_exchanged(record: Record) -> Record:
    """Return the record with the first two keys of the outermost object in the other order."""
    (first, a), (second, b), *rest = json.loads(record.text).items()
    changed = json.dumps({second: b, first: a, **dict(rest)}, separators=(",", ":"))
    return Record(record.scene, record.connection, record.direction, changed)


async def test_a_recording_with_another_key_order_does_not_pass(url: str) -> None:
    positions = [number for number, record in enumerate(of_connection(1)) if record.direction == "S"]
    for count, position in enumerate(positions, 1):
        records = of_connection(1)
        records[position] = with_keys_exchanged(records[position])
        async with replay(url) as (one, _):
            with pytest.raises(Mismatch, match=f"scene {records[position].scene}\n"):
                await one.run(records)
            assert len(one.received) == count
