"""What the live layer counts, here and in a registry of the app's. Spec: live-api 18.2, 18.3 and 29."""

from __future__ import annotations

import json
import logging
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from runtime import live
from runtime.core import assertions, capacity
from runtime.core.assertions import InvariantViolation, assert_invariant, assertion_counters
from runtime.core.metrics import HISTOGRAMS, LABELS
from runtime.core.metricsink import NAMES, PREFIX
from runtime.testing import capacity_override, eventually
from runtime.wire.binary import encode_binary_call, encode_cancel, encode_chunk, encode_upload_header
from tests.server.conftest import AppFactory
from tests.server.peers import App, Peer, turns

LIVE = """
    # realtime-allow-public
    import asyncio
    from runtime import LiveError, guard, live

    go = asyncio.Event()

    @live
    async def fine(ctx, a: int = 0): return a
    @live
    async def fails(ctx): raise LiveError("MINE", "no")
    @live
    async def breaks(ctx): raise ValueError("bug")
    @live
    async def bad(ctx): return object()
    @live
    async def waits(ctx): await go.wait()
    @live.rate_limit(1, 60)
    @live
    async def rare(ctx): return 1
    @live.stream("rows", access=lambda ctx, *args: not args)
    async def rows(ctx, *args: int): return []
    @live.stream("broken")
    async def broken(ctx): raise LiveError("LOADER", "no")
    @live.gate(lambda ctx: False)
    @live.stream("shut")
    async def shut(ctx): return []
    @live.binary(max_size=3)
    async def taken(ctx, data: bytes): return len(data)
    @live.upload(max_size=10)
    async def put(ctx): return sum([len(chunk) async for chunk in ctx.stream])
    @live.upload()
    async def put_fails(ctx): raise LiveError("NO_DISK", "no")
"""
GUARDED = """
    from runtime import guard, live
    _guard = guard(authenticated=True)
    @live
    async def fine(ctx): return 1
"""


class Made:
    """One metric of the app's registry: what it was told."""

    def __init__(self, kind: str, name: str, labelnames: Sequence[str]) -> None:
        self.kind, self.name, self.labelnames = kind, name, tuple(labelnames)
        self.values: Counter[tuple[str, ...]] = Counter()
        self.seconds: list[tuple[tuple[str, ...], float]] = []

    def inc(self, labels: Any = None, amount: int = 1) -> None:
        if self.kind == "gauge":
            labels, amount = {}, 1 if labels is None else labels
        assert tuple(labels) == self.labelnames
        self.values[tuple(labels.values())] += amount

    def dec(self, amount: int = 1) -> None:
        assert self.kind == "gauge"
        self.values[()] -= amount

    def observe(self, labels: dict[str, str], seconds: float) -> None:
        assert self.kind == "histogram"
        self.seconds.append((tuple(labels.values()), seconds))


class Recording:
    """A registry of the app's."""

    def __init__(self) -> None:
        self.made: dict[str, Made] = {}

    def _make(self, kind: str, name: str, help: str, labelnames: Sequence[str]) -> Made:
        assert help.endswith(".")
        assert name not in self.made, "registered twice"
        self.made[name] = Made(kind, name, labelnames)
        return self.made[name]

    def counter(self, name: str, help: str, labelnames: Sequence[str]) -> Made:
        return self._make("counter", name, help, labelnames)

    def gauge(self, name: str, help: str, labelnames: Sequence[str]) -> Made:
        return self._make("gauge", name, help, labelnames)

    def histogram(self, name: str, help: str, labelnames: Sequence[str]) -> Made:
        return self._make("histogram", name, help, labelnames)

    def of(self, name: str) -> Counter[tuple[str, ...]]:
        return self.made[PREFIX + name].values


REGISTRIES: list[Any] = []
HOOKS = """
    from runtime import live
    from tests.server.test_live_metrics import REGISTRIES
    live.metrics(REGISTRIES[-1])
"""


@pytest.fixture
async def app(make_app: AppFactory) -> App:
    REGISTRIES.append(Recording())
    return await make_app({"live/m.py": LIVE, "live/g.py": GUARDED, "hooks.py": HOOKS})


@pytest.fixture
def registry(app: App) -> Recording:
    found: Recording = REGISTRIES[-1]
    return found


def rpc(path: Any, args: Any = (), **keys: Any) -> dict[str, Any]:
    return {"rpc": path, "id": "q", "args": list(args) if isinstance(args, tuple) else args, **keys}


EXITS: list[tuple[str, Any, tuple[str, str | None]]] = [
    ("a result", rpc("m/fine"), ("m/fine", None)),
    ("without an id", {"rpc": "m/fine", "args": []}, ("m/fine", None)),
    ("a failure without an id", {"rpc": "m/fails", "args": []}, ("m/fails", "MINE")),
    ("an error of the app", rpc("m/fails"), ("m/fails", "MINE")),
    ("a bug", rpc("m/breaks"), ("m/breaks", "INTERNAL_ERROR")),
    ("a result without a JSON form", rpc("m/bad"), ("m/bad", "INTERNAL_ERROR")),
    ("bad arguments", rpc("m/fine", ("x",)), ("m/fine", "VALIDATION")),
    ("arguments that are no list", rpc("m/fine", {"a": 1}), ("m/fine", "INVALID_REQUEST")),
    ("a bad path", rpc("a//b"), ("__invalid__", "INVALID_REQUEST")),
    ("an unknown path", rpc("m/none"), ("__unknown__", "NOT_FOUND")),
    ("a guard", rpc("g/fine"), ("g/fine", "UNAUTHENTICATED")),
    ("a stream", rpc("m/rows", stream=True), ("m/rows", None)),
    ("a refused stream", rpc("m/rows", (1,), stream=True), ("m/rows", "UNAUTHENTICATED")),
    ("a loader that fails", rpc("m/broken", stream=True), ("m/broken", "LOADER")),
    ("a shut gate", rpc("m/shut", stream=True), ("m/shut", None)),
    ("a stream called", rpc("m/rows"), ("m/rows", None)),
    ("bytes", encode_binary_call("m/taken", "q", [], b"abc"), ("m/taken", None)),
    ("too many bytes", encode_binary_call("m/taken", "q", [], b"abcd"), ("m/taken", "PAYLOAD_TOO_LARGE")),
    ("bytes for what takes none", encode_binary_call("m/fine", "q", [], b""), ("m/fine", "INVALID_REQUEST")),
    ("a call of bytes", rpc("m/taken"), ("m/taken", "INVALID_REQUEST")),
    (
        "too deep",
        '{"rpc":"m/fine","id":"q","args":[' + "[" * 70 + "]" * 70 + "]}",
        ("__invalid__", "INVALID_REQUEST"),
    ),
    ("too many at once", {"batch": [rpc("m/fine")] * 51}, ("__batch__", "INVALID_REQUEST")),
    ("an entry of a batch", {"batch": [rpc("m/fails")]}, ("m/fails", "MINE")),
    ("a bad entry of a batch", {"batch": [{"rpc": "m/fine"}]}, ("__invalid__", "INVALID_REQUEST")),
]


@pytest.mark.spec("LIVE-162")
@pytest.mark.parametrize(("frame", "expected"), [one[1:] for one in EXITS], ids=[one[0] for one in EXITS])
async def test_each_exit_of_a_call_is_counted_once(
    app: App, registry: Recording, frame: Any, expected: tuple[str, str | None]
) -> None:
    peer = await app.connect()
    peer.send(frame)
    await eventually(lambda: app.runtime.metrics.total("rpc_total") > 0)
    await turns()
    check_one(app, registry, *expected)


def check_one(app: App, registry: Recording, path: str, code: str | None, times: int = 1) -> None:
    status = "error" if code else "ok"
    for found in (app.runtime.metrics.snapshot()["rpc_total"], registry.of("rpc_total")):
        assert dict(found) == {(path, status): times}
    errors = app.runtime.metrics.snapshot().get("rpc_errors_total", {})
    expected = {(path, code): times} if code else {}
    assert dict(errors) == expected
    assert dict(registry.of("rpc_errors_total")) == expected


@pytest.mark.spec("LIVE-162")
async def test_limits_are_counted_once_each(app: App, registry: Recording) -> None:
    peer = await app.connect()
    await peer.request("m/rare")
    await peer.request("m/rare")
    assert registry.of("rpc_total") == {("m/rare", "ok"): 1, ("m/rare", "error"): 1}
    assert registry.of("rpc_errors_total") == {("m/rare", "RATE_LIMITED"): 1}
    with capacity_override(MAX_INFLIGHT_CALLS=1):
        other = await app.connect()
        other.send(rpc("m/waits", id="w"))
        await turns()
        await other.request("m/fine")
        assert registry.of("rpc_errors_total")["__unknown__", "OVERLOADED"] == 1
        await other.leave()  # the caller is gone, the call is not
        app.runtime.live.registry.modules["m"].module.go.set()
        await eventually(lambda: registry.of("rpc_total")["m/waits", "ok"] == 1)
    assert sum(registry.of("rpc_total").values()) == 4
    seconds = registry.made[f"{PREFIX}rpc_duration_seconds"].seconds
    assert [labels for labels, _ in seconds] == [("m/rare",), ("m/rare",), ("m/waits",)]
    assert all(value >= 0 for _, value in seconds)


@pytest.mark.spec("LIVE-162")
async def test_uploads_are_counted_once_however_they_end(app: App, registry: Recording) -> None:
    peer = await app.connect()

    async def send(path: str, id: int, *chunks: bytes, cancel: bool = False) -> None:
        header = encode_upload_header(path, [])
        for seq, chunk in enumerate(chunks):
            is_last = seq == len(chunks) - 1 and not cancel
            peer.send(encode_chunk(id, seq, chunk, header=header if seq == 0 else None, is_last=is_last))
        if cancel:
            await turns()
            peer.send(encode_cancel(id))
        await eventually(lambda: registry.of("uploads_active")[()] == 0)

    await send("m/put", 1, b"abc", b"de")
    await send("m/put", 2, b"abcdefgh", b"ijk")
    await send("m/put_fails", 3, b"a")
    await send("m/put", 4, b"a", cancel=True)
    await send("m/nothing", 5, b"a")
    assert registry.of("rpc_total") == {
        ("m/put", "ok"): 1,
        ("m/put", "error"): 2,
        ("m/put_fails", "error"): 1,
        ("__unknown__", "error"): 1,
    }
    codes = {labels[1]: times for labels, times in registry.of("rpc_errors_total").items()}
    assert codes == {"PAYLOAD_TOO_LARGE": 1, "NO_DISK": 1, "CANCELLED": 1, "NOT_FOUND": 1}
    assert registry.of("upload_bytes_total")[()] == app.runtime.metrics.get("upload_bytes_total")


@pytest.mark.spec("LIVE-163")
async def test_the_gauge_of_streams_returns_to_its_start(app: App, registry: Recording) -> None:
    def now() -> int:
        found = registry.of("stream_subscriptions")[()]
        assert found == app.runtime.metrics.get("stream_subscriptions")
        return found

    one, two = await app.connect(), await app.connect()
    for peer in (one, two):
        for _ in range(3):
            await peer.stream("m/rows")
    assert now() == 6
    for path, args in (("m/broken", []), ("m/rows", [1]), ("m/shut", []), ("m/none", []), ("m/rows", ["x"])):
        await one.stream(path, *args)
    assert now() == 6
    one.send({"type": "unsubscribe", "topic": "rows"})
    await turns()
    assert now() == 3
    one.send({"type": "unsubscribe", "topic": "rows"})
    await turns()
    assert now() == 3
    two.connection.unsubscribe("rows")
    await turns()
    await two.stream("m/rows")
    await two.leave()
    await one.leave()
    assert now() == 0


@pytest.mark.spec("LIVE-164")
async def test_an_assertion_counts_and_logs_and_raises_in_tests_only(
    app: App, registry: Recording, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    category = assertions.SUBSCRIPTION_WS_TRACKED
    before = assertion_counters().get(category, 0)
    with pytest.raises(InvariantViolation, match=category):
        assert_invariant(False, category, topic="t")
    assertions.configure("production")
    monkeypatch.delitem(sys.modules, "pytest")
    with caplog.at_level(logging.ERROR, "realtime.assert"):
        assert_invariant(0, category, topic="t")
    assert_invariant(1, category)
    assert assertion_counters()[category] == before + 2
    assert registry.of("assertion_violations_total") == {(category,): 2}
    (line,) = [one.getMessage() for one in caplog.records if '"topic"' in one.getMessage()][-1:]
    head, _, body = line.partition(" ")
    assert head == "[realtime/assert]"
    assert json.loads(body) == {"category": category, "context": {"topic": "t"}}


async def test_every_metric_is_made_once_with_its_labels(app: App, registry: Recording) -> None:
    assert set(registry.made) == {PREFIX + name for name in NAMES}
    for made in registry.made.values():
        name = made.name.removeprefix(PREFIX)
        labels = HISTOGRAMS[name].labels if name in HISTOGRAMS else LABELS[name]
        assert made.labelnames == labels
        assert (made.kind == "histogram") == (name in HISTOGRAMS)
        assert (made.kind == "counter") == name.endswith("_total")


async def test_a_registry_that_fails_is_counted_and_calls_go_on(
    make_app: AppFactory, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Recording()
    REGISTRIES.append(registry)
    app = await make_app({"live/m.py": LIVE, "hooks.py": HOOKS})

    def fail(*args: Any) -> None:
        raise OSError("the metrics are gone")

    for made in registry.made.values():
        made.inc = made.dec = made.observe = fail  # type: ignore[method-assign]
    peer = await app.connect()
    with caplog.at_level(logging.ERROR, "realtime.metrics"):
        assert (await peer.request("m/fine", 1))["data"] == 1
        assert (await peer.request("m/fine", 2))["data"] == 2
        assert (await peer.stream("m/rows"))["ok"]
    assert caplog.text.count("realtime_rpc_total failed") == 1
    assert app.runtime.metrics.get("metrics_collector_errors_total", "rpc_total") == 3
    assert app.runtime.metrics.get("metrics_collector_errors_total", "stream_subscriptions") == 1
    assert app.runtime.metrics.get("rpc_total", "m/fine", "ok") == 2


async def test_it_may_be_set_and_taken_back_while_the_app_runs(make_app: AppFactory) -> None:
    app = await make_app({"live/m.py": LIVE})
    peer = await app.connect()
    await peer.stream("m/rows")
    registry = Recording()
    live.metrics(registry)
    assert registry.of("stream_subscriptions")[()] == 1, "gauges begin where they are"
    await peer.request("m/fine")
    live.metrics(registry)
    await peer.request("m/fine")
    live.metrics(None)
    await peer.request("m/fine")
    assert registry.of("rpc_total") == {("m/fine", "ok"): 2}
    live.metrics(registry)
    await app.runtime.stop()
    before = dict(registry.of("assertion_violations_total"))
    with pytest.raises(InvariantViolation):
        assert_invariant(False, assertions.SUBS_SHAPE)
    assert registry.of("assertion_violations_total") == before, "an app that has stopped tells nobody"


async def test_a_reload_keeps_the_registry_that_the_code_names(make_app: AppFactory) -> None:
    REGISTRIES.append(Recording())
    source = LIVE + "\n" + HOOKS
    app = await make_app({"live/m.py": source})
    app.write("live/m.py", source + "\n    # changed\n")
    await app.runtime.live.reload([app.project / "live/m.py"])
    peer = await app.connect()
    await peer.request("m/fine")
    assert REGISTRIES[-1].of("rpc_total") == {("m/fine", "ok"): 1}
    app.write("live/m.py", LIVE)
    await app.runtime.live.reload([app.project / "live/m.py"])
    await peer.request("m/fine")
    assert REGISTRIES[-1].of("rpc_total") == {("m/fine", "ok"): 1}, "named no more"


class _Slots:
    __slots__ = ("counter", "gauge", "histogram")


def test_a_registry_that_cannot_make_metrics_is_named() -> None:
    with pytest.raises(TypeError, match=r"needs counter\(name, help, labelnames\)"):
        live.metrics(object())  # type: ignore[arg-type]
    half = _Slots()
    half.counter = half.gauge = lambda *args: None
    with pytest.raises(TypeError, match="needs histogram"):
        live.metrics(half)  # type: ignore[arg-type]
    assert capacity.get("MAX_METRIC_SERIES") > 0
    assert isinstance(Peer, type)
