"""What an app wires by hand: its bus, who its users are, who hears of failures. Spec: live-api 15.4 and 17.

The framework wires everything from the settings. What `hooks.py` or a live module sets while it is imported holds for
its app, and a reload replaces it; what is set later holds at once, for the app that runs.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from runtime.core.bus import check_bus
from runtime.core.currentplatform import get_platform, replace_platform
from runtime.core.errors import PlatformNotReady
from runtime.core.localplatform import install_bus
from runtime.core.logpace import LogPace
from runtime.core.metricsink import attach
from runtime.live import collector
from runtime.live.callables import is_pending
from runtime.live.cronleader import check_leader
from runtime.plugins.options import UNSET

if TYPE_CHECKING:
    from runtime.core.bus import Bus
    from runtime.core.connection import Connection
    from runtime.core.platform import Platform
    from runtime.core.tasks import TaskOwner
    from runtime.live.aggregates import Aggregates
    from runtime.live.pageload import PageLoads
    from runtime.live.pushes import Pushes

__all__ = [
    "RealtimeHooks",
    "Wiring",
    "activate_derived",
    "get_bus",
    "on_error",
    "realtime",
    "record",
    "set_bus",
    "set_cron_platform",
    "wiring_of",
]

logger = logging.getLogger("realtime.live")

#: Runs of an async error handler that have not ended. With as many, failures are logged and not handled: what fails may
#: fail for each event of a client, and the handler may be slower than that.
MAX_HANDLING = 1000

ErrorHandler = Callable[[str, BaseException], Any]
H = TypeVar("H", bound=ErrorHandler)


class Wiring:
    """The wiring of one worker. Found as `platform.parts.wiring`."""

    __slots__ = (
        "_declared",
        "_error_handler",
        "_handling",
        "_pace",
        "_platform",
        "aggregates",
        "leader",
        "loads",
        "pushes",
        "tasks",
    )

    def __init__(self, platform: Platform, pushes: Pushes) -> None:
        self._platform = platform
        self._pace = LogPace(platform.parts.clock)
        self._declared: Mapping[str, Any] = {}
        self._error_handler: ErrorHandler | None = None
        #: How many runs of an async one have not ended.
        self._handling = 0
        #: Says whether this worker runs the jobs; without one every worker does.
        self.leader: Callable[[], object] | None = None
        #: Where an async error handler runs; set when the worker's functions are made.
        self.tasks: TaskOwner
        #: The users that can be pushed to.
        self.pushes = pushes
        #: What is counted of publishes; set when the worker's aggregates are made.
        self.aggregates: Aggregates
        #: What pages load; set when the worker's streams are made.
        self.loads: PageLoads

    def declare(self, values: Mapping[str, Any]) -> None:
        """Put in force what the loaded code declares; what it declared before and declares no more ends."""
        before, self._declared = self._declared, dict(values)
        gone = {name: None for name in before if name not in values}
        self.apply({name: v for name, v in {**gone, **values}.items() if before.get(name, UNSET) is not v})

    def apply(self, values: Mapping[str, Any]) -> None:
        """Put single values in force, by name.

        The names are `bus`, `leader`, `identify`, `remote_registry`, `metrics` and `on_error`.
        """
        for name, value in values.items():
            if name == "bus":
                install_bus(self._platform, value)
            elif name == "leader":
                self.leader = value
            elif name == "identify":
                self.pushes.identify = value
            elif name == "remote_registry":
                self.pushes.remote = value
            elif name == "metrics":
                attach(self._platform.parts.metrics, value)
            else:
                self._error_handler = value

    def report(self, path: str, error: BaseException) -> None:
        """Tell the app of a failure that has no caller, or log it; `path` says where it happened.

        Of failures that come with every event the log gets `LINES_PER_SECOND`, and the number of the others.
        """
        handler = self._error_handler
        if handler is None or self._handling >= MAX_HANDLING:
            self._log("%s failed", path, error)
            return
        try:
            told = handler(path, error)
        except (Exception, SystemExit) as failure:  # whoever handles a failure must not end the worker by it
            self._log("the on_error handler failed for %s", path, failure)
            return
        if is_pending(told):
            if self.tasks.closed:
                logger.error(
                    "%s failed, and it is too late for an async on_error handler", path, exc_info=error
                )
                with contextlib.suppress(AttributeError):
                    told.close()
                return
            self._handling += 1
            self.tasks.start(self._awaited(told, path), name="on_error").add_done_callback(self._handled)

    def _handled(self, _: object) -> None:
        self._handling -= 1

    async def _awaited(self, told: Awaitable[Any], path: str) -> None:
        try:
            await told
        except (Exception, SystemExit) as failure:
            self._log("the on_error handler failed for %s", path, failure)

    def _log(self, line: str, path: str, failure: BaseException) -> None:
        note = self._pace.take()
        if note is not None:
            logger.error(f"{line}%s", path, note, exc_info=failure)


def wiring_of(platform: Platform) -> Wiring:
    """Return the wiring of the worker that `platform` belongs to.

    Raises:
        PlatformNotReady: it has no live side.
    """
    wiring = platform.parts.wiring
    if not isinstance(wiring, Wiring):
        raise PlatformNotReady("this platform has no live side; make the app with create_app()")
    return wiring


def record(**values: Any) -> None:
    """Declare values for the app that is being loaded, or put them in force in the one that runs."""
    loading = collector.loading()
    platform = get_platform()
    if loading is not None:
        loading.wiring.update(values)
    elif platform is not None:
        wiring_of(platform).apply(values)
    else:
        collector.ambient.wiring.update(values)


def set_bus(bus: Bus | None) -> None:
    """Let every publish of this app go through `bus.wrap(platform)`; `None` ends that.

    There is one such wrap per worker, whatever publishes: live functions, hooks, `publish`. Set at run time it holds
    from the next publish on.

    Raises:
        TypeError: `bus` has no `wrap(platform)`.
    """
    check_bus(bus)
    record(bus=bus)


def get_bus() -> Any:
    """Return the bus that is set, or `None`."""
    loading = collector.loading()
    if loading is not None and "bus" in loading.wiring:
        return loading.wiring["bus"]
    platform = get_platform()
    if platform is not None:
        outlet = platform.parts.outlet
        return outlet.bus if outlet is not None else None
    return collector.ambient.wiring.get("bus")


def on_error(handler: H) -> H:
    """Let `handler(path, exception)` hear of failures that have no caller; also a decorator. The last one wins.

    `path` is that of a cron job, or `derived`, `effect`, `aggregate`, or `timer` for publishes that were to come later.
    The handler may be async; what it raises is logged. Without one, and while 1,000 runs of an async one have not
    ended, the failures are logged. Calls that fail go to `live.message_options(on_error=...)`, loaders to the
    `on_error` of their stream.

    Raises:
        TypeError: not a function.
    """
    if not callable(handler):
        raise TypeError(f"on_error: a function (path, exception) is needed, not {handler!r}")
    record(on_error=handler)
    return handler


@dataclass(frozen=True, slots=True)
class RealtimeHooks:
    """What `realtime()` returns, to be named in `hooks.py` where an app wants to see its wiring.

    All of it happens anyway, so each of these may be called again, or never.
    """

    init: Callable[..., None]
    open: Callable[..., None]
    close: Callable[..., None]
    message: Callable[..., None]
    upgrade: Callable[..., Any] | None = None


def realtime(
    bus: Any = UNSET,
    leader: Any = UNSET,
    *,
    upgrade: Callable[..., Any] | None = None,
    on_error: ErrorHandler | Any | None = UNSET,
) -> RealtimeHooks:
    """Set what an app wires by hand in one call, and return its hooks; what is left out stays as it is.

    Args:
        bus: as for `set_bus`. leader: as for `configure_cron`.
        upgrade: the app's `upgrade` hook, handed back as `hooks.upgrade`.
        on_error: as for `on_error`; `None` logs again.

    Raises:
        TypeError: an argument that cannot be what it should be.
    """
    if upgrade is not None and not callable(upgrade):
        raise TypeError(f"upgrade: must be a function, not {upgrade!r}")
    if leader is not UNSET:
        record(leader=check_leader(leader))
    if bus is not UNSET:
        set_bus(bus)
    if on_error is not UNSET:
        if on_error is not None and not callable(on_error):
            raise TypeError(f"on_error: must be a function (path, exception), not {on_error!r}")
        record(on_error=on_error)
    return RealtimeHooks(_init, _open, _close, _message, upgrade)


def set_cron_platform(platform: Platform) -> None:
    """Make `platform` the one that code without a connection publishes with. It is so from the start.

    An `init` hook after the reference's documents calls this; with the app's own platform it changes nothing.

    Raises:
        ValueError: no platform.
    """
    if platform is None:
        raise ValueError("platform: there is none; the init hook gets it as its parameter `platform`")
    current = get_platform()
    if current is not None and getattr(platform, "parts", None) is current.parts:
        return
    if current is not None:
        logger.warning(
            "another platform takes the place of the app's own; set_bus(bus) is the way to wrap it"
        )
    replace_platform(platform)


def activate_derived(platform: Platform) -> None:
    """Do what `set_cron_platform` does: both have been done when the `init` hook runs.

    Raises:
        ValueError: no platform.
    """
    set_cron_platform(platform)


def _init(platform: Platform | None = None) -> None:
    """Check that there is a platform; it has been captured before.

    Raises:
        ValueError: there is none.
    """
    if platform is None:
        raise ValueError("realtime().init: give it the platform that the init hook gets")
    set_cron_platform(platform)


def _open(ws: Connection) -> None:
    """Register the connection for pushes, as every open connection is."""
    wiring_of(ws.platform).pushes.opened(ws)


def _close(ws: Connection) -> None:
    """Take the connection out of the registry of pushes, as the end of each does."""
    wiring_of(ws.platform).pushes.closed(ws)


def _message(ws: Connection, data: str | bytes) -> None:
    """Leave a message to others: whatever was a call has been taken before."""
