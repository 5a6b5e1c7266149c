"""The load generator in Python, for machines without a C compiler: same options, same output, lower ceiling.

Its figures are bounded by itself rather than by a fast server, so that ratios shrink towards 1; a result made
with it says so.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import sys
import time
from collections.abc import Sequence

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from bench.case import percentile

_NUMBER = re.compile(r'"n":(\d+)')
_EVENT = re.compile(r'"event":"(\d+)"')


async def subscriber(
    url: str, options: argparse.Namespace, ready: asyncio.Semaphore, done: asyncio.Semaphore
) -> None:
    """Subscribe, then count the events of every burst and check their order."""
    async with connect(
        url, compression=None, ping_interval=None, max_size=None, origin=options.origin
    ) as connection:
        for frame in options.send:
            await connection.send(frame)
        while options.ack not in str(await connection.recv()):
            pass
        ready.release()
        for _ in options.trigger:
            expected = 0
            while expected < options.count:
                for found in _NUMBER.findall(str(await connection.recv())):
                    if int(found) != expected:
                        raise RuntimeError(f"expected number {expected}, got {found}")
                    expected += 1
            done.release()


async def fanout(url: str, options: argparse.Namespace) -> dict[str, float]:
    """Run every trigger and return the rate of the last one."""
    ready, done = asyncio.Semaphore(0), asyncio.Semaphore(0)
    started = time.perf_counter()
    async with (
        asyncio.TaskGroup() as group,
        connect(url, origin=options.origin, compression=None) as controller,
    ):
        group.create_task(drain(controller))
        for _ in range(options.connections):
            group.create_task(subscriber(url, options, ready, done))
            await asyncio.sleep(0)
        for _ in range(options.connections):
            await ready.acquire()
        connected = time.perf_counter()
        began = connected
        for trigger in options.trigger:
            began = time.perf_counter()
            await controller.send(trigger)
            for _ in range(options.connections):
                await done.acquire()
        seconds = time.perf_counter() - began
        await controller.close()
    deliveries = options.count * options.connections
    return {
        "deliveries": deliveries,
        "seconds": seconds,
        "per_second": deliveries / seconds,
        "connects_per_second": options.connections / (connected - started),
    }


async def drain(connection: ClientConnection) -> None:
    """Read and forget until the connection is closed, by whomever."""
    with contextlib.suppress(ConnectionClosed):
        async for _ in connection:
            pass


async def caller(
    url: str, options: argparse.Namespace, measured: list[float], clock: Sequence[float]
) -> None:
    """Keep the requests of one connection in flight until the end, then wait for the last replies."""
    begin, end = clock
    sent: dict[int, float] = {}
    async with connect(url, compression=None, ping_interval=None, origin=options.origin) as connection:
        for number in range(options.in_flight, 2 * options.in_flight):
            sent[number] = time.perf_counter()
            await connection.send(options.request.replace("%lu", str(number)))
        while sent:
            text = str(await connection.recv())
            match = _EVENT.search(text)
            if '"__rpc"' not in text or match is None:
                continue
            if '"ok":false' in text:
                raise RuntimeError(f"the call failed: {text}")
            now = time.perf_counter()
            asked = sent.pop(int(match[1]))
            if begin <= now < end:
                measured.append(now - asked)
            if now < end:
                number = int(match[1]) + options.in_flight
                sent[number] = now
                await connection.send(options.request.replace("%lu", str(number)))


async def rpc(url: str, options: argparse.Namespace) -> dict[str, float]:
    """Keep calls in flight on every connection and return their rate and latency."""
    measured: list[float] = []
    begin = time.perf_counter() + options.warmup
    async with asyncio.TaskGroup() as group:
        for _ in range(options.connections):
            group.create_task(caller(url, options, measured, (begin, begin + options.seconds)))
    return {
        "calls": len(measured),
        "seconds": options.seconds,
        "per_second": len(measured) / options.seconds,
        "p50_ms": percentile(measured, 0.5) * 1000,
        "p99_ms": percentile(measured, 0.99) * 1000,
    }


def main() -> None:
    """Parse the options of `loadgen.c`, run one mode, print one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=("fanout", "rpc"))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", default="/ws")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--in-flight", type=int, default=1)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--send", action="append", default=[])
    parser.add_argument("--trigger", action="append", default=[])
    parser.add_argument("--ack", default="subscribed")
    parser.add_argument("--request", default="")
    parser.add_argument("--warmup", type=float, default=0.5)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--limit", type=float, default=60)
    options = parser.parse_args()
    options.origin = f"http://127.0.0.1:{options.port}"
    url = f"ws://127.0.0.1:{options.port}{options.path}"

    async def bounded() -> dict[str, float]:
        async with asyncio.timeout(options.limit):
            return await (fanout if options.mode == "fanout" else rpc)(url, options)

    try:
        figures = asyncio.run(bounded())
    except (OSError, RuntimeError, TimeoutError, ExceptionGroup) as problem:
        sys.exit(f"fallback: {problem!r}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
