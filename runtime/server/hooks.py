"""`hooks.py`: loaded once per worker, parameters bound by name, misspellings reported. Spec: platform 1.1 and 1.2."""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
from types import AsyncGeneratorType, GeneratorType, MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any

from runtime.core.errors import HookTimeout, RealtimeError
from runtime.core.tasks import reraise_own_cancellation
from runtime.core.unread import drop_pending
from runtime.live.apppackage import load_private
from runtime.live.callables import call
from runtime.live.collector import Collector, collecting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from runtime.server.hookwatch import HookWatch

__all__ = ["HOOKS", "Hook", "HookContext", "HookSet", "HookSignatureError", "load_hooks", "meant_hook"]

logger = logging.getLogger("realtime.hooks")

#: Every hook with the names that its parameters may have.
HOOKS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "init": ("platform", "settings", "app", "worker"),
        "shutdown": ("platform", "reason", "worker"),
        "authenticate": (
            "request",
            "headers",
            "cookies",
            "url",
            "remote_address",
            "get_client_address",
            "platform",
            "request_id",
        ),
        "upgrade": ("headers", "cookies", "url", "query", "remote_address", "request_id", "platform"),
        "open": ("ws", "platform"),
        "message": ("ws", "data", "is_binary", "msg", "platform"),
        "subscribe": ("ws", "topic", "platform"),
        "subscribe_batch": ("ws", "topics", "platform"),
        "unsubscribe": ("ws", "topic", "platform"),
        "resume": ("ws", "session_id", "last_seen_seqs", "platform"),
        "drain": ("ws", "platform"),
        "close": (
            "ws",
            "code",
            "reason",
            "platform",
            "subscriptions",
            "id",
            "duration",
            "messages_in",
            "messages_out",
            "bytes_in",
            "bytes_out",
        ),
    }
)

_GENERATORS = (GeneratorType, AsyncGeneratorType)
NEAR = 2  # edit distance at which the name of a function is taken for a misspelt hook


class HookSignatureError(RealtimeError, TypeError):
    """A hook asks for a parameter that it cannot be given, or is no function that answers."""


class HookContext:
    """What a hook gets for a parameter `ctx`: one attribute per name of its row in `HOOKS`, always `platform` too.

    Raises:
        AttributeError: a name that this hook is not given; the message lists those it is.
    """

    def __init__(self, hook: str, values: Mapping[str, Any]) -> None:
        self.__dict__.update(dict.fromkeys(HOOKS[hook]))
        self.__dict__.update(values)
        self.__dict__["_hook"] = hook

    def __getattr__(self, name: str) -> Any:
        hook = self.__dict__.get("_hook", "")
        known = ", ".join(HOOKS.get(hook, ()))
        raise AttributeError(f"ctx of hook {hook} has no {name!r}; it has {known}")

    def __repr__(self) -> str:
        return f"<HookContext of {self.__dict__.get('_hook')}>"


class Hook:
    """One hook function and the names it wants."""

    __slots__ = ("_all", "_function", "_names", "_wants_context", "name")

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        """Bind `function` as the hook `name`.

        Raises:
            HookSignatureError: a parameter that is neither known for this hook nor defaulted, or that cannot be
                given by its name; a callable whose parameters cannot be read, or that yields.
        """
        if not callable(function):
            raise HookSignatureError(
                f"hook {name}: hooks.py has {_described(function)} under this name, which cannot be called; if it is "
                "meant as the hook, look at its decorators, else give it another name"
            )
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise HookSignatureError(f"hook {name}: it has a yield, so it would never run; a hook returns")
        self.name = name
        self._function = function
        known = HOOKS[name]
        self._names: list[str] = []
        self._all = False
        self._wants_context = False
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError) as error:
            raise HookSignatureError(
                f"hook {name}: the parameters of {function!r} cannot be read; wrap it in a def"
            ) from error
        for parameter in parameters:
            if parameter.kind is parameter.VAR_KEYWORD:
                self._all = True
            elif parameter.kind is parameter.VAR_POSITIONAL:
                continue
            elif parameter.kind is parameter.POSITIONAL_ONLY:
                raise HookSignatureError(
                    f"hook {name}: {parameter.name!r} is positional-only, but hooks get their parameters by name; "
                    "take the / out"
                )
            elif parameter.name == "ctx":
                self._wants_context = True
            elif parameter.name in known:
                self._names.append(parameter.name)
            elif parameter.default is parameter.empty:
                raise HookSignatureError(
                    f"hook {name}: unknown parameter {parameter.name!r}; it may take {', '.join(known)} or ctx"
                )

    def wants(self, name: str) -> bool:
        """Return whether the hook can see the value called `name`."""
        return self._all or self._wants_context or name in self._names

    async def __call__(self, **values: Any) -> Any:
        """Call the hook with those of `values` it asks for, and await its answer.

        Raises:
            TypeError: the answer is a generator: what it would have said was never asked.
        """
        wanted = self._wanted(values)

        def begin() -> Any:
            return self._function(**wanted)

        return await self._answer(begin)

    def begin(self, values: Mapping[str, Any]) -> Any:
        """Call the hook with those of `values` it asks for, and return what comes back, awaited or not."""
        return self._function(**self._wanted(values))

    async def timed(self, watch: HookWatch, values: Mapping[str, Any]) -> Any:
        """Do what a call does; `watch` is told how long the part that cannot be awaited took."""
        wanted = self._wanted(values)

        def begin() -> Any:
            started = watch.now()
            try:
                return self._function(**wanted)
            finally:
                watch.returned(self.name, started)

        return await self._answer(begin)

    async def _answer(self, begin: Callable[[], Any]) -> Any:
        begin.__qualname__ = f"hook {self.name}"  # for the message to somebody who calls sys.exit()
        answer = await call(begin)
        if isinstance(answer, _GENERATORS):
            raise TypeError(
                f"hook {self.name} returned a generator, which nobody runs; return the answer itself"
            )
        return answer

    def _wanted(self, values: Mapping[str, Any]) -> dict[str, Any]:
        wanted = {name: values.get(name) for name in self._names}
        if self._all:
            wanted = {**values, **wanted}
        if self._wants_context:
            wanted["ctx"] = HookContext(self.name, values)
        return wanted


class HookSet:
    """The hooks of one app; a missing one is `None`."""

    def __init__(
        self,
        hooks: Mapping[str, Hook] | None = None,
        routes: tuple[Any, ...] = (),
        *,
        module: str | None = None,
    ) -> None:
        self._hooks = dict(hooks or {})
        self._module = module
        #: Starlette routes that hooks.py names in its variable `routes`.
        self.routes = routes
        #: Who measures and counts; set by the runtime that the hooks belong to.
        self.watch: HookWatch | None = None

    def get(self, name: str) -> Hook | None:
        """Return the hook called `name`, or `None`."""
        return self._hooks.get(name)

    async def run(self, name: str, timeout: float | None, **values: Any) -> Any:
        """Run a hook within `timeout` seconds (`None` or 0: no limit); `None` when there is no such hook.

        How long it took is measured; a failure is for the caller to count, see `attempt`.

        Raises:
            HookTimeout: it took longer; an exception of the hook passes.
        """
        hook = self._hooks.get(name)
        if hook is None:
            return None
        watch = self.watch
        started = watch.now() if watch is not None else 0.0
        limit = asyncio.timeout(timeout or None)
        try:
            async with limit:
                answer = await (hook(**values) if watch is None else hook.timed(watch, values))
        except Exception as error:
            if limit.expired():
                raise self._late(name, timeout) from error
            raise
        finally:
            if watch is not None:
                watch.ran(name, started)
        if limit.expired():  # it swallowed its cancellation; what it says now comes too late
            raise self._late(name, timeout)
        return answer

    def _late(self, name: str, timeout: float | None) -> HookTimeout:
        if self.watch is not None:
            self.watch.count("hook_timeouts_total", name)
        return HookTimeout(f"hook {name} took longer than {timeout:g} s and was ended")

    def run_unread(self, name: str, **values: Any) -> Any:
        """Call a hook and return what it says at once: `None` where that would have to be awaited.

        For `[security] async_predicates = "legacy_allow"`; an `async def` does not even begin.
        """
        hook = self._hooks.get(name)
        answer = None if hook is None else hook.begin(values)
        return None if drop_pending(answer) else answer

    async def attempt(self, name: str, timeout: float | None, **values: Any) -> bool:
        """Run a hook whose failure is logged and counted and ends nothing else; return whether it went well."""
        try:
            await self.run(name, timeout, **values)
        except HookTimeout as late:
            logger.error("%s; look for what it waits for", late)
            return False
        except (Exception, asyncio.CancelledError):
            reraise_own_cancellation()
            logger.exception("hook %s failed", name)
            if self.watch is not None:
                self.watch.count("hook_errors_total", name)
            return False
        return True

    @classmethod
    def from_module(cls, module: ModuleType) -> HookSet:
        """Bind the hooks that `module` defines and report names that look like misspelt ones.

        Raises:
            HookSignatureError: see `Hook`.
        """
        found: dict[str, Hook] = {}
        for name, value in vars(module).items():
            if name.startswith("_"):
                continue
            if name in HOOKS:
                found[name] = Hook(name, value)
            elif callable(value):
                is_own = getattr(value, "__module__", None) == module.__name__
                _report_near(name, is_function=is_own and inspect.isroutine(value))
        routes = getattr(module, "routes", ())
        routes = tuple(routes) if isinstance(routes, list | tuple) else ()
        return cls(found, routes, module=module.__name__)

    def forget(self) -> None:
        """Take the module of the hooks out of `sys.modules`, when their app has ended."""
        if self._module is not None:
            sys.modules.pop(self._module, None)


def load_hooks(file: Path, collector: Collector, *, required: bool = False) -> HookSet:
    """Import `hooks.py` under a private name and bind its hooks; without the file there are none.

    Raises:
        FileNotFoundError: it is `required`, and missing.
        Exception: whatever the file raises, and `HookSignatureError`.
    """
    if not file.is_file():
        if required:  # a misspelt path must not let everybody in
            raise FileNotFoundError(
                f"[server] hooks: there is no file {file}; correct the path, or leave the setting out"
            )
        return HookSet()
    with collecting(collector):
        module = load_private("hooks", file)
    try:
        return HookSet.from_module(module)
    except HookSignatureError:
        del sys.modules[module.__name__]
        raise


def meant_hook(name: str, *, is_function: bool) -> str | None:
    """Return the hook that is likely meant by a public name which is none.

    That is the one of which it is the camelCase form or, for a function of the file, that it nearly is.
    """
    plain = "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
    if plain in HOOKS:
        return plain
    meant = min(HOOKS, key=lambda hook: _distance(name, hook)) if is_function else None
    return meant if meant is not None and _distance(name, meant) <= NEAR else None


def _report_near(name: str, *, is_function: bool) -> None:
    """Warn of a public name that is likely meant to be a hook."""
    meant = meant_hook(name, is_function=is_function)
    if meant is not None:
        known = ", ".join(HOOKS)
        logger.warning("hooks.py: %s is no hook; did you mean %s? Hooks are: %s", name, meant, known)


def _described(value: object) -> str:
    return (
        f"the module {value.__name__}"
        if isinstance(value, ModuleType)
        else f"a value of {type(value).__name__}"
    )


def _distance(one: str, other: str) -> int:
    """Return the Levenshtein distance of two short names."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]
