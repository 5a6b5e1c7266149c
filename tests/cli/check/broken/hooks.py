"""Every mistake of hooks, once."""

from __future__ import annotations

import os

from app.jobs import scheduler
from app.services import bus
from runtime import UpgradeResponse, close

TOKEN = os.environ.get("TOKEN", "")
SESSIONS: dict[str, str] = {}
PLATFORM = None


async def init(platform):
    scheduler.start()


async def authenticate(request, cookies):
    cookies.set("sid", new_session())
    cookies.set("theme", "dark", path=f"/{request.query_params['area']}")
    return cookies["token"] == TOKEN


async def upgrade(cookies):
    user = SESSIONS.get(cookies.get("sid", ""))
    try:
        return UpgradeResponse({"id": user, "token": 1}, {"set-cookie": "seen=1"})
    except Exception:
        return {}


async def subscribeBatch(ws, topics: list[str]):
    return None


async def open(ws, platform, sock):
    global PLATFORM
    PLATFORM = platform


async def message(ws, data, platform):
    await bus.wrap(platform).publish("raw", "received", len(data))


def new_session() -> str:
    return "x"
