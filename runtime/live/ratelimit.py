"""Rate limits over the registry: sliding window of two buckets per path and caller. Spec: live-api 5.2 to 5.4."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.core import capacity
from runtime.core.errors import LiveError

if TYPE_CHECKING:
    from runtime.core.clock import Clock

__all__ = ["Buckets", "RateLimits", "Rule", "identity_of"]

# Seconds between two looks at all buckets: always, and while they are full.
SWEEP_INTERVAL = 30.0
SWEEP_INTERVAL_FULL = 1.0


@dataclass(slots=True, frozen=True)
class Rule:
    """At most `points` calls per `window` seconds."""

    points: int
    window: float

    def __post_init__(self) -> None:
        if isinstance(self.points, bool) or not isinstance(self.points, int) or self.points < 1:
            raise ValueError(f"points: must be an integer >= 1, not {self.points!r}")
        is_number = isinstance(self.window, int | float) and not isinstance(self.window, bool)
        if not is_number or not math.isfinite(self.window) or self.window <= 0:
            raise ValueError(f"window: must be a positive number of seconds, not {self.window!r}")


class RateLimits:
    """Which rule holds for which path: exempt, override, default, in this order."""

    __slots__ = ("_default", "_exempt", "_overrides")

    def __init__(
        self,
        default: Rule | None = None,
        overrides: Mapping[str, Rule] | None = None,
        exempt: Iterable[str] | None = None,
    ) -> None:
        exempt = () if exempt is None else exempt
        paths = [exempt] if isinstance(exempt, str) else list(exempt)
        if isinstance(exempt, str) or not all(isinstance(path, str) for path in paths):
            raise ValueError(f"exempt: must be a list of paths, not {exempt!r}")
        if overrides is not None and not isinstance(overrides, Mapping):
            raise ValueError("overrides: must be a mapping from path to Rule")
        if default is not None and not isinstance(default, Rule):
            raise ValueError(f"default: must be a Rule, not {default!r}")
        for path, rule in (overrides or {}).items():
            if not isinstance(rule, Rule):
                raise ValueError(f"overrides: {path!r} needs a Rule, not {rule!r}")
        self._default = default
        self._overrides = dict(overrides or {})
        self._exempt = frozenset(paths)

    def rule(self, path: str) -> Rule | None:
        """Return the rule for `path`, or `None` when it is not limited."""
        return None if path in self._exempt else self._overrides.get(path, self._default)


@dataclass(slots=True)
class _Bucket:
    start: float
    window: float
    previous: int = 0
    current: int = 0


class Buckets:
    """The counters of one worker: at most `MAX_RATE_LIMIT_IDENTITIES`; stale ones go first, then new callers are
    refused and known ones go on.
    """

    __slots__ = ("_buckets", "_clock", "_paths", "_swept_at")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        self._paths: dict[str, set[str]] = {}
        self._swept_at = -math.inf

    def __len__(self) -> int:
        return len(self._buckets)

    def sizes(self) -> dict[str, int]:
        """Return how many counters there are."""
        return {"MAX_RATE_LIMIT_IDENTITIES": len(self._buckets)}

    def forget(self, identity: str) -> None:
        """Drop the buckets of a caller that cannot come back: a guest whose connection is gone."""
        for path in self._paths.pop(identity, ()):
            self._buckets.pop((path, identity), None)

    def take(self, path: str, identity: str, rule: Rule) -> None:
        """Count one call.

        Raises:
            LiveError: `RATE_LIMITED`, with `retry_after` when the rule was exceeded.
        """
        now = self._clock.monotonic()
        bucket = self._buckets.get((path, identity))
        if bucket is None:
            bucket = self._new(path, identity, rule, now)
        elapsed = now - bucket.start
        if elapsed >= 2 * rule.window:
            bucket.start, bucket.previous, bucket.current = now, 0, 0
            elapsed = 0.0
        elif elapsed >= rule.window:
            bucket.start += rule.window
            bucket.previous, bucket.current = bucket.current, 0
            elapsed -= rule.window
        estimate = bucket.previous * max(0.0, 1 - elapsed / rule.window) + bucket.current
        if estimate >= rule.points:
            error = LiveError("RATE_LIMITED", "Too many requests")
            error.retry_after = math.ceil((rule.window - elapsed) * 1000) / 1000
            raise error
        bucket.current += 1

    def _new(self, path: str, identity: str, rule: Rule, now: float) -> _Bucket:
        if now - self._swept_at >= SWEEP_INTERVAL:
            self._sweep(now)
        if len(self._buckets) >= capacity.get("MAX_RATE_LIMIT_IDENTITIES") and not self._sweep(now):
            capacity.record("MAX_RATE_LIMIT_IDENTITIES", "reject")
            raise LiveError("RATE_LIMITED", "Too many concurrent rate-limit identities")
        bucket = self._buckets[path, identity] = _Bucket(now, rule.window)
        self._paths.setdefault(identity, set()).add(path)
        return bucket

    def _sweep(self, now: float) -> bool:
        """Drop stale buckets, at most once a second since it looks at all of them; return whether any went."""
        if now - self._swept_at < SWEEP_INTERVAL_FULL:
            return False
        self._swept_at = now
        stale = [key for key, known in self._buckets.items() if now - known.start >= 2 * known.window]
        for path, identity in stale:
            del self._buckets[path, identity]
            paths = self._paths[identity]
            paths.discard(path)
            if not paths:
                del self._paths[identity]
        return bool(stale)


def identity_of(user: Any, connection_id: str | None) -> str:
    """Return who a caller is: the first of `id`, `user_id`, `userId` that is not `None`, else a guest of its
    connection. Spec: live-api 5.4.
    """
    for name in ("id", "user_id", "userId"):
        value = user.get(name) if isinstance(user, Mapping) else getattr(user, name, None)
        if value is not None:
            return str(value)
    return f"__guest_{_guest(connection_id)}" if connection_id else "anon"


def _guest(connection_id: str) -> str:
    """Return a name of the connection for everybody's eyes: its id, which is the session's, stays private."""
    digest = hashlib.blake2s(connection_id.encode(), digest_size=10).digest()
    return base64.b32encode(digest).decode().lower()
