"""An envelope for one peer, which has no number. Spec: wire 2.1."""

from __future__ import annotations

from typing import Any

from runtime.core.assertions import ENVELOPE_SEND_EMPTY, assert_invariant
from runtime.core.publisher import make_event
from runtime.core.sink import Frame
from runtime.wire import envelope

__all__ = ["direct_frame"]


def direct_frame(topic: str, event: str, data: Any, max_frame: int) -> Frame:
    """Return the frame of an envelope without a number.

    Raises:
        ValueError: a bad name. TypeError: data without a JSON form. PayloadTooLarge: above `max_frame` (0: any size).
    """
    made = make_event(topic, event, data, False, max_frame)
    payload = envelope.encode_envelope(topic, event, made.data, None)
    assert_invariant(payload, ENVELOPE_SEND_EMPTY, topic=topic)
    return Frame(payload)
