"""LIV019, LIV020, LIV021 and LIV027: file names, keys, topics and users that a client chose."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.check.projects import marked

if TYPE_CHECKING:
    from pathlib import Path

PATHS = {
    "every way": """
        import os
        import pathlib
        from os.path import join as joined
        from pathlib import Path as P

        UP = P("up")
        READ = open

        @live(thread=True)
        def put(ctx, name: str, names: list[str]) -> None:
            open(UP / name)  #! LIV019
            READ(f"up/{name}")  #! LIV019
            joined("up", name)  #! LIV019
            os.path.join("up", name.strip())  #! LIV019
            P("up", name)  #! LIV019
            UP.joinpath(name)  #! LIV019
            if name:
                with (UP / "x" / name).open() as file:  #! LIV019
                    pass
                for one in names:
                    target = UP / one  #! LIV019
            folder = P(__file__).parent
            folder / name  #! LIV019
        """,
    "own names": """
        import os
        from pathlib import Path
        from uuid import uuid4

        UP = Path("up")
        LIMIT = 100

        @live(thread=True)
        def put(ctx, name: str, count: int) -> float:
            ending = Path(name).suffix
            open(UP / uuid4().hex)
            open(UP / f"{uuid4().hex}{ending}")
            open(UP / f"{int(count)}.bin")
            (UP / "fixed").write_text(name)
            ctx.door.open(name)
            os.path.join("a", "b")
            return LIMIT / count
        """,
    "a look at where it leads": """
        from pathlib import Path

        UP = Path("up").resolve()

        @live(thread=True)
        def put(ctx, name: str, other: str) -> bytes:
            target = (UP / name).resolve()
            if not target.is_relative_to(UP):
                raise PermissionError
            (UP / other).unlink()  #! LIV019
            return target.read_bytes()
        """,
    "a helper": """
        from pathlib import Path

        UP = Path("up")

        def path_of(name: str) -> Path:
            return UP / name  #! LIV019

        @live
        async def put(ctx, name: str) -> None:
            path_of(name)
        """,
}


@pytest.mark.parametrize("case", PATHS)
def test_file_names(case: str, tmp_path: Path) -> None:
    marked(tmp_path, PATHS[case])


KEYS = {
    "every way": """
        from runtime import Dedup as D, Lock, Queue
        from runtime.plugins import default_lock
        import runtime as rt

        seen, lock = D(), Lock()
        queue = Queue(max_size=5)
        take = lock.with_lock

        class Held:
            def __init__(self) -> None:
                self.lock = Lock()

            async def go(self, key: str) -> None:
                await self.lock.with_lock(key, print)  #! LIV020

        held = Held()

        @live.lock(key=lambda ctx, key: key)  #! LIV020
        @live
        async def one(ctx, key: str, number: int) -> None:
            await seen.claim(key)  #! LIV020
            await seen.claim(id=f"x:{key}")  #! LIV020
            await take(str(number), print)  #! LIV020
            if key:
                try:
                    name = "k:" + key
                    await lock.with_lock(name, print)  #! LIV020
                finally:
                    await queue.push(key, print)  #! LIV020
            await rt.default_lock().with_lock(key, print)  #! LIV020
            await held.go(key)

        def _key(ctx, key):  #! LIV020
            return f"x:{key}"

        @live.idempotent(key_from=_key)
        @live
        async def two(ctx, key: str) -> None: ...
        """,
    "the caller's": """
        from runtime import Dedup, Lock

        seen, lock = Dedup(), Lock()

        @live.lock("fixed")
        @live.idempotent(lambda ctx, key: f"{ctx.user['id']}:{key}")
        @live
        async def one(ctx, key: str) -> None:
            await seen.claim(f"{ctx.user['id']}:{key}")
            user = ctx.user
            mine = f"{user['id']}:{key}"
            await seen.claim(mine)
            await lock.with_lock("fixed", print)
            await lock.with_lock(own(ctx, key), print)
            ctx.stack.push(key)
            ctx.board.claim_it(key)

        def own(ctx, key: str) -> str:
            return f"{ctx.user['id']}:{key}"
        """,
}


@pytest.mark.parametrize("case", KEYS)
def test_keys(case: str, tmp_path: Path) -> None:
    text = KEYS[case].replace(
        "    @live.idempotent(key_from=_key)", "    @live.idempotent(key_from=_key)  #! LIV020"
    )
    text = text.replace("def _key(ctx, key):  #! LIV020", "def _key(ctx, key):")
    marked(tmp_path, text)


def test_keys_of_other_files(tmp_path: Path) -> None:
    marked(
        tmp_path,
        {
            "app/plugins.py": "from runtime.plugins.dedup import Dedup\n\nseen = Dedup()\n",
            "app/once.py": """
                from app.plugins import seen

                async def once(key):
                    return await seen.claim(key)  #! LIV020

                def key_of(ctx, key):
                    return key
                """,
            "live/todos.py": """
                from app import once as _once
                from app.once import key_of, once

                @live.idempotent(key_from=key_of)  #! LIV020
                @live
                async def one(ctx, key: str) -> None:
                    await once(key)
                """,
        },
    )


TOPICS = {
    "every way": """
        @live
        async def one(c, org: str, title: str) -> None:
            publish = c.publish
            publish(f"org:{org}", "x")  #! LIV021
            c.publish("org:" + org, "x")  #! LIV021
            c.publish(topic=f"org:{org}", event="x")  #! LIV021
            topic = "org:{}".format(org)
            if title:
                for _ in range(2):
                    c.publish(topic, "x")  #! LIV021
            await c.platform.subscribe(c.ws, topic)  #! LIV021
            c.publish(f"org:{int(org)}", "x")  #! LIV021
            notify(c, org)
            later(c, org)

        def notify(ctx, org: str) -> None:
            ctx.publish(f"org:{org}", "x")  #! LIV021

        def later(ctx, name: str) -> None:
            def inner() -> None:
                ctx.publish(f"org:{name}", "x")  #! LIV021
            inner()
        """,
    "checked": """
        from app import may_write, require_member

        @live
        async def one(ctx, org: str) -> None:
            await require_member(ctx, org)
            ctx.publish(f"org:{org}", "x")

        @live
        async def two(ctx, org: str) -> None:
            if org not in ctx.user["orgs"]:
                raise PermissionError
            ctx.publish(f"org:{org}", "x")

        @live
        async def three(ctx, title: str) -> None:
            org = ctx.user["org"]
            ctx.publish(f"org:{org}", "x", title)
            ctx.publish("todos", "x", title)
            ctx.bus.publish(title, "x")

        @live.scoped(lambda ctx, org: org in ctx.user["orgs"])
        @live
        async def four(ctx, org: str) -> None:
            ctx.publish(f"org:{org}", "x")

        @live
        async def five(ctx, org: str) -> None:
            await require_member(ctx, org)
            publish_to(ctx, org)

        def publish_to(ctx, org: str) -> None:
            ctx.publish(f"org:{org}", "x")

        @live
        async def six(ctx, org: str) -> None:
            assert may_write(ctx, org)
            ctx.publish(f"org:{org}", "x")

        def publish_own(ctx) -> None:
            ctx.publish(f"user:{ctx.user['id']}", "x")
        """,
}


@pytest.mark.parametrize("case", TOPICS)
def test_topics(case: str, tmp_path: Path) -> None:
    marked(tmp_path, TOPICS[case])


def test_topics_of_another_file(tmp_path: Path) -> None:
    marked(
        tmp_path,
        {
            "live/_send.py": """
                # whole
                def send(ctx, org):
                    ctx.publish(f"org:{org}", "x")  #! LIV021

                class Sender:
                    def __init__(self, ctx):
                        self.ctx = ctx

                    def send(self, org):
                        self.ctx.publish(f"org:{org}", "x")  #! LIV021
                """,
            "live/todos.py": """
                from live import _send
                from live._send import Sender

                @live
                async def one(ctx, org: str) -> None:
                    _send.send(ctx, org)
                    Sender(ctx).send(org)
                """,
        },
    )


USERS = """
    from runtime import live as l
    from app import require_friend

    push = l.push

    @live
    async def one(ctx, who: str) -> None:
        await push(who, "x")  #! LIV027
        await l.push(user_id=who, event="x")  #! LIV027
        l.notify(f"{who}", "x")  #! LIV027
        if who:
            await l.push({"user_id": who}, "x")  #! LIV027
        await ring(who)

    async def ring(person: str) -> None:
        await live.push(person, "x")  #! LIV027

    @live
    async def two(ctx, who: str) -> None:
        await live.push(ctx.user["id"], "x")
        await require_friend(ctx, who)
        await live.push(who, "x")

    @live
    async def three(ctx, who: str) -> None:
        ctx.cart.push(who)
    """


def test_users(tmp_path: Path) -> None:
    marked(tmp_path, USERS)
