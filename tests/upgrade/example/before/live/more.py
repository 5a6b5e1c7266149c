import asyncio
from runtime import configure_cron, live, on_cron_error as oops
from runtime.cluster import IdempotencyStore
from services import bus, locks, presence, redis, replay

idem = IdempotencyStore(redis)
either = live.access.any(live.access.role({"admin": True}), lambda ctx: asyncio.sleep(0))


async def beta(ctx):
    return False


@live.gate(beta)
@live.stream("betå")
async def beta_feed(ctx):
    return await either(ctx) if ctx.user else either(ctx)


def sync_check(platform, ws):
    return platform.check_subscribe(ws, "a")


async def tell(platform):
    async def mine(user):
        return user["id"] == "1"

    platform.send_to(mine, "a", "b", None)
    oops(print)


@live.middleware
async def twice(ctx, next):
    await next()
    return await next()


def peek(ws):
    return ws.user_data["__subscriptions"]


async def save_all():
    try:
        await replay.publish(None, "a", "b", {})
    except (OSError, redis.Error):
        locks.clear()


live.publish_rate_warning(threshold=0)
live.configure_push()
configure_cron(leader=lambda: True)
bus.breaker.on_state_change(lambda a, b: bus.publish("__system", b))
shown = presence.__class__(redis)


@live.cron("* * * * *", "stats")
async def slow(ctx):
    await asyncio.sleep(90)
    ctx.throttle("stats", "set", 1, 5)
