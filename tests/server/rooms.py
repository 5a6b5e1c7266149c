"""The board that the tests of rooms are played on."""

from __future__ import annotations

from typing import Any

from runtime.testing import FakeClock
from tests.server.conftest import AppFactory
from tests.server.peers import App, Peer, turns

ANN = {"id": "u1", "name": "Ann"}
BOB = {"id": "u2", "name": "Bob"}
SHOWN_ANN = {"key": "u1", "data": {"name": "Ann"}}
SHOWN_BOB = {"key": "u2", "data": {"name": "Bob"}}

DATA, PRESENCE, CURSORS = "m/board/__data", "m/board/__presence", "m/board/__cursors"
ADD = "m/board/__action/add_card"

BOARD = """
    # realtime-allow-public
    import asyncio
    from runtime import LiveError, current_ctx, live

    log = []
    cards = {}
    gates = {}

    async def load_cards(ctx, board_id: str):
        log.append(("init", board_id))
        if board_id in gates:
            await gates[board_id].wait()
        if board_id == "broken":
            raise LiveError("NO_BOARD", "There is no such board")
        return cards.setdefault(board_id, [])

    async def who(ctx):
        return {"name": ctx.user["name"]} if ctx.user else None

    async def can_open(ctx, board_id):
        if board_id == "raises":
            raise RuntimeError("secret reason")
        if board_id == "told":
            raise LiveError("NOT_INVITED", "Ask the owner")
        return board_id != "closed"

    def joined(ctx, board_id):
        log.append(("join", board_id))
        raise RuntimeError("on_join fails")

    async def left(ctx, topic):
        log.append(("leave", topic, ctx.user and ctx.user["id"]))
        raise RuntimeError("on_leave fails")

    async def add_card(ctx, board_id, title: str):
        card = {"id": f"{board_id}-{title}", "title": title}
        cards.setdefault(board_id, []).append(card)
        ctx.publish("created", card)
        return card

    board = live.room(
        topic=lambda ctx, board_id: f"board:{board_id}",
        init=load_cards, presence=who, cursors=True, guard=can_open, on_join=joined, on_leave=left,
        actions={"add_card": add_card, "move-card": add_card},
    )
"""


async def make(make_app: AppFactory, source: str = BOARD, **options: Any) -> tuple[App, FakeClock]:
    clock = FakeClock()
    app = await make_app({"live/m.py": source}, clock=clock, **options)
    await turns()  # the tasks of the worker itself have set their timers now
    return app, clock


def log_of(app: App) -> list[Any]:
    found: list[Any] = app.runtime.live.registry.modules["m"].module.log
    return found


async def roster(peer: Peer, board: str = "1") -> Any:
    """What the presence stream would load; a plain call does not subscribe."""
    return (await peer.request(PRESENCE, board))["data"]


def leave_topic(peer: Peer, topic: str = "board:1") -> None:
    peer.send({"type": "unsubscribe", "topic": topic})
