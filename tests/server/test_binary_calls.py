"""Calls with bytes. Spec: live-api 6, wire 4.6 and rows 62 to 65 of 10."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.live.declare import live
from runtime.wire.binary import encode_binary_call
from tests.server.conftest import AppFactory
from tests.server.peers import App, Peer, turns

BINARY = """
    from runtime import live, guard, LiveError

    log = []

    @live.binary(max_size=10)
    async def small(ctx, data: bytes, name: str = "none"):
        log.append(("small", data, name))
        ctx.publish("sizes", "created", {"id": len(data)})
        return {"size": len(data), "name": name, "kind": type(data).__name__}

    @live.binary()
    def plain(ctx, data, *rest): return [len(data), *rest]

    @live.binary(max_size=5)
    async def fails(ctx, data): raise LiveError("NO_SPACE", "The disk is full", {"left": 0})

    @live
    async def text(ctx, value: str = ""): return value

    @live.stream("sizes")
    async def sizes(ctx): return []

    live.rate_limits(default=None)
"""
GUARDED = """
    from runtime import live, guard
    _guard = guard(authenticated=True)
    seen = []

    @live.middleware
    async def watch(ctx, next):
        seen.append("middleware")
        return await next()

    @live.binary()
    async def take(ctx, data: bytes, n: int):
        seen.append((data, n))
        return n
"""


async def started(
    make_app: AppFactory, files: dict[str, str] | None = None, **options: Any
) -> tuple[App, Peer]:
    app = await make_app(files or {"live/b.py": BINARY}, **options)
    return app, await app.connect()


async def call(peer: Peer, path: str, payload: bytes, *args: Any, id: str = "q") -> Any:
    peer.send(encode_binary_call(path, id, list(args), payload))
    return await peer.reply(id)


@pytest.mark.spec("LIVE-64", "WIRE-72")
async def test_bytes_and_arguments_arrive_and_the_reply_has_no_id(make_app: AppFactory) -> None:
    app, peer = await started(make_app)
    assert await call(peer, "b/small", b"\x00\xff", "Ann") == {
        "ok": True,
        "data": {"size": 2, "name": "Ann", "kind": "bytes"},
    }
    assert await call(peer, "b/small", b"", id="e") == {
        "ok": True,
        "data": {"size": 0, "name": "none", "kind": "bytes"},
    }
    assert (await call(peer, "b/plain", b"abc", 1, None, "x", id="p"))["data"] == [3, 1, None, "x"]
    frame = next(frame for frame in peer.frames if '"event":"p"' in frame)
    assert frame == '{"topic":"__rpc","event":"p","data":{"ok":true,"data":[3,1,null,"x"]}}'
    assert app.runtime.metrics.get("rpc_total", "b/small", "ok") == 2


@pytest.mark.spec("LIVE-64", "WIRE-73")
async def test_what_is_refused_has_its_code_in_order(make_app: AppFactory) -> None:
    app, peer = await started(make_app)
    module = app.runtime.live.registry.modules["b"].module
    refused: list[tuple[str, bytes, list[Any], str, str]] = [
        ("b//x", b"", [], "INVALID_REQUEST", "Invalid path"),
        ("b/none", b"", [], "NOT_FOUND", "Not found"),
        ("b/text", b"x" * 20, [], "INVALID_REQUEST", "Not a binary endpoint"),
        ("b/sizes", b"", [], "INVALID_REQUEST", "Not a binary endpoint"),
        ("b/small", b"x" * 11, [], "PAYLOAD_TOO_LARGE", "Binary payload exceeds size limit"),
        ("b/small", b"x", [5], "VALIDATION", "Validation failed"),
        ("b/small", b"x", ["a", "b"], "VALIDATION", "Validation failed"),
    ]
    for number, (path, payload, args, code, text) in enumerate(refused):
        reply = await call(peer, path, payload, *args, id=f"n{number}")
        assert (reply["ok"], reply["code"], reply["error"]) == (False, code, text)
        assert "id" not in reply
    assert module.log == []
    assert (await call(peer, "b/small", b"x" * 10, id="most"))["ok"] is True


@pytest.mark.spec("WIRE-73")
async def test_arguments_that_are_no_list_are_refused(make_app: AppFactory) -> None:
    _, peer = await started(make_app)
    header = b'{"rpc":"b/small","id":"q","args":{"name":1}}'
    peer.send(b"\x00" + len(header).to_bytes(2, "big") + header + b"x")
    reply = await peer.reply("q")
    assert (reply["code"], reply["error"]) == ("INVALID_REQUEST", "args must be an array")


@pytest.mark.spec("WIRE-73")
async def test_issues_and_data_of_an_error_reach_the_caller(make_app: AppFactory) -> None:
    _, peer = await started(make_app)
    reply = await call(peer, "b/small", b"x", 5)
    assert reply["issues"] == [{"path": ["name"], "message": "Expected `str`, got `int`"}]
    reply = await call(peer, "b/fails", b"x", id="f")
    assert (reply["code"], reply["error"], reply["data"]) == ("NO_SPACE", "The disk is full", {"left": 0})


@pytest.mark.spec("WIRE-73", "WIRE-77", "LIVE-200")
async def test_malformed_frames_are_ignored_and_text_calls_refused(make_app: AppFactory) -> None:
    app, peer = await started(make_app)
    before = len(peer.frames)
    for frame in (
        b"\x00",
        b"\x00\x00\x00",
        b"\x00\x00\x00\x00",
        b"\x00\x00\x09{}",
        b"\x00\x00\x02[]x",
        b'\x00\x00\x02"\xff"',
    ):
        peer.send(frame)
    await turns()
    assert len(peer.frames) == before
    assert app.runtime.metrics.get("ws_frames_unhandled_total") == 6
    reply = await peer.request("b/small", "x")
    assert (reply["code"], reply["error"]) == ("INVALID_REQUEST", "Not an RPC endpoint")
    assert app.runtime.live.registry.modules["b"].module.log == []
    assert (await call(peer, "b/small", b"x"))["ok"] is True  # the connection goes on


async def test_an_id_that_no_reply_can_name_is_counted(make_app: AppFactory) -> None:
    app, peer = await started(make_app)
    peer.send(encode_binary_call("b/small", 'a"b', [], b""))
    await turns()
    assert app.runtime.metrics.get("rpc_calls_dropped_total", "bad_id") == 1


@pytest.mark.spec("LIVE-64")
async def test_publishes_come_before_the_reply(make_app: AppFactory) -> None:
    _, peer = await started(make_app)
    await peer.stream("b/sizes")
    await call(peer, "b/small", b"123")
    topics = [frame["topic"] for frame in peer.parsed() if frame.get("topic") in ("sizes", "__rpc")]
    assert topics == ["__rpc", "sizes", "__rpc"]


@pytest.mark.spec("LIVE-40")
async def test_middleware_guard_and_before_execute_run(make_app: AppFactory) -> None:
    hooks = """
        from runtime import live
        before = []
        live.message_options(before_execute=lambda ws, path, args: before.append((path, args)))
    """
    app = await make_app({"live/g.py": GUARDED, "live/h.py": hooks})
    module = app.runtime.live.registry.modules["g"].module
    before = app.runtime.live.registry.modules["h"].module.before
    guest = await app.connect()
    assert (await call(guest, "g/take", b"x", 1))["code"] == "UNAUTHENTICATED"
    assert (module.seen, before) == (["middleware"], [])
    peer = await app.connect({"id": 1})
    assert (await call(peer, "g/take", b"x", 1))["data"] == 1
    assert module.seen[1:] == ["middleware", (b"x", 1)]
    assert before == [("g/take", [b"x", 1])]


async def test_the_limits_of_the_app_do_not_count_it(make_app: AppFactory) -> None:
    source = BINARY.replace(
        "live.rate_limits(default=None)", "live.rate_limits(default=Rule(1, 60))"
    ).replace(
        "from runtime import live, guard, LiveError", "from runtime import live, guard, LiveError, Rule"
    )
    _, peer = await started(make_app, {"live/b.py": source})
    for number in range(3):
        assert (await call(peer, "b/small", b"x", id=str(number)))["ok"] is True
    assert (await peer.request("b/text"))["ok"] is True
    assert (await peer.request("b/text"))["code"] == "RATE_LIMITED"


@pytest.mark.parametrize("size", [0, -1, True, 1.5, "10"])
def test_a_size_that_cannot_be_fails_at_the_declaration(size: Any) -> None:
    with pytest.raises(ValueError, match=r"live\.binary: max_size must be a whole number"):
        live.binary(max_size=size)
    with pytest.raises(
        TypeError, match=r"live\.binary: 'maxsize' is no option of it; did you mean 'max_size'"
    ):
        live.binary(maxsize=5)  # type: ignore[call-arg]  # what is tested
