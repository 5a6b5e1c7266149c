"""Hooks that note what they are asked, on the connection that asked."""

import asyncio

released = asyncio.Event()


def note(ws, *entry):
    ws.user_data["log"].append(list(entry))


def upgrade():
    return {"id": "u1", "log": [], "release": released.set}


async def subscribe(ws, topic):
    note(ws, "subscribe", topic)
    if topic == "boom":
        raise RuntimeError("password=hunter2")
    if topic == "slow":
        await released.wait()
    return topic != "private"


def unsubscribe(ws, topic):
    note(ws, "unsubscribe", topic)


def resume(ws, session_id, last_seen_seqs):
    note(ws, "resume", last_seen_seqs)


def message(ws, data, is_binary, msg):
    note(ws, "message", list(data) if is_binary else data, msg)
