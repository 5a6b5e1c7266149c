"""Guards: who may call anything of a module. Spec: live-api 4.1, wire 4.3 step 5."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from runtime.core.errors import ACCESS_DENIED, AUTHENTICATION_REQUIRED, LiveError
from runtime.live.access import is_no_answer
from runtime.live.callables import call

__all__ = ["Guard", "denied", "guard", "run_guard"]

Check = Callable[[Any], Any]


class Guard:
    """The parts of a module's `_guard`, run in order; the first that refuses ends the call."""

    __slots__ = ("checks",)

    def __init__(self, checks: tuple[Check, ...]) -> None:
        self.checks = checks

    async def __call__(self, ctx: Any) -> None:
        """Raise unless every part lets the call pass."""
        for check in self.checks:
            if _refuses(await call(check, ctx)):
                raise denied(ctx.user)


def guard(
    *parts: Check | Mapping[str, Any],
    authenticated: bool = False,
    checks: tuple[Check, ...] | list[Check] = (),
) -> Guard:
    """Build the value of a module's `_guard`, from options and checks or as a decorator.

    Args:
        parts: functions of `ctx` that raise (or return `False`) to refuse; also `{"authenticated": True}`.
        authenticated: refuse calls without a user with `UNAUTHENTICATED`.
        checks: more functions, run after the positional ones.

    Raises:
        ValueError: nothing to check. TypeError: a part that is neither a function nor a mapping.
    """
    made: list[Check] = [_authenticated] if authenticated else []
    for part in (*parts, *checks):
        if isinstance(part, Mapping):
            unknown = set(part) - {"authenticated"}
            if unknown:
                raise ValueError(f"guard: unknown option {sorted(unknown)[0]!r}; known: authenticated")
            if part.get("authenticated"):
                made.append(_authenticated)
        elif callable(part):
            made.append(part)
        else:
            raise TypeError(f"guard: a part must be a function of ctx or a mapping, not {part!r}")
    if not made:
        raise ValueError("guard: give at least one check, or authenticated=True")
    return Guard(tuple(made))


async def run_guard(check: Check, ctx: Any, *, foreign: LiveError | None = None) -> None:
    """Run a module's guard and give a foreign exception the code that fits the caller, or make it `foreign`.

    A `LiveError` passes as it is; anything else, and a returned `False`, refuses. The original stays the cause and
    never travels.
    """
    try:
        answer = await call(check, ctx)
    except LiveError:
        raise
    except Exception as error:
        raise foreign or denied(ctx.user) from error
    if _refuses(answer):
        raise denied(ctx.user)


def _refuses(answer: Any) -> bool:
    """Return whether a check that did not raise refuses: `False`, or what says that it was never run."""
    return answer is False or (answer is not None and answer is not True and is_no_answer(answer))


def denied(user: Any) -> LiveError:
    """Return the refusal for `user`: `UNAUTHENTICATED` for nobody, `FORBIDDEN` for somebody."""
    if user is None:
        return LiveError("UNAUTHENTICATED", AUTHENTICATION_REQUIRED)
    return LiveError("FORBIDDEN", ACCESS_DENIED)


def _authenticated(ctx: Any) -> None:
    if ctx.user is None:
        raise LiveError("UNAUTHENTICATED", AUTHENTICATION_REQUIRED)
