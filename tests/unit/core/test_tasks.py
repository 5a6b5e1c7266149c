"""Whoever starts a task can end it, and no failure goes unseen."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from typing import Any

import pytest

from runtime.core.tasks import TaskOwner


async def forever() -> None:
    await asyncio.Event().wait()


async def test_a_task_is_named_kept_and_forgotten_when_it_ends() -> None:
    owner = TaskOwner("things")

    async def work() -> int:
        return 7

    task = owner.start(work(), name="seven")
    assert (task.get_name(), owner.running) == ("things:seven", 1)
    assert await task == 7
    assert owner.running == 0


async def test_a_failure_is_logged_with_the_owner(caplog: pytest.LogCaptureFixture) -> None:
    owner = TaskOwner("things")

    async def fails() -> None:
        raise RuntimeError("broken")

    owner.start(fails(), name="bad")
    assert await owner.wait_idle(timeout=5)
    assert "task things:bad failed" in caplog.text
    assert "RuntimeError: broken" in caplog.text


async def test_closing_cancels_and_waits_for_the_cleaning_up() -> None:
    owner = TaskOwner("things")
    log: list[str] = []

    async def work() -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0)
            log.append("cleaned up")

    task = owner.start(work(), name="x")
    await asyncio.sleep(0)
    await owner.close()
    assert log == ["cleaned up"]
    assert task.cancelled()
    assert owner.closed
    await owner.close()


async def test_closing_leaves_a_task_alone_that_swallows_its_cancellation(
    caplog: pytest.LogCaptureFixture,
) -> None:
    owner = TaskOwner("things")
    let_go = asyncio.Event()

    async def stubborn() -> None:
        while not let_go.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await let_go.wait()

    tasks = [owner.start(stubborn(), name="stubborn"), owner.start(forever(), name="other")]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await owner.close(timeout=0.01)
    assert (owner.closed, owner.running) == (True, 1)
    assert "1 tasks did not end 0.01 s after they were cancelled: things:stubborn" in caplog.text
    let_go.set()
    await asyncio.wait(tasks)
    assert owner.running == 0


async def test_closing_does_not_raise_for_a_task_that_fails_meanwhile() -> None:
    owner = TaskOwner("things")

    async def work() -> None:
        try:
            await forever()
        finally:
            raise RuntimeError("in cleanup")

    owner.start(work(), name="x")
    await asyncio.sleep(0)
    await owner.close()
    assert owner.running == 0


async def test_a_closed_owner_starts_nothing() -> None:
    owner = TaskOwner("things")
    await owner.close()
    coroutine = forever()
    with pytest.raises(RuntimeError, match="cannot start 'late': things is closed"):
        owner.start(coroutine, name="late")
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED


async def test_a_task_may_close_its_own_owner() -> None:
    owner = TaskOwner("things")
    other = owner.start(forever(), name="other")
    await owner.start(owner.close(), name="closer")
    assert other.cancelled()


async def test_cancelling_the_closing_still_ends_the_tasks() -> None:
    owner = TaskOwner("things")

    async def stubborn() -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0)

    task = owner.start(stubborn(), name="x")
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(owner.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await owner.close()
    assert task.done()


@pytest.mark.parametrize("timeout", [None, 5.0])
async def test_waiting_includes_tasks_that_the_waited_for_ones_start(timeout: float | None) -> None:
    owner = TaskOwner("things")
    log: list[int] = []

    async def chain(left: int) -> None:
        await asyncio.sleep(0)
        log.append(left)
        if left:
            owner.start(chain(left - 1), name="next")

    owner.start(chain(2), name="first")
    assert await owner.wait_idle(timeout=timeout) is True
    assert log == [2, 1, 0]
    assert await owner.wait_idle(timeout=0) is True


async def test_waiting_has_a_bound_for_one_task_that_hangs() -> None:
    owner = TaskOwner("things")
    owner.start(forever(), name="x")
    assert await owner.wait_idle(timeout=0.01) is False
    await owner.close()


async def test_waiting_has_a_bound_for_tasks_that_never_stop_starting_others() -> None:
    owner = TaskOwner("things")
    loop = asyncio.get_running_loop()

    async def chain(previous: Any) -> None:
        step: asyncio.Future[None] = loop.create_future()
        loop.call_later(0.01, lambda: step.done() or step.set_result(None))
        await step
        owner.start(chain(None), name="next")

    owner.start(chain(None), name="first")
    async with asyncio.timeout(5):
        assert await owner.wait_idle(timeout=0.05) is False
    await owner.close()
