"""LIV003, LIV022 and LIV023: what blocks the loop, tasks that nobody keeps, loops that nothing ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.check.projects import marked

if TYPE_CHECKING:
    from pathlib import Path

BLOCKING = {
    "another name": """
        import time as t
        from time import sleep
        from time import sleep as nap
        pause = t.sleep

        @live
        async def wait(ctx, seconds: int) -> None:
            t.sleep(seconds)  #! LIV003
            sleep(seconds)  #! LIV003
            nap(seconds)  #! LIV003
            pause(seconds)  #! LIV003
        """,
    "nested": """
        import subprocess
        import requests

        @live
        async def wait(ctx, flag: bool) -> None:
            if flag:
                try:
                    with open("x") as file:
                        text = file.read()  #! LIV003
                except OSError:
                    for _ in range(3):
                        requests.get("http://x")  #! LIV003
                else:
                    async with ctx.lock:
                        subprocess.run(["ls"])  #! LIV003
            async def inner() -> None:
                requests.post("http://x")  #! LIV003
            await inner()
        """,
    "what reads a file by itself": """
        import json
        import tomllib

        @live
        async def wait(ctx, text: str) -> None:
            with open("x") as file:
                json.load(file)  #! LIV003
            with open("x", "rb") as file:
                tomllib.load(file)  #! LIV003
            json.loads(text)
            json.load(ctx.memory)
        """,
    "classes": """
        import smtplib
        import sqlite3
        import requests

        @live
        async def wait(ctx) -> None:
            session = requests.Session()
            session.get("http://x")  #! LIV003
            smtplib.SMTP("host")  #! LIV003
            if ctx.x:
                raise sqlite3.IntegrityError("x")
        """,
    "an inner plain function that is called": """
        import time

        @live
        async def wait(ctx) -> None:
            def inner() -> None:
                time.sleep(1)  #! LIV003
            inner()
        """,
    "an inner plain function that a thread runs": """
        import asyncio, time

        @live
        async def wait(ctx) -> None:
            def inner() -> None:
                time.sleep(1)
            await asyncio.to_thread(inner)
            await asyncio.to_thread(lambda: time.sleep(1))
            await asyncio.to_thread(time.sleep, 1)
        """,
    "a helper in the module": """
        import time

        def slow() -> None:
            time.sleep(1)  #! LIV003

        def never_called() -> None:
            time.sleep(1)

        @live
        async def wait(ctx) -> None:
            slow()
        """,
    "a method": """
        import time

        class Store:
            def save(self) -> None:
                self.flush()

            def flush(self) -> None:
                time.sleep(1)  #! LIV003

        store = Store()

        @live
        async def wait(ctx) -> None:
            store.save()
        """,
    "under other decorators": """
        import functools, time
        from app.tools import logged

        @logged
        @live.rate_limit(5, 60)
        @logged("x")
        @live
        async def wait(ctx) -> None:
            time.sleep(1)  #! LIV003

        @functools.cache
        @live
        def plain(ctx) -> None:
            time.sleep(1)  #! LIV003
        """,
    "registered by a call": """
        import time

        def wait_(ctx) -> None:
            time.sleep(1)  #! LIV003

        wait = live(wait_)
        """,
    "in a thread of its own": """
        import time

        @live(thread=True)
        def wait(ctx) -> None:
            time.sleep(1)
            helper()

        def helper() -> None:
            time.sleep(1)
        """,
    "names that mean something else": """
        import asyncio
        import aiofiles
        from app.fake import requests, clock as time

        class Sleeper:
            def sleep(self, seconds: int) -> None: ...

        @live
        async def wait(ctx, path: str) -> str:
            time.sleep(1)
            requests.get("x")
            Sleeper().sleep(1)
            await asyncio.sleep(1)
            async with aiofiles.open("x") as file:
                await file.read()
            "time.sleep(1)"  # time.sleep(1)
            return path
        """,
    "a name that the function itself binds": """
        import time

        @live
        async def wait(ctx) -> None:
            time = ctx.clock
            time.sleep(1)
        """,
    "a name that was bound again": """
        import time
        from app.fake import clock
        time = clock

        @live
        async def wait(ctx) -> None:
            time.sleep(1)
        """,
    "one of two names": """
        try:
            from fast import sleep
        except ImportError:
            from time import sleep

        import requests

        @live
        async def wait(ctx) -> None:
            (requests if ctx.x else None).get("x")  #! LIV003
            getattr(requests, "get")("x")  #! LIV003
        """,
    "pathlib": """
        from pathlib import Path

        @live
        async def wait(ctx) -> str:
            return Path("x").read_text()  #! LIV003
        """,
}


@pytest.mark.parametrize("case", BLOCKING)
def test_blocking(case: str, tmp_path: Path) -> None:
    marked(tmp_path, BLOCKING[case])


def test_blocking_in_other_files(tmp_path: Path) -> None:
    marked(
        tmp_path,
        {
            "app/__init__.py": "from app.deep import deep\n",
            "app/slow.py": """
                import time
                from app.deep import deep as further

                def slow() -> None:
                    time.sleep(1)  #! LIV003
                    further()

                def unused() -> None:
                    time.sleep(1)
                """,
            "app/deep.py": """
                import requests

                def deep() -> None:
                    requests.get("http://x")  #! LIV003
                """,
            "live/_shared.py": """
                # whole
                from os import system as run

                async def shared() -> None:
                    run("ls")  #! LIV003
                """,
            "app/star.py": """
                import time

                def starred() -> None:
                    time.sleep(1)  #! LIV003
                """,
            "live/todos.py": """
                import app
                from app.slow import slow
                from app.star import *
                from live._shared import shared

                @live
                async def wait(ctx) -> None:
                    slow()
                    app.deep()
                    starred()
                    await shared()
                """,
            "tests/test_todos.py": "import time\n\nasync def test_x() -> None:\n    time.sleep(1)\n",
        },
    )


def test_blocking_in_hooks(tmp_path: Path) -> None:
    marked(
        tmp_path,
        {
            "hooks.py": """
                import asyncio
                from time import sleep

                async def init(platform):
                    load()
                    await asyncio.to_thread(later)

                def load():
                    sleep(1)  #! LIV003

                def later():
                    sleep(1)

                def shutdown(platform):
                    sleep(1)  #! LIV003
                """
        },
    )


TASKS = {
    "thrown away": """
        import asyncio as aio
        from asyncio import create_task as spawn

        @live
        async def send(ctx) -> None:
            spawn(work())  #! LIV022
            aio.ensure_future(work())  #! LIV022
            loop = aio.get_running_loop()
            loop.create_task(work())  #! LIV022
            task: aio.Task = spawn(work())  #! LIV022
            _ = spawn(work())  #! LIV022
            if ctx:
                ctx.x and spawn(work())  #! LIV022
            spawn(work()).add_done_callback(print)  #! LIV022

        async def work() -> None: ...
        """,
    "kept": """
        import asyncio

        TASKS = set()

        class Keeper:
            def start(self) -> None:
                self.task = asyncio.create_task(work())

        @live
        async def send(ctx) -> asyncio.Task:
            task = asyncio.create_task(work())
            TASKS.add(task)
            task.add_done_callback(TASKS.discard)
            TASKS.add(asyncio.create_task(work()))
            await asyncio.create_task(work())
            await asyncio.gather(asyncio.create_task(work()))
            async with asyncio.TaskGroup() as group:
                group.create_task(work())
            tasks = [asyncio.create_task(work()) for _ in range(3)]
            await asyncio.wait(tasks)
            return asyncio.create_task(work())

        async def work() -> None: ...
        """,
    "another create_task": """
        from app import asyncio, board

        @live
        async def send(ctx) -> None:
            asyncio.create_task("x")
            board.create_task("y")
        """,
}


@pytest.mark.parametrize("case", TASKS)
def test_tasks(case: str, tmp_path: Path) -> None:
    marked(tmp_path, TASKS[case])


def test_tasks_of_another_file(tmp_path: Path) -> None:
    marked(
        tmp_path,
        {
            "app/jobs.py": """
                import asyncio

                def start() -> None:
                    asyncio.create_task(work())  #! LIV022

                async def work() -> None: ...
                """,
            "tests/test_jobs.py": "import asyncio\n\ndef start():\n    asyncio.create_task(1)\n",
        },
    )


LOOPS = {
    "without an await": """
        import itertools

        FOREVER = True

        @live
        async def one(ctx) -> None:
            n = 0
            while True:  #! LIV023
                n += 1

        @live
        async def two(ctx) -> None:
            if ctx:
                while 1:  #! LIV023
                    for x in range(3):
                        break
            while FOREVER:  #! LIV023
                async def inner() -> None:
                    await ctx.x
                    return
            for _ in itertools.count():  #! LIV023
                pass
        """,
    "that look or end": """
        import asyncio

        @live.stream("a")
        async def one(ctx) -> int:
            while not ctx.signal.aborted:
                await asyncio.sleep(1)
            while True:
                if ctx.signal.aborted:
                    break
                await asyncio.sleep(1)
            while True:
                await asyncio.sleep(1)
                return 1

        @live
        async def two(ctx, many: int) -> None:
            while True:
                await asyncio.sleep(1)
            while many:
                many -= 1
            while True:
                many -= 1
                if many < 0:
                    raise SystemExit
        """,
    "that go on without the client": """
        import asyncio

        @live.stream("a")
        async def one(ctx) -> int:
            while True:  #! LIV023
                await asyncio.sleep(1)

        @live.upload(max_size=10, max_concurrent_total=5)
        async def two(ctx) -> int:
            try:
                while True:  #! LIV023
                    async with ctx.lock:
                        pass
            finally:
                pass

        @live.upload(max_size=10, max_concurrent_total=5)
        async def three(ctx) -> int:
            size = 0
            async for chunk in ctx.stream:
                size += len(chunk)
            return size
        """,
    "in a helper": """
        def spin() -> None:
            while True:  #! LIV023
                pass

        @live
        async def one(ctx) -> None:
            spin()
        """,
}


@pytest.mark.parametrize("case", LOOPS)
def test_loops(case: str, tmp_path: Path) -> None:
    marked(tmp_path, LOOPS[case])
