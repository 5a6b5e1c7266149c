"""Ready-made access predicates `(ctx, *args) -> bool`. Spec: live-api 4.3."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

from runtime.core.unread import drop_pending

__all__ = ["Access", "allows", "is_no_answer", "judge"]

Predicate = Callable[..., Any]

# Set on our own predicates: that they are async is nobody's mistake.
_OWN: Final = "_realtime_own_predicate"


class Access:
    """The predicates of `live.access`. `ctx.user` may be a mapping or an object; comparisons never convert types."""

    def owner(self, field: str = "id") -> Predicate:
        """Allow when the user has `field`."""

        def predicate(ctx: Any, *args: Any) -> bool:
            return _field(ctx.user, field) is not None

        return predicate

    def role(self, rules: Mapping[str, bool | Predicate]) -> Predicate:
        """Allow when the rule of the user's `role` is `True` or a function of `ctx` that says so."""

        async def predicate(ctx: Any, *args: Any) -> bool:
            role = _field(ctx.user, "role")
            rule = rules.get(role) if isinstance(role, str) else None
            return rule is True or (callable(rule) and await allows(rule, ctx, ()))

        return _own(predicate)

    def team(self) -> Predicate:
        """Allow when the user belongs to a team (`team_id` or `teamId`)."""

        def predicate(ctx: Any, *args: Any) -> bool:
            return _field(ctx.user, "teamId") is not None or _field(ctx.user, "team_id") is not None

        return predicate

    def org(self, from_: Predicate | None = None, field: str = "organization_id") -> Predicate:
        """Allow when the first argument (or what `from_(ctx, *args)` gives) is the user's own organization."""
        return _same(from_, field)

    def user(self, from_: Predicate | None = None, field: str = "user_id") -> Predicate:
        """Allow when the first argument (or what `from_(ctx, *args)` gives) is the user's own id."""
        return _same(from_, field)

    def any(self, *predicates: Predicate) -> Predicate:
        """Allow when one of `predicates` does; they are asked in order."""

        async def predicate(ctx: Any, *args: Any) -> bool:
            for one in predicates:
                if await allows(one, ctx, args):
                    return True
            return False

        return _own(predicate)

    def all(self, *predicates: Predicate) -> Predicate:
        """Allow when all of `predicates` do; they are asked in order."""

        async def predicate(ctx: Any, *args: Any) -> bool:
            for one in predicates:
                if not await allows(one, ctx, args):
                    return False
            return True

        return _own(predicate)


async def allows(predicate: Predicate, ctx: Any, args: tuple[Any, ...] | list[Any]) -> bool:
    """Return what `predicate(ctx, *args)` says; an awaitable is awaited before its truth is looked at.

    Raises:
        TypeError: the answer is none: a generator that nobody ran, a function, a class, `...`. Spec: platform 5.1.
    """
    answer = predicate(ctx, *args)
    if answer is True or answer is False:
        return answer
    if _lets_pending_in(predicate, ctx) and drop_pending(answer):
        return True
    return await judge(predicate, answer)


async def judge(predicate: Predicate, answer: Any) -> bool:
    """Return what the answer of `predicate` means; see `allows`."""
    if answer is True or answer is False or answer is None:
        return bool(answer)
    answer = await _settled(answer)
    if is_no_answer(answer):
        raise TypeError(f"{predicate!r} must return True or False, not {answer!r}")
    return bool(answer)


def is_no_answer(value: Any) -> bool:
    """Return whether an authorization callable returned what can only be a mistake, and is true for Python."""
    return (
        value is ...
        or callable(value)
        or inspect.isasyncgen(value)
        or inspect.isgenerator(value)
        or inspect.isawaitable(value)
    )


def _same(from_: Predicate | None, field: str) -> Predicate:
    async def predicate(ctx: Any, *args: Any) -> bool:
        wanted = await _settled(from_(ctx, *args)) if from_ else (args[0] if args else None)
        own = _field(ctx.user, field)
        return wanted is not None and type(wanted) is type(own) and bool(wanted == own)

    return _own(predicate)


def _own(predicate: Predicate) -> Predicate:
    vars(predicate)[_OWN] = True
    return predicate


def _lets_pending_in(predicate: Predicate, ctx: Any) -> bool:
    scope = getattr(ctx, "_scope", None)
    if scope is None or not scope.lets_pending_in:
        return False
    return not getattr(predicate, _OWN, False)


def _field(user: Any, name: str) -> Any:
    return user.get(name) if isinstance(user, Mapping) else getattr(user, name, None)


async def _settled(answer: Any) -> Any:
    return await answer if inspect.isawaitable(answer) else answer
