"""`env.platform.chaos(scenario)`: what goes wrong with the frames on their way to the clients of a `TestEnv`.

`TestEnv.chaos` is about publishes, this about single WebSocket frames, replies included. Spec: platform 2.8.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.core.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runtime.core.clock import Clock, TimerHandle
    from runtime.core.connection import Connection
    from runtime.core.platform import PlatformCore
    from runtime.core.sink import Frame
    from runtime.testing.memory import MemorySink

__all__ = [
    "DropOutbound",
    "IpcReorder",
    "OutboundChaos",
    "SlowDrain",
    "TestPlatform",
    "WorkerFlap",
    "drop_outbound",
    "ipc_reorder",
    "slow_drain",
    "worker_flap",
]

#: Seconds by which `ipc_reorder` may let a frame be late.
MAX_JITTER = 60.0
#: What a worker that starts anew closes its connections with.
FLAP_CODE = 1012
FLAP_REASON = "worker restart"
CLOSE_CODES = range(1000, 5000)
MAX_REASON = 123  # bytes


@dataclass(frozen=True, slots=True)
class DropOutbound:
    """A share of all frames is lost."""

    rate: float
    seed: int | None


@dataclass(frozen=True, slots=True)
class SlowDrain:
    """Each frame waits, in order, and counts as buffered meanwhile."""

    delay: float


@dataclass(frozen=True, slots=True)
class IpcReorder:
    """Each frame waits for a time of its own, so that they overtake each other."""

    max_jitter: float
    seed: int | None


@dataclass(frozen=True, slots=True)
class WorkerFlap:
    """Every connection is closed, once."""

    code: int
    reason: str


#: What lasts until something else is set.
Lasting = DropOutbound | SlowDrain | IpcReorder
Scenario = Lasting | WorkerFlap


def drop_outbound(rate: float, seed: int | None = None) -> DropOutbound:
    """Return the scenario in which `rate` of all frames, 0 to 1, is lost; with a seed always the same ones.

    Raises:
        ValueError: no such number.
    """
    return DropOutbound(_number("drop_outbound: rate", rate, 1.0), _seed("drop_outbound", seed))


def slow_drain(delay: float) -> SlowDrain:
    """Return the scenario in which frames take `delay` seconds of the server's clock.

    Raises:
        ValueError: not a finite number of at least 0.
    """
    return SlowDrain(_number("slow_drain: delay", delay, math.inf))


def ipc_reorder(max_jitter: float, seed: int | None = None) -> IpcReorder:
    """Return the scenario in which each frame is up to `max_jitter` seconds late, 60 at most, and in any order.

    Raises:
        ValueError: no such number.
    """
    return IpcReorder(_number("ipc_reorder: max_jitter", max_jitter, MAX_JITTER), _seed("ipc_reorder", seed))


def worker_flap(code: int = FLAP_CODE, reason: str = FLAP_REASON) -> WorkerFlap:
    """Return what closes every connection once, as a worker that starts anew does.

    Raises:
        ValueError: no close code, or a reason of more than 123 bytes.
    """
    if isinstance(code, bool) or not isinstance(code, int) or code not in CLOSE_CODES:
        raise ValueError(f"worker_flap: code must be a close code, 1000 to 4999, not {code!r}")
    if not isinstance(reason, str) or len(reason.encode("utf-8", "replace")) > MAX_REASON:
        raise ValueError(f"worker_flap: reason must be text of at most {MAX_REASON} bytes, not {reason!r}")
    return WorkerFlap(code, reason)


class OutboundChaos:
    """Holds a scenario, and the frames that are late by it."""

    def __init__(self, clock: Clock, connections: Callable[[], Iterable[Connection]]) -> None:
        self._clock = clock
        self._connections = connections
        self._scenario: Lasting | None = None
        self._random = random.Random()  # noqa: S311 - tests, not secrets
        self._late: dict[MemorySink, dict[TimerHandle, Frame]] = {}

    def set(self, scenario: Scenario | None) -> None:
        """Put `scenario` in force; `None` ends it, and what was late arrives now.

        Raises:
            TypeError: something else.
        """
        if scenario is not None and not isinstance(scenario, Scenario):
            raise TypeError(
                "chaos: give drop_outbound(rate), slow_drain(delay), ipc_reorder(max_jitter), worker_flap() or None, "
                f"not {scenario!r}"
            )
        if isinstance(scenario, WorkerFlap):
            for connection in list(self._connections()):
                connection.close_soon(scenario.code, scenario.reason)
            return
        self._scenario = scenario
        if scenario is None:
            for sink in list(self._late):
                self.release(sink)
        elif isinstance(scenario, DropOutbound | IpcReorder):
            self._random.seed(scenario.seed)

    def send(self, sink: MemorySink, frame: Frame) -> None:
        """Let `frame` arrive at the peer of `sink`, now, later or never."""
        scenario = self._scenario
        if scenario is None:
            sink.deliver(frame)
        elif isinstance(scenario, DropOutbound):
            if self._random.random() >= scenario.rate:
                sink.deliver(frame)
        elif isinstance(scenario, IpcReorder):
            self._hold(sink, frame, self._random.uniform(0, scenario.max_jitter))
        else:
            self._hold(sink, frame, scenario.delay)

    def buffered(self, sink: MemorySink) -> int:
        """Return how many bytes of `sink` are late."""
        late = self._late.get(sink)
        return sum(frame.size for frame in late.values()) if late else 0

    def release(self, sink: MemorySink) -> None:
        """Let everything arrive that is late."""
        for timer, frame in self._late.pop(sink, {}).items():
            timer.cancel()
            sink.deliver(frame)
        sink.emptied()

    def lose(self, sink: MemorySink) -> None:
        """Forget what is late: the line is broken."""
        for timer in self._late.pop(sink, {}):
            timer.cancel()

    def _hold(self, sink: MemorySink, frame: Frame, delay: float) -> None:
        late = self._late.setdefault(sink, {})

        def due() -> None:
            late.pop(timer, None)
            if not late:
                self._late.pop(sink, None)
            sink.deliver(frame)
            if not late:
                sink.emptied()

        timer = self._clock.call_later(delay, due)
        late[timer] = frame


class TestPlatform(Platform):
    """The platform of a `TestEnv`: that of the app, and `chaos`, which no app has."""

    __test__ = False
    __slots__ = ("_outbound",)

    def __init__(self, core: PlatformCore, request_id: str, outbound: OutboundChaos) -> None:
        super().__init__(core, request_id)
        self._outbound = outbound

    def view(self, request_id: str) -> TestPlatform:
        """Return the same platform under another request id."""
        return type(self)(self._core, request_id, self._outbound)

    def chaos(self, scenario: Any) -> None:
        """Let something go wrong with every frame to the clients from now on; `None` lets all of them through again.

        Args:
            scenario: `drop_outbound(rate)`, `slow_drain(delay)` or `ipc_reorder(max_jitter)` of `runtime.testing`, in
                the place of the one before, or `worker_flap()`, which happens once.

        Raises:
            TypeError: something else.
        """
        self._outbound.set(scenario)


def _number(what: str, value: Any, most: float) -> float:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not fits or not 0 <= value <= most:
        bounds = "a finite number of at least 0" if most == math.inf else f"a number from 0 to {most:g}"
        raise ValueError(f"{what} must be {bounds}, not {value!r}")
    return float(value)


def _seed(what: str, value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise ValueError(f"{what}: seed must be a whole number, not {value!r}")
    return value
