"""Channels beside the plain publish of the same data, which nobody is subscribed to."""

from __future__ import annotations

import asyncio
from typing import TypedDict

import msgspec

from bench.plugins.crowd import Crowd
from bench.plugins.harness import Case, Run, Side
from runtime.core.platform import Platform
from runtime.plugins import Channel

__all__ = ["CASES"]


class Todo(TypedDict):
    """Three fields of a usual row."""

    id: int
    text: str
    done: bool


class Row(msgspec.Struct):
    """The same as an object."""

    id: int
    text: str
    done: bool


CHANNEL = Channel("todos", {"created": Todo, "changed": Row, "moved": None})
DATA = {"id": 1, "text": "Buy milk", "done": False}
ROW = Row(1, "Buy milk", done=False)


def _through(event: str, data: object) -> Run:
    async def run(count: int) -> None:
        platform = Crowd().platform
        for n in range(count):
            CHANNEL.publish(platform, event, data)
            if n % 1000 == 0:
                await asyncio.sleep(0)

    return run


def _plain(event: str, data: object) -> Run:
    async def run(count: int) -> None:
        platform: Platform = Crowd().platform
        for n in range(count):
            platform.publish("todos", event, data)
            if n % 1000 == 0:
                await asyncio.sleep(0)

    return run


_FLOOR = "`platform.publish` that nobody gets"
CASES = [
    Case(
        "channel",
        "`publish` of a dict that is checked",
        Side("ours", _through("created", DATA)),
        Side(_FLOOR, _plain("created", DATA)),
    ),
    Case(
        "channel",
        "`publish` of an object that is checked as it travels",
        Side("ours", _through("changed", ROW)),
        Side(_FLOOR, _plain("changed", ROW)),
    ),
    Case(
        "channel",
        "`publish` of data of any kind",
        Side("ours", _through("moved", DATA)),
        Side(_FLOOR, _plain("moved", DATA)),
    ),
]
