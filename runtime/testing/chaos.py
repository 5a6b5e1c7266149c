"""Bad networks on purpose: publishes that are lost, late or out of order, and lines that break. Spec: live-api 20."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.core.publisher import Event, Publisher

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runtime.core.clock import Clock, TimerHandle
    from runtime.testing.client import TestClient

__all__ = ["Chaos", "ChaosConfig", "ChaosPublisher"]

#: Seconds of the server's clock after which a publish goes out that waited for the next one of its topic.
LONGEST_REORDER = 1.0
#: What the framework itself tells clients; chaos is about what the app publishes.
EXEMPT_TOPIC = "__realtime"
RATES = ("drop_rate", "reorder", "disconnect_rate")
SEED_BITS = 32


@dataclass(frozen=True, slots=True)
class ChaosConfig:
    """What `chaos.set` was given; `seed` is the one in use also where none was given, for a run just like it."""

    drop_rate: float = 0.0
    delay: float = 0.0
    reorder: float = 0.0
    disconnect_rate: float = 0.0
    seed: int = 0


class Chaos:
    """What goes wrong between the server of a `TestEnv` and its clients. Off until `set`.

    Only publishes are touched: replies, and what is sent to single connections, arrive. With the same seed and the same
    publishes the same ones are hit.

    Attributes:
        dropped, delayed, reordered, disconnected: how often each happened since the beginning or `reset_counter`.
    """

    def __init__(self, clock: Clock, clients: Callable[[], Sequence[TestClient]]) -> None:
        self._clock = clock
        self._clients = clients
        self._config: ChaosConfig | None = None
        self._random = random.Random()  # noqa: S311 - tests, not secrets
        self._late: dict[TimerHandle, Callable[[], object]] = {}
        self._overtaken: dict[str, list[Callable[[], object]]] = {}
        self.reset_counter()

    def __repr__(self) -> str:
        return f"<Chaos {self._config or 'off'}>"

    @property
    def config(self) -> ChaosConfig | None:
        """What is in force, or `None`."""
        return self._config

    def set(
        self,
        *,
        drop_rate: float = 0.0,
        delay: float = 0.0,
        reorder: float = 0.0,
        disconnect_rate: float = 0.0,
        seed: int | None = None,
    ) -> None:
        """Put these in force instead of what was, and begin their sequence anew.

        Args:
            drop_rate: share of publishes, 0 to 1, that no subscriber gets. They are numbered and kept for replay, so
                that a client which comes back is given those behind the last one it had; what follows publishes in the
                server, as derived streams and aggregates do, has them all.
            delay: seconds of the server's clock, which `tick` moves, by which publishes are late, as behind a slow
                bus: with all that follows from them.
            reorder: share of publishes that the next one of their topic overtakes; after a second of `tick` they go
                out anyway.
            disconnect_rate: share of publishes at which the line of one client breaks; it comes back by itself.
            seed: of the sequence; one is chosen where it is missing, see `config`.

        Raises:
            ValueError: a share that is not 0 to 1, or a negative delay. TypeError: no numbers.
        """
        given = {"drop_rate": drop_rate, "reorder": reorder, "disconnect_rate": disconnect_rate}
        for name, value in {**given, "delay": delay}.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"{name}: must be a number, not {value!r}")
        for name, value in given.items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name}: must be 0 to 1, not {value!r}")
        if not 0 <= delay < float("inf"):
            raise ValueError(f"delay: must be a finite number of seconds, not {delay!r}")
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise TypeError(f"seed: must be a whole number, not {seed!r}")
        chosen = random.Random().getrandbits(SEED_BITS) if seed is None else seed  # noqa: S311 - as above
        self._random.seed(chosen)
        self._config = ChaosConfig(drop_rate, delay, reorder, disconnect_rate, chosen)

    def disable(self) -> None:
        """Let everything through from now on; what was held back goes out now, in its order."""
        self._config = None
        for timer in self._late:
            timer.cancel()
        late, self._late = self._late, {}
        overtaken, self._overtaken = self._overtaken, {}
        for deliver in late.values():
            deliver()
        for waiting in overtaken.values():
            for deliver in waiting:
                deliver()

    def forget(self) -> None:
        """End it, and lose what was held back."""
        self._config = None
        for timer in self._late:
            timer.cancel()
        self._late.clear()
        self._overtaken.clear()

    def reset_counter(self) -> None:
        """Count from 0 again."""
        self.dropped = self.delayed = self.reordered = self.disconnected = 0

    def disconnect(self, *clients: TestClient) -> None:
        """Break the lines of these clients, or of all: what is on its way is lost, the `close` hook gets 1006.

        Each comes back by itself, as a page does, and its streams ask for what they missed.
        """
        for client in clients or self._clients():
            if client.cut():
                self.disconnected += 1

    # ------------------------------------------------------------ asked by the publisher

    def is_lost(self, topic: str) -> bool:
        """Decide whether a publish is dropped, and break a line if it is time."""
        config = self._config
        if config is None or topic == EXEMPT_TOPIC:
            return False
        if config.disconnect_rate and self._random.random() < config.disconnect_rate:
            connected = [client for client in self._clients() if client.connection is not None]
            if connected:
                self.disconnect(self._random.choice(connected))
        if config.drop_rate and self._random.random() < config.drop_rate:
            self.dropped += 1
            return True
        return False

    def holds(self, topic: str, deliver: Callable[[], object]) -> bool:
        """Decide whether a publish waits; `deliver()` is called when it has waited long enough."""
        config = self._config
        if config is None or topic == EXEMPT_TOPIC:
            return False
        if config.reorder and self._random.random() < config.reorder:
            self.reordered += 1
            self._overtaken.setdefault(topic, []).append(deliver)
            self._clock.call_later(LONGEST_REORDER + config.delay, self.overtaken, topic)
            return True
        if config.delay:
            self.delayed += 1
            self._later(config.delay, topic, deliver)
            return True
        return False

    def overtaken(self, topic: str) -> None:
        """Let go of what waited to be overtaken by a publish on `topic`."""
        for deliver in self._overtaken.pop(topic, ()):
            deliver()

    def _later(self, delay: float, topic: str, deliver: Callable[[], object]) -> None:
        def due() -> None:
            self._late.pop(timer, None)
            deliver()
            self.overtaken(topic)

        timer = self._clock.call_later(delay, due)
        self._late[timer] = deliver


class ChaosPublisher(Publisher):
    """A publisher that keeps what is published in a log and asks `Chaos` what becomes of it."""

    __slots__ = ("_chaos", "_log")

    def __init__(self, chaos: Chaos, log: Callable[[str, str, bytes], object], *parts: Any) -> None:
        super().__init__(*parts)
        self._chaos = chaos
        self._log = log

    def publish(self, event: Event) -> bool:
        """Deliver one event, unless something is to happen to it; return whether anybody was subscribed."""
        if not self._passes(event):
            return self._subscriptions.count(event.topic) > 0
        reached = super().publish(event)
        self._chaos.overtaken(event.topic)
        return reached

    def publish_many(self, events: Sequence[Event]) -> None:
        """Deliver several events: together, or one by one while something may happen to them."""
        for event in events:
            self.check(event)
        if self._chaos.config is not None:
            for event in events:
                self.publish(event)
            return
        for event in events:
            self._log(event.topic, event.event, event.data)
        super().publish_many(events)

    def tell_apart(self, event: Event) -> None:
        """Note an event that every peer was sent by itself: nothing happens to it."""
        self._log(event.topic, event.event, event.data)
        super().tell_apart(event)

    def _passes(self, event: Event) -> bool:
        self.check(event)
        self._log(event.topic, event.event, event.data)
        if self._chaos.config is None:
            return True
        if self._chaos.is_lost(event.topic):
            self._lose(event)
            return False
        return not self._chaos.holds(event.topic, lambda: super(ChaosPublisher, self).publish(event))

    def _lose(self, event: Event) -> None:
        """Do all that a publish does, but for the delivery."""
        topic, seq = event.topic, event.seq
        number = self.sequence.next(topic) if seq is True else seq or None
        if number is not None:
            self.sequence.raise_to(topic, number)
            record = self.recorders.get(topic)
            if record is not None:
                record(event.event, event.data, number)
        for observe in self.observers:
            observe(topic, event.event)
        if self.watchers:
            self.tell(event)


def config_of(given: Mapping[str, Any] | ChaosConfig) -> dict[str, Any]:
    """Return the options of `chaos.set` in what `TestEnv(chaos=...)` was given."""
    if isinstance(given, ChaosConfig):
        return {name: getattr(given, name) for name in given.__slots__}
    return dict(given)
