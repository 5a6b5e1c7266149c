from __future__ import annotations

SESSIONS: dict[str, str] = {}


async def upgrade(cookies):
    user = SESSIONS.get(cookies.get("sid", ""))
    return {"id": user} if user else False
