# WebSocket hooks, everything in one place
import asyncio
from runtime import close, message
from runtime import activate_derived, live, on_cron_error, set_cron_platform
from services import bus, cursor, presence, registry, replay

subscribe_presence, leave_presence = presence.hooks.subscribe, presence.hooks.close
started = False


def upgrade(ctx):
    user = ctx.cookies.get("user")
    return {"id": user} if user else False


async def open(socket, ctx):
    global started
    # cron needs a platform
    set_cron_platform(ctx.platform)
    activate_derived(ctx.platform)
    live.configure_push(remote_registry=registry)
    await bus.activate(ctx.platform)
    if not started:
        started = True
        await warm_up()
    await presence.join(socket, 'lobby', ctx.platform)


async def subscribe(ws, topic, ctx):
    await cursor.hooks.subscribe(ws, topic, ctx)
    return await allowed(ws.user_data["id"], topic)


async def resume(ws, ctx):
    asyncio.create_task(replay.replay(ws, "a", 0, ctx.platform))


async def warm_up():
    """Fill the caches."""


async def allowed(user, topic):
    return not topic.startswith("admin:")


@on_cron_error
def report(path, error):
    print(path, error)
