"""What every plugin with a state has in common: its clock, its app, its end, and a reload that keeps its state.

A plugin is two objects. The `Plugin` has the options and callables; its `PluginState` has everything that changes,
timers included. When dev runs a module again, the new plugin takes over the state of the old one (`adopt`): calls that
still run in the old code, and timers that were started there, work on the same state. Spec: platform 7.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from runtime.core import currentplatform
from runtime.core.clock import Clock, SystemClock, TimerHandle
from runtime.core.errors import PlatformNotReady

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    from runtime.core.connection import Connection
    from runtime.core.metrics import Metrics
    from runtime.core.platform import Platform, PlatformCore

__all__ = ["AnyClock", "Plugin", "PluginState", "adopt_all", "as_clock"]

#: What plugins take as `clock`: a `Clock`, or a function such as `time.monotonic` (timers are real then).
AnyClock = Clock | Callable[[], float]

_SYSTEM = SystemClock()


class _Measured(SystemClock):
    """Reads the monotonic time from a function; waits as the machine does."""

    def __init__(self, read: Callable[[], float]) -> None:
        self._read = read

    def monotonic(self) -> float:
        return self._read()


def as_clock(label: str, clock: AnyClock | None) -> Clock | None:
    """Return a `clock` option as a `Clock`; `None` stays: the app's clock, or the machine's without an app.

    Raises:
        ValueError: it is neither a clock nor a function.
    """
    if clock is None:
        return None
    if hasattr(clock, "monotonic") and hasattr(clock, "call_later"):
        return cast("Clock", clock)
    if callable(clock):
        return _Measured(clock)
    raise ValueError(f"{label}: clock must be a Clock, or a function such as time.monotonic, not {clock!r}")


class PluginState:
    """Everything of a plugin that changes. Plugins derive one class from this for their own fields.

    `plugin` is the plugin whose options are in force: what a timer calls goes through it, so that after a reload the
    new code runs.
    """

    __slots__ = ("__weakref__", "clock", "core", "given_clock", "plugin")

    def __init__(self) -> None:
        self.plugin: Plugin[Any] = _NOBODY
        self.core: PlatformCore | None = None
        self.given_clock: Clock | None = None
        #: The clock that times in this state were read from; chosen at the first look at it.
        self.clock: Clock | None = None

    # What `runtime.core.closing` asks of it.

    @property
    def label(self) -> str:
        """The name of the plugin, for logs."""
        return self.plugin.label

    def flush(self) -> None:
        """Send what waits; see `Plugin.at_shutdown`."""
        self.plugin.at_shutdown()

    async def close(self) -> None:
        """Close the plugin."""
        await self.plugin.close()

    def sizes(self) -> Mapping[str, int]:
        """Return how full it is, by constant."""
        return self.plugin.sizes()


S = TypeVar("S", bound=PluginState)


class Plugin(Generic[S]):
    """Base of the plugins. Making one does nothing but check options; it can be made at import time.

    It belongs to the app it is first used with (`_app`, `_platform`), which closes it when it stops. After `close()`
    it is empty and can be used again, also with another app.

    A subclass sets `label`, keeps all that changes in its state, and overrides what it needs of `_close`,
    `at_shutdown`, `sizes`, `is_same_as` and `_adopted`. All methods belong to the loop's thread.
    """

    #: The plugin's name, with which its messages begin.
    label: ClassVar[str] = "plugin"

    def __init__(self, state: S, clock: AnyClock | None = None) -> None:
        self._state = state
        state.plugin = self
        state.given_clock = state.clock = as_clock(self.label, clock)

    # ------------------------------------------------------------ time

    @property
    def _clock(self) -> Clock:
        """The clock option; without it the clock of the app it belongs to, or the machine's."""
        clock = self._state.clock
        if clock is None:
            core = self._app()
            clock = self._state.clock = core.clock if core is not None else _SYSTEM
        return clock

    def _later(self, delay: float, callback: Callable[..., object], *args: Any) -> TimerHandle:
        """Run `callback(*args)` after `delay` seconds; the handle belongs into the state."""
        return self._clock.call_later(delay, callback, *args)

    # ------------------------------------------------------------ the app

    def _app(self) -> PlatformCore | None:
        """Return the parts of the app this belongs to; the process's app takes it. `None` while none runs."""
        core = self._state.core
        if core is None:
            platform = currentplatform.get_platform()
            if platform is not None:
                core = self._belong(platform)
        return core

    def _platform(self, platform: Platform | None = None, ws: Connection | None = None) -> Platform:
        """Return the platform given, or that of the connection, or the process's. Spec: platform 7 (PLAT-177).

        Raises:
            PlatformNotReady: no app runs.
        """
        found = platform
        if found is None:
            found = ws.platform if ws is not None else currentplatform.get_platform()
        if found is None:
            raise PlatformNotReady(
                f"{self.label}: no app runs; give the platform, or do this in the init hook or later"
            )
        if self._state.core is None:
            self._belong(found)
        return found

    def _belong(self, platform: Platform) -> PlatformCore:
        core = platform.parts
        if not core.closing.closed:
            self._state.core = core
            core.closing.add(self._state)
        return core

    @property
    def _metrics(self) -> Metrics | None:
        """The numbers of the app this belongs to; `None` while none runs."""
        core = self._app()
        return core.metrics if core is not None else None

    def _count(self, name: str, *labels: str, amount: int = 1) -> None:
        """Add to a counter of the app, where one runs."""
        core = self._app()
        if core is not None:
            core.metrics.add(name, *labels, amount=amount)

    # ------------------------------------------------------------ the end

    async def close(self) -> None:
        """Cancel timers, release who waits, and forget everything. Never raises; may be called again."""
        state = self._state
        core, state.core = state.core, None
        if core is not None:
            core.closing.discard(state)
        await self._close()
        state.clock = state.given_clock

    async def __aenter__(self: P) -> P:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _close(self) -> None:
        """Do what `close` says for the subclass's own state."""

    def at_shutdown(self) -> None:
        """Send what waits to be sent: the app stops, and its connections are still there."""

    def sizes(self) -> Mapping[str, int]:
        """Return how full the plugin is, by the constant of `runtime.core.capacity` that bounds it."""
        return {}

    # ------------------------------------------------------------ reload

    def is_same_as(self, predecessor: Plugin[Any]) -> bool:
        """Return whether this is what became of `predecessor`, another plugin of the same class."""
        return True

    def adopt(self, predecessor: Plugin[Any]) -> bool:
        """Take over the state of `predecessor`, which stood under the same name before the module ran again.

        Options and callables of this one are in force for it from now on; calls that still run in the old code go on
        with the same state. Returns `False`, and changes nothing, for a plugin of another class.
        """
        if type(self) is not type(predecessor) or self is predecessor or not self.is_same_as(predecessor):
            return False
        mine = self._state
        if mine.core is not None:
            mine.core.closing.discard(mine)
        self._state = predecessor._state
        self._state.plugin = self
        self._adopted()
        return True

    def _adopted(self) -> None:
        """Apply the new options to a state that was made with other ones."""


P = TypeVar("P", bound=Plugin[Any])


class _Nobody(Plugin[Any]):
    """Stands in a state that no plugin has yet."""

    def __init__(self) -> None:
        pass


_NOBODY = _Nobody()


def adopt_all(before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]) -> int:
    """Let plugins that a reload made take over from those under the same names; return how many did.

    `before` and `after` are the namespaces by module, `after` those that ran again, in the order in which they ended.
    A plugin that was there before goes on with its own state, whoever has imported it now, and nobody takes over from
    one that another module still uses.
    """
    known = set(_plugins(before))
    kept = set(_plugins({name: names for name, names in before.items() if name not in after}))
    kept |= known & set(_plugins(after))
    taken: set[int] = set()
    for module, names in after.items():
        old = before.get(module, {})
        for name, value in list(names.items()):
            predecessor = old.get(name)
            if not isinstance(value, Plugin) or not isinstance(predecessor, Plugin):
                continue
            pair = {id(value), id(predecessor)}
            if id(value) not in known and not pair & (kept | taken) and value.adopt(predecessor):
                taken |= pair
    return len(taken) // 2


def _plugins(modules: Mapping[str, Mapping[str, Any]]) -> Iterator[int]:
    for names in modules.values():
        for value in list(names.values()):
            if isinstance(value, Plugin):
                yield id(value)
