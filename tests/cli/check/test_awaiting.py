"""LIV014, LIV015 and LIV018: coroutines that nobody awaits, async filters, subscriptions that ask nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.check.projects import marked

if TYPE_CHECKING:
    from pathlib import Path

COROUTINES = {
    "other names": """
        from runtime import Lock as L, live as l
        import runtime as rt

        lock = L()
        push = rt.live.push
        take = lock.with_lock

        @l
        async def one(c, kind: str) -> None:
            p = c.platform
            ws = c.ws
            p.subscribe(ws, "a")  #! LIV014
            c.platform.check_subscribe(ws, "a")  #! LIV014
            subscribe = p.subscribe
            subscribe(ws, "a")  #! LIV014
            push(c.user["id"], "x")  #! LIV014
            lock.with_lock("a", print)  #! LIV014
            take("a", print)  #! LIV014
            getattr(p, "request")(ws, "a")  #! LIV014
        """,
    "nested": """
        import asyncio

        @live
        async def one(ctx, flag: bool) -> None:
            if ctx.platform.check_subscribe(ctx.ws, "a"):  #! UPG004
                return
            while not ctx.platform.check_subscribe(ctx.ws, "a"):  #! UPG004
                pass
            async with ctx.x:
                for one in range(2):
                    try:
                        ctx.platform.request(ctx.ws, "a")  #! LIV014
                    except OSError:
                        answer = ctx.platform.request(ctx.ws, "a")  #! LIV014
            if flag and ctx.platform.check_subscribe(ctx.ws, "a"):  #! UPG004
                return
            any(ctx.platform.check_subscribe(ctx.ws, t) for t in "ab")  #! UPG004
            [ctx.platform.subscribe(ctx.ws, t) for t in "ab"]  #! LIV014
            print(ctx.platform.request(ctx.ws, "a"))  #! LIV014
            ctx.publish("a", "b", ctx.platform.request(ctx.ws, "a"))  #! LIV014
            data = {"a": f"{ctx.platform.request(ctx.ws, 'a')}"}  #! LIV014
            ctx.platform.request(ctx.ws, "a").result  #! LIV014
            async def inner():
                ctx.platform.subscribe(ctx.ws, "a")  #! LIV014
            await inner()
            ok = ctx.platform.check_subscribe(ctx.ws, "a")  #! UPG004
            if ok:
                return
        """,
    "awaited somewhere": """
        import asyncio
        from runtime import Lock

        lock = Lock()

        @live
        async def one(ctx, flag: bool) -> None:
            await ctx.platform.subscribe(ctx.ws, "a")
            first = ctx.platform.request(ctx.ws, "a")
            await asyncio.wait_for(first, 1)
            await asyncio.gather(*[ctx.platform.subscribe(ctx.ws, t) for t in "ab"])
            await asyncio.gather(*(ctx.platform.subscribe(ctx.ws, t) for t in "ab"))
            await asyncio.gather(ctx.platform.subscribe(ctx.ws, "a"), ctx.platform.subscribe(ctx.ws, "b"))
            await (ctx.platform.request(ctx.ws, "a") if flag else ctx.x)
            async with asyncio.TaskGroup() as group:
                group.create_task(ctx.platform.subscribe(ctx.ws, "a"))
            later = lambda: ctx.platform.request(ctx.ws, "a")
            jobs = []
            jobs.append(ctx.platform.request(ctx.ws, "a"))
            jobs += [live.push(ctx.user["id"], "x")]
            ctx.app.spawn(ctx.platform.request(ctx.ws, "a"))
            many = [ctx.platform.request(ctx.ws, t) for t in "ab"]
            for one in many:
                await one
            ctx.job = live.push(ctx.user["id"], "x")
            return await lock.with_lock("a", print)
        """,
    "others of the name": """
        import platform
        import asyncpg
        from app import lock, redis

        class Board:
            def subscribe(self, topic: str) -> None: ...
            def request(self) -> None: ...

        @live
        async def one(ctx) -> None:
            board = Board()
            board.subscribe("a")
            board.request()
            redis.subscribe("a")
            lock.with_lock("a")
            platform.request()
            "ctx.platform.subscribe(ctx.ws, 'a')"  # ctx.platform.subscribe(ctx.ws, "a")

        def other(platform: str, ws: asyncpg.Connection) -> None:
            platform.subscribe(ws, "a")
            ws.subscribe(platform)
        """,
    "plain functions": """
        @live
        def one(ctx) -> None:
            ctx.platform.subscribe(ctx.ws, "a")  #! LIV014
        """,
    "a class that holds the platform": """
        from runtime import Platform

        class Service:
            def __init__(self, p: Platform) -> None:
                self.p = p

            async def go(self, ws) -> None:
                def further() -> None:
                    self.p.subscribe(ws, "a")  #! LIV014
                self.p.subscribe(ws, "a")  #! LIV014
                await self.p.subscribe(ws, "a")
        """,
    "rooms": """
        class Board(live.Room):
            topic = "board"

            async def init(self, ctx):
                return {}

            @live.action
            async def move(self, c, x: int) -> None:
                c.platform.request(c.ws, "a")  #! LIV014
        """,
}


@pytest.mark.parametrize("case", COROUTINES)
def test_coroutines(case: str, tmp_path: Path) -> None:
    marked(tmp_path, COROUTINES[case])


def test_coroutines_in_other_files(tmp_path: Path) -> None:
    marked(
        tmp_path,
        {
            "app/locks.py": "from runtime.plugins.lock import Lock\n\nlock = Lock()\n",
            "app/__init__.py": "from app.locks import lock as shared\n",
            "app/users.py": """
                from typing import TYPE_CHECKING
                import app

                if TYPE_CHECKING:
                    from runtime import Ctx as Context

                async def follow(context: "Context | None", topic: str) -> None:
                    context.platform.subscribe(context.ws, topic)  #! LIV014
                    app.shared.with_lock("a", print)  #! LIV014
                """,
            "hooks.py": """
                async def open(ws, platform):
                    platform.subscribe(ws, "a")  #! LIV014
                """,
            "tests/test_x.py": "async def test(platform, ws):\n    platform.subscribe(ws, 'a')\n",
        },
    )


FILTERS = """
    import functools
    from app.filters import is_admin, is_plain

    async def _own(user) -> bool: ...

    def _plain(user) -> bool: ...

    alias = _own

    class Filters:
        async def match(self, user) -> bool: ...

    filters = Filters()

    @live
    async def warn(ctx, text: str) -> None:
        p = ctx.platform
        p.send_to(_own, "a", "b")  #! LIV015
        p.send_to(alias, "a", "b")  #! LIV015
        p.send_to(filter=is_admin, topic="a", event="b")  #! LIV015
        p.send_to(lambda u: _own(u), "a", "b")  #! LIV015
        p.send_to(functools.partial(_own, 1), "a", "b")  #! LIV015
        p.send_to(filters.match, "a", "b")  #! LIV015
        async def inner(user) -> bool: ...
        p.send_to(inner, "a", "b")  #! LIV015
        p.send_to(is_plain, "a", "b")
        p.send_to(_plain, "a", "b")
        p.send_to(lambda u: u["admin"], "a", "b")
        p.send_to(lambda u: _plain(u), "a", "b")
        ctx.mailer.send_to(_own, "a", "b")
    """


def test_filters(tmp_path: Path) -> None:
    helper = "async def is_admin(user): ...\n\ndef is_plain(user): ...\n"
    marked(tmp_path, {"live/todos.py": FILTERS, "app/filters.py": helper})


SUBSCRIPTIONS = {
    "live/todos.py": """
        from app.follow import follow
        from app.topics import FIXED

        @live
        async def one(c, topic: str) -> None:
            ws = c.ws
            ws.subscribe(f"list:{c.user['id']}")  #! LIV018
            sub = c.ws.subscribe
            if c:
                sub(f"list:{c.user['id']}")  #! LIV018
            ws.subscribe(topic=f"list:{c.user['id']}")  #! LIV018
            c.ws.subscribe("fixed")
            c.ws.subscribe(FIXED)
            c.redis.subscribe(topic)
        """,
    "app/topics.py": 'FIXED = "fixed"\n',
    "app/follow.py": """
        from runtime import Ctx

        async def follow(who: Ctx, org):
            who.ws.subscribe(org)  #! LIV018
        """,
    "hooks.py": """
        async def open(ws):
            ws.subscribe(f"user:{ws.user_data['id']}")

        async def message(ws, data):
            ws.subscribe(data["topic"])  #! LIV018
        """,
    "tests/test_x.py": "def test(ws, t):\n    ws.subscribe(t)\n",
}


def test_subscriptions(tmp_path: Path) -> None:
    marked(tmp_path, SUBSCRIPTIONS)
