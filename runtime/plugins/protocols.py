"""What the in-process primitives and their cluster twins have in common. Spec: cluster 2.5."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeVar

from runtime.plugins.options import UNSET, Unset
from runtime.wire import jsoncodec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from runtime.core.connection import Connection
    from runtime.core.platform import Platform
    from runtime.core.signal import Signal

__all__ = [
    "ConsumeResult",
    "CursorProtocol",
    "DedupProtocol",
    "Gap",
    "GroupProtocol",
    "IdempotencyProtocol",
    "LeaderProtocol",
    "LockHandle",
    "LockProtocol",
    "PresenceProtocol",
    "RateLimitProtocol",
    "ReplayMessage",
    "ReplayOutcome",
    "ReplayProtocol",
    "ReplaySource",
    "Role",
    "SessionProtocol",
    "Slot",
    "SlotKeeper",
]

#: What `list` methods return; within their classes `list` is the method.
Rows = list[dict[str, Any]]

#: What a member of a group is.
Role = Literal["member", "admin", "viewer"]


class ReplayMessage:
    """One kept event: its number, topic and name, and its data as JSON."""

    __slots__ = ("encoded", "event", "seq", "topic")

    def __init__(self, seq: int, topic: str, event: str, encoded: bytes) -> None:
        self.seq = seq
        self.topic = topic
        self.event = event
        self.encoded = encoded

    @property
    def data(self) -> Any:
        """A fresh copy of the data."""
        return jsoncodec.decode(self.encoded)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ReplayMessage) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"ReplayMessage({self.seq}, {self.topic!r}, {self.event!r}, {self.encoded[:80]!r})"

    def _key(self) -> tuple[int, str, str, bytes]:
        return self.seq, self.topic, self.event, self.encoded


@dataclass(slots=True, frozen=True)
class Gap:
    """Whether something behind a number is no longer kept, and the first number that is missing, if it is known."""

    truncated: bool
    missing_from: int | None = None


@dataclass(slots=True, frozen=True)
class ReplayOutcome:
    """What one replay did.

    `state`: `complete` (nothing was missed), `filled` (`count` events were sent, which is all), `truncated` (something
    may be missing), `denied` (by the subscribe gate, for the reason in `code`). `read_to` is the number up to which the
    history was read, `None` when it was not.
    """

    state: Literal["complete", "filled", "truncated", "denied"]
    count: int = 0
    code: str | None = None
    read_to: int | None = None


T = TypeVar("T")


class LeaderProtocol(Protocol):
    """One of those who might do what only one may do at a time. Spec: cluster 5."""

    key: str
    instance_id: str

    @property
    def epoch(self) -> int | None:
        """A number that is larger than in every earlier tenure of the key, while this one leads; else `None`."""

    def is_leader(self) -> bool:
        """Return whether this one leads, from memory: it never waits, and in doubt it is `False`."""

    async def current_leader(self) -> str | None:
        """Return the `instance_id` of the one that leads, or `None`."""

    async def start(self) -> None:
        """Stand for election, and try at once; does nothing while it does so already."""

    async def wait_elected(self, timeout: float | None = None) -> int:
        """Wait until this one leads, and return its epoch. Raises `TimeoutError` after so many seconds."""

    async def stop(self) -> None:
        """Stand no more: somebody else may lead. Idempotent, and never raises."""


class LockHandle(Protocol):
    """A lock that is held. `token` rises with each holder of the key; `signal` fires when the lock is lost."""

    key: str
    token: int

    @property
    def signal(self) -> Signal:
        """Fires, with the `LockLost` as its reason, when somebody else may hold the lock."""

    @property
    def lost(self) -> bool:
        """Whether somebody else may hold the lock by now."""

    async def extend(self, ttl: float) -> None:
        """Keep the lock for `ttl` seconds from now on."""

    def raise_if_lost(self) -> None:
        """Raise `LockLost` if the lock was lost."""


class LockProtocol(Protocol):
    """One holder per key at a time, among all who share the lock."""

    async def with_lock(
        self,
        key: str,
        fn: Callable[..., T | Awaitable[T]],
        *,
        max_wait: float | Unset | None = UNSET,
        ttl: float | None = None,
        signal: Signal | None = None,
    ) -> T:
        """Run `fn()`, or `fn(handle)` if it has a parameter, while holding `key`; return what it returns."""

    def hold(
        self,
        key: str,
        *,
        max_wait: float | Unset | None = UNSET,
        ttl: float | None = None,
        signal: Signal | None = None,
    ) -> AbstractAsyncContextManager[LockHandle]:
        """Return a block that holds `key`."""

    def held(self, key: str) -> bool:
        """Return whether this process holds `key` or waits for it."""

    def size(self) -> int:
        """Return how many keys this process holds or waits for."""

    def clear(self) -> None:
        """Let those of this process who wait give up with `LockCleared`; holders end as they would."""

    async def close(self) -> None:
        """Do what `clear` does, and stop."""


class SessionProtocol(Protocol):
    """Values by token that expire when they are not used."""

    async def get(self, token: str) -> Any | None:
        """Return the value and let it live for a whole `ttl` again; `None` when there is none."""

    async def set(self, token: str, data: Any) -> None:
        """Store a value that has a JSON form, for `ttl` seconds."""

    async def delete(self, token: str) -> bool:
        """Remove a value; return whether there was one."""

    async def touch(self, token: str) -> bool:
        """Let a value live for a whole `ttl` again; return whether there was one."""

    async def size(self) -> int:
        """Return how many there are; some may have expired."""

    async def clear(self) -> None:
        """Remove every value."""


class DedupProtocol(Protocol):
    """Tells the first sight of an id from all further ones within a fixed window."""

    async def claim(self, id: str) -> bool:
        """Return `True` exactly once per window."""

    async def has(self, id: str) -> bool:
        """Return whether the id was claimed within the window."""

    async def delete(self, id: str) -> bool:
        """Let the id be claimed again; return whether it was claimed."""

    async def size(self) -> int:
        """Return how many ids there are; some may have expired."""

    async def clear(self) -> None:
        """Forget every id."""


class SlotKeeper(Protocol):
    """The side of an idempotency store that its slots use."""

    async def commit_slot(self, key: str, owner: str, result: Any) -> None:
        """Store the result of an owner; raises `IdempotencySlotLostError` if the slot is not its own."""

    async def abort_slot(self, key: str, owner: str) -> None:
        """Free the key, if it is still the owner's."""

    async def renew_slot(self, key: str, owner: str, ttl: int | None) -> None:
        """Give the owner more time; raises `IdempotencySlotLostError` if the slot is not its own."""


class Slot:
    """What `acquire` found out about an idempotency key.

    `acquired`: the caller does the work, then calls `commit`, or `abort` when it failed. `pending`: somebody else is at
    it. `result`: the work was done, with that `result`. `async with slot:` commits what was given to `set`, and aborts
    when the block raises.
    """

    __slots__ = ("_is_settled", "_keeper", "_key", "_value", "owner", "result", "state")

    def __init__(
        self,
        state: Literal["acquired", "pending", "result"],
        *,
        result: Any = None,
        key: str = "",
        owner: str | None = None,
        keeper: SlotKeeper | None = None,
    ) -> None:
        self.state = state
        self.result = result
        self.owner = owner
        self._key = key
        self._keeper = keeper
        self._value: Any = None
        self._is_settled = False

    def __repr__(self) -> str:
        return f"<Slot {self.state}>"

    @property
    def acquired(self) -> bool:
        """Whether the caller does the work."""
        return self.state == "acquired"

    @property
    def pending(self) -> bool:
        """Whether somebody else is at the work."""
        return self.state == "pending"

    async def commit(self, result: Any = None) -> None:
        """Store `result`, which has a JSON form, for all who ask within `ttl`.

        Raises:
            TypeError: it has none.
            IdempotencySlotLostError: the slot belongs to somebody else by now.
            RuntimeError: the slot was not acquired.
        """
        keeper, owner = self._mine("commit")
        await keeper.commit_slot(self._key, owner, result)
        self._is_settled = True

    async def abort(self) -> None:
        """Free the key: the next who asks does the work. Does nothing for a slot that was lost.

        Raises:
            RuntimeError: the slot was not acquired.
        """
        keeper, owner = self._mine("abort")
        self._is_settled = True
        await keeper.abort_slot(self._key, owner)

    async def renew(self, ttl: int | None = None) -> None:
        """Have the slot for `ttl` seconds from now on, where a store takes slots back at some time.

        Raises:
            IdempotencySlotLostError: the slot belongs to somebody else by now.
            RuntimeError: the slot was not acquired.
        """
        keeper, owner = self._mine("renew")
        await keeper.renew_slot(self._key, owner, ttl)

    def set(self, value: Any) -> None:
        """Say what the end of the `async with` block commits."""
        self._value = value

    async def __aenter__(self) -> Slot:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.state != "acquired" or self._is_settled:
            return
        if error is not None:
            await self.abort()
            return
        try:
            await self.commit(self._value)
        except BaseException:
            await self.abort()
            raise

    def _mine(self, what: str) -> tuple[SlotKeeper, str]:
        if self.state != "acquired" or self._keeper is None or self.owner is None:
            raise RuntimeError(f"idempotency: {what}() of a slot that is {self.state!r}, not acquired")
        return self._keeper, self.owner


class IdempotencyProtocol(Protocol):
    """Work by key that is done once, and whose result everybody gets who asks within `ttl`."""

    async def ready(self) -> None:
        """Return when the store can be used."""

    async def acquire(self, idempotency_key: str, ttl: int | None = None) -> Slot:
        """Return whether the caller is to do the work, or what came of it. `ttl`: seconds that its result is kept."""

    async def purge(self, idempotency_key: str) -> None:
        """Forget one key."""

    async def clear(self) -> None:
        """Forget every key."""

    async def handle(self, idempotency_key: str, fn: Callable[[], Awaitable[T]], *, wait: float = 0.0) -> T:
        """Return the result of `fn()`, which runs unless somebody else has done the work.

        Somebody who is still at it is waited for, `wait` seconds; then it is `IdempotencyPendingError`.
        """


class ReplayProtocol(Protocol):
    """A bounded history of topics, numbered as the envelopes are; apps use it, in process or shared."""

    async def publish(self, platform: Platform | None, topic: str, event: str, data: Any = None) -> bool:
        """Publish one event and keep it under its number."""

    async def seq(self, topic: str) -> int:
        """Return the topic's current number; the counter's start, usually 0, when nothing was published."""

    async def since(self, topic: str, seq: int) -> list[ReplayMessage]:
        """Return what is still kept of the events behind `seq`, ascending; nothing for a bad number."""

    async def gap(self, topic: str, last_seen: int) -> Gap:
        """Return whether everything behind `last_seen` is kept."""

    async def replay(
        self,
        ws: Connection,
        topic: str,
        since: int,
        platform: Platform | None = None,
        req_id: int | str | None = None,
    ) -> ReplayOutcome:
        """Send one connection what it missed, if it may subscribe to the topic."""

    def resume_hook(self) -> Callable[..., Awaitable[None]]:
        """Return a `resume` hook that replays everything a client reports."""

    async def clear(self) -> None:
        """Forget every event."""

    async def clear_topic(self, topic: str) -> None:
        """Forget the events of one topic."""


class ReplaySource(ReplayProtocol, Protocol):
    """What the framework needs of `platform.replay` besides, to keep streams and to resume sessions."""

    def attach(self, platform: Platform) -> None:
        """Belong to the app of `platform`."""

    def record_topic(self, topic: str, size: int | None = None, platform: Platform | None = None) -> None:
        """Keep every event of `topic` from now on, whoever publishes it; the last `size` of them."""

    def is_recorded(self, topic: str) -> bool:
        """Return whether the events of `topic` are kept."""

    def release_topic(self, topic: str) -> None:
        """Keep the events of `topic` no longer."""

    async def catch_up(self, ws: Connection, seen: Mapping[str, int], platform: Platform) -> None:
        """Replay to a connection what it missed on those of its topics that are kept; the gate is asked about all."""

    def fill(self, ws: Connection, topic: str, since: int) -> Awaitable[None] | None:
        """Send what came since a resume read the history, before the subscription of `topic` is confirmed."""


class ConsumeResult(NamedTuple):
    """What a rate limit said: whether the call may go on, the points that are left, and in how many seconds there are
    new ones.
    """

    allowed: bool
    remaining: float
    reset: float


class RateLimitProtocol(Protocol):
    """Points per window and caller, counted in this process or shared. Spec: platform 7.6, cluster 18.1."""

    async def consume(self, ws: Connection, cost: float = 1) -> ConsumeResult:
        """Take `cost` points of a caller's window, or nothing if it has not as many; 0 only looks."""

    async def reset(self, key: str) -> None:
        """Forget what a caller has consumed, and its ban."""

    async def ban(self, key: str, duration: float | None = None) -> None:
        """Refuse a caller for `duration` seconds, else for the `block` of the limit, else for 60."""

    async def unban(self, key: str) -> None:
        """End a caller's ban."""

    async def clear(self) -> None:
        """Forget every caller."""


class GroupProtocol(Protocol):
    """Connections with a role in something that can be full and can be closed. Spec: platform 7.8, cluster 18.3."""

    async def join(self, ws: Connection, platform: Platform | None = None, role: Role = "member") -> bool:
        """Take a connection in; `False` when the group is full or closed."""

    async def leave(self, ws: Connection, platform: Platform | None = None) -> None:
        """Let a connection go."""

    async def publish(
        self, platform: Platform | None, event: str, data: Any = None, role: Role | None = None
    ) -> None:
        """Send an event to everybody in it, or to those of one role."""

    async def send(self, platform: Platform | None, ws: Connection, event: str, data: Any = None) -> None:
        """Send an event to one member."""

    def local_members(self) -> list[tuple[Connection, Role]]:
        """Return the members on this worker, each with its role."""

    def has(self, ws: Connection) -> bool:
        """Return whether a connection of this worker is in it."""

    async def members(self) -> list[dict[str, str]]:
        """Return `{"role": ...}` of every member, on all workers."""

    async def count(self) -> int:
        """Return the number of members, on all workers."""

    async def get_meta(self) -> dict[str, Any]:
        """Return a copy of what the app keeps with the group."""

    async def set_meta(self, meta: Mapping[str, Any]) -> None:
        """Keep something else with the group."""

    async def close(self, platform: Platform | None = None) -> None:
        """End the group for everybody and for good."""


class PresenceProtocol(Protocol):
    """Who is on a topic, shown to all who are there. `hooks` has `subscribe`, `unsubscribe` and `close`."""

    hooks: Any

    async def join(self, ws: Connection, topic: str, platform: Platform | None = None) -> None:
        """Make a connection present, and return when it was sent who is there and the others were told."""

    async def leave(self, ws: Connection, platform: Platform | None = None, topic: str | None = None) -> None:
        """Let a connection leave a topic, or all."""

    async def sync(self, ws: Connection, topic: str, platform: Platform | None = None) -> None:
        """Let a connection see who is there without being present itself."""

    async def list(self, topic: str) -> Rows:
        """Return the data of those present, as copies."""

    async def count(self, topic: str) -> int:
        """Return how many are present; several connections of one key are one."""

    def flush_diffs(self) -> None:
        """Send now what would be sent at the end of the turn."""

    async def clear(self) -> None:
        """Let everybody leave."""

    async def close(self) -> None:
        """End timers and forget everything."""


class CursorProtocol(Protocol):
    """Where others point at on a topic. `hooks` has `subscribe`, `message` and `close`."""

    hooks: Any

    async def attach(self, ws: Connection, topic: str, platform: Platform | None = None) -> None:
        """Let a connection see the cursors, and send it those that are there."""

    async def detach(self, ws: Connection, topic: str, platform: Platform | None = None) -> None:
        """Let a connection see the cursors no longer, and remove its own."""

    async def update(self, ws: Connection, topic: str, data: Any, platform: Platform | None = None) -> None:
        """Move the cursor of a connection; what cannot be shown is dropped."""

    async def remove(
        self, ws: Connection, platform: Platform | None = None, topic: str | None = None
    ) -> None:
        """Remove the cursor of a connection on a topic, or on all."""

    async def snapshot(self, ws: Connection, topic: str, platform: Platform | None = None) -> None:
        """Send a connection all cursors."""

    async def list(self, topic: str) -> Rows:
        """Return the cursors as copies: `key`, `user` and `data` each."""

    async def clear(self) -> None:
        """Remove every cursor."""

    async def close(self) -> None:
        """End timers and forget everything."""
