from __future__ import annotations

from jobs import leader, scheduler

SESSIONS: dict[str, str] = {}


async def upgrade(cookies):
    user = SESSIONS.get(cookies.get("sid", ""))
    return {"id": user} if user else False


async def subscribe(ws, topic: str):
    if topic.startswith("admin:") and ws.user_data.get("role") != "admin":
        return "FORBIDDEN"
    return None


async def init(platform):
    leader.on_elected(scheduler.start)
