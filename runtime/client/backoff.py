"""How long the client waits before it tries again. Spec: wire 7.2 and 7.5."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.client.options import ClientOptions
from runtime.wire.closing import SERVICE_RESTART

if TYPE_CHECKING:
    import random

__all__ = ["Backoff", "is_quick", "stream_delay"]

FACTOR = 2.2
#: A throttled client starts here, which is a wait of 116 to 193 seconds. Spec: wire 1.9.
THROTTLE_FLOOR = 5
#: A restarting server is back at once; spread over this range, its clients do not come in one instant.
RESTART_RANGE = (0.05, 0.25)
#: Restarts in a row, each within seconds of opening, before they are taken for a broken server.
MAX_QUICK_RETRIES = 5
SETTLED_AFTER = 5.0

STREAM_RANGE = (0.020, 0.099)
STREAM_QUICK_TIMES = 2
STREAM_BASE = 1.0
STREAM_CAP = 300.0


class Backoff:
    """Count the attempts of one connection and say how long to wait before the next."""

    __slots__ = ("_options", "_quick", "_rng", "attempt", "tries")

    def __init__(self, rng: random.Random, options: ClientOptions | None = None) -> None:
        self._rng = rng
        self._options = options or ClientOptions()
        self._quick = 0
        #: How far the waits have grown; a throttling server moves it.
        self.attempt = 0
        #: Attempts that a wait was given for since the connection was open.
        self.tries = 0

    def opened(self) -> None:
        """Note that an attempt succeeded."""
        self.attempt = self.tries = 0

    def throttle(self) -> None:
        """Note that the server closed with 4429: the next waits are long ones."""
        self.attempt = max(self.attempt, THROTTLE_FLOOR)

    def next_delay(self, code: int, open_for: float | None) -> float:
        """Return the seconds to wait after a loss.

        Args:
            code: the close code; after 1012 the first wait is 50 to 250 ms.
            open_for: how long the connection had been open, `None` if it never opened.
        """
        self.tries += 1
        if open_for is not None and open_for >= SETTLED_AFTER:
            self._quick = 0
        if code == SERVICE_RESTART and open_for is not None and self._quick < MAX_QUICK_RETRIES:
            self._quick += 1
            return self._rng.uniform(*RESTART_RANGE)
        longest = self._options.max_reconnect_interval
        delay = _grown(self._options.reconnect_interval, self.attempt, longest, self._rng)
        self.attempt += 1
        return delay


def stream_delay(times: int, rng: random.Random) -> float:
    """Return the seconds between a reopened connection and the renewed request of one stream.

    Args:
        times: how often in a row the stream was renewed without an answer before.
        rng: where the jitter comes from, so that the streams of many clients do not come at once.
    """
    if is_quick(times):
        return rng.uniform(*STREAM_RANGE)
    return _grown(STREAM_BASE, times - STREAM_QUICK_TIMES, STREAM_CAP, rng)


def is_quick(times: int) -> bool:
    """Return whether `stream_delay(times)` is a matter of milliseconds."""
    return times < STREAM_QUICK_TIMES


def _grown(base: float, attempt: int, longest: float, rng: random.Random) -> float:
    # The exponent is bounded, so that years of attempts do not overflow a float.
    return min(base * FACTOR ** min(attempt, 64), longest) * (0.75 + rng.random() * 0.5)
