from runtime import live
from services import jobs
from live.more import idem

CHUNKS: dict[str, list[bytes]] = {}


@live.binary
async def put_chunk(ctx, buffer: bytes, name: str, last: bool):
    CHUNKS.setdefault(name, []).append(buffer)
    if last:
        data = b"".join(CHUNKS.pop(name))
        await jobs.enqueue("scan", {"name": name, "size": len(data)})


@live
async def ask(ctx, user: str):
    slot = await idem.acquire(idempotency_key=f"ask:{user}")
    try:
        return await live.push(user, "confirm", {})
    except Exception as err:
        # TODO(realtime-upgrade UPG122): was: "timed out" in str(err)
        if getattr(err, "code", None) == "TIMEOUT":
            return None
        raise
