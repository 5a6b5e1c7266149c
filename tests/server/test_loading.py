"""Modules, paths, registration and hot reload. Spec: live-api 1 and 21.1."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from runtime.server.assembly import StartupError
from tests.server.conftest import AppFactory
from tests.server.peers import App, turns

ONE = "from runtime import live\n\n@live\nasync def hello(ctx): return 'one'\n"
TWO = ONE.replace("one", "two")


@pytest.mark.spec("LIVE-1")
async def test_folders_are_part_of_the_path_and_private_names_are_not_exported(make_app: AppFactory) -> None:
    ban = """
        from runtime import live
        from live._store import banned

        @live
        async def ban(ctx, n):
            banned.append(n)
            return banned
    """
    app = await make_app(
        {
            "live/admin/users.py": ban,
            "live/_store.py": "from runtime import live\nbanned = []\n@live\nasync def hidden(ctx): pass\n",
            "live/_private/x.py": ONE,
            "live/.cache/x.py": ONE,
            "live/__init__.py": ONE,
        }
    )
    assert list(app.runtime.live.registry.endpoints) == ["admin/users/ban"]
    peer = await app.connect()
    assert (await peer.request("admin/users/ban", 7))["data"] == [7]
    for path in ("_store/hidden", "_private/x/hello", "cache/x/hello", "admin/_store/hidden"):
        assert (await peer.request(path))["code"] == "NOT_FOUND"


async def test_an_imported_function_is_not_registered_twice(make_app: AppFactory) -> None:
    app = await make_app({"live/a.py": ONE, "live/b.py": "from live.a import hello\nfrom . import a\n"})
    assert list(app.runtime.live.registry.endpoints) == ["a/hello"]


@pytest.mark.spec("LIVE-6")
async def test_two_streams_with_one_fixed_topic_fail_naming_both(make_app: AppFactory) -> None:
    source = "from runtime import live\n\n@live.stream('todos')\nasync def NAME(ctx): return []\n"
    files = {"live/a.py": source.replace("NAME", "x"), "live/b.py": source.replace("NAME", "y")}
    app = await make_app(files, start=False)
    with pytest.raises(StartupError) as caught:
        await app.runtime.start()
    text = str(caught.value)
    assert "topic 'todos' is declared twice: live/a.py:3 and live/b.py:3" in text


@pytest.mark.spec("LIVE-7")
async def test_two_handlers_with_one_path_fail_naming_both(make_app: AppFactory) -> None:
    source = ONE + "\n@live\nasync def hello(ctx, other): return 'shadow'\n"
    app = await make_app({"live/a.py": source}, start=False)
    with pytest.raises(StartupError, match=r"path 'a/hello' is declared twice: live/a.py:3 and live/a.py:6"):
        await app.runtime.start()


@pytest.mark.spec("LIVE-8")
@pytest.mark.parametrize("env", ["dev", "production"])
async def test_a_module_that_fails_is_skipped_in_dev_and_fatal_elsewhere(
    make_app: AppFactory, env: str
) -> None:
    files = {"live/good.py": ONE, "live/bad.py": "import does_not_exist_anywhere\n"}
    app = await make_app(files, env=env, start=False)
    if env == "production":
        with pytest.raises(
            StartupError, match=r"live/bad.py:1: ModuleNotFoundError: .*does_not_exist_anywhere"
        ):
            await app.runtime.start()
        return
    await app.runtime.start()
    peer = await app.connect()
    assert (await peer.request("good/hello"))["data"] == "one"
    assert (await peer.request("bad/hello"))["code"] == "NOT_FOUND"
    problem = app.runtime.problems[0]
    assert (problem.file, problem.line, problem.kind) == ("live/bad.py", 1, "ModuleNotFoundError")
    assert "importlib" not in problem.traceback


@pytest.mark.parametrize(
    ("source", "kind", "text"),
    [
        ("def x(:\n", "SyntaxError", "invalid syntax"),
        ("from runtime import live\nlive(5)\n", "TypeError", "a function is needed, not 5"),
        (
            "from runtime import live\n\n@live\nasync def x(): pass\n",
            "SignatureError",
            "first parameter must be ctx",
        ),
        (
            "from runtime import live\nclass A: pass\n\n@live\nasync def x(ctx, a: A): pass\n",
            "SignatureError",
            "x: a: A cannot be a schema",
        ),
        (
            "from runtime import live\n\n@live\nasync def x(ctx, a: list[Missing]): pass\n",
            "NameError",
            "Missing",
        ),
        (
            "from __future__ import annotations\nfrom runtime import live\n@live\ndef x(ctx, a: Missing): pass\n",
            "SignatureError",
            "annotations cannot be resolved",
        ),
        (
            "from runtime import live\n\n@live\nasync def x(ctx, *, a): pass\n",
            "SignatureError",
            "by position",
        ),
        (
            "from runtime import live\n\n@live.stream('__x')\nasync def x(ctx): pass\n",
            "ValueError",
            "topic: ",
        ),
        (
            "from runtime import live\n@live.stream('x', merge='odd')\ndef x(ctx): pass\n",
            "ValueError",
            "merge: ",
        ),
        (
            "from runtime import live\n_guard = 5\n\n@live\nasync def x(ctx): pass\n",
            "TypeError",
            "_guard must be",
        ),
    ],
)
async def test_mistakes_are_reported_with_their_place(
    make_app: AppFactory, source: str, kind: str, text: str
) -> None:
    app = await make_app({"live/bad.py": source, "live/good.py": ONE}, env="dev")
    problem = app.runtime.problems[0]
    assert (problem.file, problem.kind) == ("live/bad.py", kind)
    assert text in problem.message
    peer = await app.connect()
    assert (await peer.request("good/hello"))["ok"] is True
    assert (await peer.request("bad/x"))["ok"] is False


async def test_a_live_module_cannot_take_the_name_of_the_browser_client(make_app: AppFactory) -> None:
    app = await make_app({"live/client.py": ONE, "live/sub/client.py": ONE}, env="dev")
    assert [problem.kind for problem in app.runtime.problems] == ["ReservedName"]
    assert list(app.runtime.live.registry.endpoints) == ["sub/client/hello"]


async def test_a_file_that_hides_our_package_is_named(make_app: AppFactory) -> None:
    app = await make_app({"live/a.py": ONE, "runtime.py": ""}, start=False, env="dev")
    with pytest.raises(StartupError, match=r"runtime\.py hides a package"):
        await app.runtime.start()


async def test_two_apps_of_one_process_have_their_own_modules(make_app: AppFactory) -> None:
    first = await make_app({"live/a.py": ONE})
    second = await make_app({"live/a.py": TWO})
    for app, answer in ((first, "one"), (second, "two")):
        peer = await app.connect()
        assert (await peer.request("a/hello"))["data"] == answer


async def test_a_stopped_app_leaves_no_modules(make_app: AppFactory) -> None:
    app = await make_app({"live/a.py": ONE})
    loader = app.runtime.live.loader
    assert loader is not None
    root = loader.package.root
    assert f"{root}.live.a" in sys.modules
    await app.runtime.stop()
    assert not [name for name in sys.modules if name.startswith(root)]


async def reload(app: App, *names: str) -> Any:
    result = await app.runtime.live.reload([app.project / name for name in names])
    await turns(20)
    return result


@pytest.mark.spec("LIVE-172", "LIVE-173")
async def test_saved_code_answers_on_the_open_connection(make_app: AppFactory) -> None:
    app = await make_app({"live/a.py": ONE}, env="dev")
    peer = await app.connect()
    assert (await peer.request("a/hello"))["data"] == "one"
    app.write("live/a.py", TWO)
    result = await reload(app, "live/a.py")
    assert result.ok
    assert result.modules == ["a"]
    assert (await peer.request("a/hello"))["data"] == "two"
    assert peer.sink.closed is None
    assert peer.events("__realtime") == [("reload", {"modules": ["a"], "resubscribe": []})]


async def test_two_edits_of_equal_size_within_a_second_are_both_seen(make_app: AppFactory) -> None:
    app = await make_app({"live/a.py": ONE}, env="dev")
    peer = await app.connect()
    for source, answer in ((TWO, "two"), (ONE, "one"), (TWO, "two")):
        app.write("live/a.py", source)
        await reload(app, "live/a.py")
        assert (await peer.request("a/hello"))["data"] == answer


@pytest.mark.spec("LIVE-172")
async def test_a_broken_file_keeps_the_old_handlers_until_it_is_right(make_app: AppFactory) -> None:
    app = await make_app({"live/a.py": ONE, "live/b.py": ONE}, env="dev")
    peer = await app.connect()
    for broken in ("def x(:\n", "import does_not_exist_anywhere\n", ONE + ONE, "1 / 0\n"):
        app.write("live/a.py", broken)
        result = await reload(app, "live/a.py")
        assert not result.ok
        assert result.problems[0].file == "live/a.py"
        assert app.runtime.problems
        assert (await peer.request("a/hello"))["data"] == "one"
    app.write("live/b.py", TWO)
    result = await reload(app, "live/b.py")
    assert (await peer.request("b/hello"))["data"] == "two"
    assert (await peer.request("a/hello"))["data"] == "one"
    assert not result.ok
    app.write("live/a.py", TWO)
    assert (await reload(app, "live/a.py")).ok
    assert (await peer.request("a/hello"))["data"] == "two"
    assert app.runtime.problems == []


@pytest.mark.spec("LIVE-172")
async def test_new_deleted_and_renamed_files_are_noticed(make_app: AppFactory) -> None:
    app = await make_app({"live/a.py": ONE}, env="dev")
    peer = await app.connect()
    app.write("live/sub/b.py", TWO)
    result = await reload(app, "live/sub/b.py")
    assert result.added == ["sub/b"]
    assert (await peer.request("sub/b/hello"))["data"] == "two"
    (app.project / "live/a.py").rename(app.project / "live/c.py")
    result = await reload(app, "live/a.py", "live/c.py")
    assert (result.added, result.removed) == (["c"], ["a"])
    assert (await peer.request("a/hello"))["code"] == "NOT_FOUND"
    assert (await peer.request("c/hello"))["data"] == "one"
    (app.project / "live/c.py").unlink()
    assert (await reload(app, "live/c.py")).removed == ["c"]
    assert list(app.runtime.live.registry.endpoints) == ["sub/b/hello"]


async def test_modules_that_import_a_changed_one_run_again_and_others_do_not(make_app: AppFactory) -> None:
    counted = (
        "from runtime import live\nfrom live._runs import runs\nruns.append(__name__.rpartition('.')[2])\n"
    )
    app = await make_app(
        {
            "live/_runs.py": "from runtime import live\nruns = live.keep('runs', list)\n",
            "live/base.py": counted + "VALUE = 1\n",
            "live/_middle.py": counted + "from . import base\nVALUE = base.VALUE * 10\n",
            "live/top.py": counted
            + "from live._middle import VALUE\n@live\nasync def value(ctx): return VALUE\n",
            "live/lazy.py": counted
            + "@live\nasync def value(ctx):\n    from live.base import VALUE\n    return VALUE\n",
            "live/apart.py": counted,
        },
        env="dev",
    )
    peer = await app.connect()
    loader = app.runtime.live.loader
    assert loader is not None
    runs = sys.modules[f"{loader.package.live}._runs"].runs
    runs.clear()
    app.write("live/base.py", counted + "VALUE = 2\n")
    result = await reload(app, "live/base.py")
    assert sorted(runs) == ["_middle", "base", "lazy", "top"]
    assert result.modules == ["base", "lazy", "top"]
    assert (await peer.request("top/value"))["data"] == 20
    assert (await peer.request("lazy/value"))["data"] == 2


async def test_a_module_whose_import_breaks_keeps_its_old_code(make_app: AppFactory) -> None:
    app = await make_app(
        {
            "live/_base.py": "VALUE = 1\n",
            "live/top.py": """
                from runtime import live
                from live._base import VALUE

                @live
                def value(ctx): return VALUE
            """,
        },
        env="dev",
    )
    peer = await app.connect()
    app.write("live/_base.py", "VALUE = (\n")
    result = await reload(app, "live/_base.py")
    assert result.problems[0].file == "live/_base.py"
    assert (await peer.request("top/value"))["data"] == 1
    app.write("live/_base.py", "VALUE = 3\n")
    assert (await reload(app, "live/_base.py")).ok
    assert (await peer.request("top/value"))["data"] == 3


async def test_a_clash_takes_the_reload_back_until_it_is_solved(make_app: AppFactory) -> None:
    stream = "from runtime import live\n\n@live.stream('TOPIC')\nasync def items(ctx): return []\n"
    app = await make_app({"live/a.py": stream.replace("TOPIC", "one"), "live/b.py": ONE}, env="dev")
    peer = await app.connect()
    app.write("live/b.py", stream.replace("TOPIC", "one"))
    result = await reload(app, "live/b.py")
    assert "live/a.py:3 and live/b.py:3" in result.problems[0].message
    assert (await peer.request("b/hello"))["data"] == "one"
    assert (await peer.request("a/items"))["data"] == []
    app.write("live/a.py", stream.replace("TOPIC", "two"))
    assert (await reload(app, "live/a.py")).ok
    assert (await peer.request("b/items"))["data"] == []


async def test_a_call_ends_in_the_code_in_which_it_began(make_app: AppFactory) -> None:
    source = """
        import asyncio
        from runtime import live
        gate = live.keep("gate", asyncio.Event)
        @live
        async def slow(ctx):
            await gate.wait()
            return helper()
        @live
        async def release(ctx): gate.set()
        def helper(): return "old"
    """
    app = await make_app({"live/a.py": source}, env="dev")
    peer = await app.connect()
    peer.send({"rpc": "a/slow", "id": "k", "args": []})
    await turns()
    app.write("live/a.py", source.replace('"old"', '"new"'))
    await reload(app, "live/a.py")
    await peer.request("a/release")
    assert (await peer.reply("k"))["data"] == "old"
    assert (await peer.request("a/slow"))["data"] == "new"


@pytest.mark.spec("LIVE-203")
async def test_kept_values_survive_and_a_new_factory_makes_a_new_one(make_app: AppFactory) -> None:
    source = """
        from runtime import live
        def make(): return {"made": 1}
        kept = live.keep("kept", make)
        sized = live.keep("sized", list, (1, 2))
        plain = {}
        @live
        async def put(ctx): kept["x"] = plain["x"] = 1; sized.append(3)
        @live
        async def get(ctx): return [kept, plain, sized]
    """
    app = await make_app({"live/a.py": source}, env="dev")
    peer = await app.connect()
    await peer.request("a/put")
    app.write("live/a.py", source + "\n        # a comment\n")
    await reload(app, "live/a.py")
    assert (await peer.request("a/get"))["data"] == [{"made": 1, "x": 1}, {}, [1, 2, 3]]
    app.write("live/a.py", source.replace('{"made": 1}', '{"made": 2}'))
    await reload(app, "live/a.py")
    assert (await peer.request("a/get"))["data"] == [{"made": 2}, {}, [1, 2, 3]]
    app.write("live/a.py", source.replace("(1, 2)", "(5, 6)"))
    await reload(app, "live/a.py")
    assert (await peer.request("a/get"))["data"][2] == [5, 6]


@pytest.mark.spec("LIVE-173")
async def test_changed_streams_load_again_for_their_subscribers_only(make_app: AppFactory) -> None:
    source = """
        from runtime import live
        @live.stream(lambda room: f"room:{room}")
        async def room(ctx, room: str): return [{"id": room, "v": 1, "user": ctx.user["id"]}]
    """
    other = "from runtime import live\n@live.stream('other')\nasync def other(ctx): return [1]\n"
    app = await make_app({"live/a.py": source, "live/b.py": other}, env="dev")
    ann, bob, idle = [await app.connect({"id": name}) for name in ("ann", "bob", "idle")]
    await ann.stream("a/room", "x")
    await ann.stream("b/other")
    await bob.stream("a/room", "y")
    app.write("live/a.py", source.replace('"v": 1', '"v": 2'))
    await reload(app, "live/a.py")
    assert ann.events("room:x") == [("refreshed", [{"id": "x", "v": 2, "user": "ann"}])]
    assert bob.events("room:y") == [("refreshed", [{"id": "y", "v": 2, "user": "bob"}])]
    assert ann.events("other") == []
    assert not [f for f in idle.parsed() if f.get("event") == "refreshed"]
    assert app.runtime.platform.subscribers("room:x") == 1


async def test_a_stream_whose_topic_or_merge_changed_is_named_for_a_new_subscription(
    make_app: AppFactory,
) -> None:
    source = "from runtime import live\n@live.stream('one')\nasync def items(ctx): return []\n"
    app = await make_app({"live/a.py": source}, env="dev")
    peer = await app.connect()
    await peer.stream("a/items")
    app.write("live/a.py", source.replace("'one'", "'two'"))
    await reload(app, "live/a.py")
    assert peer.events("__realtime")[-1] == ("reload", {"modules": ["a"], "resubscribe": ["a/items"]})
    assert peer.events("one") == []
    peer.send({"type": "unsubscribe", "topic": "one"})
    assert (await peer.stream("a/items"))["topic"] == "two"


async def test_events_during_a_refresh_are_not_overtaken_by_it(make_app: AppFactory) -> None:
    source = """
        import asyncio
        from runtime import live
        gate = live.keep("gate", asyncio.Event)
        rows = live.keep("rows", list)
        @live.stream("rows")
        async def items(ctx):
            seen = list(rows)
            await gate.wait()
            return seen
        @live
        async def add(ctx, n: int):
            rows.append(n)
            ctx.publish("rows", "created", n)
        @live
        async def release(ctx): gate.set()
    """
    app = await make_app({"live/a.py": source}, env="dev")
    peer = await app.connect()
    app.runtime.live.registry.modules["a"].module.gate.set()
    await peer.stream("a/items")
    app.runtime.live.registry.modules["a"].module.gate.clear()
    app.write("live/a.py", source + "\n        # changed\n")
    await reload(app, "live/a.py")
    await peer.request("a/add", 5)
    assert peer.events("rows") == []
    await peer.request("a/release")
    await turns(20)
    assert peer.events("rows") == [("refreshed", []), ("created", 5)]


async def test_middleware_of_a_reloaded_module_runs_once(make_app: AppFactory) -> None:
    source = """
        from runtime import live
        counts = live.keep("counts", list)
        @live.middleware
        async def count(ctx, next):
            counts.append(1)
            return await next()
        @live
        async def total(ctx): return len(counts)
    """
    app = await make_app({"live/a.py": source}, env="dev")
    peer = await app.connect()
    assert (await peer.request("a/total"))["data"] == 1
    app.write("live/a.py", source + "\n        # changed\n")
    await reload(app, "live/a.py")
    assert (await peer.request("a/total"))["data"] == 2


async def test_a_changed_kind_of_export_asks_for_a_page_reload(make_app: AppFactory) -> None:
    app = await make_app({"live/a.py": ONE}, env="dev")
    app.write("live/a.py", ONE.replace("@live\n", "@live.stream('t')\n"))
    assert (await reload(app, "live/a.py")).page_reload is True
    app.write("live/a.py", ONE.replace("@live\n", "@live.stream('u')\n"))
    assert (await reload(app, "live/a.py")).page_reload is False


HOOKS = """
    import asyncio
    from runtime import LiveError
    from live._log import log

    async def init(platform, settings, worker):
        log.append(("init", settings.server.env, worker))
        platform.publish("started", "now")

    def shutdown(reason, platform):
        log.append(("shutdown", reason, platform.connections))

    async def open(ws, platform):
        log.append(("open", ws.user_data["id"]))
        if ws.user_data["id"] == "banned":
            await ws.close(4401, "Unauthorized")
        if ws.user_data["id"] == "broken":
            raise RuntimeError("boom")
        ws.subscribe(f"user:{ws.user_data['id']}")

    async def message(ws, data, is_binary, msg):
        log.append(("message", data, is_binary, msg))

    def unsubscribe(ws, topic):
        log.append(("unsubscribe", topic))

    async def resume(ws, session_id, last_seen_seqs):
        await asyncio.sleep(0)
        log.append(("resume", session_id, last_seen_seqs))

    async def close(ws, code, reason, subscriptions, id, duration):
        log.append(("close", code, reason, sorted(subscriptions), id == ws.id, duration >= 0, ws.closed))
"""


async def test_hooks_run_with_the_parameters_they_name(make_app: AppFactory) -> None:
    app = await make_app({"hooks.py": HOOKS, "live/_log.py": "log = []\n", "live/a.py": ONE})
    loader = app.runtime.live.loader
    assert loader is not None
    log = sys.modules[f"{loader.package.live}._log"].log
    assert log == [("init", "test", 0)]
    log.clear()
    peer = await app.connect({"id": "ann"})
    assert peer.connection.is_subscribed("user:ann")
    peer.send("plain text")
    peer.send({"type": "cursor", "topic": "t"})
    peer.send(b"\x07\x08")
    peer.send({"type": "subscribe", "topic": "t", "ref": 1})
    seen = {"t": 4, "__x": 1, "bad": -1, "odd": 1.5, "flag": True}
    peer.send({"type": "resume", "sessionId": "old", "lastSeenSeqs": seen})
    peer.send({"type": "subscribe", "topic": "after", "ref": 2})
    peer.send({"type": "unsubscribe", "topic": "never-held"})
    await peer.wait(lambda f: f.get("type") == "resumed")
    await peer.wait(lambda f: f.get("ref") == 2)
    await turns()
    assert [f["type"] for f in peer.parsed()] == ["welcome", "subscribed", "resumed", "subscribed"]
    await peer.leave(1001, "bye")
    await app.runtime.stop("SIGTERM")
    assert log == [
        ("open", "ann"),
        ("message", "plain text", False, None),
        ("message", '{"type": "cursor", "topic": "t"}', False, {"type": "cursor", "topic": "t"}),
        ("message", b"\x07\x08", True, None),
        ("resume", "old", {"t": 4}),
        ("unsubscribe", "never-held"),
        ("close", 1001, "bye", ["after", "t"], True, True, True),
        ("shutdown", "SIGTERM", 0),
    ]


@pytest.mark.spec("PLAT-19")
async def test_an_open_hook_may_refuse_and_a_broken_one_closes_with_1011(make_app: AppFactory) -> None:
    app = await make_app({"hooks.py": HOOKS, "live/_log.py": "log = []\n"})
    banned = await app.connect({"id": "banned"})
    assert banned.sink.closed == (4401, "Unauthorized")
    broken = await app.connect({"id": "broken"})
    assert broken.sink.closed == (1011, "open failed")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("def open(ws, user): pass\n", "hook open: unknown parameter 'user'; it may take ws, platform"),
        ("1 / 0\n", "hooks.py:1: ZeroDivisionError"),
        ("import sys\nsys.exit('set API_KEY first')\n", "hooks.py:2: SystemExit: set API_KEY first"),
        ("async def init(): raise OSError('no database')\n", "hooks.py:1: OSError: no database"),
    ],
)
async def test_broken_hooks_stop_the_start(make_app: AppFactory, source: str, text: str) -> None:
    app = await make_app({"hooks.py": source}, start=False)
    with pytest.raises(StartupError) as caught:
        await app.runtime.start()
    assert text in str(caught.value)


async def test_a_misspelt_hook_is_reported(make_app: AppFactory, caplog: pytest.LogCaptureFixture) -> None:
    await make_app(
        {"hooks.py": "def subscribeBatch(ws, topics): pass\ndef opn(ws): pass\ndef find_user(): pass\n"}
    )
    assert "subscribeBatch is no hook; did you mean subscribe_batch?" in caplog.text
    assert "opn is no hook; did you mean open?" in caplog.text
    assert "find_user" not in caplog.text


@pytest.mark.spec("PLAT-8")
async def test_an_init_that_takes_too_long_stops_the_start(tmp_path: Path) -> None:
    from runtime.core.settings import ServerSettings, Settings
    from runtime.server.assembly import assemble

    (tmp_path / "hooks.py").write_text("import asyncio\nasync def init(): await asyncio.Event().wait()\n")
    runtime = assemble(tmp_path, Settings(server=ServerSettings(env="test", init_timeout=0.01)))
    with pytest.raises(StartupError, match="init hook failed"):
        async with asyncio.timeout(5):
            await runtime.start()


async def test_an_exception_that_cannot_be_shown_is_still_a_problem_of_its_file(make_app: AppFactory) -> None:
    source = """
        class Odd(Exception):
            def __str__(self): raise RuntimeError("no text")

        raise Odd
    """
    app = await make_app({"live/a.py": ONE}, env="dev")
    app.write("live/a.py", source)
    problem = (await reload(app, "live/a.py")).problems[0]
    assert (problem.file, problem.line, problem.kind, problem.message) == ("live/a.py", 5, "Odd", "Odd")
