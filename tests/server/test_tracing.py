"""Spans of calls with OpenTelemetry. Spec: live-api 18.5."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from runtime import live
from runtime.core.tracingsettings import TracingSettings
from runtime.live import tracing
from runtime.server.startup import StartupRefused
from runtime.testing import FakeClock, eventually
from runtime.wire.binary import encode_binary_call, encode_chunk, encode_upload_header
from tests.server.conftest import AppFactory
from tests.server.peers import App, Peer

LIVE = """
    # realtime-allow-public
    from opentelemetry import trace
    from runtime import LiveError, live

    @live.middleware
    async def inside(ctx, next):
        trace.get_current_span().set_attribute("middleware", True)
        return await next()

    @live
    async def fine(ctx, a: int = 0):
        with trace.get_tracer("app").start_as_current_span("query"):
            return a
    @live
    async def denied(ctx): raise LiveError("FORBIDDEN", "secret text")
    @live
    async def breaks(ctx): raise ValueError("secret text")
    @live
    async def bad(ctx): return object()
    @live(thread=True)
    def slow(ctx): trace.get_current_span().set_attribute("thread", True)
    @live.stream("rows")
    async def rows(ctx): return []
    @live.binary()
    async def taken(ctx, data: bytes): return 1
    @live.upload()
    async def put(ctx): return [chunk async for chunk in ctx.stream] and 1
    @live
    async def outer(ctx): return await live.load("m/rows", ctx.platform)
"""


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Where the spans go of a provider that holds for one test."""
    found = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(found))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    monkeypatch.setattr(trace, "get_tracer", lambda name, *args, **keys: provider.get_tracer(name))
    yield found
    provider.shutdown()


@pytest.fixture
async def app(make_app: AppFactory, exporter: InMemorySpanExporter) -> App:
    return await make_app({"live/m.py": LIVE})


@pytest.fixture
async def peer(app: App) -> Peer:
    return await app.connect(request_id="r-1")


async def spans(exporter: InMemorySpanExporter, count: int = 1) -> list[Any]:
    await eventually(lambda: len(exporter.get_finished_spans()) >= count)
    found = list(exporter.get_finished_spans())
    exporter.clear()
    return found


async def test_a_call_is_a_span_around_middleware_and_handler(
    peer: Peer, exporter: InMemorySpanExporter
) -> None:
    await peer.request("m/fine", 1)
    query, span = await spans(exporter, 2)
    assert (query.name, query.parent.span_id) == ("query", span.context.span_id)
    assert span.name == "live.rpc m/fine"
    assert span.kind is trace.SpanKind.SERVER
    assert span.parent is None
    assert dict(span.attributes) == {
        "realtime.path": "m/fine",
        "realtime.kind": "rpc",
        "realtime.code": "ok",
        "realtime.request_id": "r-1",
        "middleware": True,
    }
    assert span.status.status_code is trace.StatusCode.UNSET
    assert trace.get_current_span() is trace.INVALID_SPAN


@pytest.mark.parametrize(
    ("path", "code", "status"),
    [
        ("m/denied", "FORBIDDEN", trace.StatusCode.UNSET),
        ("m/breaks", "INTERNAL_ERROR", trace.StatusCode.ERROR),
        ("m/bad", "INTERNAL_ERROR", trace.StatusCode.ERROR),
    ],
)
async def test_a_failure_has_its_code_and_none_of_its_text(
    peer: Peer, exporter: InMemorySpanExporter, path: str, code: str, status: Any
) -> None:
    await peer.request(path)
    (span,) = await spans(exporter)
    assert span.attributes["realtime.code"] == code
    assert span.status.status_code is status
    assert span.events == ()
    assert "secret" not in span.to_json()


async def test_each_kind_of_call_says_what_it_is(peer: Peer, exporter: InMemorySpanExporter) -> None:
    await peer.request("m/slow")
    (span,) = await spans(exporter)
    assert span.attributes["thread"] is True, "the span is the current one in the thread, too"
    await peer.stream("m/rows")
    peer.send(encode_binary_call("m/taken", "b", [], b"x"))
    await peer.reply("b")
    header = encode_upload_header("m/put", [])
    peer.send(encode_chunk(1, 0, b"x", header=header, is_last=True))
    found = await spans(exporter, 3)
    assert [(span.name, span.attributes["realtime.kind"]) for span in found] == [
        ("live.rpc m/rows", "stream"),
        ("live.rpc m/taken", "binary"),
        ("live.rpc m/put", "upload"),
    ]
    await peer.request("m/outer")
    load, outer = await spans(exporter, 2)
    assert (load.name, load.attributes["realtime.kind"]) == ("live.load m/rows", "load")
    assert load.parent.span_id == outer.context.span_id
    assert load.attributes["realtime.request_id"] == "r-1"


async def test_what_is_refused_before_it_is_a_call_has_no_span(
    peer: Peer, exporter: InMemorySpanExporter
) -> None:
    await peer.request("m/none")
    await peer.request("m//x")
    await peer.request("m/fine", 1)
    assert [span.name for span in await spans(exporter, 2)] == ["query", "live.rpc m/fine"]


async def test_a_call_that_is_cancelled_says_so(app: App, exporter: InMemorySpanExporter) -> None:
    import asyncio

    traced = app.runtime.live.dispatcher.tracing
    assert traced is not None
    assert traced.is_active(app.runtime.clock.monotonic())
    running = asyncio.create_task(traced.around(asyncio.Event().wait(), "m/x", "rpc", None))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    (span,) = await spans(exporter)
    assert span.attributes["realtime.code"] == "CANCELLED"
    assert "realtime.request_id" not in span.attributes


class Breaking(SpanProcessor):
    """Fails at one end of every span."""

    def __init__(self, at: str) -> None:
        self.at = at

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        if self.at == "start":
            raise RuntimeError("no room for the span")

    def on_end(self, span: Any) -> None:
        if self.at == "end":
            raise RuntimeError("no room for the span")


@pytest.mark.parametrize("at", ["start", "end"])
async def test_a_tracer_that_fails_costs_no_call(
    make_app: AppFactory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, at: str
) -> None:
    provider = TracerProvider()
    provider.add_span_processor(Breaking(at))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    monkeypatch.setattr(trace, "get_tracer", lambda name, *args, **keys: provider.get_tracer(name))
    app = await make_app({"live/m.py": LIVE})
    peer = await app.connect()
    with caplog.at_level(logging.ERROR, "realtime.tracing"):
        assert (await peer.request("m/slow"))["ok"] is True
        assert (await peer.request("m/denied"))["code"] == "FORBIDDEN"
        assert (await peer.stream("m/rows"))["ok"] is True
    assert await live.load("m/rows", app.runtime.platform.view("page")) == []
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "OpenTelemetry's tracer failed"
    ]
    assert trace.get_current_span() is trace.INVALID_SPAN
    provider.shutdown()


async def test_a_provider_that_cannot_be_asked_costs_no_call(
    make_app: AppFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Any:
        raise RuntimeError("no such provider")

    monkeypatch.setattr(trace, "get_tracer_provider", broken)
    app = await make_app({"live/m.py": LIVE})
    peer = await app.connect()
    assert (await peer.request("m/slow"))["ok"] is True


async def test_loads_are_traced_as_well(app: App, exporter: InMemorySpanExporter) -> None:
    await live.load("m/rows", app.runtime.platform.view("page"))
    (span,) = await spans(exporter)
    assert span.attributes["realtime.request_id"] == "page"


async def test_it_can_be_switched_off(make_app: AppFactory, exporter: InMemorySpanExporter) -> None:
    app = await make_app({"live/m.py": LIVE}, tracing=TracingSettings(enabled=False))
    peer = await app.connect()
    await peer.request("m/denied")
    assert app.runtime.live.dispatcher.tracing is None
    assert exporter.get_finished_spans() == ()


async def test_a_provider_may_come_after_the_start(
    make_app: AppFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    app = await make_app({"live/m.py": LIVE}, clock=clock)
    traced = app.runtime.live.dispatcher.tracing
    assert traced is not None
    peer = await app.connect()
    await peer.request("m/denied")
    assert not traced.is_active(clock.monotonic()), "nobody has set a provider"
    looks: list[int] = []
    provider = TracerProvider()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: looks.append(1) or provider)
    assert not traced.is_active(clock.monotonic()), "looked a moment ago"
    assert looks == []
    await clock.advance(tracing.LOOK_EVERY)
    assert traced.is_active(clock.monotonic())
    looked = len(looks)
    await clock.advance(10)
    assert traced.is_active(clock.monotonic())
    assert len(looks) == looked, "what was found stays"
    provider.shutdown()


async def test_without_opentelemetry_auto_is_off_and_true_names_the_extra(
    make_app: AppFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, tracing.MODULE, None)
    source = "# realtime-allow-public\nfrom runtime import live\n@live\nasync def fine(ctx): return 1\n"
    app = await make_app({"live/m.py": source})
    assert app.runtime.live.dispatcher.tracing is None
    peer = await app.connect()
    assert (await peer.request("m/fine"))["data"] == 1
    wanting = await make_app({"live/m.py": source}, start=False, tracing=TracingSettings(enabled=True))
    with pytest.raises(StartupRefused, match=r"realtime-toolkit\[otel\]") as refused:
        await wanting.runtime.start()
    assert refused.value.key == "tracing.enabled"


def test_an_app_without_it_does_not_import_it() -> None:
    code = (
        "import sys; from runtime import create_app; create_app(None);"
        "assert not any(name.partition('.')[0] == 'opentelemetry' and 'trace' in name for name in sys.modules),"
        "[n for n in sys.modules if 'opentel' in n]"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert logging.getLogger("realtime") is not None
