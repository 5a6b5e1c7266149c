"""LIV029, CAP010 and CAP014: state of requests in modules, and what grows without a bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.check.projects import marked

if TYPE_CHECKING:
    from pathlib import Path

GLOBALS = {
    "live/todos.py": """
        from app import current
        from app.current import STATE

        user = None
        last = None
        OWN = {}

        @live
        async def one(c, title: str) -> None:
            global user, last
            user = c.user  #! LIV029
            me = c.user
            if title:
                with c.x:
                    last = me  #! LIV029
            user, last = c.user, 1  #! LIV029
            current.USER = c.user  #! LIV029
            STATE["user"] = c.user  #! LIV029
            OWN["user"] = c.user["id"]  #! LIV029
            globals()["user"] = c.user  #! LIV029
            print((last := c.user))  #! LIV029

        class Board:
            def __init__(self, ctx) -> None:
                self.user = ctx.user

        @live
        async def two(ctx) -> None:
            user = ctx.user
            local = {}
            local["user"] = ctx.user
            ctx.user_data = ctx.user
            def inner() -> None:
                nonlocal user
                user = ctx.user
            inner()
        """,
    "app/current.py": """
        USER = None
        STATE = {}

        def keep(ctx):
            global USER
            USER = ctx.user  #! LIV029
        """,
    "tests/test_x.py": "USER = None\n\ndef test(ctx):\n    global USER\n    USER = ctx.user\n",
}


def test_request_state(tmp_path: Path) -> None:
    marked(tmp_path, GLOBALS)


def test_what_hooks_keep_for_all(tmp_path: Path) -> None:
    marked(
        tmp_path,
        {
            "hooks.py": """
                PLATFORM = None
                LAST = None

                async def init(platform):
                    global PLATFORM
                    PLATFORM = platform

                async def open(ws):
                    global LAST
                    LAST = ws  #! LIV029
                """
        },
    )


GROWING = {
    "every way": """
        import collections
        from collections import defaultdict as dd

        SEEN = {}
        LOG = list()
        COUNTS = dd(int)
        ROOMS = dd(list)
        LEFT = dd(list)
        TAGS: set[str] = set()
        alias = SEEN

        @live
        async def one(ctx, title: str) -> None:
            if title:
                try:
                    alias[title] = 1  #! CAP014
                finally:
                    LOG.append(title)  #! CAP014
            COUNTS[ctx.user["id"]] += 1  #! CAP014
            ROOMS[title].append(1)  #! CAP014
            LEFT[title].append(1)
            LEFT[title].pop()
            _keep(title)

        def _keep(word: str) -> None:
            tags = TAGS
            tags.add(word)  #! CAP014
        """,
    "bounded": """
        import collections
        from runtime import Dedup

        SEEN = {}
        LOG = []
        RECENT = collections.deque(maxlen=100)
        DONE = set()
        TOTALS = {}
        FIXED = {"a": 1}
        STORE = Dedup()
        ROWS = []

        @live
        async def one(ctx, title: str) -> None:
            global ROWS
            SEEN[title] = 1
            SEEN.pop(title)
            LOG.append(title)
            del LOG[:-100]
            RECENT.append(title)
            DONE.add(title)
            if len(DONE) > 100:
                DONE.clear()
            TOTALS["all"] = 1
            local = {}
            local[title] = 1
            ROWS.append(title)
            ROWS = ROWS[-100:]
            SEEN_ = "SEEN[title] = 1"

        async def _never(ctx, title: str) -> None:
            FIXED[title] = 1

        @live
        async def two(ctx, title: str) -> None:
            FIXED = {}
            FIXED[title] = 1
        """,
}


@pytest.mark.parametrize("case", GROWING)
def test_growing_containers(case: str, tmp_path: Path) -> None:
    marked(tmp_path, GROWING[case])


def test_growing_containers_of_other_files(tmp_path: Path) -> None:
    marked(
        tmp_path,
        {
            "app/store.py": """
                SEEN = {}
                LOG = []
                KEPT = {}

                def note(word):
                    LOG.append(word)  #! CAP014

                def forget(word):
                    KEPT.pop(word)
                """,
            "live/_state.py": "# whole\nTAGS = set()\n",
            "live/todos.py": """
                import app.store as store
                from app.store import KEPT, SEEN as seen, note
                from live._state import *

                @live
                async def one(ctx, title: str) -> None:
                    seen[title] = 1  #! CAP014
                    note(title)
                    store.KEPT[title] = 1
                    TAGS.add(title)  #! CAP014
                """,
        },
    )


PLUGINS = {
    "live/todos.py": """
        import runtime.plugins as p
        from runtime import Queue as Q
        from runtime.plugins.group import Group

        NONE = None
        LIMIT = 5

        lobby = Group("a")  #! CAP010
        other = p.Group("a", max_members=NONE)  #! CAP010
        queue = Q(max_size=None)  #! CAP010

        class Held:
            group = Group("a")  #! CAP010

        def make() -> None:
            if LIMIT:
                Q(max_size=NONE)  #! CAP010

        good = [Group("a", max_members=5), Q(), Q(max_size=LIMIT), Group("a", **{})]
        """,
    "app/other.py": "from app.own import Group\n\nlobby = Group()\n",
}


def test_plugins_without_a_bound(tmp_path: Path) -> None:
    marked(tmp_path, PLUGINS)
