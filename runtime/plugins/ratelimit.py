"""`RateLimit`: so many points per window and caller, counted in this process. Spec: platform 7.6, cluster 18.1.

The buckets stand in the order in which their windows began. All windows are equally long, so those that are over are
in front: sweeping and evicting look at one end only.
"""

from __future__ import annotations

import inspect
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from runtime.plugins.lifetime import Plugin, PluginState
from runtime.plugins.options import UNSET, Unset, bound, seconds, text_key, whole
from runtime.plugins.protocols import ConsumeResult

if TYPE_CHECKING:
    from runtime.core.connection import Connection
    from runtime.plugins.lifetime import AnyClock

__all__ = ["RateLimit"]

#: Seconds of a ban where neither the call nor the `block` option says how long.
DEFAULT_BAN = 60.0
MAX_KEY_LENGTH = 256
# Above so many buckets each call looks for those whose windows are over, at so many.
SWEEP_ABOVE = 1000
SWEEP_PER_CALL = 64
UNKNOWN = "unknown"
ADDRESSES = ("remote_address", "ip", "address")

KeyBy = Literal["ip", "connection"] | Callable[["Connection"], str]


class _Bucket:
    __slots__ = ("points", "reset_at")

    def __init__(self, points: float, reset_at: float) -> None:
        self.points = points
        self.reset_at = reset_at


class _State(PluginState):
    __slots__ = ("banned", "buckets")

    def __init__(self) -> None:
        super().__init__()
        self.buckets: OrderedDict[str, _Bucket] = OrderedDict()
        #: Until when, by key. Looked through in turns: the order says nothing about the ends.
        self.banned: OrderedDict[str, float] = OrderedDict()

    def forget(self, connection: Connection) -> None:
        """Drop the bucket of a connection that is gone."""
        self.buckets.pop(connection.id, None)
        self.banned.pop(connection.id, None)


class RateLimit(Plugin[_State]):
    """A fixed window for each caller: `points` of it are there to be consumed, then there are none until it is over.

    Its cluster twin has the same methods. A bucket is a small object in one dict; a call costs two look-ups. Sums over
    all workers are not kept: with N workers a caller may get N times as much.

    Args:
        points: of one window, an integer from 1 on.
        interval: seconds of a window, which begins with a caller's first call in it.
        block: seconds for which a caller is banned that asks for more than it has; 0 for not at all.
        key_by: who a caller is: `"ip"` for the address, `"connection"`, or a function of the connection that returns
            the key, such as the user's id.
        max_buckets: callers that are known at one time (`MAX_RATELIMIT_BUCKETS`). Beyond that the one goes whose
            window began first, and may begin anew.
        clock: the time; that of the app if it is left out.

    Raises:
        ValueError: an option that cannot be; the message names it.
    """

    label = "RateLimit"

    def __init__(
        self,
        *,
        points: int,
        interval: float,
        block: float = 0.0,
        key_by: KeyBy = "ip",
        max_buckets: float | Unset | None = UNSET,
        clock: AnyClock | None = None,
    ) -> None:
        self._points = whole(self.label, "points", points)
        self._interval = seconds(self.label, "interval", interval)
        self._block = seconds(self.label, "block", block, zero=True)
        if key_by not in ("ip", "connection") and (
            not callable(key_by) or inspect.iscoroutinefunction(key_by)
        ):
            raise ValueError(
                f'RateLimit: key_by must be "ip", "connection" or a plain function, not {key_by!r}'
            )
        self._key_by = key_by
        self._bound = bound(self.label, "max_buckets", max_buckets, "MAX_RATELIMIT_BUCKETS")
        super().__init__(_State(), clock)

    def __repr__(self) -> str:
        return f"<RateLimit {self._points} per {self._interval:g} s, {self._size} callers>"

    async def consume(self, ws: Connection, cost: float = 1) -> ConsumeResult:
        """Take `cost` points from the bucket of a connection's caller, or nothing if it has not as many.

        Args:
            ws: who asks.
            cost: finite, from 0 on; 0 only looks.

        Raises:
            ValueError: a bad cost, or a `key_by` function that returned no key.
        """
        return self.consume_nowait(ws, cost)

    def consume_nowait(self, ws: Connection, cost: float = 1) -> ConsumeResult:
        """Do what `consume` does, from code that cannot await."""
        if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 <= cost < math.inf:
            raise ValueError(f"RateLimit: cost must be a finite number from 0 on, not {cost!r}")
        result = self._consume(self._key(ws), cost)
        self._count("ratelimit_allowed_total" if result.allowed else "ratelimit_denied_total")
        return result

    async def reset(self, key: str) -> None:
        """Forget what a caller has consumed, and its ban."""
        self._state.buckets.pop(key, None)
        self._state.banned.pop(key, None)

    async def ban(self, key: str, duration: float | None = None) -> None:
        """Refuse a caller for `duration` seconds; without it for `block` seconds, or 60 where that is 0.

        Raises:
            ValueError: a duration that is no finite number above 0, or a key that cannot be one.
        """
        length = self._block or DEFAULT_BAN
        if duration is not None:
            length = seconds(self.label, "duration", duration)
        self._ban(text_key(self.label, "key", key, MAX_KEY_LENGTH), length)

    async def unban(self, key: str) -> None:
        """End a caller's ban; what it has consumed stays."""
        self._state.banned.pop(key, None)

    async def clear(self) -> None:
        """Forget every caller and every ban."""
        self._state.buckets.clear()
        self._state.banned.clear()

    # ------------------------------------------------------------ inside

    def _consume(self, key: str, cost: float) -> ConsumeResult:
        state, now = self._state, self._clock.monotonic()
        if self._size > SWEEP_ABOVE:
            self._sweep(now)
        until = state.banned.get(key)
        if until is not None:
            if until > now:
                return ConsumeResult(allowed=False, remaining=0, reset=until - now)
            del state.banned[key]
        bucket = state.buckets.get(key)
        if bucket is None:
            self._make_room()
            bucket = state.buckets[key] = _Bucket(self._points, now + self._interval)
        elif bucket.reset_at <= now:
            bucket.points, bucket.reset_at = self._points, now + self._interval
            state.buckets.move_to_end(key)
        if bucket.points >= cost:
            bucket.points -= cost
            return ConsumeResult(allowed=True, remaining=bucket.points, reset=bucket.reset_at - now)
        if self._block:
            self._ban(key, self._block)
            return ConsumeResult(allowed=False, remaining=0, reset=self._block)
        return ConsumeResult(allowed=False, remaining=max(0, bucket.points), reset=bucket.reset_at - now)

    def _ban(self, key: str, length: float) -> None:
        if key not in self._state.banned:
            self._make_room()
        self._state.banned[key] = self._clock.monotonic() + length
        self._count("ratelimit_bans_total")

    def _key(self, ws: Connection) -> str:
        if self._key_by == "ip":
            return _address(ws)
        if self._key_by == "connection":
            core = self._app() or self._belong(ws.platform)
            core.departures.watch(ws, id(self._state), self._state.forget)
            return ws.id
        made: Any = self._key_by(ws)
        return text_key(self.label, "key", made, MAX_KEY_LENGTH)

    @property
    def _size(self) -> int:
        return len(self._state.buckets) + len(self._state.banned)

    def _make_room(self) -> None:
        """Let the oldest go until one more fits; bans go last."""
        state = self._state
        while self._size >= self._bound.limit:
            (state.buckets or state.banned).popitem(last=False)
            self._bound.record("evict", hint="the caller that was forgotten has all its points again")

    def _sweep(self, now: float) -> None:
        buckets, banned, left = self._state.buckets, self._state.banned, SWEEP_PER_CALL
        while left and buckets and buckets[next(iter(buckets))].reset_at <= now:
            buckets.popitem(last=False)
            left -= 1
        for _ in range(min(left, len(banned))):
            key, until = banned.popitem(last=False)
            if until > now:
                banned[key] = until

    async def _close(self) -> None:
        await self.clear()

    def sizes(self) -> Mapping[str, int]:
        """Return how many buckets there are."""
        return {"MAX_RATELIMIT_BUCKETS": self._size}

    def _adopted(self) -> None:
        """Let windows of another length begin anew: the order of the buckets must be that of their ends."""
        now = self._clock.monotonic()
        for bucket in self._state.buckets.values():
            bucket.points = min(bucket.points, self._points)
            bucket.reset_at = min(bucket.reset_at, now + self._interval)


def _address(ws: Connection) -> str:
    user_data = ws.user_data
    for name in ADDRESSES:
        found = user_data.get(name) if isinstance(user_data, Mapping) else getattr(user_data, name, None)
        if isinstance(found, str) and found:
            return found
    return ws.remote_address or UNKNOWN
