"""The load generator in Python, for machines without a C compiler: same options, same output, lower ceiling.

Its figures are bounded by itself rather than by a fast server, so that ratios shrink towards 1; a result made
with it says so. It knows the modes fanout, topics, rpc and upload; the others need the generator in C.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from bench.case import percentile

EDGE = 8
BURSTS = 3  # two to warm up, one that is measured
PER_ADDRESS = 8
_ID = re.compile(r'"event":"(\d+)"')


@dataclass(slots=True)
class Load:
    """The options and what all connections of a run share."""

    options: argparse.Namespace
    opened: int = 0
    begin: float = 0.0
    end: float = 0.0
    measured: list[float] = field(default_factory=list)

    def connect(self) -> connect:
        """Return a connection to be opened, from a loopback address that few others use."""
        options = self.options
        more: dict[str, Any] = {}
        if sys.platform == "linux":
            address = options.source_base + self.opened // PER_ADDRESS
            parts = (1 + address // 62500 % 200, 1 + address // 250 % 250, 1 + address % 250)
            more["local_addr"] = ("127.{}.{}.{}".format(*parts), 0)
        self.opened += 1
        origin = Origin(f"http://127.0.0.1:{options.port}")
        url = f"ws://127.0.0.1:{options.port}{options.path}"
        return connect(url, compression=None, ping_interval=None, max_size=None, origin=origin, **more)


class Expected:
    """The events that one connection must get: each in order, whole, with the topic it subscribed to."""

    def __init__(self, options: argparse.Namespace, index: int) -> None:
        self._options = options
        self._text = "x" * options.text_length
        self._seqs: dict[str, int] = {}
        self._numbers: dict[str, int] = defaultdict(int)
        self.topics = [options.topic]
        if options.topics:
            steps = range(options.topics)
            self.topics = [f"{options.topic}-{index + step * options.connections}" for step in steps]

    def start(self) -> None:
        """Expect the numbers of the next burst."""
        self._numbers.clear()

    def take(self, frame: str) -> int:
        """Check a frame and return how many events it held."""
        options = self._options
        if not frame.startswith(options.prefix):
            return self._other(frame)
        message = json.loads(frame[len(options.prefix) : len(frame) - len(options.suffix)])
        if not isinstance(message, dict) or message.get("event") != "tick":
            if isinstance(message, dict) and message.get("type") == "batch":
                for event in message["events"]:
                    self._event(event)
                return len(message["events"])
            return self._other(frame)
        self._event(message)
        return 1

    def _other(self, frame: str) -> int:
        if frame == '{"type":"ping"}' or frame == "2":
            return 0
        if '"topic":"__realtime"' in frame and '"lagged"' not in frame:
            return 0
        raise RuntimeError(f"not the event that was expected: {frame[:300]}")

    def _event(self, event: dict[str, Any]) -> None:
        topic, number, seq = event["topic"], event["data"]["n"], event["seq"]
        if topic not in self.topics or event["data"]["text"] != self._text:
            raise RuntimeError(f"not what was published: {event}")
        if number != self._numbers[topic]:
            raise RuntimeError(f"expected number {self._numbers[topic]}, got {number}")
        if seq != self._seqs.get(topic, seq):
            raise RuntimeError(f"expected seq {self._seqs[topic]}, got {seq}")
        self._numbers[topic] = number + 1
        self._seqs[topic] = seq + 1


class Fanout:
    """Subscribers that count bursts, and the connection that asks for them."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.ready, self.done = asyncio.Semaphore(0), asyncio.Semaphore(0)
        self.bursts = [asyncio.Event() for _ in range(BURSTS)]
        self.counts: list[int] = []

    async def subscriber(self, index: int) -> None:
        """Subscribe, then take part in every burst."""
        options = self.load.options
        expected = Expected(options, index)
        per_burst = max(options.topics, 1)
        async with self.load.connect() as connection:
            for frame in options.send:
                await connection.send(frame)
            if options.topics:
                await connection.send(
                    json.dumps(
                        {"type": "subscribe-batch", "topics": expected.topics, "ref": 1},
                        separators=(",", ":"),
                    )
                )
            acks = 0
            while acks < per_burst:
                acks += options.ack in str(await connection.recv())
            self.ready.release()
            for number, burst in enumerate(self.bursts):
                await burst.wait()
                expected.start()
                missing = self.counts[number] * per_burst
                while missing:
                    missing -= expected.take(str(await connection.recv()))
                self.done.release()

    async def run_burst(self, controller: ClientConnection, count: int) -> float:
        """Ask for a burst and return how long it took until all of it had arrived."""
        options = self.load.options
        began = time.perf_counter()
        self.bursts[len(self.counts)].set()
        self.counts.append(count)
        await controller.send(options.trigger.replace("%lu", str(count)))
        for _ in range(options.connections):
            await self.done.acquire()
        return time.perf_counter() - began

    async def run(self) -> dict[str, float]:
        """Warm up with two bursts, each longer than the one before, and measure the third."""
        options = self.load.options
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group, self.load.connect() as controller:
            group.create_task(drain(controller))
            for frame in options.send:
                if "subscribe" not in frame:
                    await controller.send(frame)
            for index in range(options.connections):
                group.create_task(self.subscriber(index))
                await asyncio.sleep(0)
            for _ in range(options.connections):
                await self.ready.acquire()
            connected = time.perf_counter()
            count = self.fitting(10, 1)
            for share in (0.25, 1.0):
                took = await self.run_burst(controller, count)
                count = self.fitting(count / took, options.seconds * share)
            took = await self.run_burst(controller, count)
            await controller.close()
        deliveries = count * options.connections * max(options.topics, 1)
        return {
            "deliveries": deliveries,
            "seconds": took,
            "per_second": deliveries / took,
            "connects_per_second": options.connections / (connected - started),
        }

    def fitting(self, rate: float, seconds: float) -> int:
        """Return how many publishes fit, a multiple of those in one turn."""
        per_turn: int = self.load.options.per_turn
        return max(int(rate * seconds) // per_turn * per_turn, per_turn)


async def drain(connection: ClientConnection) -> None:
    """Read until the connection is closed, by whomever; a failed call ends the run."""
    with contextlib.suppress(ConnectionClosed):
        async for frame in connection:
            if '"ok":false' in str(frame):
                raise RuntimeError(f"the call failed: {frame!r}")


async def caller(load: Load) -> None:
    """Keep the calls of one connection in flight until the end, then wait for the last replies."""
    options = load.options
    sent: dict[int, float] = {}
    async with load.connect() as connection:
        for number in range(options.in_flight, 2 * options.in_flight):
            sent[number] = time.perf_counter()
            await connection.send(options.request.replace("%lu", str(number)))
        while sent:
            text = str(await connection.recv())
            match = _ID.search(text)
            if '"__rpc"' not in text or match is None:
                continue
            number = int(match[1])
            if f'"ok":true,"data":{number}}}' not in text or number not in sent:
                raise RuntimeError(f"not a reply that was asked for: {text}")
            now = time.perf_counter()
            asked = sent.pop(number)
            if load.begin <= now < load.end:
                load.measured.append(now - asked)
            if now < load.end:
                number += options.in_flight
                sent[number] = now
                await connection.send(options.request.replace("%lu", str(number)))


def _edge(number: int) -> bytes:
    return b"%07d" % (number % 10_000_000)


async def uploader(load: Load) -> None:
    """Keep the uploads of one connection in flight until the end, then wait for the last acknowledgements."""
    options = load.options
    middle = bytes((index * 31 + 7) % 256 for index in range(options.size - 2 * EDGE))
    sent: dict[int, float] = {}

    async def send(number: int) -> None:
        edge = _edge(number)
        sent[number] = time.perf_counter()
        await connection.send(b"U" + edge + middle + b"u" + edge)

    async with load.connect() as connection:
        for number in range(options.in_flight):
            await send(number)
        while sent:
            data = await connection.recv()
            if isinstance(data, str):
                data = data.encode()
            if data.startswith(b"{"):  # the greeting
                continue
            oldest = min(sent)
            edge = _edge(oldest)
            if data != b"U" + edge + b"u" + edge:
                raise RuntimeError(f"not the acknowledgement of upload {oldest}: {data!r}")
            now = time.perf_counter()
            asked = sent.pop(oldest)
            if load.begin <= now < load.end:
                load.measured.append(now - asked)
            if now < load.end:
                await send(oldest + options.in_flight)


async def exchange(load: Load, work: Callable[[Load], Coroutine[Any, Any, None]]) -> dict[str, float]:
    """Run the work of every connection and return rate and latency."""
    options = load.options
    load.begin = time.perf_counter() + options.warmup
    load.end = load.begin + options.seconds
    async with asyncio.TaskGroup() as group:
        for _ in range(options.connections):
            group.create_task(work(load))
    measured = load.measured
    if not measured:
        raise RuntimeError("nothing was answered in the measured time")
    return {
        "calls": len(measured),
        "seconds": options.seconds,
        "per_second": len(measured) / options.seconds,
        "mb_per_second": len(measured) * options.size / options.seconds / 1e6,
        "p50_ms": percentile(measured, 0.5) * 1000,
        "p99_ms": percentile(measured, 0.99) * 1000,
    }


def _options() -> Iterator[tuple[str, dict[str, Any]]]:
    for name in ("connections", "in-flight", "topics", "per-turn", "source-base", "stepwise", "max-count"):
        yield f"--{name}", {"type": int, "default": 1 if name in {"connections", "in-flight"} else 0}
    yield "--port", {"type": int, "required": True}
    yield "--size", {"type": int, "default": 65536}
    yield "--text-length", {"type": int, "default": 120}
    for name, default in (("warmup", 0.3), ("seconds", 1.0), ("limit", 60.0)):
        yield f"--{name}", {"type": float, "default": default}
    texts = {"path": "/ws", "ack": "subscribed", "request": "", "trigger": "", "topic": "bench", "prefix": ""}
    for name, text in {**texts, "suffix": ""}.items():
        yield f"--{name}", {"default": text}
    yield "--send", {"action": "append", "default": []}


def main() -> None:
    """Parse the options of `loadgen.c`, run one mode, print one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=("fanout", "topics", "rpc", "upload"))
    for name, settings in _options():
        parser.add_argument(name, **settings)
    options = parser.parse_args()
    options.per_turn = options.per_turn or 1
    load = Load(options)

    async def bounded() -> dict[str, float]:
        async with asyncio.timeout(options.limit):
            if options.mode in {"fanout", "topics"}:
                return await Fanout(load).run()
            return await exchange(load, caller if options.mode == "rpc" else uploader)

    try:
        figures = asyncio.run(bounded())
    except (OSError, RuntimeError, TimeoutError, ExceptionGroup) as problem:
        sys.exit(f"fallback: {problem!r}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
