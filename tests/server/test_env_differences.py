"""What fails is answered in production as it is in dev, but for the traceback. Spec: platform 1.9, PLAT-176."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from runtime.testing import FakeClock
from runtime.wire.binary import encode_binary_call
from tests.server.peers import App, Peer, turns
from tests.server.test_uploads import Sender

LIVE = """
    from runtime import LiveError, guard, live

    SECRET = "hunter2"

    @live.public
    @live
    async def breaks(ctx): raise RuntimeError(f"password={SECRET}")

    @live.public
    @live
    async def stops(ctx): raise SystemExit(3)

    @live.public
    @live
    async def strange(ctx): return object()

    @live.public
    @live
    async def says(ctx): raise LiveError("TAKEN", "that name is taken", data={"name": "bob"})

    @live.public
    @live
    async def typed(ctx, count: int): return count

    @live.public
    @live
    async def forbidden(ctx): ctx.publish("__realtime", "e", 1)

    @live.public
    @live.rate_limit(points=1, window=60)
    @live
    async def limited(ctx): return 1

    @live.public
    @live.stream("rows")
    async def rows(ctx): raise KeyError("rows")

    @live.public
    @live.stream(lambda ctx: 1 / 0)
    async def nowhere(ctx): return []

    @live.public
    @live.binary()
    async def blob(ctx, data): raise ValueError("bytes")

    @live.public
    @live.upload()
    async def put(ctx): raise OSError("disk")

    @live.public
    @live.idempotent()
    @live
    async def once(ctx): raise RuntimeError("once")
"""
GUARDED = """
    from runtime import guard, live

    def check(ctx): raise RuntimeError("the guard's own")

    _guard = guard(check)

    @live
    async def mine(ctx): return 1
"""
HOOKS = """
    def subscribe(ws, topic):
        if topic == "boom":
            raise RuntimeError("the hook's own")
        return topic != "closed"
"""
CALLS: dict[str, dict[str, Any]] = {
    "an exception": {"rpc": "m/breaks"},
    "an exit": {"rpc": "m/stops"},
    "a result without a JSON form": {"rpc": "m/strange"},
    "an error of the app's": {"rpc": "m/says"},
    "an argument of another type": {"rpc": "m/typed", "args": ["many"]},
    "an argument that is missing": {"rpc": "m/typed", "args": []},
    "a reserved topic": {"rpc": "m/forbidden"},
    "a guard that raises": {"rpc": "g/mine"},
    "a path that is not there": {"rpc": "m/nothing"},
    "a path that cannot be": {"rpc": "../etc"},
    "a loader": {"rpc": "m/rows", "stream": True},
    "a topic function": {"rpc": "m/nowhere", "stream": True},
    "a stream that is called": {"rpc": "m/rows"},
    "a function that is subscribed to": {"rpc": "m/says", "stream": True},
    "a bad key": {"rpc": "m/once", "idempotencyKey": "k" * 300},
    "a function that is not run twice": {"rpc": "m/once", "idempotencyKey": "k"},
    "too many": {"rpc": "m/limited"},
}
#: Those whose cause is an exception that nobody expected; in dev it is shown.
UNEXPECTED = {
    "an exception",
    "an exit",
    "a result without a JSON form",
    "a loader",
    "a stream that is called",
    "a topic function",
    "a function that is not run twice",
}


async def started(folder: Path, env: str) -> tuple[App, Peer]:
    app = App(folder / env, env, clock=FakeClock())
    app.write("live/m.py", LIVE)
    app.write("live/g.py", GUARDED)
    app.write("hooks.py", HOOKS)
    await app.runtime.start()
    peer = await app.connect({"id": "u1"})
    return app, peer


def without_traceback(value: Any) -> tuple[Any, int]:
    """Return `value` without the tracebacks in `data`, which go with it where they were all of it; and how many."""
    if isinstance(value, list):
        parts = [without_traceback(one) for one in value]
        return [part for part, _ in parts], sum(count for _, count in parts)
    if not isinstance(value, dict):
        return value, 0
    found, count = {}, 0
    for key, one in value.items():
        if key == "data" and isinstance(one, dict) and one.keys() == {"traceback"}:
            assert isinstance(one["traceback"], str)
            count += 1
            continue
        found[key], inner = without_traceback(copy.deepcopy(one))
        count += inner
    return found, count


async def both(folder: Path, ask: Any) -> tuple[Any, Any]:
    """Return what `ask(peer)` gives in dev and in production."""
    answers = []
    for env in ("dev", "production"):
        app, peer = await started(folder, env)
        answers.append(await ask(peer))
        await app.runtime.stop(timeout=0)
    return answers[0], answers[1]


@pytest.mark.spec("PLAT-176")
@pytest.mark.parametrize("what", CALLS)
async def test_a_call_that_fails_differs_in_its_traceback_only(what: str, tmp_path: Path) -> None:
    async def ask(peer: Peer) -> Any:
        if what == "too many":
            peer.send({**CALLS[what], "id": "first"})
            await peer.reply("first")
        peer.send({**CALLS[what], "id": "q"})
        return await peer.reply("q")

    dev, production = await both(tmp_path, ask)
    assert dev["ok"] is production["ok"] is False
    stripped, tracebacks = without_traceback(dev)
    assert stripped == production
    assert tracebacks == (what in UNEXPECTED)
    assert "traceback" not in json.dumps(production).lower()
    assert "own" not in json.dumps(production)
    assert "hunter2" not in json.dumps([dev, production])


@pytest.mark.spec("PLAT-176")
async def test_a_batch_that_fails_in_part(tmp_path: Path) -> None:
    async def ask(peer: Peer) -> Any:
        peer.send({"batch": [{**call, "id": str(n)} for n, call in enumerate(CALLS.values())]})
        return (await peer.wait(lambda one: one.get("event") == "__batch"))["data"]

    dev, production = await both(tmp_path, ask)
    stripped, tracebacks = without_traceback(dev)
    assert stripped == production
    assert tracebacks > 0


@pytest.mark.spec("PLAT-176")
async def test_bytes_that_fail(tmp_path: Path) -> None:
    async def call(peer: Peer) -> Any:
        peer.send(encode_binary_call("m/blob", "b", [], b"x"))
        return await peer.reply("b")

    async def upload(peer: Peer) -> Any:
        return await Sender(peer, "m/put").send(last=True).response()

    for number, ask in enumerate((call, upload)):
        dev, production = await both(tmp_path / str(number), ask)
        assert without_traceback(dev) == (production, 1)
        assert production["ok"] is False


@pytest.mark.spec("PLAT-176")
async def test_frames_that_are_refused_are_the_same(tmp_path: Path) -> None:
    async def ask(peer: Peer) -> Any:
        for topic in ("boom", "closed", "__no", "fine"):
            peer.send({"type": "subscribe", "topic": topic, "ref": topic})
        peer.send({"type": "subscribe-batch", "topics": ["boom", "b"], "ref": "r"})
        peer.send('{"rpc":"m/says","id":"d","args":' + "[" * 70 + "]" * 70 + "}")
        peer.send({"rpc": "m/says", "id": 5})
        peer.send("of nobody")
        await turns(20)
        return [frame for frame in peer.parsed() if frame.get("type") != "welcome"]

    dev, production = await both(tmp_path, ask)
    assert dev == production
    assert len(production) > 5
