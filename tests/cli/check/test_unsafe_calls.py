"""SEC029, SEC030, SEC032 and SEC033: input that is run as code, SQL or markup, and secrets compared with ==."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.check.projects import marked

if TYPE_CHECKING:
    from pathlib import Path

CODE = {
    "other names": """
        import pickle as p
        from marshal import loads
        from pickle import loads as unpack
        import yaml
        import io

        run = eval

        @live
        async def one(ctx, data: bytes, text: str) -> None:
            p.loads(data)  #! SEC029
            loads(data)  #! SEC029
            unpack(data)  #! SEC029
            run(text)  #! SEC029
            exec(f"x = {text}")  #! SEC029
            yaml.load(text)  #! SEC029
            yaml.load(text, Loader=yaml.Loader)  #! SEC029
            p.Unpickler(io.BytesIO(data)).load()  #! SEC029
        """,
    "through names": """
        import pickle

        @live
        async def one(ctx, data: bytes, items: list[str]) -> None:
            raw = data.strip()
            with ctx.x as y:
                try:
                    for part in raw.split(b","):
                        pickle.loads(part)  #! SEC029
                finally:
                    def inner():
                        return pickle.loads(raw)  #! SEC029
                    inner()
            parts = []
            parts.append(items[0])
            eval("".join(parts))  #! SEC029
            match items:
                case [first, *rest]:
                    eval(first)  #! SEC029
            if (word := items[0]):
                eval(word)  #! SEC029
            [eval(one) for one in items]  #! SEC029
        """,
    "not the client's": """
        import pickle, yaml
        from yaml import SafeLoader as Safe

        @live
        async def one(ctx, data: bytes, text: str) -> None:
            pickle.loads(ctx.platform.stored)
            pickle.loads(b"x")
            yaml.load(text, Loader=Safe)
            yaml.safe_load(text)
            ctx.model.eval(text)
            pickle.dumps(data)

        def eval_(text: str) -> str:
            return text

        eval = eval_

        @live
        async def two(ctx, text: str) -> None:
            eval(text)
        """,
    "a class and decorators": """
        import pickle
        from app.tools import logged

        @logged
        @live.validated(dict)
        @logged()
        @live
        async def one(ctx, data: bytes) -> None:
            Reader().read(data)
            Reader.parse(data)

        class Reader:
            def read(self, raw: bytes) -> object:
                return self._read(raw)

            def _read(self, raw: bytes) -> object:
                return pickle.loads(raw)  #! SEC029

            @staticmethod
            def parse(raw: bytes) -> object:
                return pickle.loads(raw)  #! SEC029
        """,
    "a shell": """
        import asyncio, os, shlex, subprocess
        from subprocess import getoutput

        @live(thread=True)
        def one(ctx, name: str, count: int) -> None:
            os.system(f"ls {name}")  #! SEC029
            getoutput("ls " + name)  #! SEC029
            subprocess.run(f"ls {name}", shell=True)  #! SEC029
            subprocess.Popen(args=f"ls {name}", shell=True)  #! SEC029
            subprocess.run(["ls", "--", name])
            subprocess.run(f"ls {name}", shell=False)
            os.system("ls")
            os.system(f"head -n {int(count)} x")
            os.system(f"ls {shlex.quote(name)}")

        @live
        async def two(ctx, name: str) -> None:
            await asyncio.create_subprocess_shell(f"convert {name}")  #! SEC029
            await asyncio.create_subprocess_exec("convert", name)
        """,
    "registered by a call": """
        import pickle

        async def one_(ctx, data: bytes) -> None:
            pickle.loads(data)  #! SEC029

        one = live(one_)
        """,
}


@pytest.mark.parametrize("case", CODE)
def test_input_that_is_run(case: str, tmp_path: Path) -> None:
    marked(tmp_path, CODE[case])


def test_input_that_is_run_in_another_file(tmp_path: Path) -> None:
    marked(
        tmp_path,
        {
            "app/__init__.py": "from app.read import unpack as public\n",
            "app/read.py": """
                import pickle

                def unpack(raw: bytes, *, extra: bytes = b"") -> object:
                    pickle.loads(b"own")
                    return pickle.loads(raw)  #! SEC029

                def own(raw: bytes) -> object:
                    return pickle.loads(raw)
                """,
            "live/_shared.py": """
                # whole
                def run(text: str, times: int) -> None:
                    further(text)

                def further(words: str) -> None:
                    eval(words)  #! SEC029
                """,
            "live/todos.py": """
                import asyncio
                from app import public
                from app.read import own
                from live._shared import run

                @live
                async def one(ctx, data: bytes, text: str) -> None:
                    await asyncio.to_thread(public, data)
                    run(times=1, text=text)
                    own(b"x")
                """,
            "hooks.py": """
                import pickle

                async def message(ws, data):
                    handle(data)

                def handle(raw):
                    pickle.loads(raw)  #! SEC029
                """,
        },
    )


SECRETS = {
    "hooks.py": """
        import hashlib
        import os

        TOKEN = os.environ["TOKEN"]
        PASSWORD = "x"

        async def authenticate(request, headers, cookies):
            if headers.get("x-api-key") == TOKEN:  #! SEC030
                return True
            if not (cookies["token"] != TOKEN):  #! SEC030
                return True
            return any(secret == TOKEN for secret in request.x)  #! SEC030

        class Check:
            def ok(self, tok):
                return self.token == tok  #! SEC030
        """,
    "live/todos.py": """
        import hmac
        from app.settings import WEBHOOK_SECRET as KEY

        @live
        async def one(ctx, password: str, token_type: str, count: int) -> bool:
            stored = ctx.x
            if password == stored:  #! SEC030
                return True
            if hmac.compare_digest(password, stored):
                return True
            if token_type == stored or password == "" or password is None or len(password) == count:
                return False
            return hmac.new(b"x").hexdigest() == stored  #! SEC030
        """,
    "app/parse.py": """
        END = "<end>"

        def parse(token, other):
            if token == END:
                return
            if token.kind == other.kind:
                return
            "token == TOKEN"  # token == TOKEN
        """,
    "tests/test_x.py": "def test(token, TOKEN):\n    assert token == TOKEN\n",
}


def test_compared_secrets(tmp_path: Path) -> None:
    marked(tmp_path, SECRETS)


SQL = {
    "every way to build": """
        from app import database as db
        from sqlalchemy import text

        TABLE = "select * from todos where "

        @live
        async def find(ctx, title: str, number: int) -> None:
            await db.fetch(f"select * from todos where title = '{title}'")  #! SEC032
            await db.fetch("select * from todos where title = '%s'" % title)  #! SEC032
            await db.fetch("select * from todos where title = '{}'".format(title))  #! SEC032
            await db.fetch("select * from todos where title = '" + title + "'")  #! SEC032
            await db.fetch(TABLE + title)  #! SEC032
            await db.execute(text(f"delete from todos where title = '{title}'"))  #! SEC032
            query = f"update todos set title = '{title}'"
            await db.execute(query)  #! SEC032
            where = ["select * from todos where x = 1"]
            sql = "select * from todos"
            sql += f" where title = '{title}'"
            cursor = db.cursor()
            try:
                cursor.execute(query=sql)  #! SEC032
            finally:
                pass
        """,
    "what only decides or counts": """
        from app import database as db

        KNOWN = {"a", "b"}

        @live
        async def find(ctx, ids: list[str], last: bool, name: str, other: str) -> None:
            marks = ",".join(f"${index}" for index, _ in enumerate(ids, 1))
            await db.fetch(f"select id from todos where id in ({marks})", *ids)
            await db.fetch(f"select id from todos where id in ({','.join('?' for _ in ids)})", *ids)
            order = "desc" if last else "asc"
            await db.fetch(f"select id from todos order by id {order}")
            row = await db.users.find(name)
            await db.fetch(f"select id from todos where owner = {row.id}")
            quoted = ",".join(f"'{one}'" for one in ids)
            await db.fetch(f"select id from todos where id in ({quoted})")  #! SEC032
            for index, one in enumerate(ids):
                await db.fetch(f"select id from todos limit {index}")
                await db.fetch(f"select id from todos where id = '{one}'")  #! SEC032
            chosen = [column for column in ids if column in ("id", "title")]
            await db.fetch(f"select {', '.join(chosen)} from todos")
            longer = [word for word in ids if word in name]
            await db.fetch(f"select {', '.join(longer)} from todos")  #! SEC032
            if other not in name:
                return
            await db.fetch(f"select id from todos order by {other}")  #! SEC032
            if name not in KNOWN:
                raise ValueError
            await db.fetch(f"select id from todos order by {name}")
            await db.fetch(f"select id from todos order by {name}, {other}")  #! SEC032
        """,
    "names from a table": """
        from app import database as db

        COLUMNS = {"title": "title", "age": "created_at"}
        OPEN = {"title": "title"}
        OPEN["x"] = db.columns()

        @live
        async def find(ctx, order: str, other: str) -> None:
            column = COLUMNS.get(order, "title")
            await db.fetch(f"select id from todos order by {column}")
            await db.fetch(f"select id from todos order by {COLUMNS[order]}")
            await db.fetch(f"select id from todos order by {COLUMNS.get(order, other)}")  #! SEC032
            await db.fetch(f"select id from todos order by {ctx.columns.get(order)}")  #! SEC032
        """,
    "parameters": """
        from app import database as db

        TABLE = "todos"

        @live
        async def find(ctx, title: str, number: str) -> None:
            await db.fetch("select * from todos where title = $1", title)
            await db.fetch(f"select * from {TABLE} where title = $1", title)
            await db.fetch(f"select * from todos where id = {int(number)}")
            query = "select * from todos where title = $1"
            await db.fetch(query, title)
            ctx.publish("a", "b", f"select from {title}")
            await db.search.query(title)
        """,
}


@pytest.mark.parametrize("case", SQL)
def test_sql(case: str, tmp_path: Path) -> None:
    marked(tmp_path, SQL[case])


def test_sql_in_another_file(tmp_path: Path) -> None:
    marked(
        tmp_path,
        {
            "app/store.py": """
                class Store:
                    def __init__(self, pool):
                        self.pool = pool

                    async def find(self, title):
                        return await self.pool.fetch(f"select * from todos where t = '{title}'")  #! SEC032

                store = Store(None)
                """,
            "live/todos.py": """
                from app.store import store

                @live
                async def find(ctx, title: str) -> None:
                    await store.find(title)
                """,
        },
    )


PAGES = {
    "web/a.html.j2": """
        <p>{{ x|safe }}</p> <!-- #! SEC033
        <p>{{- x | trim | safe | upper -}}</p> <!-- #! SEC033
        <p>{{ {"a": x}.a | safe }}</p> <!-- #! SEC033
        {% autoescape false %} <!-- #! SEC033
        {% endautoescape %}
        {{ x }} {{ safe }} {# {{ x | safe }} #} {{ live_data(x) | safe }}
        {% raw %}{{ x | safe }}{% endraw %}
        {{ "fixed" | safe }}
        """,
    "web/b.js": "const x = '{{ x | safe }}'\n",
}


def test_markup(tmp_path: Path) -> None:
    marked(
        tmp_path,
        {
            **PAGES,
            "live/todos.py": """
        from markupsafe import Markup as M

        @live
        async def show(ctx, text: str) -> str:
            M("<b>")
            return M(f"<b>{text}</b>")  #! SEC033
        """,
        },
    )
