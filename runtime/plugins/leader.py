"""`Leader`: one of several in this process that does what only one may do. Spec: cluster 5, live-api 16.5.

Those who stand for the same key form a line in the order in which they started; its first one leads until it stops.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
import secrets
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from runtime.core.tasks import TaskOwner
from runtime.plugins.lifetime import AnyClock, Plugin, PluginState
from runtime.plugins.options import seconds, text_key

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

__all__ = ["Leader"]

logger = logging.getLogger("realtime.leader")

MAX_KEY_LENGTH = 256
CALLBACK_TIMEOUT = 2.0  # seconds that callbacks have to end when the leader is closed

#: Who stands for a key, by loop and key; an entry is there while somebody does.
_LINES: WeakKeyDictionary[AbstractEventLoop, dict[str, list[_LeaderState]]] = WeakKeyDictionary()
_EPOCHS = itertools.count(1)


class _LeaderState(PluginState):
    __slots__ = ("epoch", "line", "tasks", "waiters")

    def __init__(self) -> None:
        super().__init__()
        #: The line it stands in, `None` while it does not.
        self.line: list[_LeaderState] | None = None
        self.epoch: int | None = None
        self.waiters: list[asyncio.Future[int]] = []
        self.tasks = TaskOwner("leader")


class Leader(Plugin[_LeaderState]):
    """Leads, or waits until those before it have stopped; for one process, such as tests of what a leader does.

    Its twin across processes has the same methods (`LeaderProtocol`). In one process nobody can be gone without having
    stopped, so `lease` and `renew` are only checked here.

    Args:
        key: what is led; those with the same key are rivals.
        instance_id: the name of this one, random without it.
        lease, renew: seconds, above 0; `renew` must be below `lease`.
        on_elected: `(epoch)`, when it begins to lead. on_lost: `(reason)`, when it leads no more, which is `"stopped"`
            here. Both may be async, and what they raise is logged.
        clock: the time of `wait_elected`; without it the app's.

    Raises:
        ValueError: an option that cannot be; the message names it.
    """

    label = "leader"

    def __init__(
        self,
        *,
        key: str = "leader",
        instance_id: str | None = None,
        lease: float = 30.0,
        renew: float | None = None,
        on_elected: Callable[[int], object] | None = None,
        on_lost: Callable[[str], object] | None = None,
        clock: AnyClock | None = None,
    ) -> None:
        super().__init__(_LeaderState(), clock)
        self.key = text_key(self.label, "key", key, MAX_KEY_LENGTH)
        name = secrets.token_hex(8) if instance_id is None else instance_id
        self.instance_id = text_key(self.label, "id", name, MAX_KEY_LENGTH)
        lease = seconds(self.label, "lease", lease)
        if renew is not None and seconds(self.label, "renew", renew) >= lease:
            raise ValueError(f"{self.label}: renew must be below lease ({lease:g}), not {renew!r}")
        for option, callback in (("on_elected", on_elected), ("on_lost", on_lost)):
            if callback is not None and not callable(callback):
                raise ValueError(f"{self.label}: {option} must be a function, not {callback!r}")
        self._on_elected = on_elected
        self._on_lost = on_lost

    def __repr__(self) -> str:
        return f"<Leader {self.key!r}: {self.instance_id}>"

    @property
    def epoch(self) -> int | None:
        """A number that is larger than in every earlier tenure in this process, while this one leads; else `None`."""
        return self._state.epoch

    def is_leader(self) -> bool:
        """Return whether this one leads."""
        return self._state.epoch is not None

    async def current_leader(self) -> str | None:
        """Return the `instance_id` of the one that leads for this key, or `None`."""
        line = _LINES.get(asyncio.get_running_loop(), {}).get(self.key)
        plugin = line[0].plugin if line else None
        return plugin.instance_id if isinstance(plugin, Leader) else None

    async def start(self) -> None:
        """Stand for election: lead at once if nobody does. Does nothing while it stands already."""
        state = self._state
        if state.line is not None:
            return
        self._app()
        if state.tasks.closed:
            state.tasks = TaskOwner("leader")
        state.line = _LINES.setdefault(asyncio.get_running_loop(), {}).setdefault(self.key, [])
        state.line.append(state)
        _elect_first(state.line)

    async def wait_elected(self, timeout: float | None = None) -> int:
        """Wait until this one leads, and return its epoch.

        Raises:
            TimeoutError: it did not within `timeout` seconds, or it stopped; `None` waits as long as it stands.
        """
        state = self._state
        if state.epoch is not None:
            return state.epoch
        if timeout is not None:
            seconds(self.label, "timeout", timeout)
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        state.waiters.append(future)
        timer = (
            None if timeout is None else self._later(timeout, _give_up, future, f"not within {timeout:g} s")
        )
        try:
            return await future
        finally:
            if timer is not None:
                timer.cancel()
            if future in state.waiters:
                state.waiters.remove(future)

    async def stop(self) -> None:
        """Stand no more: the next in line leads. Idempotent, and never raises."""
        state = self._state
        line, state.line = state.line, None
        waiters, state.waiters = state.waiters, []
        for future in waiters:
            _give_up(future, "it was stopped")
        if line is None:
            return
        line.remove(state)
        if state.epoch is not None:
            state.epoch = None
            self._tell(self._on_lost, "stopped")
        if line:
            _elect_first(line)
            return
        lines = _LINES.get(asyncio.get_running_loop(), {})
        if lines.get(self.key) is line:
            del lines[self.key]

    def is_same_as(self, predecessor: Plugin[_LeaderState]) -> bool:
        """Return whether it stands for the same key."""
        return isinstance(predecessor, Leader) and predecessor.key == self.key

    async def _close(self) -> None:
        await self.stop()
        await self._state.tasks.wait_idle(timeout=CALLBACK_TIMEOUT)
        await self._state.tasks.close()

    def _elect(self) -> None:
        state = self._state
        state.epoch = next(_EPOCHS)
        waiters, state.waiters = state.waiters, []
        for future in waiters:
            if not future.done():
                future.set_result(state.epoch)
        self._tell(self._on_elected, state.epoch)

    def _tell(self, callback: Callable[..., object] | None, argument: object) -> None:
        """Call the app back; a failure of it, or a wait in it, holds nobody up."""
        if callback is None:
            return
        try:
            answer = callback(argument)
        except Exception:
            logger.exception("%r: a callback failed", self)
            return
        if inspect.iscoroutine(answer) and not self._state.tasks.closed:
            self._state.tasks.start(answer, name="callback")


def _elect_first(line: list[_LeaderState]) -> None:
    """Let the first in line lead, if it does not."""
    first = line[0].plugin
    if isinstance(first, Leader) and not first.is_leader():
        first._elect()


def _give_up(future: asyncio.Future[int], why: str) -> None:
    if not future.done():
        future.set_exception(TimeoutError(f"leader: not elected: {why}"))
