from __future__ import annotations

SESSIONS: dict[str, str] = {}


async def upgrade(cookies):
    user = SESSIONS.get(cookies.get("sid", ""))
    return {"id": user} if user else False


async def subscribe(ws, topic: str):
    if topic.startswith("admin:") and ws.user_data.get("role") != "admin":
        return "FORBIDDEN"
    return None


async def subscribeBatch(ws, topics: list[str]):
    return None
