from __future__ import annotations

import msgspec

from runtime import guard, live

_guard = guard(authenticated=True)


@live
async def load(ctx, data: str) -> object:
    return msgspec.json.decode(bytes.fromhex(data))
