from __future__ import annotations

from runtime import UpgradeResponse

SESSIONS: dict[str, str] = {}


async def upgrade(cookies):
    user = SESSIONS.get(cookies.get("sid", ""))
    return UpgradeResponse({"id": user}, {"set-cookie": "seen=1"}) if user else False


async def subscribe(ws, topic: str):
    if topic.startswith("admin:") and ws.user_data.get("role") != "admin":
        return "FORBIDDEN"
    return None
