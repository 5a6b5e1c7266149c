from __future__ import annotations

from runtime import Reducer, Sliding, combine_sum, guard, live

_guard = guard(authenticated=True)


requests = live.aggregate(
    "requests",
    {"count": Reducer(init=lambda: 0, reduce=lambda count, event, data: count + 1, combine=combine_sum)},
    topic="requests-stats",
    windows={"last": Sliding(duration=86400, slide=1)},
)
