"""`[websocket.pressure]`: from which load on a worker is under pressure. Spec: platform 2.7 and 4."""

from __future__ import annotations

from typing import Annotated

from runtime.core import settingkinds as kinds
from runtime.core.settingsection import Key, Section

__all__ = ["PressureSettings"]


def _signal(doc: str, minimum: float, maximum: float) -> Key:
    return Key(kinds.alternative(kinds.number(minimum, maximum), False), f"{doc}; `false` switches it off.")


class PressureSettings(Section, frozen=True, kw_only=True):
    """`[websocket.pressure]`: a value at its threshold is over it. `None` where the file says `false`."""

    memory_ratio: Annotated[
        float | None, _signal("Share of the memory limit from which the reason is `MEMORY`", 0.0, 1.0)
    ] = 0.85
    publish_rate: Annotated[
        float | None,
        _signal("Publishes per second from which the reason is `PUBLISH_RATE`", 0.001, 1e9),
    ] = 10_000.0
    subscriber_ratio: Annotated[
        float | None,
        _signal("Subscriptions per connection from which the reason is `SUBSCRIBERS`", 0.001, 1e9),
    ] = 50.0
    sample_interval: Annotated[
        float, Key(kinds.duration(0.1, 3600.0), "Time between two samples of the load.")
    ] = 1.0
    topic_publish_rate: Annotated[
        float | None,
        _signal("Messages per second from which a topic counts as runaway", 0.001, 1e9),
    ] = 5000.0
    topic_publish_bytes: Annotated[
        int | None,
        Key(
            kinds.alternative(kinds.size(1, 2**50), False),
            "Bytes per second from which a topic counts as runaway; `false` switches it off.",
        ),
    ] = 10 * 1024**2
    release_samples: Annotated[
        int,
        Key(kinds.integer(1, 60), "Samples in a row that have to be less urgent before the reason changes."),
    ] = 1
    release_ratio: Annotated[
        float, Key(kinds.number(0.1, 1.0), "What a threshold is multiplied by for leaving its reason.")
    ] = 1.0
