from __future__ import annotations

import pickle

from runtime import guard, live

_guard = guard(authenticated=True)


@live
async def load(ctx, data: str) -> object:
    return pickle.loads(bytes.fromhex(data))
