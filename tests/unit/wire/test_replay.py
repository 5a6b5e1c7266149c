"""The frames of a replay. Spec: wire 6.4."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.wire.replay import MAX_REQ_ID, ReplayFrames, is_since, usable_req_id


@pytest.mark.parametrize("value", [0, 1, -5, 1.5, "", "r", "x" * MAX_REQ_ID, 10**MAX_REQ_ID - 1])
def test_a_request_id_is_echoed(value: Any) -> None:
    assert usable_req_id(value) == value
    frame = json.loads(ReplayFrames("t", usable_req_id(value)).message(1, "e", b"null"))
    assert frame["data"] == {"reqId": value, "seq": 1, "event": "e", "data": None}


@pytest.mark.parametrize(
    "value", [None, True, False, [], {}, "x" * (MAX_REQ_ID + 1), 10**MAX_REQ_ID, -(10**4000)]
)
def test_what_cannot_be_echoed_in_every_message_is_left_out(value: Any) -> None:
    assert usable_req_id(value) is None


@pytest.mark.parametrize(
    ("value", "usable"), [(0, True), (2**60, True), (-1, False), (True, False), (1.0, False)]
)
def test_a_number_that_was_seen_is_a_whole_one_from_0_on(value: Any, usable: bool) -> None:
    assert is_since(value) is usable
