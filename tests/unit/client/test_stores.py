from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

import pytest

from runtime.client.stores import DerivedStore, WritableStore

pytestmark = pytest.mark.spec("LIVE-191")


def test_a_subscriber_gets_the_value_at_once_and_every_change() -> None:
    store = WritableStore(1)
    seen: list[int] = []
    off = store.subscribe(seen.append)
    store.set(2)
    store.set(2)
    off()
    off()
    store.set(3)
    assert seen == [1, 2]
    assert store.value == 3


def test_the_same_function_may_subscribe_twice() -> None:
    store = WritableStore(1)
    seen: list[int] = []
    first, second = store.subscribe(seen.append), store.subscribe(seen.append)
    first()
    store.set(2)
    second()
    store.set(3)
    assert seen == [1, 1, 2]


def test_a_listener_that_raises_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    store = WritableStore(1)
    seen: list[int] = []

    def broken(value: int) -> None:
        raise RuntimeError("mine")

    store.subscribe(broken)
    store.subscribe(seen.append)
    store.set(2)
    assert seen == [1, 2]
    assert "broken" in caplog.text


async def test_iterating_gives_the_value_of_now_and_the_newest_later() -> None:
    store = WritableStore(1)
    feed = store.__aiter__()
    assert await anext(feed) == 1
    store.set(2)
    store.set(3)
    assert await anext(feed) == 3
    later = asyncio.ensure_future(anext(feed))
    await asyncio.sleep(0)
    store.set(4)
    assert await later == 4


async def test_leaving_the_loop_ends_the_subscription() -> None:
    store = WritableStore(1)
    async for value in store:
        assert value == 1
        break
    gc.collect()
    await asyncio.sleep(0)
    assert not store._listeners


async def test_a_derived_store_follows_only_while_it_is_followed() -> None:
    source = WritableStore([1, 2])
    derived = DerivedStore(lambda: source.value, source.subscribe, lambda value: sum(value))
    assert derived.value == 3
    assert not source._listeners
    seen: list[int] = []
    off = derived.subscribe(seen.append)
    source.set([5])
    off()
    source.set([6])
    assert seen == [3, 5]
    assert derived.value == 6


def test_a_listener_that_another_one_ends_is_not_called_any_more() -> None:
    store = WritableStore(1)
    seen: list[int] = []
    offs: list[Callable[[], None]] = []
    store.subscribe(lambda value: [off() for off in offs])
    offs.append(store.subscribe(seen.append))
    store.set(2)
    assert seen == [1]


def test_a_listener_that_changes_the_value_leaves_nobody_with_the_older_one() -> None:
    store = WritableStore(1)
    seen: list[int] = []
    store.subscribe(lambda value: store.set(3) if value == 2 else None)
    store.subscribe(seen.append)
    store.set(2)
    assert (store.value, seen) == (3, [1, 3])


def test_a_listener_may_subscribe_another_one() -> None:
    store = WritableStore(1)
    seen: list[int] = []
    store.subscribe(lambda value: store.subscribe(seen.append) if value == 2 else None)
    store.set(2)
    assert seen == [2]
    store.set(3)
    assert seen == [2, 3]
