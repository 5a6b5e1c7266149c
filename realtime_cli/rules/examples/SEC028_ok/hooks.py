from __future__ import annotations

SESSIONS: dict[str, str] = {}


async def upgrade(cookies):
    try:
        return {"id": SESSIONS[cookies["sid"]]}
    except KeyError:
        return False


async def subscribe(ws, topic: str):
    if topic.startswith("admin:") and ws.user_data.get("role") != "admin":
        return "FORBIDDEN"
    return None
