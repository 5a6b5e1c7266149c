"""What a bus brings from elsewhere. Platform 5.11, cluster 2.2."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from runtime import BusValidator
from runtime.core.busvalidator import DEFAULT_MAX_BYTES
from runtime.core.metrics import Metrics
from runtime.core.settings import SecuritySettings
from runtime.testing import FakeClock, capacity_override
from tests.server.conftest import AppFactory

OURS = {"instanceId": "me", "topic": "room:1", "event": "created", "data": {"id": 1}}
THEIRS = {**OURS, "instanceId": "other"}
RELAYED = {"topic": "room:1", "event": "created", "data": {"id": 1}, "relay": False}


def made(**options: Any) -> tuple[BusValidator, Metrics]:
    metrics = Metrics()
    return BusValidator("queue", metrics=metrics, clock=FakeClock(), instance="me", **options), metrics


def dropped(raw: Any, **options: Any) -> str:
    """Return the reason for which an envelope is dropped."""
    validator, metrics = made(**options)
    assert validator.read(raw if isinstance(raw, str | bytes) else json.dumps(raw)) == []
    assert validator.rejected == 1
    ((labels, count),) = metrics.snapshot()["bus_rejected_total"].items()
    assert (labels[0], count) == ("queue", 1)
    return labels[1]


@pytest.mark.spec("PLAT-113")
@pytest.mark.parametrize(
    "form", [str, str.encode, lambda t: bytearray(t, "utf-8"), lambda t: memoryview(t.encode())]
)
def test_a_proper_envelope_is_ready_to_be_published(form: Any) -> None:
    validator, metrics = made()
    assert validator.read(form(json.dumps(THEIRS))) == [RELAYED]
    without = {"instanceId": "other", "topic": "a", "event": "ping", "seq": 7}
    assert validator.read(form(json.dumps(without))) == [
        {"topic": "a", "event": "ping", "seq": 7, "relay": False}
    ]
    assert validator.rejected == 0
    assert metrics.total("bus_rejected_total") == 0


@pytest.mark.spec("PLAT-113")
def test_the_length_counts_bytes_and_before_anything_is_parsed() -> None:
    assert DEFAULT_MAX_BYTES == 1_048_576
    assert dropped("x" * 1_048_577) == "size"  # is no JSON either
    assert dropped("x" * 1_048_576) == "json"
    wide = json.dumps({**THEIRS, "data": "\u20ac" * 400_000}, ensure_ascii=False)
    assert len(wide) < 1_048_576 < len(wide.encode())
    assert dropped(wide) == "size"
    assert dropped(wide.encode()) == "size"
    validator, _ = made()
    assert validator.read(memoryview(wide.encode())) == []
    assert validator.read(bytearray(wide.encode())) == []
    assert validator.read(json.dumps({**THEIRS, "data": "\u20ac" * 300_000}, ensure_ascii=False)) != []


@pytest.mark.spec("PLAT-113")
@pytest.mark.parametrize("size", [0, -1, float("inf"), float("nan"), "1M", None, True])
def test_a_bound_that_is_none_falls_back(size: Any) -> None:
    assert made(max_bytes=size)[0].max_bytes == DEFAULT_MAX_BYTES


@pytest.mark.spec("PLAT-113")
@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ([THEIRS], "shape"),
        ("3", "shape"),
        ("null", "shape"),
        ('"text"', "shape"),
        ("{", "json"),
        ("", "json"),
        (b"\xff\xfe{}", "json"),
        ('{"topic":NaN}', "json"),
        ({**THEIRS, "topic": 5}, "topic"),
        ({**THEIRS, "topic": None}, "topic"),
        ({**THEIRS, "topic": ["a"]}, "topic"),
        ({**THEIRS, "topic": ""}, "topic"),
        ({**THEIRS, "topic": "t" * 257}, "topic"),
        ({**THEIRS, "topic": "a\nb"}, "topic"),
        ({**THEIRS, "topic": "a\x00"}, "topic"),
        ({**THEIRS, "topic": 'a"b'}, "topic"),
        ({**THEIRS, "topic": "a\\b"}, "topic"),
        (r'{"topic":"a\ud800","event":"e"}', "topic"),
        ({"event": "created"}, "topic"),
        ({**THEIRS, "event": 1}, "event"),
        ({**THEIRS, "event": ""}, "event"),
        ({**THEIRS, "event": "e" * 257}, "event"),
        ({**THEIRS, "event": 'x","topic":"__signal:victim'}, "event"),
        ({"topic": "a"}, "event"),
        ({**THEIRS, "topic": "__signal:x"}, "system_topic"),
        ({**THEIRS, "topic": "__"}, "system_topic"),
        ({**THEIRS, "topic": "__realtime2"}, "system_topic"),
        (r'{"topic":"\u005f_signal:x","event":"e"}', "system_topic"),
        ('{"topic":"fine","topic":"__signal:x","event":"e"}', "system_topic"),
        ({**THEIRS, "seq": 0}, "seq"),
        ({**THEIRS, "seq": -1}, "seq"),
        ({**THEIRS, "seq": 1.5}, "seq"),
        ({**THEIRS, "seq": "1"}, "seq"),
        ({**THEIRS, "seq": True}, "seq"),
        ({**THEIRS, "seq": None}, "seq"),
        ({**THEIRS, "seq": 2**70}, "seq"),
        ({"instanceId": "other", "batch": {"topic": "a"}}, "shape"),
        ({"instanceId": "other", "batch": ["a"]}, "shape"),
        ('{"topic":"a","event":"e","data":' + "[" * 64 + "]" * 64 + "}", "depth"),
        ('{"topic":"a","event":"e","data":' + "[" * 100_000 + "]" * 100_000 + "}", "depth"),
    ],
)
def test_what_is_wrong_is_dropped(raw: Any, reason: str) -> None:
    assert dropped(raw) == reason


@pytest.mark.spec("PLAT-113")
@pytest.mark.parametrize("raw", [None, 5, ["{}"], {"topic": "a"}, object()])
def test_what_is_no_text_is_dropped(raw: Any) -> None:
    validator, metrics = made()
    assert validator.read(raw) == []
    assert metrics.get("bus_rejected_total", "queue", "type") == 1


@pytest.mark.spec("PLAT-113")
def test_what_is_allowed_passes() -> None:
    validator, _ = made()
    assert validator.read(json.dumps({**THEIRS, "topic": "__realtime"}))[0]["topic"] == "__realtime"
    assert validator.read('{"topic":"__signal:x","topic":"fine","event":"e"}')[0]["topic"] == "fine"
    assert validator.read(json.dumps({**THEIRS, "topic": "räume:1"}))[0]["topic"] == "räume:1"
    deepest = '{"topic":"a","event":"e","data":' + "[" * 63 + "]" * 63 + "}"
    assert len(validator.read(deepest)) == 1
    with capacity_override(MAX_ENVELOPE_DEPTH=8):
        assert validator.read(deepest) == []
    assert made(allow_system_topics=True)[0].read(json.dumps({**THEIRS, "topic": "__signal:x"})) != []
    assert made(own_topics=["__mine"])[0].read(json.dumps({**THEIRS, "topic": "__mine"})) != []
    assert dropped({**THEIRS, "topic": "__realtime"}, own_topics=["__mine"]) == "system_topic"


@pytest.mark.spec("PLAT-113")
def test_an_echo_is_dropped_and_is_no_mistake() -> None:
    validator, metrics = made()
    assert validator.read(json.dumps(OURS)) == []
    assert validator.read(json.dumps({"instanceId": "me", "batch": [OURS]})) == []
    assert (validator.echoes, validator.rejected) == (2, 0)
    assert metrics.total("bus_rejected_total") == 0


@pytest.mark.spec("PLAT-113")
def test_of_a_batch_only_the_bad_ones_are_dropped() -> None:
    validator, metrics = made()
    members = [
        THEIRS,
        {**THEIRS, "topic": "__signal:x"},
        5,
        {**THEIRS, "event": ""},
        {**THEIRS, "topic": "b"},
    ]
    found = validator.read(json.dumps({"instanceId": "other", "batch": members}))
    assert [one["topic"] for one in found] == ["room:1", "b"]
    assert validator.rejected == 3
    for reason in ("system_topic", "shape", "event"):
        assert metrics.get("bus_rejected_total", "queue", reason) == 1


@pytest.mark.spec("PLAT-113")
async def test_it_is_logged_once_a_minute_without_the_content(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    validator = BusValidator("queue", metrics=Metrics(), clock=clock)
    for _ in range(100):
        validator.read(json.dumps({**THEIRS, "topic": "__signal:hunter2"}))
    await clock.advance(59)
    validator.read("hunter2")
    assert len(caplog.records) == 1
    await clock.advance(1.1)
    validator.read("hunter2")
    assert [one.levelno for one in caplog.records] == [logging.WARNING] * 2
    assert "102 so far" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.spec("PLAT-113", "PLAT-119")
async def test_the_bus_of_an_app_gets_what_the_settings_say(make_app: AppFactory) -> None:
    security = SecuritySettings(
        bus_max_bytes=2048, bus_allow_system_topics=True, bus_allowed_system_topics=("__a",)
    )
    open_app = await make_app({"live/things.py": ""}, security=security)
    validator = BusValidator.of(open_app.runtime.platform, "queue", instance="me")
    assert validator.read(json.dumps({**THEIRS, "topic": "__signal:x"})) != []
    assert validator.read(json.dumps({**THEIRS, "data": "x" * 2048})) == []
    assert validator.read(json.dumps(OURS)) == []
    assert open_app.runtime.metrics.get("security_optouts", "bus_allow_system_topics") == 1
    listed = await make_app(
        {"live/things.py": ""}, security=SecuritySettings(bus_allowed_system_topics=("__a",))
    )
    validator = BusValidator.of(listed.runtime.platform, "queue")
    assert validator.read(json.dumps({**THEIRS, "topic": "__a"})) != []
    assert validator.read(json.dumps({**THEIRS, "topic": "__realtime"})) == []


@pytest.mark.spec("PLAT-113")
async def test_what_it_reads_reaches_subscribers_once_and_is_not_carried_on(make_app: AppFactory) -> None:
    source = """
        from runtime import BusValidator, set_bus

        sent = []

        class Bus:
            def wrap(self, platform):
                self.platform = platform
                self.validator = BusValidator.of(platform, "queue", instance="me")
                return self
            def publish(self, topic, event, data=None, *, relay=True, **options):
                if relay:
                    sent.append(topic)
                return self.platform.publish(topic, event, data, relay=relay, **options)
            def received(self, raw):
                self.platform.publish_batched(self.validator.read(raw))

        bus = Bus()
        set_bus(bus)
    """
    app = await make_app(
        {"live/things.py": "", "hooks.py": source + "\n        def open(ws): ws.subscribe('room:1')\n"}
    )
    peer = await app.connect({"id": "u1"})
    bus = app.runtime.platform.parts.outlet.bus  # type: ignore[union-attr]
    bus.received(json.dumps(THEIRS))
    bus.received(json.dumps({**THEIRS, "topic": "__signal:u1"}))
    bus.received("{")
    app.runtime.platform.publish("room:1", "local", 2)
    await peer.wait(lambda frame: "local" in str(frame))
    assert peer.events("room:1") == [("created", {"id": 1}), ("local", 2)]
    hook = app.runtime.hooks.get("open")
    assert hook is not None
    assert hook._function.__globals__["sent"] == ["room:1"]
