"""However lines break and publishes are late, every stream ends with what the server has. Spec: live-api 8.6, 24.2."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import live
from runtime.testing import TestEnv, TestStream

ROWS: dict[int, dict[str, Any]] = {}
STREAMS = ("replayed", "loaded", "whole", "newest")
NEWEST: list[int] = []


@live
async def put(ctx: Any, id: int, n: int) -> None:
    row = {"id": id, "n": n}
    event = "updated" if id in ROWS else "created"
    ROWS[id] = row
    NEWEST.append(n)
    ctx.publish("replayed", event, row)
    ctx.publish("loaded", event, row)
    ctx.publish("whole", "set", len(ROWS))
    ctx.publish("newest", "said", n)


@live
async def drop(ctx: Any, id: int) -> None:
    row = ROWS.pop(id, None)
    if row is not None:
        ctx.publish("replayed", "deleted", row)
        ctx.publish("loaded", "deleted", row)
        ctx.publish("whole", "set", len(ROWS))


@live.stream("replayed", replay=True)
async def replayed(ctx: Any) -> list[Any]:
    return list(ROWS.values())


@live.stream("loaded")
async def loaded(ctx: Any) -> list[Any]:
    return list(ROWS.values())


@live.stream("whole", merge="set", replay=True)
async def whole(ctx: Any) -> int:
    return len(ROWS)


@live.stream("newest", merge="latest", max=100, replay=True)
async def newest(ctx: Any) -> list[int]:
    return NEWEST[-100:]


EXPORTS = {
    "put": put,
    "drop": drop,
    "replayed": replayed,
    "loaded": loaded,
    "whole": whole,
    "newest": newest,
}

ids = st.integers(0, 4)
steps = st.one_of(
    st.tuples(st.just("put"), ids),
    st.tuples(st.just("drop"), ids),
    st.tuples(st.just("break"), st.integers(0, 1)),
    st.tuples(st.just("tick"), st.sampled_from([0.0, 0.3, 1.0])),
    st.tuples(st.just("turn"), st.integers(1, 30)),
)


def state(stream: TestStream) -> Any:
    value = stream.value
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return sorted(value, key=lambda row: row["id"])
    return value


def wanted(name: str) -> Any:
    if name == "whole":
        return len(ROWS)
    return NEWEST[-100:] if name == "newest" else sorted(ROWS.values(), key=lambda row: row["id"])


async def scenario(chosen: list[tuple[str, Any]], delay: float, rate: float, seed: int) -> None:
    ROWS.clear()
    NEWEST.clear()
    async with TestEnv() as env:
        env.register("m", EXPORTS)
        writer, readers = env.connect({"id": "w"}), [env.connect({"id": n}) for n in range(2)]
        streams = {name: [reader.subscribe(f"m/{name}") for reader in readers] for name in STREAMS}
        await writer.ready()
        env.chaos.set(delay=delay, seed=seed)
        for number, (kind, value) in enumerate(chosen):
            if kind == "put":
                await writer.call("m/put", value, number)
                if rate and number * 7919 % 100 < rate * 100:
                    env.chaos.disconnect(readers[number % 2])
            elif kind == "drop":
                await writer.call("m/drop", value)
            elif kind == "break":
                env.chaos.disconnect(readers[value])
            elif kind == "tick":
                await env.tick(value)
            else:
                for _ in range(value):
                    await asyncio.sleep(0)
        env.chaos.disable()
        for name, both in streams.items():
            for stream in both:
                await env.eventually(
                    lambda stream=stream, name=name: (
                        stream.status == "connected" and state(stream) == wanted(name)
                    )  # type: ignore[misc]  # of this round
                )


@settings(max_examples=15)
@given(
    chosen=st.lists(steps, min_size=5, max_size=40),
    delay=st.sampled_from([0.0, 0.5]),
    rate=st.sampled_from([0.0, 0.3]),
    seed=st.integers(0, 1000),
)
def test_streams_end_with_what_the_server_has(
    chosen: list[tuple[str, Any]], delay: float, rate: float, seed: int
) -> None:
    asyncio.run(scenario(chosen, delay, rate, seed))
