"""`hooks.py`: loaded once per worker, parameters bound by name, misspellings reported. Spec: platform 1.1 and 1.2."""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
from types import MappingProxyType, ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from runtime.core.errors import RealtimeError
from runtime.live.apppackage import load_private
from runtime.live.callables import call
from runtime.live.collector import Collector, collecting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["HOOKS", "Hook", "HookSet", "HookSignatureError", "load_hooks"]

logger = logging.getLogger("realtime.hooks")

#: Every hook with the names that its parameters may have.
HOOKS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "init": ("platform", "settings", "app", "worker"),
        "shutdown": ("platform", "reason", "worker"),
        "upgrade": ("headers", "cookies", "url", "query", "remote_address", "request_id", "platform"),
        "open": ("ws", "platform"),
        "message": ("ws", "data", "is_binary", "msg", "platform"),
        "subscribe": ("ws", "topic", "platform"),
        "subscribe_batch": ("ws", "topics", "platform"),
        "unsubscribe": ("ws", "topic", "platform"),
        "resume": ("ws", "session_id", "last_seen_seqs", "platform"),
        "close": ("ws", "code", "reason", "platform", "subscriptions", "id", "duration"),
    }
)

#: Hooks of the reference that this version does not run: refused loudly, since one of them guards a door.
UNSUPPORTED = frozenset({"authenticate", "drain"})

NEAR = 2  # edit distance at which another name is taken for a misspelt hook


class HookSignatureError(RealtimeError, TypeError):
    """A hook asks for a parameter that it cannot be given."""


class Hook:
    """One hook function and the names it wants."""

    __slots__ = ("_all", "_function", "_names", "_wants_context", "name")

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        """Bind `function` as the hook `name`.

        Raises:
            HookSignatureError: a parameter that is neither known for this hook nor defaulted, or that cannot be
                given by its name.
        """
        self.name = name
        self._function = function
        known = HOOKS[name]
        self._names: list[str] = []
        self._all = False
        self._wants_context = False
        for parameter in inspect.signature(function).parameters.values():
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
            elif parameter.name in known or parameter.name == "platform":
                self._names.append(parameter.name)
            elif parameter.default is parameter.empty:
                raise HookSignatureError(
                    f"hook {name}: unknown parameter {parameter.name!r}; it may take {', '.join(known)} or ctx"
                )

    async def __call__(self, **values: Any) -> Any:
        """Call the hook with those of `values` it asks for, and await its answer."""
        wanted = {name: values.get(name) for name in self._names}
        if self._all:
            wanted = {**values, **wanted}
        if self._wants_context:
            wanted["ctx"] = SimpleNamespace(**values)
        return await call(lambda: self._function(**wanted))


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

    def get(self, name: str) -> Hook | None:
        """Return the hook called `name`, or `None`."""
        return self._hooks.get(name)

    async def run(self, name: str, timeout: float | None, **values: Any) -> Any:
        """Run a hook within `timeout` seconds (`None`: no limit); `None` when there is no such hook.

        Raises:
            TimeoutError: it took longer; an exception of the hook passes.
        """
        hook = self._hooks.get(name)
        if hook is None:
            return None
        async with asyncio.timeout(timeout):
            return await hook(**values)

    @classmethod
    def from_module(cls, module: ModuleType) -> HookSet:
        """Bind the hooks that `module` defines and report names that look like misspelt ones.

        Raises:
            HookSignatureError: see `Hook`.
        """
        found: dict[str, Hook] = {}
        for name, value in vars(module).items():
            if name.startswith("_") or not callable(value):
                continue
            if name in UNSUPPORTED:
                raise HookSignatureError(
                    f"hook {name} is not supported by this version; take it out of hooks.py"
                )
            if name in HOOKS:
                found[name] = Hook(name, value)
            elif getattr(value, "__module__", None) == module.__name__:
                _report_near(name)
        routes = getattr(module, "routes", ())
        routes = tuple(routes) if isinstance(routes, list | tuple) else ()
        return cls(found, routes, module=module.__name__)

    def forget(self) -> None:
        """Take the module of the hooks out of `sys.modules`, when their app has ended."""
        if self._module is not None:
            sys.modules.pop(self._module, None)


def load_hooks(file: Path, collector: Collector) -> HookSet:
    """Import `hooks.py` under a private name and bind its hooks; without the file there are none.

    Raises:
        Exception: whatever the file raises, and `HookSignatureError`.
    """
    if not file.is_file():
        return HookSet()
    with collecting(collector):
        module = load_private("hooks", file)
    try:
        return HookSet.from_module(module)
    except HookSignatureError:
        del sys.modules[module.__name__]
        raise


def _report_near(name: str) -> None:
    plain = "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
    for hook in HOOKS:
        if plain == hook or (abs(len(name) - len(hook)) <= NEAR and _distance(name, hook) <= NEAR):
            logger.warning(
                "hooks.py: %s is no hook; did you mean %s? Hooks are: %s", name, hook, ", ".join(HOOKS)
            )
            return


def _distance(one: str, other: str) -> int:
    """Return the Levenshtein distance of two short names."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]
