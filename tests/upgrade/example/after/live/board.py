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
    # TODO(realtime-upgrade UPG106): this call gated nothing in 0.4; skip() now does
    if ctx.skip(f"move:{note}", 0.05):
        return
    await save(note, x, y)
    ctx.publish_throttled("board:1", "moved", {"note": note}, 0.05)  # 20 Hz
    ctx.publish_debounced(
        "board:1", "settled",
        {"note": note},
        0.3,
    )
    ctx.publish("__audit", "moved", note)
    ctx.send_signal(ctx.user["id"], "moved", note)


async def save(note, x, y):
    await locks.with_lock(f"note:{note}", lambda: (x, y))


@rt.live
async def join(ctx, board: str):
    await presence.join(ctx.ws, f"board:{board}", ctx.platform)
    # TODO(realtime-upgrade UPG117): cursors need attach() beside presence.join(); check the topic
    await cursor.attach(ctx.ws, f"board:{board}", ctx.platform)
    # TODO(realtime-upgrade UPG113): now goes through the subscribe hook; a non-None result is a denial
    await ctx.platform.subscribe(ctx.ws, f"board:{board}:extra")
    denied = await ctx.platform.subscribe(ctx.ws, f"board:{board}:more")
    if denied:
        raise LiveError(denied)


def board_topic(ctx, board):
    return f"room:{board}"


async def load(ctx, board):
    return {"id": board}


def left(ctx, topic):
    print("left", ctx.user)


async def rename(ctx, title):
    """Rename the board."""


room = live.room(
    topic=board_topic,
    init=load,
    on_leave=left,
    topic_args=1,
    actions={"rename": rename},
)

# TODO(realtime-upgrade UPG124): transform_event was ignored in 0.4; pass transform= to live.stream
recent = pipe(notes, pipe.filter(lambda ctx, n: n))
