"""How full everything is that has a bound, read when somebody asks. Spec: platform 6.1, 9.3."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runtime.server.assembly import Runtime
    from runtime.server.inbound import Inbound

__all__ = ["MAX_LOOKED_AT", "sizes_of"]

#: Connections that are looked at for the fullest one, so that a scrape holds nobody up: those open for longest.
MAX_LOOKED_AT = 10_000


def sizes_of(runtime: Runtime) -> dict[str, int]:
    """Return how full a worker is, by the name of the bound; where there are several of a kind, the fullest of them.

    Everything that has a bound of its own says so in a method `sizes`; what is there only with a part of the server is
    in `runtime.sizes`. What is bounded per connection is 0 while nobody is connected.
    """
    parts, live = runtime.platform.parts, runtime.live
    found: dict[str, int] = {}
    for sizes in (
        parts.closing.sizes(),
        parts.sampler.sizes(),
        parts.health.sizes(),
        parts.threads.sizes(),
        parts.dev.sizes() if parts.dev is not None else {},
        runtime.subscriptions.sizes(),
        runtime.sequence.sizes(),
        runtime.publisher.sizes(),
        runtime.metrics.sizes(),
        runtime.edge.sizes(),
        live.sizes(),
        runtime.devtools.recorder.sizes() if runtime.devtools is not None else {},
        _of_connections(runtime.inbounds),
        {name: read() for name, read in runtime.sizes.items()},
    ):
        _merge(found, sizes)
    return found


def _merge(found: dict[str, int], sizes: Mapping[str, int]) -> None:
    for name, size in sizes.items():
        found[name] = max(found.get(name, 0), size)


def _of_connections(inbounds: Iterable[Inbound]) -> dict[str, int]:
    found = dict.fromkeys(
        (
            "MAX_COALESCED_KEYS_PER_CONNECTION",
            "MAX_CONTROL_BYTES",
            "MAX_CONTROL_QUEUE",
            "MAX_INFLIGHT_BYTES",
            "MAX_INFLIGHT_CALLS",
            "MAX_PENDING_REQUESTS_PER_CONNECTION",
            "MAX_SUBSCRIPTIONS_PER_CONNECTION",
        ),
        0,
    )
    for inbound in islice(inbounds, MAX_LOOKED_AT):
        _merge(found, inbound.sizes())
    return found
