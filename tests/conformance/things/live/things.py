"""The app that was on the server's side when the frames were recorded, as far as the frames show it."""
# realtime-allow-public

from runtime import LiveError, live

state = live.keep("state", dict)


@live
async def reset(ctx):
    state.update(rows={1: {"id": 1, "text": "one"}, 2: {"id": 2, "text": "two"}}, count=0)
    return True


@live
async def echo(ctx, *args):
    return {"args": [*args], "user": ctx.user["id"]}


@live
async def fail(ctx):
    raise LiveError("TEAPOT", "short and stout")


@live
async def crash(ctx):
    raise RuntimeError("password=hunter2")


@live
async def bump(ctx, by: int):
    state["count"] += by
    return state["count"]


@live.idempotent()
@live
async def once(ctx, key: str):
    state["count"] += 1
    return {"k": key, "at": state["count"]}


@live
async def push_me(ctx):
    return await live.push(ctx.user["id"], "ask", {"q": 6})


# Clients call it `things/pushMe`, which our names are not made for.
pushMe = push_me
del push_me


@live.stream("things")
async def list(ctx):
    return [*state["rows"].values()]


@live
async def add(ctx, text: str):
    rows = state["rows"]
    row = rows[max(rows) + 1] = {"id": max(rows) + 1, "text": text}
    ctx.publish("things", "created", row)
    return row


@live
async def edit(ctx, id: int, text: str):
    row = state["rows"][id] = {"id": id, "text": text}
    ctx.publish("things", "updated", row)
    return row


@live
async def delete(ctx, id: int):
    del state["rows"][id]
    ctx.publish("things", "deleted", {"id": id})


# Clients call it `things/del`, which no function of Python can be named.
globals()["del"] = delete
del delete


@live.stream(lambda room: f"room:{room}")
async def room(ctx, room: str):
    return [{"id": f"r{room}", "room": room}]


@live
async def say(ctx, room: str, message: dict):
    ctx.publish(f"room:{room}", "created", message)


@live.stream("secret", access=lambda ctx: False)
async def secret(ctx):
    return []


@live.binary()
async def bin(ctx, data: bytes, tag: str):
    return {"n": len(data), "tag": tag}


@live.upload()
async def up(ctx, name: str):
    if name == "ab":
        await ctx.signal.wait()
    size = sum_of = 0
    async for chunk in ctx.stream:
        size += len(chunk)
        for byte in chunk:
            sum_of = (sum_of * 31 + byte) & 0xFFFFFFFF
    return {"name": name, "n": size, "h": sum_of}
