"""What is counted of what peers send. Spec: platform 9.3."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.peers import turns
from tests.unit.server.runtimes import BareFactory, subscribe


async def test_denials_are_counted_by_reason_and_those_of_the_app_together(bare: BareFactory) -> None:
    words = {"sold": "SOLD_OUT", "later": "COME_BACK_LATER", "no": False, "ok": None}
    one = await bare({"subscribe": lambda topic: words[topic]})
    peer = one.connect()
    for number, topic in enumerate(["sold", "later", "no", "ok", 'bad"', "__signal:1"]):
        peer.send(subscribe(topic, number))
        await turns(5)
    assert one.runtime.metrics.snapshot()["ws_subscribe_denied_total"] == {
        ("other",): 2,
        ("FORBIDDEN",): 1,
        ("INVALID_TOPIC",): 2,
    }


@pytest.mark.parametrize("waits", [False, True])
async def test_control_frames_that_cannot_be_handled_are_counted_by_type(
    bare: BareFactory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, waits: bool
) -> None:
    one = await bare({"subscribe": lambda topic: None} if waits else {})
    peer = one.connect()

    class Broken:
        gate = one.runtime.membership.gate
        precheck = staticmethod(one.runtime.membership.precheck)

        @staticmethod
        def grant(*args: Any) -> Any:
            raise RuntimeError("unexpected")

    monkeypatch.setattr(one.runtime, "membership", Broken)
    for topic in ("a", "b"):
        peer.send(subscribe(topic))
    await turns(20)
    assert one.runtime.metrics.snapshot()["ws_control_errors_total"] == {("subscribe",): 2}
    assert caplog.text.count("could not be handled") == 2
