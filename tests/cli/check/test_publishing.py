"""LIV009, LIV017, LIV024, LIV026, LIV030 and CAP009: what live functions publish, raise and show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.check.projects import marked

if TYPE_CHECKING:
    from pathlib import Path

SYSTEM = {
    "live/todos.py": """
        from app.names import PREFIX, SIGNAL, Names
        from app.emit import emit

        OWN = "__own"

        @live
        async def one(c, who: str) -> None:
            publish = c.publish
            publish("__a", "x")  #! LIV009
            c.publish(OWN, "x")  #! LIV009
            c.publish(SIGNAL, "x")  #! LIV009
            c.publish(Names.SIGNAL, "x")  #! LIV009
            c.publish(f"{PREFIX}x", "x")  #! LIV009
            c.publish(PREFIX + "x", "x")  #! LIV009
            c.publish(topic="__a", event="x")  #! LIV009
            with c.x:
                try:
                    c.publish_throttled("__a", "x", None, 1)  #! LIV009
                finally:
                    (lambda: c.publish("__b", "x"))()  #! LIV009
            emit(c)
            c.platform.publish("__a", "x")
            c.bus.publish("__a", "x")
            c.publish("a__", "__x", "__y")
        """,
    "app/names.py": """
        PREFIX = "__signal:"
        SIGNAL = PREFIX

        class Names:
            SIGNAL = "__x"
        """,
    "app/emit.py": """
        from runtime import Ctx

        def emit(context: Ctx) -> None:
            context.publish("__x", "y")  #! LIV009
        """,
    "tests/test_x.py": "def test(ctx):\n    ctx.publish('__x', 'y')\n",
}


def test_system_topics(tmp_path: Path) -> None:
    marked(tmp_path, SYSTEM)


COUNTLESS = """
    import uuid
    from runtime import publish

    OFF = False

    @live
    async def move(c, x: int) -> None:
        c.publish(f"cursor:{c.user['id']}", "moved", x)  #! CAP009
        c.publish("cursor:" + c.user["id"], "moved", x)  #! CAP009
        c.publish("cursor:{}".format(c.user["id"]), "moved", x)  #! CAP009
        c.publish("cursor:%s" % c.user["id"], "moved", x)  #! CAP009
        topic = f"typing:{c.user['id']}"
        if x:
            c.publish(topic, "moved", x)  #! CAP009
        user_id = c.user["id"]
        c.publish(topic=f"cursor:{user_id}", event="moved", data=x, volatile=OFF)  #! CAP009
        publish(f"job:{uuid.uuid4()}", "done", x)  #! CAP009
        c.platform.publish(f"job:{c.request_id}", "done", x)  #! CAP009
        c.publish(f"cursor:{c.user['id']}", "moved", x, volatile=True)
        c.publish(f"cursor:{c.user['id']}", "moved", x, seq=False)
        c.publish(f"cursor:{c.user['id']}", "moved", x, **c.options)
        c.publish("cursor", "moved", {"user": c.user["id"]})
        c.publish(f"todos:{c.user['org']}", "added", x)
        c.log.publish(f"cursor:{c.user['id']}", "moved", x)
    """


def test_countless_topics(tmp_path: Path) -> None:
    marked(tmp_path, COUNTLESS)


EXCEPTIONS = {
    "live/todos.py": """
        import contextlib
        from runtime import LiveError
        from app.rules import check, parse

        Wrong = ValueError

        @live
        async def one(ctx, seats: int) -> int:
            if seats < 1:
                raise ValueError("full")  #! LIV017
            match seats:
                case 2:
                    raise Wrong(f"full {seats}")  #! LIV017
            async with ctx.x:
                for _ in range(2):
                    error = RuntimeError("a" + "b")
                    raise error  #! LIV017
            def inner() -> None:
                raise Exception("inner")  #! LIV017
            inner()
            check(seats)
            try:
                parse(seats)
                raise ValueError("caught")
            except ValueError as error:
                raise LiveError("CONFLICT", "full") from error
            with contextlib.suppress(ValueError):
                raise ValueError("caught")
            try:
                raise ValueError("x")  #! LIV017
            except KeyError:
                raise ValueError

        @live
        async def two(ctx) -> int:
            raise LiveError("CONFLICT", "full")

        @live.cron("* * * * *")
        async def three(ctx) -> None:
            raise ValueError("nobody waits")

        def unused() -> None:
            raise ValueError("never")
        """,
    "app/rules.py": """
        def check(seats):
            if not seats:
                raise ValueError("full")  #! LIV017

        def parse(seats):
            raise ValueError("caught by the caller")

        def unused():
            raise ValueError("never")
        """,
}


def test_plain_exceptions(tmp_path: Path) -> None:
    marked(tmp_path, EXCEPTIONS)


@pytest.mark.parametrize(
    "define",
    [
        'from runtime import define_topics\n\nT = define_topics(todos="todos", org="org:{org}")\n',
        'import runtime as rt\n\nALL = {"todos": "todos", "org": lambda o: f"org:{o}"}\nT = rt.define_topics(ALL)\n',
    ],
)
def test_topics_outside_of_the_registry(define: str, tmp_path: Path) -> None:
    marked(
        tmp_path,
        {
            "app/topics.py": define + 'WRONG = "todo"\n',
            "live/todos.py": """
                from app.topics import T, WRONG

                @live.stream("todo")  #! LIV024
                async def one(ctx) -> int:
                    ctx.publish("todo", "x")  #! LIV024
                    ctx.publish(WRONG, "x")  #! LIV024
                    ctx.publish(topic="todo", event="x")  #! LIV024
                    ctx.publish("todos", "x")
                    ctx.publish("org:5", "x")
                    ctx.publish(T.todos, "x")
                    ctx.board.publish("todo", "x")
                    return 1
                """,
        },
    )


STREAMS = """
    from app import database as db

    QUERY = "select count(*) from todos group by day"
    open_to_all = live.public

    @live.public
    @live.stream("a")
    async def report(ctx) -> int:  #! LIV026
        return 1

    @open_to_all
    @live.stream("b")
    async def one(ctx) -> int:  #! LIV026
        return await db.fetch(QUERY)

    async def stats_(ctx) -> int:  #! LIV026
        return 1

    stats = live.public(live.stream("c")(stats_))

    @live.public
    @live.stream("d", class_of_service="background")
    async def history(ctx) -> int:
        return 1

    @live.public
    @live.stream("e")
    async def summary(ctx) -> int:
        if ctx.shed("background"):
            return 0
        return 1

    @live.stream("f")
    async def search(ctx) -> int:
        return 1
    """


def test_expensive_streams(tmp_path: Path) -> None:
    marked(tmp_path, STREAMS)


RESULTS = {
    "live/todos.py": """
        from app import database as db
        from app.models import Admin, User as Person
        from app.rows import as_dict

        @live
        async def one(ctx) -> Person:  #! LIV030
            return await db.user()

        @live
        async def two(ctx) -> "list[Admin] | None":  #! LIV030
            return None

        @live
        async def three(ctx) -> dict[str, str]:
            if ctx.x:
                return {"id": "1", "password": "2"}  #! LIV030
            try:
                user = {"api_key": "1"}  #! LIV030
                return user
            except OSError:
                return [dict(token="x") for _ in range(2)]  #! LIV030
            user_row = await db.user()
            return user_row  #! LIV030

        @live
        async def four(ctx) -> dict[str, str]:
            return as_dict(await db.user())

        @live
        async def five(ctx) -> dict[str, str]:
            found = {"password": "x"}
            await db.check(found)
            return {"id": found["id"], "token_count": 1}

        async def _six() -> dict[str, str]:
            return {"password": "x"}
        """,
    "app/models.py": """
        class User:
            name: str
            password_hash: str

        class Admin(User):
            role: str
        """,
    "app/rows.py": """
        def as_dict(row):
            return {"id": row.id, "password": row.password}  #! LIV030
        """,
}


def test_secrets_in_results(tmp_path: Path) -> None:
    marked(tmp_path, RESULTS)
