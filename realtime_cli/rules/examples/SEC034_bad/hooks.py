from __future__ import annotations

SESSIONS: dict[str, dict[str, str]] = {}


async def upgrade(cookies):
    return SESSIONS.get(cookies.get("sid", ""), False)
