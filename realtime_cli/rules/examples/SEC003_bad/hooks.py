from __future__ import annotations


async def subscribe(ws, topic: str):
    return None if topic.startswith("public:") else "FORBIDDEN"
