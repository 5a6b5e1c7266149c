"""Functions that go wrong, and one that tells what the hooks saw."""

# realtime-allow-public
import asyncio

from runtime import live


@live
async def seen(ctx):
    """What the hooks of this connection saw, and what it holds, once the calls before this one have ended."""
    for _ in range(5):
        await asyncio.sleep(0)
    return {"log": ctx.user["log"], "topics": sorted(ctx.ws.subscriptions), "caps": sorted(ctx.ws.caps)}


@live
async def echo(ctx, *args):
    return [*args]


@live
async def two(ctx, a: int, b: int = 0):
    return a + b


@live.volatile
@live
async def ran(ctx, word: str):
    ctx.user["log"].append(["ran", word])


@live.volatile
@live
async def measure(ctx, word: str):
    ctx.user["log"].append(["measured", len(word)])


@live
async def boom(ctx):
    raise RuntimeError("password=hunter2")


@live
async def strange(ctx):
    return object()


@live
async def large(ctx):
    return "x" * 5_000_000


@live
async def half(ctx, digit: int):
    return str(digit) * 600_000


@live
async def release(ctx):
    ctx.user["release"]()


@live.stream("rows")
async def rows(ctx):
    return [{"id": 1}]


@live.stream(lambda name: name)
async def named(ctx, name: str):
    return []
