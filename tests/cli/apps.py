"""Small projects on disk."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

# What a project needs to be served on this machine.
PINNED = """
    [server]
    allowed_hosts = ["localhost", "127.0.0.1"]
"""


def write_project(root: Path, files: dict[str, str]) -> Path:
    """Write a project of these files; a `realtime.toml` with which it can be served is there in any case."""
    for name, text in {"realtime.toml": PINNED, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    return root


NOTES = """
    from __future__ import annotations
    from typing import Literal, TypedDict
    from runtime import live, guard, LiveError

    class Note(TypedDict):
        id: str
        text: str

    _guard = guard(authenticated=True)

    @live
    async def add(ctx, text: str, *tags: str, color: str = "red") -> Note:
        '''Add a note.'''
        raise LiveError("FULL", "no room")

    @live.stream(lambda board: f"notes:{board}")
    async def notes(ctx, board: Literal["a", "b"] = "a") -> list[Note]:
        return []
"""

OPEN = """
    from runtime import live

    @live.public
    @live
    def ping(ctx):
        return "pong"

    typing = live.channel("typing", merge="presence")
"""

# One of everything that a client can reach.
EVERYTHING = {
    "live/board.py": """
    from __future__ import annotations
    from typing import TypedDict
    from runtime import LiveError, live

    class Card(TypedDict):
        id: int
        title: str

    class Stored(TypedDict):
        url: str

    @live
    async def add(ctx, title: str, *labels: str, timeout: int = 1) -> Card:
        '''Add a card.'''
        raise LiveError("BOARD_FULL")

    @live
    async def remove(ctx, number: int) -> None:
        raise LiveError("GONE")

    @live.stream("cards")
    async def cards(ctx) -> list[Card]: ...

    @live.stream(lambda number: f"card:{number}", merge="set")
    async def card(ctx, number: int) -> Card | None: ...

    typing = live.channel("typing", merge="presence")

    @live.binary(max_size=100)
    async def thumbnail(ctx, data: bytes, width: int = 80) -> Stored: ...

    @live.upload()
    async def attach(ctx, number: int) -> Stored: ...

    async def _cards(ctx, name: str) -> list[Card]: ...
    async def _who(ctx) -> Stored: ...
    async def _rename(ctx, name: str, title: str) -> Card: ...

    desk = live.room(topic=lambda name: f"desk:{name}", init=_cards, presence=_who, actions={"rename": _rename})
""",
    "live/follow.py": """
        from __future__ import annotations
        from typing import TypedDict
        from runtime import Lifetime, Reducer, Sliding, combine_sum, live

        class Summary(TypedDict):
            cards: int

        def one_more(acc: int, event: str, data: object) -> int:
            return acc + 1

        class Traffic(live.Aggregate):
            source, topic = "cards", "traffic"
            windows = {"total": Lifetime(), "last5": Sliding(duration=300, slide=30)}
            count = Reducer(init=lambda: 0, reduce=one_more, combine=combine_sum)

        @live.derived(["cards"])
        async def summary() -> Summary: ...

        @live.derived(lambda shop: [f"shop:{shop}"])
        async def of_shop(ctx, shop: str) -> Summary: ...

        # What clients cannot reach.
        @live.effect("cards")
        async def mail(event: str, data: object) -> None: ...

        @live.cron("0 3 * * *", "nightly")
        async def nightly() -> int: ...

        signed = live.webhook.hmac("secret")
        payments = live.webhook("cards", verify=signed, transform=lambda event: None, path="/hooks/pay")
    """,
    "live/reports-2026.py": "from runtime import live\n\n@live\nasync def total(ctx) -> int: ...\n",
}
