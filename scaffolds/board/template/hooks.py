"""What happens around a connection: who it is, and what the others see of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime import Connection
from runtime.plugins import Cursor, Presence

from visitors import User, public, user_from_cookie

LOOKING = "looking"
"""The topic of the pages that somebody looks at: a page leaves it while its tab is hidden (web/others.js)."""

# Two tabs of one person are one, and a reload of the page or a glance at another tab is no leave. Names and
# colours are in the stream `here` of live/board.py.
looking = Presence(select=lambda user: {"id": user["id"]}, grace=1)

# Where they point; a page tells it, and the others see it at most 20 times a second.
pointers = Cursor(topics={LOOKING}, select=public)


async def upgrade(cookies: Mapping[str, str]) -> User:
    """Decide who connects; what this returns is `ctx.user` in every call of the connection.

    Anybody can write any cookie: this tells people apart, it does not prove who they are. For real
    accounts look up a session here, and return `False` to refuse the connection.
    """
    return user_from_cookie(cookies.get("visitor", ""))


async def subscribe(ws: Connection, topic: str) -> None:
    """Let who subscribes to `looking` be seen; a connection that closes leaves by itself."""
    if topic == LOOKING:
        await looking.join(ws, topic)


async def unsubscribe(ws: Connection, topic: str) -> None:
    """Note that somebody looks elsewhere."""
    if topic == LOOKING:
        await looking.leave(ws, topic=topic)


async def message(ws: Connection, msg: dict[str, Any] | None) -> None:
    """Take the frames that move a pointer; no others come here."""
    await pointers.hooks.message(ws, msg)
