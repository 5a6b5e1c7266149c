"""Every number that the frames obey; bounds of the runtime are in `runtime.core.capacity`. Spec: wire 9."""

from __future__ import annotations

from typing import Final

__all__ = [
    "BATCH_FRAME_WARNING",
    "CONTROL_FRAME_CEILING",
    "MAX_BATCH_CALLS",
    "MAX_BATCH_TOPICS",
    "MAX_DENIAL_REASON",
    "MAX_ENVELOPE_DEPTH",
    "MAX_FRAGMENTS",
    "MAX_ID_SCAN",
    "MAX_JSON_DEPTH",
    "MAX_OUTBOUND_CHARS",
    "MAX_TOPIC_LENGTH",
    "MAX_USER_ID_LENGTH",
    "MIN_RPC_BYTES",
]

#: Calls of one `{"batch":[...]}` frame. Spec: wire 4.5.
MAX_BATCH_CALLS: Final = 50
#: Levels of nesting of an RPC frame, the outer object being level 1. Spec: wire 4.8.
MAX_ENVELOPE_DEPTH: Final = 64
#: The same of any other JSON message. Spec: wire 4.8.
MAX_JSON_DEPTH: Final = 64
#: A control frame is shorter than this many bytes, unless it is a `reply` or a `resume`. Spec: wire 2.2.
CONTROL_FRAME_CEILING: Final = 8192
#: The shortest frame that can be an RPC, in bytes. Spec: wire 2.2.
MIN_RPC_BYTES: Final = 10
#: UTF-16 code units of a topic, and of an event that is published. Spec: wire 3.1, platform 2.2.
MAX_TOPIC_LENGTH: Final = 256
#: UTF-16 code units of a user id that becomes part of a topic. Spec: wire 3.1.
MAX_USER_ID_LENGTH: Final = 256
#: Topics that are looked at in one `subscribe-batch`. Spec: wire 3.2.
MAX_BATCH_TOPICS: Final = 256
#: Characters of a denial's reason. Spec: wire 3.2.
MAX_DENIAL_REASON: Final = 128
#: Fragments of one message; a peer that sends it byte by byte pays with its connection. Spec: platform 5.14.
MAX_FRAGMENTS: Final = 1024
#: UTF-16 code units of a text frame; the client drops a longer one without a trace. Spec: wire 1.10.
MAX_OUTBOUND_CHARS: Final = 1_048_576
BATCH_FRAME_WARNING: Final = 262_144  # bytes of a batch frame that are worth a warning
#: Characters at the start of a frame too deep to parse in which its ids are looked for. Spec: wire 4.8.
MAX_ID_SCAN: Final = 65_536
