from __future__ import annotations

import asyncio

import pytest

from runtime.testing import eventually


async def test_the_first_true_value_is_returned() -> None:
    values = iter([0, None, "", "found"])
    assert await eventually(lambda: next(values)) == "found"


async def test_the_predicate_may_be_asynchronous_and_may_assert() -> None:
    left = [3]

    async def ready() -> bool:
        left[0] -= 1
        assert left[0] == 0, "not yet"
        return True

    assert await eventually(ready) is True


async def test_the_last_value_or_assertion_is_in_the_message() -> None:
    with pytest.raises(AssertionError, match=r"not true within 0.05s: the last value was \[\]"):
        await eventually(list, timeout=0.05)

    def never() -> bool:
        raise AssertionError("three is not two")

    with pytest.raises(AssertionError, match="it raised: three is not two"):
        await eventually(never, timeout=0.05)


async def test_a_predicate_that_hangs_is_given_up() -> None:
    with pytest.raises(AssertionError, match="did not return"):
        await eventually(asyncio.Event().wait, timeout=0.05)


async def test_other_exceptions_pass() -> None:
    def broken() -> bool:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await eventually(broken)
