from __future__ import annotations

SESSIONS: dict[str, dict[str, str]] = {}


async def upgrade(cookies):
    return SESSIONS.get(cookies.get("sid", ""), False)


async def subscribe(ws, topic: str):
    return None if topic != "orders" or ws.user_data.get("role") == "staff" else "FORBIDDEN"
