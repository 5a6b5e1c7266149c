from __future__ import annotations

import asyncio

import pytest

from runtime.client.errors import StreamLagged
from runtime.client.feeds import Backlog, Latest

pytestmark = pytest.mark.spec("LIVE-191")


async def test_latest_keeps_only_the_newest_item() -> None:
    feed: Latest[int] = Latest()
    for item in range(5):
        feed.push(item)
    assert await anext(feed) == 4


async def test_backlog_gives_every_item_in_order_then_says_that_its_reader_lagged() -> None:
    feed: Backlog[int] = Backlog(3)
    released: list[bool] = []
    feed.on_close(lambda: released.append(True))
    for item in range(3):
        feed.push(item)
    assert not released
    for item in range(3, 9):
        feed.push(item)
    assert released == [True]
    assert [await anext(feed) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(StreamLagged, match="more than 3 events"):
        await anext(feed)
    with pytest.raises(StopAsyncIteration):
        await anext(feed)


async def test_finish_ends_behind_what_is_queued_and_aclose_at_once() -> None:
    feed: Backlog[int] = Backlog()
    feed.push(1)
    feed.finish(ValueError("over"))
    feed.push(2)
    assert await anext(feed) == 1
    with pytest.raises(ValueError, match="over"):
        await anext(feed)
    other: Backlog[int] = Backlog()
    other.push(1)
    await other.aclose()
    assert [item async for item in other] == []


async def test_closing_wakes_the_reader() -> None:
    feed: Latest[int] = Latest()
    reader = asyncio.ensure_future(anext(feed, "ended"))
    await asyncio.sleep(0)
    await feed.aclose()
    assert await reader == "ended"


async def test_a_cancelled_reader_loses_nothing() -> None:
    feed: Backlog[int] = Backlog()
    reader = asyncio.ensure_future(anext(feed))
    await asyncio.sleep(0)
    reader.cancel()
    await asyncio.wait([reader])
    feed.push(1)
    assert await anext(feed) == 1


async def test_release_is_called_once_also_when_nobody_holds_the_feed() -> None:
    released: list[int] = []
    feed: Latest[int] = Latest()
    feed.on_close(lambda: released.append(1))
    await feed.aclose()
    await feed.aclose()
    assert released == [1]
    dropped: Latest[int] = Latest()
    dropped.on_close(lambda: released.append(2))
    del dropped
    await asyncio.sleep(0)
    assert released == [1, 2]
    feed.on_close(lambda: released.append(3))
    assert released == [1, 2, 3]


async def test_a_second_reader_that_would_wait_beside_the_first_is_refused() -> None:
    feed: Latest[int] = Latest()
    reader = asyncio.ensure_future(anext(feed))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="another task waits"):
        await anext(feed)
    feed.push(1)
    assert await reader == 1
