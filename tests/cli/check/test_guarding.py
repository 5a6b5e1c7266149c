"""LIV001, LIV002, LIV007 and LIV016: guards, public functions that write, functions that nobody can call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.check.projects import marked

if TYPE_CHECKING:
    from pathlib import Path

OPEN = {
    "other names": """
        # whole
        import runtime as rt
        from runtime import live as l

        api = rt.live
        loud = l.volatile

        @loud
        @api
        async def one(ctx) -> None: ...  #! LIV001
        """,
    "nested and stacked": """
        # whole
        import functools
        from runtime import live

        if True:
            try:
                @functools.cache
                @live.rate_limit(5, 60)
                @live.stream("a")
                async def one(ctx) -> None: ...  #! LIV001
            except ImportError:
                pass
        """,
    "a lambda that registers": """
        # whole
        from runtime import live

        api = lambda function: live.volatile(live(function))

        @api
        async def one(ctx) -> None: ...  #! LIV001
        """,
    "a decorator that asks who calls": """
        # whole
        import functools
        from runtime import LiveError, live

        def staff_only(function):
            @functools.wraps(function)
            async def inner(ctx, *args):
                if ctx.user is None or not ctx.user["staff"]:
                    raise LiveError("FORBIDDEN")
                return await function(ctx, *args)
            return inner

        def timed(function):
            return function

        @live
        @staff_only
        async def one(ctx) -> None: ...

        @live
        @timed
        async def two(ctx) -> None: ...  #! LIV001
        """,
    "registered by a call": """
        # whole
        from runtime import live

        async def one_(ctx) -> None: ...  #! LIV001

        one = live.rate_limit(5, 60)(live(one_))
        """,
    "made by a function": """
        # whole
        from runtime import live

        def make():
            @live
            async def one(ctx) -> None: ...  #! LIV001
            return one

        one = make()
        """,
    "a guard that is none": """
        # whole
        from app.nothing import *
        from runtime import live

        _guard: object
        _guard = None
        text = "_guard = guard(authenticated=True)"

        @live
        async def one(ctx) -> None: ...  #! LIV001
        """,
    "all public": """
        # whole
        from runtime import live

        @live.public
        @live
        async def one(ctx) -> None: ...

        async def two_(ctx) -> None: ...

        two = live.public(live(two_))

        @live.stream("a", access=live.access.owner())
        async def three(ctx) -> None: ...

        @live.scoped(lambda ctx: True)
        @live.stream("b")
        async def four(ctx) -> None: ...

        @live.cron("* * * * *")
        async def five(ctx) -> None: ...
        """,
    "a comment": """
        # whole
        # realtime-allow-public
        from runtime import live

        @live
        async def one(ctx) -> None: ...
        """,
    "another live": """
        # whole
        from app.music import live

        @live
        async def one(x) -> None: ...
        """,
}


@pytest.mark.parametrize("case", OPEN)
def test_modules_without_a_guard(case: str, tmp_path: Path) -> None:
    marked(tmp_path, {"live/todos.py": OPEN[case], "app/nothing.py": "_guard = 1\n"})


@pytest.mark.parametrize("text", ["from app.auth import _guard", "from app.auth import check as _guard"])
def test_a_guard_from_another_file(text: str, tmp_path: Path) -> None:
    live = f"# whole\nfrom runtime import live\n{text}\n\n@live\nasync def one(ctx) -> None: ...\n"
    auth = "from runtime import guard\n\ncheck = guard(authenticated=True)\n_guard = check\n"
    marked(tmp_path, {"live/todos.py": live, "app/auth.py": auth})


def test_decorators_of_the_project(tmp_path: Path) -> None:
    marked(
        tmp_path,
        {
            "app/api.py": """
                from runtime import live

                def api(function):
                    return live.rate_limit(5, 60)(live(function))
                """,
            "live/todos.py": """
                # whole
                from app.api import api

                @api
                async def one(ctx) -> None: ...  #! LIV001
                """,
        },
    )


WRITES = {
    "every way to write": """
        from app import database as db, Todo, cache

        DELETE = "delete from todos where id = $1"

        @live.public
        @live
        async def one(ctx, number: int) -> None:
            await db.todos.delete(number)  #! LIV002

        @live
        @live.public
        async def two(ctx, number: int) -> None:
            if number:
                async with db.acquire() as conn:
                    await conn.execute(DELETE, number)  #! LIV002

        @live.public
        @live
        async def three(ctx, title: str) -> None:
            ctx.publish("todos", "created", title)  #! LIV002

        @live.public
        @live
        async def four(ctx, title: str) -> None:
            def inner() -> None:
                cache.set_title(title)  #! LIV002
            inner()

        async def _five(ctx, title: str) -> None:
            Todo(title).save()  #! LIV002

        five = live.public(live(_five))
        """,
    "a look at the user": """
        from app import database, require_login

        @live.public
        @live
        async def one(ctx, number: int) -> None:
            if ctx.user is None:
                raise PermissionError
            await database.delete(number)

        @live.public
        @live
        async def two(ctx, number: int) -> None:
            user = ctx.user
            await database.delete(number)

        @live.public
        @live
        async def three(c, number: int) -> None:
            require_login(c)
            await database.delete(number)

        def _check(context) -> None:
            if not context.user:
                raise PermissionError

        @live.public
        @live
        async def four(ctx, number: int) -> None:
            check(ctx)
            await database.delete(number)

        def check(ctx) -> None:
            assert ctx.user
        """,
    "no writes": """
        import hashlib
        from app import database

        @live.public
        @live
        async def one(ctx, title: str) -> str:
            found = []
            found.append(title)
            seen = set()
            seen.add(title)
            digest = hashlib.sha256()
            digest.update(title.encode())
            text = title.strip().replace("a", "b")
            words = text.split()
            words.append("x")
            counts = dict.fromkeys(words, 0)
            counts.update(x=1)
            rows = await database.fetch("select * from todos")
            "delete".replace("x", "y")
            return text

        @live
        async def two(ctx, number: int) -> None:
            await database.delete(number)
        """,
}


@pytest.mark.parametrize("case", WRITES)
def test_public_writes(case: str, tmp_path: Path) -> None:
    marked(tmp_path, WRITES[case])


def test_public_writes_in_another_file(tmp_path: Path) -> None:
    marked(
        tmp_path,
        {
            "app/todos.py": """
                from app import database

                async def remove(number: int) -> None:
                    await further(number)

                async def further(number: int) -> None:
                    await database.delete(number)

                async def read() -> None:
                    await database.fetch("select 1")
                """,
            "live/todos.py": """
                from app.todos import read, remove as gone

                @live.public
                @live
                async def one(ctx, number: int) -> None:
                    await read()
                    await gone(number)  #! LIV002

                @live.public
                @live
                async def two(ctx) -> None:
                    await read()
                """,
        },
    )


UNREACHABLE = {
    "live/todos.py": """
        import functools
        from runtime import Ctx
        from app.tools import logged, unknown

        async def one(ctx) -> None: ...  #! LIV007

        async def two(c: Ctx) -> None: ...  #! LIV007

        if True:
            async def three(ctx) -> None: ...  #! LIV007

        @functools.cache
        async def four(ctx) -> None: ...  #! LIV007

        @logged
        async def five(ctx) -> None: ...  #! LIV007

        @unknown
        async def six(ctx) -> None: ...

        async def _seven(ctx) -> None: ...

        async def eight(ctx) -> None: ...

        def nine(ctx) -> None: ...

        async def ten(text: str) -> None: ...

        async def eleven(ctx) -> None: ...

        async def twelve(ctx) -> None: ...

        made = live(twelve)

        @live
        async def real(ctx) -> None:
            await eight(ctx)
            async def inner(ctx) -> None: ...
        """,
    "live/other.py": """
        from live.todos import eleven

        @live
        async def real(ctx) -> None:
            await eleven(ctx)
        """,
    "live/_own.py": "async def one(ctx) -> None: ...\n",
    "app/tools.py": "from somewhere import unknown\n\ndef logged(function):\n    return function\n",
}


def test_functions_that_nobody_can_call(tmp_path: Path) -> None:
    marked(tmp_path, UNREACHABLE)


GUARDS = {
    "a lambda": "_guard = lambda ctx: ctx.user is not None  #! LIV016",
    "a function of another name": """
        def check(ctx):
            if not ctx.user:
                return False  #! LIV016
            return True

        _guard = check
        """,
    "a part of a guard": """
        from runtime import guard

        async def check(ctx):
            ok = bool(ctx.user)
            return ok  #! LIV016

        _guard = guard(check, authenticated=True)
        """,
    "by a condition": """
        def _guard(ctx):
            try:
                return True if ctx.user else False  #! LIV016
            finally:
                pass
        """,
    "one that raises": """
        from runtime import LiveError

        def _guard(ctx):
            if ctx.user is None:
                raise LiveError("UNAUTHENTICATED")
            return True
        """,
    "no guard": """
        from runtime import guard

        _guard = guard(authenticated=True)

        def is_admin(ctx):
            return ctx.user is not None
        """,
}


@pytest.mark.parametrize("case", GUARDS)
def test_guards_that_say_no(case: str, tmp_path: Path) -> None:
    import textwrap

    text = "# whole\nfrom runtime import live\n" + textwrap.dedent(GUARDS[case])
    marked(tmp_path, text + "\n\n@live\nasync def one(ctx) -> None: ...\n")


def test_a_guard_of_another_file_that_says_no(tmp_path: Path) -> None:
    marked(
        tmp_path,
        {
            "app/auth.py": "def is_known(ctx):\n    return ctx.user is not None  #! LIV016\n",
            "live/todos.py": """
                # whole
                from app.auth import is_known as _guard
                from runtime import live

                @live
                async def one(ctx) -> None: ...
                """,
        },
    )
