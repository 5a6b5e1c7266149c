from __future__ import annotations

from runtime import Reducer, Sliding, guard, live

_guard = guard(authenticated=True)


requests = live.aggregate(
    "requests",
    {"count": Reducer(init=lambda: 0, reduce=lambda count, event, data: count + 1)},
    topic="requests-stats",
    windows={"last": Sliding(duration=300, slide=30)},
)
