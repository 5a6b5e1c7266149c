"""What `connect` and `configure` take: live-api 22.2, with durations in seconds and sizes in bytes."""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from ssl import SSLContext
from typing import Any, Literal

__all__ = ["ClientOptions", "Offline", "OfflineCall", "UploadPacing"]

DEFAULT_AUTH_PATH = "/__ws/auth"


@dataclass(frozen=True, slots=True)
class OfflineCall:
    """A call that waits for the connection; `queued_at` is in seconds since the epoch."""

    path: str
    args: tuple[Any, ...]
    queued_at: float


@dataclass(frozen=True, slots=True)
class Offline:
    """What becomes of calls while there is no connection. Spec: live-api 23.5.

    With `queue` they wait for it instead of failing when it is lost; at `max_queue` the oldest fails with
    `QUEUE_FULL`. On reconnect those older than `max_age` seconds (0: no limit) and those for which
    `before_replay(call)` is false fail with `STALE`; the others are sent one after the other, ten at a time
    (`replay="concurrent"`, alias `"batch"`), or in the order in which a function returns them.
    `on_replay_error(call, error)` hears of each that fails.
    """

    queue: bool = False
    max_queue: int = 100
    max_age: float = 0.0
    replay: (
        Literal["sequential", "concurrent", "batch"] | Callable[[list[OfflineCall]], Sequence[OfflineCall]]
    ) = "sequential"
    before_replay: Callable[[OfflineCall], bool | Awaitable[bool]] | None = None
    on_replay_error: Callable[[OfflineCall, Exception], object] | None = None

    def __post_init__(self) -> None:
        if self.max_queue < 1:
            raise ValueError(f"max_queue: must be at least 1, not {self.max_queue!r}")
        if self.max_age < 0:
            raise ValueError(f"max_age: must not be negative, not {self.max_age!r}")
        if not callable(self.replay) and self.replay not in ("sequential", "concurrent", "batch"):
            raise ValueError(f"replay: must be 'sequential', 'concurrent' or a function, not {self.replay!r}")


@dataclass(frozen=True, slots=True)
class UploadPacing:
    """How uploads are sent. Spec: live-api 22.2; sizes in bytes.

    A frame has `frame_size` bytes; `None` is as much as the server takes, 12 KiB until it has said how much that is.
    With more than `high_water_mark` unsent an upload waits until it is `low_water_mark`.
    """

    frame_size: int | None = None
    high_water_mark: int = 4_194_304
    low_water_mark: int = 1_048_576

    def __post_init__(self) -> None:
        for name in ("frame_size", "high_water_mark", "low_water_mark"):
            value = getattr(self, name)
            if name == "frame_size" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"upload: {name} must be a whole number above 0, not {value!r}")
        if self.low_water_mark > self.high_water_mark:
            raise ValueError(
                f"upload: low_water_mark {self.low_water_mark} is above high_water_mark {self.high_water_mark}"
            )

    @classmethod
    def of(cls, value: UploadPacing | Mapping[str, Any]) -> UploadPacing:
        """Return the options in `value`, a mapping of the given ones or the whole.

        Raises:
            TypeError: an unknown name, or no mapping. ValueError: a value that cannot be.
        """
        if isinstance(value, UploadPacing):
            return value
        if not isinstance(value, Mapping):
            raise TypeError(f"upload: must be a mapping of options or UploadPacing(...), not {value!r}")
        known = [option.name for option in fields(cls)]
        for name in value:
            if name not in known:
                raise TypeError(f"upload: unknown option {name!r}; known: {', '.join(known)}")
        return cls(**value)


@dataclass(slots=True)
class ClientOptions:
    """The options of one client; `change` replaces some of them later.

    Attributes:
        auth: `True` sends `POST /__ws/auth` before each connect, a string another path.
        headers: request headers of the WebSocket and of the preflight.
        ssl: a context for `wss://`.
        timeout: seconds that a call, a batch, a stream request or a further page may take.
        open_timeout: seconds that `connect` waits for the first connection; 0 does not wait.
        resume_grace: seconds that a stream nobody reads keeps its value; 0 forgets it at once.
        volatile_backpressure: unsent bytes above which `fire` drops its call.
        reconnect_interval: the middle of the first wait between attempts, in seconds.
        max_reconnect_interval: the middle of the longest wait, in seconds.
        max_attempts: vain attempts to get the connection back before giving up; 0 never tries, `None` always.
        upload: see `UploadPacing`; also a mapping of its options.
        offline: see `Offline`.
        on_connect: called after each reconnect; not after the first connect.
        on_disconnect: called after each loss of the connection.
        before_reconnect: called, and awaited when it is asynchronous, before each new attempt.
    """

    auth: bool | str = False
    headers: Mapping[str, str] = field(default_factory=dict)
    ssl: SSLContext | None = None
    timeout: float = 30.0
    open_timeout: float = 30.0
    resume_grace: float = 60.0
    volatile_backpressure: int = 4_194_304
    reconnect_interval: float = 3.0
    max_reconnect_interval: float = 300.0
    max_attempts: int | None = None
    upload: UploadPacing = field(default_factory=UploadPacing)
    offline: Offline = field(default_factory=Offline)
    on_connect: Callable[[], object] | None = None
    on_disconnect: Callable[[], object] | None = None
    before_reconnect: Callable[[], object] | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> ClientOptions:
        """Return the options of these names.

        Raises:
            TypeError: an unknown name; the message has the nearest known one.
            ValueError: a value out of range.
        """
        made = cls()
        made.change(options)
        return made

    def change(self, options: Mapping[str, Any]) -> None:
        """Replace the given options, all of them or, when one is wrong, none. Raises as `of`."""
        known = [option.name for option in fields(self)]
        if "upload" in options:
            options = {**options, "upload": UploadPacing.of(options["upload"])}
        for name, value in options.items():
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
                raise TypeError(f"unknown option {name!r}{hint}")
            _check(name, value)
        for name, value in options.items():
            setattr(self, name, value)

    @property
    def auth_path(self) -> str | None:
        """The path of the preflight, or `None` when there is none."""
        return DEFAULT_AUTH_PATH if self.auth is True else self.auth or None


def _check(name: str, value: Any) -> None:
    positive = {"timeout"}
    unsigned = {
        "open_timeout",
        "resume_grace",
        "volatile_backpressure",
        "reconnect_interval",
        "max_reconnect_interval",
    }
    if name in positive and not value > 0:
        raise ValueError(f"{name}: must be above 0, not {value!r}")
    if name in unsigned and not value >= 0:
        raise ValueError(f"{name}: must not be negative, not {value!r}")
    if name == "max_attempts" and value is not None and value < 0:
        raise ValueError(f"max_attempts: must not be negative, not {value!r}")
    if name == "offline" and not isinstance(value, Offline):
        raise TypeError(f"offline: must be Offline(...), not {value!r}")
    if name == "auth" and isinstance(value, str) and not value.startswith("/"):
        raise ValueError(f"auth: must be True, False or a path that starts with '/', not {value!r}")
