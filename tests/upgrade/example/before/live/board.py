from runtime import LiveError, live, pipe
import runtime as rt
from services import cursor, locks, presence, replay


async def is_member(ctx):
    return ctx.user["id"] is not None


@live.stream(lambda ctx, board: f"board:{board}", access=is_member, replay=True)
async def notes(ctx, board):
    return []


@live.channel("__typing")
def typing(ctx):
    ...


@live
async def move(ctx, note: int, x: float, y: float):
    ctx.throttle(f"move:{note}", 0.05)
    await save(note, x, y)
    ctx.throttle("board:1", "moved", {"note": note}, 0.05)  # 20 Hz
    ctx.debounce(
        "board:1", "settled",
        {"note": note},
        0.3,
    )
    ctx.publish("__audit", "moved", note)
    ctx.signal(ctx.user["id"], "moved", note)


async def save(note, x, y):
    await locks.with_lock(f"note:{note}", lambda: (x, y))


@rt.live
async def join(ctx, board: str):
    await presence.join(ctx.ws, f"board:{board}", ctx.platform)
    ctx.ws.subscribe(f"board:{board}:extra")
    denied = ctx.platform.subscribe(ctx.ws, f"board:{board}:more")
    if denied:
        raise LiveError(denied)


def board_topic(ctx, board):
    return f"room:{board}"


async def load(ctx, board):
    return {"id": board}


def left(ctx):
    print("left", ctx.user)


async def rename(ctx, title):
    """Rename the board."""


room = live.room(
    topic=board_topic,
    init=load,
    on_leave=left,
    actions={"rename": rename},
)

recent = pipe(notes, pipe.filter(lambda ctx, n: n, transform_event=str))
