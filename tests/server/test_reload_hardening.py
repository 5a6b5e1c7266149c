"""What a save must not break: half-run modules, packages, refreshes under way, two apps. Spec: live-api 1 and 21.1."""

from __future__ import annotations

import gc
import importlib
import pickle
import sys
import weakref
from typing import Any

import pytest

from runtime.server.assembly import StartupError
from runtime.testing import eventually
from tests.server.conftest import AppFactory
from tests.server.peers import App, Peer, turns

ONE = "from runtime import live\n\n@live\nasync def hello(ctx): return 'one'\n"
TWO = ONE.replace("one", "two")


async def save(app: App, name: str, source: str) -> Any:
    """Write a file as an editor does, reload, and let the loop turn."""
    file = app.write(name, source)
    result = await app.runtime.live.reload([file])
    await turns(20)
    return result


async def answer(peer: Peer, path: str, *args: Any) -> Any:
    reply = await peer.request(path, *args)
    return reply["data"] if reply["ok"] else reply["code"]


def private(app: App, name: str) -> Any:
    """Return an imported live module of `app`."""
    loader = app.runtime.live.loader
    assert loader is not None
    return sys.modules[f"{loader.package.live}.{name}"]


# ------------------------------------------------------------ what a module may raise

ENDS = {
    "SystemExit": "import sys\nsys.exit('set API_KEY first')\n",
    "GeneratorExit": "raise GeneratorExit('odd')\n",
    "CancelledError": "import asyncio\nraise asyncio.CancelledError('odd')\n",
    "BaseException": "raise BaseException('odd')\n",
}


@pytest.mark.spec("LIVE-172")
@pytest.mark.parametrize("kind", ENDS)
async def test_a_module_that_ends_the_process_is_a_problem_of_that_module(
    make_app: AppFactory, kind: str
) -> None:
    app = await make_app({"live/a.py": ONE}, env="dev")
    peer = await app.connect()
    result = await save(app, "live/a.py", ENDS[kind])
    assert [(p.file, p.kind) for p in result.problems] == [("live/a.py", kind)]
    assert await answer(peer, "a/hello") == "one"
    assert (await save(app, "live/b.py", TWO)).modules == ["b"]
    assert [await answer(peer, path) for path in ("a/hello", "b/hello")] == ["one", "two"]
    assert (await save(app, "live/a.py", TWO)).ok
    assert await answer(peer, "a/hello") == "two"


async def test_sys_exit_in_a_module_fails_the_start_with_its_place(make_app: AppFactory) -> None:
    app = await make_app({"live/a.py": ONE, "live/b.py": ENDS["SystemExit"]}, start=False)
    with pytest.raises(StartupError, match=r"live/b.py:2: SystemExit: .*sys.exit\('set API_KEY first'\)"):
        await app.runtime.start()


async def test_an_interrupt_from_the_keyboard_passes_and_leaves_all_as_it_was(make_app: AppFactory) -> None:
    app = await make_app({"live/_base.py": "V = 1\n", "live/a.py": ONE, "live/b.py": ONE}, env="dev")
    modules = app.runtime.live.registry.modules
    file = app.write("live/a.py", "from live import _base\nraise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        await app.runtime.live.reload([file])
    peer = await app.connect()
    assert await answer(peer, "a/hello") == "one"
    assert (await save(app, "live/b.py", TWO)).modules == ["b"]
    assert app.runtime.live.registry.modules["a"].module is modules["a"].module
    assert await answer(peer, "b/hello") == "two"


async def test_an_object_that_cannot_be_looked_at_is_a_problem_of_its_module(make_app: AppFactory) -> None:
    odd = """
        class Odd:
            @property
            def __class__(self): raise RuntimeError("do not look")
        odd = Odd()
    """
    app = await make_app({"live/a.py": odd, "live/b.py": ONE}, env="dev")
    assert [(p.file, p.message) for p in app.runtime.problems] == [("live/a.py", "do not look")]
    assert await answer(await app.connect(), "b/hello") == "one"


# ------------------------------------------------------------ helpers and packages

HALF = "def is_admin(user): return True\nBANNED = undefined\n"


async def test_nobody_gets_half_of_a_helper(make_app: AppFactory) -> None:
    uses = "from runtime import live\nfrom live._auth import is_admin\n@live\nasync def f(ctx): return is_admin(1)\n"
    app = await make_app({"live/_auth.py": HALF, "live/a.py": uses, "live/b.py": uses}, env="dev")
    assert app.runtime.live.registry.endpoints == {}
    # One mistake is reported once, however many modules import it.
    assert [(p.file, p.line) for p in app.runtime.problems] == [("live/_auth.py", 2)]
    assert (await save(app, "live/_auth.py", HALF.replace("undefined", "()"))).ok
    assert await answer(await app.connect(), "b/f") is True


async def test_a_new_helper_is_imported_when_its_mistake_is_corrected(make_app: AppFactory) -> None:
    app = await make_app({"live/a.py": ONE}, env="dev")
    app.write("live/_helper.py", "VALUE = undefined\ndef late(): return 'late'\n")
    uses = "from runtime import live\nfrom live._helper import late\n@live\nasync def hello(ctx): return late()\n"
    result = await save(app, "live/a.py", uses)
    assert [p.file for p in result.problems] == ["live/_helper.py"]
    peer = await app.connect()
    assert await answer(peer, "a/hello") == "one"
    assert (await save(app, "live/_helper.py", "def late(): return 'late'\n")).ok
    assert await answer(peer, "a/hello") == "late"


async def test_editing_the_package_itself_keeps_one_set_of_modules(make_app: AppFactory) -> None:
    uses = """
        from runtime import live
        from live._state import ITEMS, Item

        @live
        async def same(ctx):
            import live as package
            from live._state import ITEMS as again, Item as then
            return [package.CONFIG, again is ITEMS, then is Item, package.__name__ == Item.__module__[:-7]]
    """
    app = await make_app(
        {
            "live/__init__.py": "CONFIG = 1\n",
            "live/_state.py": "ITEMS = []\nclass Item: pass\n",
            "live/a.py": uses,
        },
        env="dev",
    )
    peer = await app.connect()
    assert await answer(peer, "a/same") == [1, True, True, True]
    assert (await save(app, "live/__init__.py", "CONFIG = 2\n")).modules == ["a"]
    assert await answer(peer, "a/same") == [2, True, True, True]
    loader = app.runtime.live.loader
    assert loader is not None
    for name in ("", "._state", ".a"):
        assert sys.modules[f"live{name}"] is sys.modules[f"{loader.package.live}{name}"]
    assert (await save(app, "live/_state.py", "ITEMS = [1]\nclass Item: pass\n")).modules == ["a"]


async def test_a_package_that_breaks_keeps_all_old_code_until_it_is_right(make_app: AppFactory) -> None:
    uses = "from runtime import live\nfrom live import CONFIG\n@live\nasync def f(ctx): return CONFIG\n"
    app = await make_app({"live/__init__.py": "CONFIG = 1\n", "live/a.py": uses, "live/b.py": ONE}, env="dev")
    peer = await app.connect()
    result = await save(app, "live/__init__.py", "CONFIG = undefined\n")
    assert [(p.file, p.line) for p in result.problems] == [("live/__init__.py", 1)]
    assert [await answer(peer, path) for path in ("a/f", "b/hello")] == [1, "one"]
    assert (await save(app, "live/__init__.py", "CONFIG = 3\n")).ok
    assert await answer(peer, "a/f") == 3


async def test_a_package_that_never_worked_does_not_keep_the_others_from_loading(
    make_app: AppFactory,
) -> None:
    app = await make_app({"live/__init__.py": "CONFIG = undefined\n", "live/b.py": ONE}, env="dev")
    peer = await app.connect()
    assert await answer(peer, "b/hello") == "one"
    result = await save(app, "live/b.py", TWO)
    assert [p.file for p in result.problems] == ["live/__init__.py"]
    assert await answer(peer, "b/hello") == "two"
    assert (await save(app, "live/__init__.py", "CONFIG = 1\n")).ok


SUB = """
    from runtime import live
    import live.sub._mod
    import live.sub._mod as mod
    import live as package

    @live
    async def f(ctx): return [package.sub._mod.VALUE, mod is package.sub._mod, live is not package, package.sub.X]
"""


async def test_editing_a_folders_init_keeps_its_attributes(make_app: AppFactory) -> None:
    uses = SUB.replace("import live.sub._mod\n", "import live.sub._mod\n    from runtime import live\n", 1)
    app = await make_app(
        {"live/sub/__init__.py": "X = 1\n", "live/sub/_mod.py": "VALUE = 1\n", "live/a.py": uses}, env="dev"
    )
    peer = await app.connect()
    assert await answer(peer, "a/f") == [1, True, True, 1]
    result = await save(app, "live/sub/__init__.py", "X = 2\n")
    assert (result.modules, result.problems) == (["a"], [])
    assert await answer(peer, "a/f") == [1, True, True, 2]
    assert not (await save(app, "live/sub/__init__.py", "X = undefined\n")).ok
    assert await answer(peer, "a/f") == [1, True, True, 2]
    await save(app, "live/sub/_mod.py", "VALUE = 3\n")
    assert (await save(app, "live/sub/__init__.py", "X = 4\n")).ok
    assert await answer(peer, "a/f") == [3, True, True, 4]


async def test_a_folders_init_that_nobody_names_runs_again(make_app: AppFactory) -> None:
    app = await make_app({"live/sub/__init__.py": "X = 1\n", "live/sub/m.py": ONE}, env="dev")
    module = private(app, "sub.m")
    assert (await save(app, "live/sub/__init__.py", "X = 2\n")).ok
    assert private(app, "sub").X == 2
    assert private(app, "sub").m is module
    assert private(app, "sub.m") is module


async def test_middleware_of_a_helper_or_of_the_package_counts(make_app: AppFactory) -> None:
    middleware = """
        from runtime import live
        @live.middleware
        async def note(ctx, next):
            ctx.notes = [*getattr(ctx, "notes", []), NAME]
            return await next()
    """
    uses = "from runtime import live\nfrom live import _mw\n@live\nasync def f(ctx): return ctx.notes\n"
    app = await make_app(
        {
            "live/__init__.py": middleware.replace("NAME", "'package'"),
            "live/_mw.py": middleware.replace("NAME", "'helper'"),
            "live/a.py": uses,
        },
        env="dev",
    )
    peer = await app.connect()
    assert await answer(peer, "a/f") == ["package", "helper"]
    await save(app, "live/_mw.py", middleware.replace("NAME", "'new'"))
    assert await answer(peer, "a/f") == ["package", "new"]


# ------------------------------------------------------------ a file that hides a name

BOARD = "from runtime import live\n\n@live\nasync def x(ctx): return 'x'\n@live\nasync def y(ctx): return x.__name__\n"


@pytest.mark.parametrize(("file", "named"), [("live/board/x.py", "x.py"), ("live/board/x/deep.py", "x")])
async def test_a_file_in_the_folder_of_a_module_must_not_hide_its_name(
    make_app: AppFactory, file: str, named: str
) -> None:
    app = await make_app({"live/board.py": BOARD, file: ONE}, start=False)
    with pytest.raises(
        StartupError, match=rf"'board/x' is declared twice: live/board.py:4 and live/board/{named};"
    ):
        await app.runtime.start()


async def test_a_file_that_comes_to_hide_a_name_is_taken_back(make_app: AppFactory) -> None:
    app = await make_app({"live/board.py": BOARD, "live/board/z.py": ONE}, env="dev")
    peer = await app.connect()
    result = await save(app, "live/board/x.py", ONE)
    assert "live/board.py:4 and live/board/x.py" in result.problems[0].message
    assert [await answer(peer, path) for path in ("board/x", "board/y", "board/z/hello")] == ["x", "x", "one"]
    (app.project / "live/board/x.py").rename(app.project / "live/board/w.py")
    result = await app.runtime.live.reload([app.project / "live/board" / name for name in ("x.py", "w.py")])
    assert result.ok
    assert [await answer(peer, path) for path in ("board/x", "board/w/hello")] == ["x", "one"]


async def test_a_name_that_was_hidden_from_the_start_is_back_when_the_file_is_gone(
    make_app: AppFactory,
) -> None:
    app = await make_app({"live/board.py": BOARD, "live/board/x.py": ONE}, env="dev")
    peer = await app.connect()
    assert await answer(peer, "board/x/hello") == "one"
    (app.project / "live/board/x.py").unlink()
    assert (await app.runtime.live.reload([app.project / "live/board/x.py"])).ok
    assert [await answer(peer, path) for path in ("board/x", "board/y")] == ["x", "x"]


# ------------------------------------------------------------ refreshes

SLOW = """
    import asyncio
    from runtime import live
    gate = live.keep("gate", asyncio.Event)
    seen = live.keep("seen", list)

    @live.stream(lambda n: f"feed:{n}")
    async def feed(ctx, n: int):
        seen.append(VERSION)
        await gate.wait()
        return [{"id": n, "v": VERSION}]
"""


async def slow_app(make_app: AppFactory, subscribers: int = 1) -> tuple[App, Peer]:
    """Return an app whose loader waits for a gate, and a peer with streams that loaded version 1."""
    app = await make_app({"live/a.py": SLOW.replace("VERSION", "1"), "live/b.py": ONE}, env="dev")
    private(app, "a").gate.set()
    peer = await app.connect(caps=())
    for n in range(subscribers):
        await peer.stream("a/feed", n)
    private(app, "a").gate.clear()
    return app, peer


@pytest.mark.spec("LIVE-173")
@pytest.mark.parametrize("next_save", [TWO, "x = (\n", ONE])
async def test_the_next_save_does_not_end_a_refresh(make_app: AppFactory, next_save: str) -> None:
    app, peer = await slow_app(make_app)
    await save(app, "live/a.py", SLOW.replace("VERSION", "2"))
    await save(app, "live/b.py", next_save)
    assert peer.events("feed:0") == []
    private(app, "a").gate.set()
    await eventually(lambda: peer.events("feed:0") == [("refreshed", [{"id": 0, "v": 2}])])


async def test_a_refresh_whose_code_is_replaced_starts_again_with_the_new_code(make_app: AppFactory) -> None:
    app, peer = await slow_app(make_app, 40)
    await save(app, "live/a.py", SLOW.replace("VERSION", "2"))
    await save(app, "live/a.py", SLOW.replace("VERSION", "3"))
    assert private(app, "a").seen[40:] == [2] * 16 + [3] * 16, "no more than 16 loaders run at once"
    private(app, "a").gate.set()
    for n in range(40):
        await eventually(lambda n=n: peer.events(f"feed:{n}") == [("refreshed", [{"id": n, "v": 3}])])
    assert private(app, "a").seen[40:] == [2] * 16 + [3] * 40


async def test_a_generation_ends_after_its_refreshes_and_a_stop_ends_them(make_app: AppFactory) -> None:
    app, peer = await slow_app(make_app, 20)
    await save(app, "live/a.py", SLOW.replace("VERSION", "2"))
    refreshing = app.runtime.live.generation
    await save(app, "live/b.py", TWO)
    assert refreshing is not app.runtime.live.generation
    assert (refreshing.running, refreshing.tasks.running, refreshing.tasks.closed) == (16, 16, False)
    await app.runtime.stop()
    assert (refreshing.running, refreshing.tasks.running) == (0, 0)
    assert peer.events("feed:0") == []


async def test_a_refresh_of_a_stream_that_was_left_does_not_come(make_app: AppFactory) -> None:
    app, peer = await slow_app(make_app, 20)
    await save(app, "live/a.py", SLOW.replace("VERSION", "2"))
    for n in (0, 19):  # one that runs and one that waits
        peer.send({"type": "unsubscribe", "topic": f"feed:{n}"})
    await turns()
    private(app, "a").gate.set()
    await eventually(lambda: peer.events("feed:18") == [("refreshed", [{"id": 18, "v": 2}])])
    assert peer.events("feed:0") == peer.events("feed:19") == []
    assert private(app, "a").seen[20:] == [2] * 19


async def test_a_reload_in_which_nothing_ran_leaves_the_generation(make_app: AppFactory) -> None:
    app = await make_app({"live/a.py": ONE, "live/b.py": ONE}, env="dev")
    await save(app, "live/b.py", "x = (\n")
    generation = app.runtime.live.generation
    await save(app, "live/b.py", "x = (\n")
    await save(app, "live/notes.txt", "x")
    assert app.runtime.live.generation is generation
    await save(app, "live/b.py", "y = (\n\n")
    await save(app, "live/b.py", ONE)
    assert app.runtime.live.generation is not generation
    assert app.runtime.problems == []


FEED = """
    from runtime import live, guard, LiveError
    @live.stream("feed"OPTIONS)
    async def feed(ctx): return [{"id": 1, "v": VERSION, "tenant": getattr(ctx, "tenant", None)}]
    REST
"""


def feed(version: int, rest: str = "", options: str = "") -> str:
    return FEED.replace("VERSION", str(version)).replace("REST", rest).replace("OPTIONS", options)


async def test_a_refresh_passes_through_middleware(make_app: AppFactory) -> None:
    tenant = """
        from runtime import live
        @live.middleware
        async def tenant(ctx, next):
            ctx.tenant = "acme"
            return await next()
    """
    app = await make_app({"live/mw.py": tenant, "live/a.py": feed(1)}, env="dev")
    peer = await app.connect()
    await peer.stream("a/feed")
    await save(app, "live/a.py", feed(2))
    assert peer.events("feed") == [("refreshed", [{"id": 1, "v": 2, "tenant": "acme"}])]


@pytest.mark.parametrize(
    "after",
    [
        feed(2, "_guard = guard(authenticated=True)"),
        feed(2, options=", access=lambda ctx: False"),
        feed(2).replace("@live.stream", "@live.gate(lambda ctx: False)\n    @live.stream"),
        feed(2, "@live.middleware\n    async def stop(ctx, next): raise LiveError('NOT_YOURS')"),
    ],
    ids=["guard", "access", "gate", "middleware"],
)
async def test_a_subscription_that_would_be_refused_now_ends_at_the_refresh(
    make_app: AppFactory, after: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = await make_app({"live/a.py": feed(1)}, env="dev")
    peer = await app.connect()
    await peer.stream("a/feed")
    await peer.stream("a/feed")
    await save(app, "live/a.py", after)
    app.runtime.platform.publish("feed", "created", {"id": 2})
    await turns()
    assert peer.events("feed") == []
    assert app.runtime.platform.subscribers("feed") == 0
    assert app.runtime.metrics.get("stream_subscriptions") == 0
    assert f"a/feed refuses connection {peer.connection.id}" in caplog.text


async def test_a_loader_that_fails_or_is_told_to_wait_keeps_its_subscribers(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app = await make_app({"live/a.py": feed(1)}, env="dev")
    peer = await app.connect()
    await peer.stream("a/feed")
    for failure in ("1 / 0", "raise LiveError('RATE_LIMITED')"):
        broken = (
            f"from runtime import live, LiveError\n@live.stream('feed')\nasync def feed(ctx): {failure}\n"
        )
        await save(app, "live/a.py", broken)
        assert app.runtime.platform.subscribers("feed") == 1
    assert "ZeroDivisionError" in caplog.text
    assert "was not refreshed" in caplog.text
    app.runtime.platform.publish("feed", "created", {"id": 2})
    await turns()
    assert peer.events("feed") == [("created", {"id": 2})]


# ------------------------------------------------------------ two apps

WHO = """
    from runtime import live
    from live import _who

    @live
    async def who(ctx):
        import live as package
        import live._who as named
        from live._late import WHO
        return [WHO, _who.WHO, named.WHO, package._who.WHO, live is not package]
"""


def two(who: str) -> dict[str, str]:
    return {
        "live/_who.py": f"WHO = '{who}'\n",
        "live/_late.py": f"WHO = '{who}'\n",
        "live/a.py": WHO,
        "hooks.py": "async def open(ws):\n    from live._late import WHO\n    ws.user_data['who'] = WHO\n",
    }


async def test_imports_at_run_time_find_the_modules_of_their_own_app(make_app: AppFactory) -> None:
    first = await make_app(two("first"), env="dev")
    second = await make_app(two("second"), env="dev")
    peers = [await app.connect({}) for app in (first, second)]
    for peer, who in zip(peers, ("first", "second"), strict=True):
        assert await answer(peer, "a/who") == [who, who, who, who, True]
        assert peer.connection.user_data["who"] == who
    await save(first, "live/_late.py", "WHO = 'edited'\n")
    assert await answer(peers[0], "a/who") == ["edited", "first", "first", "first", True]
    await first.runtime.stop()
    assert await answer(peers[1], "a/who") == ["second", "second", "second", "second", True]


async def test_the_alias_is_that_of_the_last_app_and_falls_back(make_app: AppFactory) -> None:
    first = await make_app({"live/_who.py": "WHO = 'first'\n", "live/a.py": "from live import _who\n"})
    second = await make_app({"live/_who.py": "WHO = 'second'\n", "live/a.py": ONE})
    assert importlib.import_module("live._who").WHO == "second"
    await second.runtime.stop()
    assert importlib.import_module("live._who") is private(first, "_who")
    await first.runtime.stop()
    assert "live" not in sys.modules


async def test_lines_builtins_and_pickles_of_live_modules_are_as_usual(make_app: AppFactory) -> None:
    source = """
        import os, live._types as types, live._types
        from live._types import *
        import builtins
        from runtime import live

        @live
        async def same(ctx):
            import importlib, live._types, sys
            again = importlib.import_module("live._types")
            return [again is types, live._types is types, Item is types.Item, __builtins__ is vars(builtins)]

        @live
        async def fail(ctx):
            import live, live._types, \\
                live._missing
    """
    app = await make_app({"live/_types.py": "class Item: pass\n", "live/a.py": source}, env="dev")
    peer = await app.connect()
    assert await answer(peer, "a/same") == [True, True, True, True]
    item = private(app, "_types").Item()
    assert type(pickle.loads(pickle.dumps(item))) is type(item)
    trace = (await peer.request("a/fail"))["data"]["traceback"]
    assert 'a.py", line 15, in fail' in trace
    assert "No module named 'live._missing'" in trace
    assert not [name for name in vars(private(app, "a")) if name.startswith("_realtime")]


async def test_a_project_whose_module_another_app_has_imported_is_refused(make_app: AppFactory) -> None:
    uses = "import db\nfrom runtime import live\n@live\nasync def f(ctx): return db.NAME\n"
    first = await make_app({"db_hardening.py": "NAME = 1\n", "live/a.py": uses.replace("db", "db_hardening")})
    files = {"db_hardening.py": "NAME = 2\n", "live/a.py": uses.replace("db", "db_hardening")}
    second = await make_app(files, start=False)
    with pytest.raises(StartupError) as caught:
        await second.runtime.start()
    for app in (first, second):
        assert str(app.project / "db_hardening.py") in str(caught.value)
    await first.runtime.stop()
    third = await make_app(files)
    assert await answer(await third.connect(), "a/f") == 2
    await third.runtime.stop()
    sys.modules.pop("db_hardening")


async def test_projects_with_files_of_one_name_that_nobody_imported_start_together(
    make_app: AppFactory,
) -> None:
    files = {"tasks_hardening.py": "", "live/a.py": ONE}
    for _ in range(2):
        app = await make_app(files)
        assert await answer(await app.connect(), "a/hello") == "one"


# ------------------------------------------------------------ what stays in memory


async def test_old_modules_go_though_their_topic_functions_were_called(make_app: AppFactory) -> None:
    source = """
        from runtime import live
        class Mark: pass
        def make(mark=Mark()): return [1]
        kept = live.keep("kept", make)
        kept_too = live.keep("kept_too", len, [Mark()])
        @live.stream(lambda n: f"items:{n}")
        async def items(ctx, n: int): return []
    """
    app = await make_app({"live/a.py": source}, env="dev")
    peer = await app.connect()
    marks = []
    for n in range(3):
        marks.append(weakref.ref(private(app, "a").Mark))
        assert (await peer.stream("a/items", n))["topic"] == f"items:{n}"
        peer.send({"type": "unsubscribe", "topic": f"items:{n}"})
        await save(app, "live/a.py", f"{source}\n        # {n}\n")
    gc.collect()
    assert [mark() for mark in marks] == [None, None, None]


KEPT = """
    from dataclasses import dataclass
    from runtime import live
    @dataclass
    class Options: size: int = 1
    def make(options=Options()): return []
    cache = live.keep("cache", make)
    rows = live.keep("rows", list, [Options(SIZE)])
    @live
    async def add(ctx): cache.append(1); rows.append(1)
    @live
    async def count(ctx): return [len(cache), len(rows)]
"""


@pytest.mark.spec("LIVE-203")
async def test_kept_values_survive_arguments_of_classes_of_the_module(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app = await make_app({"live/a.py": KEPT.replace("SIZE", "1")}, env="dev")
    peer = await app.connect()
    await peer.request("a/add")
    await save(app, "live/a.py", KEPT.replace("SIZE", "1") + "    # touched\n")
    assert await answer(peer, "a/count") == [1, 2]
    assert "starts anew" not in caplog.text
    await save(app, "live/a.py", KEPT.replace("SIZE", "2"))
    assert await answer(peer, "a/count") == [1, 1]
    assert "live/a.py: live.keep('rows') starts anew" in caplog.text
    assert "'cache'" not in caplog.text


async def test_a_reload_that_fails_keeps_the_kept_values_of_the_old_code(make_app: AppFactory) -> None:
    app = await make_app({"live/a.py": KEPT.replace("SIZE", "1")}, env="dev")
    peer = await app.connect()
    await peer.request("a/add")
    assert not (await save(app, "live/a.py", KEPT.replace("SIZE", "2") + "    1 / 0\n")).ok
    assert (await save(app, "live/a.py", KEPT.replace("SIZE", "1"))).ok
    assert await answer(peer, "a/count") == [1, 2]
