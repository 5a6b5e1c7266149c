"""`live.derived`, a value that follows other topics, and `live.effect`, what happens after a publish.

Both only record here; `runtime.live.derivedruns` and `runtime.live.effects` act on it. Spec: live-api 10.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from runtime.live.bare import Bare
from runtime.live.callables import accepted
from runtime.live.derivedoptions import DerivedOptions, EffectOptions
from runtime.live.keywords import check_keywords
from runtime.live.marks import Mark, ensure_mark
from runtime.live.options import Predicate, StreamOptions, access_of
from runtime.live.pageload import set_loadable
from runtime.live.signature import SignatureError

__all__ = ["Effect", "derived", "effect", "effect_of"]

F = TypeVar("F", bound=Callable[..., Any])

#: The topic is the path, which the registry knows.
UNNAMED = "derived"


@dataclass(slots=True, frozen=True, eq=False)
class Effect:
    """A function of a live module that runs after publishes."""

    path: str
    function: Callable[..., Any]
    options: EffectOptions
    thread: bool
    file: str
    line: int


@check_keywords("live.derived")
def derived(
    sources: str | Sequence[str] | Callable[..., Any],
    *,
    debounce: float = 0,
    merge: str = "set",
    key: str | None = None,
    access: Predicate | None = None,
    filter: Predicate | None = None,
    class_of_service: str | None = None,
    on_subscribe: Callable[..., Any] | None = None,
    on_unsubscribe: Callable[..., Any] | None = None,
) -> Callable[[F], F]:
    """Make a function a stream whose value is computed anew after every publish on its sources.

    With fixed sources there is one value for everybody, and the function takes nothing, or `ctx`. With a function of
    the arguments as `sources` there is one value for each tuple of them, and the function takes `(ctx, *args)`;
    recomputing goes on as long as somebody is subscribed, with `ctx.user` of the one who came first and no `ctx.ws`.

    Args:
        sources: topics, or a plain function of the arguments that returns a list of them. Any publish on one counts,
            whoever makes it.
        debounce: seconds of silence on the sources before the value is computed; 0 computes it at once.
        merge: `set`, a value that is replaced, or `crud`, a list that is replaced and whose items have a `key`.
        key: identity field of crud items, default `id`.
        access: `(ctx, *args)`, falsy refuses before anything is subscribed; `filter` is its other name.
        class_of_service: class of `live.admission` under which new subscriptions may be refused.
        on_subscribe: `(ctx, topic)`, once per subscription. on_unsubscribe: `(ctx, topic, remaining)`.

    Raises:
        ValueError: an option that cannot be; the message names it.
    """
    shape = StreamOptions(
        topic=UNNAMED,
        merge=merge,
        key=key,
        access=access_of(access, filter),
        class_of_service=class_of_service,
        on_subscribe=on_subscribe,
        on_unsubscribe=on_unsubscribe,
    )
    options = DerivedOptions.of(sources, debounce, shape)

    def decorate(function: F) -> F:
        mark = ensure_mark(function, "live.derived")
        mark.kind, mark.options, mark.derived = "stream", shape, options
        set_loadable(function, mark)
        return function

    return decorate


@check_keywords("live.effect")
def effect(sources: str | Sequence[str], *, debounce: float = 0) -> Callable[[F], F]:
    """Run a function after every publish on some topics: `async def mail(event, data, platform)`.

    Nobody waits for it, and no client can call it. It runs on every worker that sees the publish; what may happen only
    once needs a lock or a leader. Runs overlap, in the order of the publishes they begin in. What it raises goes to
    `on_error` as `effect`. A plain function runs in the loop, under `live(thread=True)` in the worker threads.

    Args:
        sources: topics; not patterns.
        debounce: seconds of silence after which only the last publish is taken; 0 takes each of them.

    Raises:
        ValueError: an option that cannot be; the message names it.
    """
    if inspect.isfunction(sources):
        raise TypeError(Bare("live.effect", sources).text)
    options = EffectOptions.of(sources, debounce)

    def decorate(function: F) -> F:
        mark = ensure_mark(function, "live.effect")
        mark.effect = replace(options, wanted=accepted(function, 3))
        return function

    return decorate


def effect_of(function: Callable[..., Any], mark: Mark, path: str, file: str, line: int) -> Effect:
    """Return the effect that a marked function of a module is.

    Raises:
        SignatureError: it is something else as well, or wants more than it is given.
    """
    options = mark.effect
    if options is None or mark.kind != "rpc" or mark.cron is not None:
        raise SignatureError("an effect can be nothing else as well; make two functions of it")
    needed = [
        one.name
        for one in inspect.signature(function).parameters.values()
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    if len(needed) > options.wanted:
        raise SignatureError(f"{needed[-1]}: an effect is given event, data and platform, and no more")
    return Effect(path, function, options, mark.thread, file, line)
