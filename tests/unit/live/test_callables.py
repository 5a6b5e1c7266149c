"""Calling the app's functions, with as many arguments as they take."""

from __future__ import annotations

import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from runtime.live.callables import accepted, call, call_in_thread, call_with_as_many

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="default")


class Callable_:
    async def __call__(self, a: int) -> int:
        return a


async def test_sync_and_async_functions_are_called_alike() -> None:
    async def later(a: int) -> int:
        return a

    assert [await call(one, 5) for one in (later, lambda a: a, Callable_(), int)] == [5] * 4


async def test_a_thread_sees_the_context_and_changes_only_its_copy() -> None:
    variable.set("set here")

    def body(n: int) -> Any:
        seen = variable.get()
        variable.set("set there")
        return seen, n, threading.current_thread() is threading.main_thread()

    with ThreadPoolExecutor(1) as executor:
        assert await call_in_thread(executor, body, 7) == ("set here", 7, False)
    assert variable.get() == "set here"


@pytest.mark.parametrize(
    ("function", "given"),
    [
        (lambda: (), ()),
        (lambda a: (a,), (1,)),
        (lambda a, b: (a, b), (1, 2)),
        (lambda a, b, c=9: (a, b, c), (1, 2, 3)),
        (lambda a, b, c, d=4: (a, b, c, d), (1, 2, 3, 4)),
        (lambda *all: all, (1, 2, 3)),
        (lambda a, *rest: (a, *rest), (1, 2, 3)),
        (lambda a, *, key=5: (a, key), (1, 5)),
        (lambda a, **more: (a, more), (1, {})),
    ],
)
async def test_a_hook_with_fewer_parameters_gets_fewer_arguments(function: Any, given: Any) -> None:
    assert await call_with_as_many(function, (1, 2, 3)) == given


async def test_methods_count_without_self() -> None:
    class Hooks:
        async def left(self, ctx: Any, topic: str) -> Any:
            return ctx, topic

    assert await call_with_as_many(Hooks().left, ("ctx", "topic", 0)) == ("ctx", "topic")
    assert accepted(Hooks().left, 1) == 1


async def test_a_builtin_without_a_signature_gets_everything() -> None:
    assert await call_with_as_many(print.__class__.__call__, (len, [1, 2])) == 2
    assert accepted(dict.fromkeys, 2) == 2
