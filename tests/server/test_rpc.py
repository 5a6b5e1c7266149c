"""Calls: replies, errors, order of checks, batches. Spec: wire 4, live-api 3 and 4."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from tests.server.conftest import AppFactory
from tests.server.peers import turns

BASIC = """
    import asyncio
    from runtime import live, LiveError

    calls = []

    @live
    async def add(ctx, text: str, count: int = 1):
        calls.append(text)
        return {"text": text, "count": count}

    @live
    def nothing(ctx):
        pass

    @live
    async def fail(ctx):
        raise LiveError("TEAPOT", "short and stout", data={"why": "tea"})

    @live
    async def crash(ctx):
        raise RuntimeError("the password is hunter2")

    @live
    async def unserialisable(ctx):
        return object()

    @live
    async def big(ctx, size: int):
        return "x" * size

    gate = asyncio.Event()

    @live
    async def wait(ctx):
        await gate.wait()
        return "waited"

    @live
    async def release(ctx):
        gate.set()
        return "released"

    @live
    async def record(ctx, name: str):
        calls.append("start " + name)
        await asyncio.sleep(0)
        calls.append("end " + name)
        if name == "bad":
            raise LiveError("BAD")
        return name

    @live
    async def seen(ctx):
        return list(calls)

    async def unmarked(ctx):
        return "secret"

    @live
    async def _private(ctx):
        return "secret"
"""


@pytest.mark.spec("WIRE-60")
async def test_a_reply_is_one_envelope_on_rpc_without_seq(make_app: AppFactory) -> None:
    app = await make_app({"live/todos.py": BASIC})
    peer = await app.connect()
    peer.send('{"rpc":"todos/add","id":"k1","args":["milk"]}')
    await peer.reply("k1")
    await turns()
    expected = '{"topic":"__rpc","event":"k1","data":{"id":"k1","ok":true,"data":{"text":"milk","count":1}}}'
    assert [frame for frame in peer.frames if "__rpc" in frame] == [expected]


async def test_a_handler_that_returns_nothing_answers_null(make_app: AppFactory) -> None:
    app = await make_app({"live/todos.py": BASIC})
    peer = await app.connect()
    assert await peer.request("todos/nothing") == {"id": "q1", "ok": True, "data": None}


@pytest.mark.spec("WIRE-61", "LIVE-2")
@pytest.mark.parametrize(
    "path",
    [
        "todos",
        "../secrets",
        "todos/../add",
        "a//b",
        "/a/b",
        "a/b/",
        "a.b/c",
        "to dos/add",
        "todos/é",
        "",
        "todos/add\n",
    ],
)
async def test_a_path_that_cannot_be_is_refused(make_app: AppFactory, path: str) -> None:
    app = await make_app({"live/todos.py": BASIC})
    peer = await app.connect()
    reply = await peer.request(path)
    assert (reply["code"], reply["error"]) == ("INVALID_REQUEST", "Invalid path")


@pytest.mark.spec("WIRE-61", "LIVE-26")
@pytest.mark.parametrize("path", ["todos/nope", "todos/__class__", "nope/add", "todos/add/more"])
async def test_an_unknown_path_is_not_found_and_not_named(make_app: AppFactory, path: str) -> None:
    app = await make_app({"live/todos.py": BASIC})
    peer = await app.connect()
    reply = await peer.request(path)
    assert reply == {"id": "q1", "ok": False, "code": "NOT_FOUND", "error": "Not found"}


@pytest.mark.spec("WIRE-61", "LIVE-26")
@pytest.mark.parametrize("args", [{"a": 1}, "x", None, 5])
async def test_args_must_be_a_list(make_app: AppFactory, args: Any) -> None:
    app = await make_app({"live/todos.py": BASIC})
    peer = await app.connect()
    peer.send({"rpc": "todos/add", "id": "k1", "args": args})
    reply = await peer.reply("k1")
    assert (reply["code"], reply["error"]) == ("INVALID_REQUEST", "args must be an array")


@pytest.mark.spec("LIVE-3")
@pytest.mark.parametrize(
    "path", ["todos/unmarked", "todos/_private", "todos/calls", "todos/live", "todos/asyncio"]
)
async def test_only_marked_public_names_are_callable(make_app: AppFactory, path: str) -> None:
    app = await make_app({"live/todos.py": BASIC})
    peer = await app.connect()
    assert (await peer.request(path))["code"] == "NOT_FOUND"


@pytest.mark.spec("LIVE-3")
async def test_dev_warns_about_unmarked_and_reserved_names(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        await make_app({"live/todos.py": BASIC}, env="dev")
    assert "unmarked is not wrapped" in caplog.text
    assert "_private is reserved" in caplog.text


@pytest.mark.spec("WIRE-64", "LIVE-27")
async def test_a_live_error_arrives_with_code_message_and_data(make_app: AppFactory) -> None:
    app = await make_app({"live/todos.py": BASIC})
    peer = await app.connect()
    peer.send({"rpc": "todos/fail", "id": "k1"})
    await peer.reply("k1")
    expected = (
        '{"topic":"__rpc","event":"k1","data":{"id":"k1","ok":false,"code":"TEAPOT",'
        '"error":"short and stout","data":{"why":"tea"}}}'
    )
    assert expected in peer.frames


@pytest.mark.spec("WIRE-64", "LIVE-27", "LIVE-194")
@pytest.mark.parametrize("env", ["production", "test", "staging"])
async def test_any_other_exception_has_no_detail_outside_dev(make_app: AppFactory, env: str) -> None:
    app = await make_app({"live/todos.py": BASIC}, env=env)
    peer = await app.connect()
    reply = await peer.request("todos/crash")
    assert reply == {"id": "q1", "ok": False, "code": "INTERNAL_ERROR", "error": "Internal server error"}


@pytest.mark.spec("WIRE-64", "LIVE-194")
async def test_dev_adds_the_traceback_and_nothing_else(make_app: AppFactory) -> None:
    app = await make_app({"live/todos.py": BASIC}, env="dev")
    peer = await app.connect()
    reply = await peer.request("todos/crash")
    trace = reply.pop("data")
    assert reply == {"id": "q1", "ok": False, "code": "INTERNAL_ERROR", "error": "Internal server error"}
    assert list(trace) == ["traceback"]
    assert "in crash" in trace["traceback"]
    assert "dispatch.py" not in trace["traceback"]


async def test_a_result_without_json_form_is_an_internal_error(make_app: AppFactory) -> None:
    app = await make_app({"live/todos.py": BASIC})
    peer = await app.connect()
    assert (await peer.request("todos/unserialisable"))["code"] == "INTERNAL_ERROR"
    assert (await peer.request("todos/add", "x"))["ok"] is True


async def test_dev_says_of_a_result_without_json_form_just_that(make_app: AppFactory) -> None:
    app = await make_app({"live/todos.py": BASIC}, env="dev")
    peer = await app.connect()
    trace = (await peer.request("todos/unserialisable"))["data"]["traceback"]
    assert "object has no JSON form" in trace
    assert "jsoncodec.py" not in trace


@pytest.mark.spec("WIRE-22")
async def test_a_reply_that_clients_would_drop_becomes_an_error(make_app: AppFactory) -> None:
    app = await make_app({"live/todos.py": BASIC})
    peer = await app.connect()
    reply = await peer.request("todos/big", 1_048_576)
    assert (reply["code"], reply["error"]) == ("PAYLOAD_TOO_LARGE", "Response too large")
    assert (await peer.request("todos/big", 0))["ok"] is True
    most = 1_048_576 - len(peer.frames[-1])  # what fits around the data
    assert (await peer.request("todos/big", most))["ok"] is True
    assert len(peer.frames[-1]) == 1_048_576
    assert (await peer.request("todos/big", most + 1))["code"] == "PAYLOAD_TOO_LARGE"


@pytest.mark.spec("WIRE-67", "LIVE-34")
async def test_a_call_without_id_runs_and_is_not_answered(make_app: AppFactory) -> None:
    app = await make_app({"live/todos.py": BASIC})
    peer = await app.connect()
    peer.send({"rpc": "todos/add", "args": ["quiet"]})
    peer.send({"rpc": "todos/fail", "args": []})
    assert "quiet" in (await peer.request("todos/seen"))["data"]
    await turns()
    assert len([f for f in peer.parsed() if f.get("topic") == "__rpc"]) == 1
    assert app.runtime.metrics.get("rpc_total", "todos/add", "ok") == 1
    assert app.runtime.metrics.get("rpc_errors_total", "todos/fail", "TEAPOT") == 1


@pytest.mark.spec("LIVE-34")
async def test_dev_warns_once_about_fire_and_forget_without_the_mark(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    source = BASIC + "\n    @live.volatile\n    @live\n    async def move(ctx): pass\n"
    app = await make_app({"live/todos.py": source}, env="dev")
    peer = await app.connect()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            peer.send({"rpc": "todos/nothing", "args": []})
            peer.send({"rpc": "todos/move", "args": []})
        await peer.request("todos/add", "x")
    warned = [r.getMessage() for r in caplog.records if "without waiting" in r.getMessage()]
    assert len(warned) == 1
    assert warned[0].startswith("todos/nothing ")


@pytest.mark.spec("WIRE-67")
@pytest.mark.parametrize("id", ["", None, 5, {}, [], True])
async def test_a_request_with_an_unusable_id_is_ignored(make_app: AppFactory, id: Any) -> None:
    app = await make_app({"live/todos.py": BASIC})
    peer = await app.connect()
    peer.send({"rpc": "todos/add", "id": id, "args": ["never"]})
    assert "never" not in (await peer.request("todos/seen"))["data"]
    assert app.runtime.metrics.get("ws_frames_unhandled_total") == 1


@pytest.mark.spec("WIRE-67")
@pytest.mark.parametrize("id", ['a"b', "a\\b", "a\nb"])
async def test_an_id_that_cannot_be_an_event_is_dropped_before_running(make_app: AppFactory, id: str) -> None:
    app = await make_app({"live/todos.py": BASIC})
    peer = await app.connect()
    peer.send({"rpc": "todos/add", "id": id, "args": ["never"]})
    assert "never" not in (await peer.request("todos/seen"))["data"]
    assert app.runtime.metrics.get("rpc_calls_dropped_total", "bad_id") == 1


@pytest.mark.spec("LIVE-29")
async def test_a_slow_call_does_not_hold_back_a_fast_one(make_app: AppFactory) -> None:
    app = await make_app({"live/todos.py": BASIC})
    peer = await app.connect()
    peer.send({"rpc": "todos/wait", "id": "slow", "args": []})
    assert (await peer.request("todos/add", "x"))["ok"] is True
    assert not any(f.get("event") == "slow" for f in peer.parsed())
    await peer.request("todos/release")
    assert (await peer.reply("slow"))["data"] == "waited"


@pytest.mark.spec("LIVE-30")
async def test_depth_64_runs_and_65_is_refused(make_app: AppFactory) -> None:
    source = "from runtime import live\n\n@live\nasync def echo(ctx, *args): return len(args)\n"
    app = await make_app({"live/todos.py": source})
    peer = await app.connect()

    def frame(id: str, levels: int) -> str:
        inner = levels - 2  # the frame and its list of arguments are two
        return f'{{"rpc":"todos/echo","id":"{id}","args":[{"[" * inner}{"]" * inner}]}}'

    peer.send(frame("ok", 64))
    peer.send(frame("deep", 65))
    peer.send(frame("abyss", 10_000))
    assert (await peer.reply("ok"))["ok"] is True
    for id in ("deep", "abyss"):
        reply = await peer.reply(id)
        assert (reply["code"], reply["error"]) == ("INVALID_REQUEST", "Envelope too deep")
    assert app.runtime.metrics.get("rpc_total", "todos/echo", "ok") == 1


@pytest.mark.spec("WIRE-68")
async def test_a_batch_is_one_frame_in_entry_order(make_app: AppFactory) -> None:
    app = await make_app({"live/todos.py": BASIC})
    peer = await app.connect()
    batch = [
        {"rpc": "todos/wait", "id": "b1", "args": []},
        {"rpc": "todos/fail", "id": "b2", "args": []},
        {"rpc": "todos/release", "id": "b3", "args": []},
    ]
    peer.send({"batch": batch})
    frame = await peer.wait(lambda f: f.get("event") == "__batch")
    results = frame["data"]["batch"]
    assert [entry["id"] for entry in results] == ["b1", "b2", "b3"]
    assert [entry["ok"] for entry in results] == [True, False, True]


@pytest.mark.spec("WIRE-68", "LIVE-32")
@pytest.mark.parametrize("sequential", [True, False])
async def test_sequential_batches_run_in_order_and_others_overlap(
    make_app: AppFactory, sequential: bool
) -> None:
    app = await make_app({"live/todos.py": BASIC})
    peer = await app.connect()
    batch = [{"rpc": "todos/record", "id": n, "args": [n]} for n in ("one", "bad", "two")]
    peer.send({"batch": batch, "sequential": sequential})
    frame = await peer.wait(lambda f: f.get("event") == "__batch")
    assert [entry["ok"] for entry in frame["data"]["batch"]] == [True, False, True]
    seen = (await peer.request("todos/seen"))["data"]
    in_order = ["start one", "end one", "start bad", "end bad", "start two", "end two"]
    assert (seen == in_order) is sequential
    assert seen[0] == "start one"
    if not sequential:
        assert seen[:3] == ["start one", "start bad", "start two"]


@pytest.mark.spec("WIRE-69", "LIVE-33")
async def test_a_bad_entry_fails_alone_and_an_empty_batch_is_empty(make_app: AppFactory) -> None:
    app = await make_app({"live/todos.py": BASIC})
    peer = await app.connect()
    entries = [
        1,
        None,
        {},
        {"rpc": "todos/add", "args": ["x"]},
        {"rpc": "todos/add", "id": "b5", "args": ["x"]},
    ]
    peer.send({"batch": [*entries, {"batch": []}, {"id": "b7"}]})
    frame = await peer.wait(lambda f: f.get("event") == "__batch")
    refused = {"ok": False, "code": "INVALID_REQUEST", "error": "Each batch entry requires rpc and id"}
    results = frame["data"]["batch"]
    assert results[:4] == [{"id": "", **refused}] * 4
    assert results[4]["data"] == {"text": "x", "count": 1}
    assert results[5:] == [{"id": "", **refused}, {"id": "b7", **refused}]
    peer.send('{"batch":[]}')
    await peer.wait(lambda f: f == {"topic": "__rpc", "event": "__batch", "data": {"batch": []}})


@pytest.mark.spec("WIRE-70", "LIVE-31")
async def test_fifty_calls_run_and_fifty_one_run_nothing(make_app: AppFactory) -> None:
    app = await make_app({"live/todos.py": BASIC})
    peer = await app.connect()
    peer.send({"batch": [{"rpc": "todos/add", "id": f"x{i}", "args": ["no"]} for i in range(51)]})
    frame = await peer.wait(lambda f: f.get("event") == "__batch")
    results = frame["data"]["batch"]
    assert [entry["id"] for entry in results] == [f"x{i}" for i in range(51)]
    assert {entry["code"] for entry in results} == {"INVALID_REQUEST"}
    assert {entry["error"] for entry in results} == {"Batch exceeds maximum of 50 calls"}
    assert (await peer.request("todos/seen"))["data"] == []
    peer.send({"batch": [{"rpc": "todos/add", "id": f"y{i}", "args": ["yes"]} for i in range(50)]})
    frame = await peer.wait(lambda f: f.get("event") == "__batch" and f["data"]["batch"][0]["id"] == "y0")
    assert all(entry["ok"] for entry in frame["data"]["batch"])
    peer.send({"batch": [5] * 51})
    await peer.wait(lambda f: f.get("event") == "__batch" and [e["id"] for e in f["data"]["batch"]] == [""])


@pytest.mark.spec("WIRE-71")
async def test_a_batch_answer_above_the_limit_is_split(make_app: AppFactory) -> None:
    app = await make_app({"live/todos.py": BASIC})
    peer = await app.connect()
    peer.send({"batch": [{"rpc": "todos/big", "id": f"b{i}", "args": [400_000]} for i in range(5)]})
    await peer.wait(lambda f: f.get("event") == "__batch" and f["data"]["batch"][-1]["id"] == "b4")
    frames = [f for f in peer.frames if '"__batch"' in f[:40]]
    assert len(frames) == 3
    assert all(len(frame) <= 1_048_576 for frame in frames)
    ids = [entry["id"] for frame in frames for entry in json.loads(frame)["data"]["batch"]]
    assert ids == ["b0", "b1", "b2", "b3", "b4"]


ORDER = """
    from runtime import live, guard, LiveError, Rule
    from live._log import log

    @live.middleware
    async def outer(ctx, next):
        log.append("outer")
        return await next()

    @live.middleware
    async def inner(ctx, next):
        log.append("inner")
        return await next()

    @guard
    async def _guard(ctx):
        log.append("guard")

    async def before(ws, path, args):
        log.append("before " + path)

    live.message_options(before_execute=before)
    live.rate_limits(overrides={"m/limited": Rule(1, 60)})

    def scope(ctx, n):
        log.append("wrapper")
        return True

    @live.scoped(scope)
    @live
    async def call(ctx, n: int):
        log.append("handler")

    @live
    async def limited(ctx, n: int):
        log.append("limited handler")
"""


@pytest.mark.spec("WIRE-62", "LIVE-25")
async def test_the_order_of_one_call(make_app: AppFactory) -> None:
    app = await make_app({"live/_log.py": "log = []", "live/m.py": ORDER})
    peer = await app.connect()
    log = app.runtime.live.registry.modules["m"].module.log
    await peer.request("m/call", 1)
    assert log == ["outer", "inner", "guard", "before m/call", "wrapper", "handler"]
    log.clear()
    reply = await peer.request("m/call", "no number")
    assert reply["code"] == "VALIDATION"
    assert log == ["outer", "inner", "guard", "before m/call"]
    log.clear()
    assert (await peer.request("m/nope"))["code"] == "NOT_FOUND"
    peer.send({"rpc": "m/call", "id": "k", "args": 5})
    assert (await peer.reply("k"))["error"] == "args must be an array"
    assert log == []
    # The limit comes before the arguments: a wrong call counts, and once over it the arguments are not looked at.
    assert (await peer.request("m/limited", "wrong"))["code"] == "VALIDATION"
    log.clear()
    refused = await peer.request("m/limited", "wrong")
    assert (refused["code"], refused["error"]) == ("RATE_LIMITED", "Too many requests")
    assert 0 < refused["retryAfter"] <= 60_000
    assert log == ["outer", "inner", "guard", "before m/limited"]


GUARDED = """
    from runtime import live, guard, LiveError

    def _guard(ctx):
        mode = (ctx.user or {}).get("mode")
        if ctx.user is None or mode == "crash":
            raise RuntimeError("database is down")
        if mode == "false":
            return False
        if mode == "custom":
            raise LiveError("PAYWALL", "Pay first")

    @live
    async def call(ctx):
        return "in"
"""


@pytest.mark.spec("WIRE-63")
@pytest.mark.parametrize(
    ("user", "code", "text"),
    [
        (None, "UNAUTHENTICATED", "Authentication required"),
        ({"mode": "crash"}, "FORBIDDEN", "Access denied"),
        ({"mode": "false"}, "FORBIDDEN", "Access denied"),
        ({"mode": "custom"}, "PAYWALL", "Pay first"),
    ],
)
async def test_what_a_guard_refuses_depends_on_the_user(
    make_app: AppFactory, user: Any, code: str, text: str
) -> None:
    app = await make_app({"live/m.py": GUARDED}, env="dev")
    peer = await app.connect(user)
    reply = await peer.request("m/call")
    assert reply == {"id": "q1", "ok": False, "code": code, "error": text}
    assert (await (await app.connect({"id": 1})).request("m/call"))["data"] == "in"


@pytest.mark.spec("LIVE-28")
async def test_on_error_sees_only_unexpected_exceptions(make_app: AppFactory) -> None:
    source = (
        BASIC
        + """
    seen_errors = []

    def report(path, error, ctx):
        seen_errors.append((path, str(error), ctx.user))
        raise ValueError("the reporter is broken too")

    live.message_options(on_error=report)
    """
    )
    app = await make_app({"live/todos.py": source})
    peer = await app.connect({"id": "u1"})
    assert (await peer.request("todos/fail"))["code"] == "TEAPOT"
    assert (await peer.request("todos/crash"))["code"] == "INTERNAL_ERROR"
    seen = app.runtime.live.registry.modules["todos"].module.seen_errors
    assert [(path, text) for path, text, _ in seen] == [("todos/crash", "the password is hunter2")]
    assert seen[0][2]["id"] == "u1"


async def test_calls_beyond_the_bound_are_overloaded(make_app: AppFactory) -> None:
    app = await make_app({"live/todos.py": BASIC}, capacity={"MAX_INFLIGHT_CALLS": 3})
    peer = await app.connect()
    for i in range(3):
        peer.send({"rpc": "todos/wait", "id": f"w{i}", "args": []})
    await turns()
    refused = await peer.request("todos/add", "x")
    assert (refused["code"], refused["error"]) == ("OVERLOADED", "Too many calls in flight")
    app.runtime.live.registry.modules["todos"].module.gate.set()
    for i in range(3):
        assert (await peer.reply(f"w{i}"))["ok"] is True
    assert (await peer.request("todos/add", "x"))["ok"] is True


async def test_a_peer_that_leaves_does_not_end_its_handler(make_app: AppFactory) -> None:
    source = """
        import asyncio
        from runtime import live

        state = {"done": asyncio.Event(), "reason": None, "started": asyncio.Event()}

        @live
        async def work(ctx):
            state["started"].set()
            state["reason"] = await ctx.signal.wait()
            await asyncio.sleep(0)
            state["done"].set()
    """
    app = await make_app({"live/w.py": source})
    peer = await app.connect()
    state = app.runtime.live.registry.modules["w"].module.state
    peer.send({"rpc": "w/work", "id": "k", "args": []})
    await asyncio.wait_for(state["started"].wait(), 5)
    await peer.leave(1006)
    await asyncio.wait_for(state["done"].wait(), 5)
    assert state["reason"] == "connection closed"
    assert not any(f.get("event") == "k" for f in peer.parsed())


@pytest.mark.spec("LIVE-36")
async def test_thread_handlers_publish_before_their_reply(make_app: AppFactory) -> None:
    source = """
        import threading
        from runtime import live

        @live(thread=True)
        def render(ctx, n: int):
            for i in range(n):
                ctx.publish("pages", "created", i)
            return threading.current_thread() is threading.main_thread()
    """
    app = await make_app({"live/r.py": source})
    peer = await app.connect()
    peer.send({"type": "subscribe", "topic": "pages", "ref": 1})
    reply = await peer.request("r/render", 3)
    assert reply["data"] is False
    assert peer.parsed()[-1]["topic"] == "__rpc"
    assert peer.events("pages") == [("created", 0), ("created", 1), ("created", 2)]
