"""Sets of bounds for machines of a size: what `[capacity] profile` names. Spec: platform 6.3.

A profile replaces defaults, so a key that somebody wrote wins over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["PROFILES", "REFERENCE", "Profile"]

REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class Profile:
    """What takes the place of defaults: bounds of `[capacity]`, and keys of `[websocket]`."""

    bounds: Mapping[str, int]
    websocket: Mapping[str, int]


def _profile(
    *,
    subscriptions: int,
    pending: int,
    coalesced: int,
    topics: int,
    topic_seqs: int,
    pushes: int,
    presence: int,
    entries: int,
    max_backpressure: int,
    max_connections: int,
    uploads: int | None = None,
) -> Profile:
    bounds = {
        "MAX_SUBSCRIPTIONS_PER_CONNECTION": subscriptions,
        "MAX_PENDING_REQUESTS_PER_CONNECTION": pending,
        "MAX_COALESCED_KEYS_PER_CONNECTION": coalesced,
        "MAX_TOPICS": topics,
        "MAX_TOPIC_SEQS": topic_seqs,
        "MAX_PUSH_REGISTRY": pushes,
        "MAX_PRESENCE_REF": presence,
        "MAX_PRESENCE_CONNECTIONS": presence,
        "MAX_PRESENCE_TOPICS": presence,
        "MAX_SESSIONS": entries,
        "MAX_DEDUP_IDS": entries,
    }
    if uploads is not None:
        bounds["UPLOAD_MAX_CONCURRENT_TOTAL"] = uploads
    websocket = {"max_backpressure": max_backpressure, "max_connections": max_connections}
    return Profile(MappingProxyType(bounds), MappingProxyType(websocket))


#: By the name in `[capacity] profile`; `reference` changes nothing.
PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        REFERENCE: Profile(MappingProxyType({}), MappingProxyType({})),
        "small": _profile(  # 512 MiB
            subscriptions=1_000,
            pending=256,
            coalesced=256,
            topics=50_000,
            topic_seqs=200_000,
            pushes=50_000,
            presence=50_000,
            entries=10_000,
            max_backpressure=256 * 1024,
            max_connections=5_000,
            uploads=1_000,
        ),
        "medium": _profile(  # 4 GiB
            subscriptions=10_000,
            pending=1_024,
            coalesced=1_024,
            topics=500_000,
            topic_seqs=2_000_000,
            pushes=500_000,
            presence=500_000,
            entries=100_000,
            max_backpressure=512 * 1024,
            max_connections=50_000,
        ),
        "large": _profile(  # 32 GiB
            subscriptions=100_000,
            pending=4_096,
            coalesced=4_096,
            topics=4_000_000,
            topic_seqs=10_000_000,
            pushes=5_000_000,
            presence=2_000_000,
            entries=1_000_000,
            max_backpressure=1024 * 1024,
            max_connections=400_000,
        ),
    }
)
