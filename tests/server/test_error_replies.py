"""Every call is answered, whatever its handler raises. Spec: wire 4.2 and 4.3, live-api 3.2."""

from __future__ import annotations

import asyncio
import logging
import struct

import pytest

from runtime.core.settings import WebSocketSettings
from runtime.testing import eventually
from tests.server.conftest import AppFactory

LIVE = """
    import asyncio
    from runtime import live, LiveError

    SIZE = 1

    class Odd(BaseException):
        pass

    class Mute:
        def __str__(self):
            raise RuntimeError("no words")

    class OutOfStock(LiveError):
        def __init__(self, sku):
            self.sku = sku

    class Own(LiveError):
        def __init__(self):
            self.code, self.message = "BAD", "why"

    def raise_(what):
        if what == "no super":
            raise OutOfStock("milk")
        if what == "own attributes":
            raise Own()
        if what == "exception as text":
            try:
                1 / 0
            except ZeroDivisionError as error:
                raise LiveError("BAD", error)
        if what == "no words":
            raise LiveError("BAD", Mute())
        if what == "code":
            raise LiveError(404, "not here")
        if what == "base":
            raise Odd("private detail")
        if what == "group":
            raise BaseExceptionGroup("several", [asyncio.CancelledError(), ValueError()])
        if what == "exit":
            raise SystemExit(3)
        error = LiveError("BAD", "why")
        name, value = {
            "issues": ("issues", [{"path": [object()], "message": "x"}]),
            "data": ("data", object()),
            "wait as text": ("retry_after", "5"),
            "wait without end": ("retry_after", float("inf")),
            "no wait": ("retry_after", float("nan")),
            "past": ("retry_after", float("-inf")),
            "long wait": ("retry_after", 1e300),
            "code set later": ("code", 404),
        }[what]
        setattr(error, name, value)
        raise error

    @live
    async def fail(ctx, what):
        raise_(what)

    @live
    async def ok(ctx):
        return 1

    @live
    async def long(ctx, what):
        if what == "long text":
            raise LiveError("BAD", "x" * SIZE)
        if what == "long data":
            raise LiveError("BAD", "why", "x" * SIZE)
        return "x" * (SIZE - 10 if what == "just too long" else SIZE)

    @live.stream("boards", access=lambda ctx, what: raise_(what))
    async def boards(ctx, what):
        return []

    @live.upload()
    async def put(ctx, what):
        raise_(what)

    @live.upload()
    async def keep(ctx):
        async for chunk in ctx.stream:
            pass
"""
GUARD = """
    class Odd(BaseException):
        pass

    asked = []

    def _guard(ctx):
        asked.append(1)
        if len(asked) > 1:
            raise Odd("private detail")
"""

BAD = {"ok": False, "code": "BAD", "error": "why"}
UNEXPECTED = {"ok": False, "code": "INTERNAL_ERROR", "error": "Internal server error"}
ERRORS = {
    "exception as text": {"ok": False, "code": "BAD", "error": "division by zero"},
    "no words": {"ok": False, "code": "BAD", "error": "Mute"},
    "no super": UNEXPECTED,
    "own attributes": BAD,
    "issues": BAD,
    "data": BAD,
    "wait as text": BAD,
    "wait without end": BAD,
    "no wait": BAD,
    "past": {**BAD, "retryAfter": 1},
    "long wait": {**BAD, "retryAfter": 2**53 - 1},
    "code set later": {**BAD, "code": "404"},
    "code": UNEXPECTED,
    "base": UNEXPECTED,
    "group": UNEXPECTED,
    "exit": UNEXPECTED,
}


@pytest.mark.spec("LIVE-27")
@pytest.mark.parametrize("what", list(ERRORS))
async def test_whatever_is_raised_there_is_one_reply(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    app = await make_app({"live/m.py": LIVE})
    peer = await app.connect()
    assert await peer.request("m/fail", what) == {"id": "q1", **ERRORS[what]}
    assert await peer.stream("m/boards", what) == {"id": "q2", **ERRORS[what]}
    calls = [{"rpc": "m/fail", "id": "a", "args": [what]}, {"rpc": "m/ok", "id": "b"}]
    peer.send({"batch": calls})
    batch = (await peer.wait(lambda frame: frame.get("event") == "__batch"))["data"]["batch"]
    assert batch == [{"id": "a", **ERRORS[what]}, {"id": "b", "ok": True, "data": 1}]
    assert not [one for one in caplog.records if one.name == "realtime.tasks"]


@pytest.mark.parametrize("what", ["long text", "long data", "long result", "just too long"])
async def test_an_entry_of_a_batch_that_no_client_would_take_is_an_error_alone(
    make_app: AppFactory, what: str
) -> None:
    limit = 65_536
    app = await make_app(
        {"live/m.py": LIVE.replace("SIZE = 1", f"SIZE = {limit}")},
        websocket=WebSocketSettings(max_outbound_frame=limit),
    )
    peer = await app.connect()
    too_large = {"ok": False, "code": "PAYLOAD_TOO_LARGE", "error": "Response too large"}
    peer.send({"batch": [{"rpc": "m/long", "id": "a", "args": [what]}, {"rpc": "m/ok", "id": "b"}]})
    batch = (await peer.wait(lambda frame: frame.get("event") == "__batch"))["data"]["batch"]
    assert batch == [{"id": "a", **too_large}, {"id": "b", "ok": True, "data": 1}]
    assert await peer.request("m/long", what) == {"id": "q1", **too_large}


def test_a_code_that_is_none_is_refused_where_it_is_written() -> None:
    from runtime import LiveError

    for code in (404, "", None):
        with pytest.raises(TypeError, match="LiveError: code must be a text"):
            LiveError(code)  # type: ignore[arg-type]  # what it refuses


async def test_an_error_without_a_code_is_told_to_its_author(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    app = await make_app({"live/m.py": LIVE})
    await (await app.connect()).request("m/fail", "no super")
    assert "OutOfStock cannot be sent: its __init__ must call super().__init__(code, message)" in caplog.text


@pytest.mark.parametrize("what", ["base", "group", "exit", "issues", "no super"])
async def test_an_upload_ends_with_whatever_its_handler_raises(make_app: AppFactory, what: str) -> None:
    app = await make_app({"live/m.py": LIVE})
    peer = await app.connect()
    header = f'{{"rpc":"m/put","args":["{what}"]}}'.encode()
    peer.send(struct.pack(">BBIIH", 1, 1, 7, 0, len(header)) + header)
    reply = (await peer.wait(lambda frame: frame.get("topic") == "__upload"))["data"]
    del reply["__cap"]
    assert reply == ERRORS[what]
    assert app.runtime.live.uploads.active == app.runtime.live.uploads.running == 0


async def test_an_upload_whose_guard_raises_anything_later_is_refused(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    live = LIVE.replace(
        "@live.upload()\n    async def keep", "@live.upload(reauth_every=1)\n    async def keep"
    )
    app = await make_app({"live/m.py": live + GUARD})
    peer = await app.connect()
    header = b'{"rpc":"m/keep"}'
    peer.send(struct.pack(">BBIIH", 1, 1, 7, 0, len(header)) + header + b"a")
    async with asyncio.timeout(5):
        await eventually(lambda: app.runtime.live.uploads.running == 1)
    peer.send(struct.pack(">BBII", 1, 0, 7, 1) + b"b")
    reply = (await peer.wait(lambda frame: frame.get("topic") == "__upload"))["data"]
    assert (reply["code"], reply["error"]) == ("UNAUTHENTICATED", "reauth failed")
