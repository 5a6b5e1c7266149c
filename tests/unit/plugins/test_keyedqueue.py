"""Tasks by key: order, concurrency, bounds, clearing, draining, cancellation. Spec: platform 7.10."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from runtime.core import capacity
from runtime.core.capacity import capacity_override
from runtime.core.tasks import TaskOwner
from runtime.plugins import Queue, QueueCleared, QueueFull
from tests.server.peers import turns

pytestmark = pytest.mark.spec("PLAT-142")


class Yard:
    """Pushes tasks that wait to be let go, and notes what happened in which order."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.log: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.tasks = TaskOwner("yard")

    def push(self, name: str, key: str = "k", queue: Queue | None = None) -> asyncio.Task[str]:
        gate = self.gates[name] = asyncio.Event()

        async def work() -> str:
            self.log.append(f"+{name}")
            try:
                await gate.wait()
            finally:
                self.log.append(f"-{name}")
            return name

        return self.tasks.start((queue or self.queue).push(key, work), name=name)

    async def let_go(self, *names: str) -> None:
        for name in names:
            self.gates[name].set()
            await turns()


@pytest.fixture
async def yard() -> AsyncIterator[Yard]:
    yard = Yard(Queue())
    yield yard
    await yard.tasks.close()


async def test_tasks_of_a_key_run_one_after_the_other(yard: Yard) -> None:
    tasks = [yard.push(name) for name in "abc"]
    await turns()
    assert (yard.log, yard.queue.size("k"), yard.queue.size()) == (["+a"], 3, 3)
    await yard.let_go("c", "b", "a")
    assert yard.log == ["+a", "-a", "+b", "-b", "+c", "-c"]
    assert [task.result() for task in tasks] == ["a", "b", "c"]
    assert (yard.queue.size(), yard.queue.size("k"), repr(yard.queue)) == (
        0,
        0,
        "<Queue of 0 tasks, 0 keys>",
    )


async def test_keys_do_not_wait_for_each_other(yard: Yard) -> None:
    for name in "abc":
        yard.push(name, key=name)
    await turns()
    assert yard.log == ["+a", "+b", "+c"]
    assert yard.queue.sizes() == {"MAX_QUEUE_KEYS": 3, "MAX_QUEUE_SIZE": 0}


async def test_more_than_one_at_a_time_start_in_order(yard: Yard) -> None:
    yard.queue = Queue(concurrency=2)
    for name in "abcd":
        yard.push(name)
    await turns()
    assert yard.log == ["+a", "+b"]
    await yard.let_go("b")
    assert yard.log == ["+a", "+b", "-b", "+c"]
    await yard.let_go("c", "d", "a")
    assert yard.log[4:] == ["-c", "+d", "-d", "-a"]


async def test_a_task_that_finds_nobody_runs_at_once(yard: Yard) -> None:
    coroutine = yard.queue.push("k", lambda: 5)
    with pytest.raises(StopIteration) as caught:
        coroutine.send(None)
    assert caught.value.value == 5


async def test_a_failure_fails_its_own_push_only(yard: Yard) -> None:
    def fail() -> None:
        raise KeyError("own")

    first = yard.push("a")
    failing = yard.tasks.start(yard.queue.push("k", fail), name="fail")
    last = yard.push("b")
    await turns()
    await yard.let_go("a", "b")
    with pytest.raises(KeyError, match="own"):
        failing.result()
    assert (first.result(), last.result()) == ("a", "b")


async def test_a_line_that_is_full_drops_the_next(yard: Yard) -> None:
    dropped: list[Any] = []

    async def on_drop(key: str, task: Any) -> None:
        await asyncio.sleep(0)
        dropped.append((key, task))

    yard.queue = Queue(max_size=1, on_drop=on_drop)
    met = capacity.events["MAX_QUEUE_SIZE", "reject"]
    yard.push("a")
    yard.push("b")
    await turns()

    def more() -> None:
        raise AssertionError("must not run")

    with pytest.raises(QueueFull, match=r"^queue: 1 tasks wait for 'k'$") as caught:
        await yard.queue.push("k", more)
    assert (caught.value.key, caught.value.code, dropped) == ("k", "QUEUE_FULL", [("k", more)])
    assert capacity.events["MAX_QUEUE_SIZE", "reject"] == met + 1
    assert await yard.queue.push("other", lambda: 1) == 1
    await yard.let_go("a", "b")
    assert await yard.queue.push("k", lambda: 2) == 2


async def test_keys_are_bounded_too(yard: Yard) -> None:
    dropped: list[str] = []
    yard.queue = Queue(on_drop=lambda key, task: dropped.append(key))
    with capacity_override(MAX_QUEUE_KEYS=2, MAX_QUEUE_SIZE=1):
        yard.push("a", key="a")
        yard.push("b", key="b")
        yard.push("b2", key="b")
        await turns()
        with pytest.raises(QueueFull, match="2 keys have tasks already"):
            await yard.queue.push("c", lambda: 1)
        with pytest.raises(QueueFull, match="1 tasks wait for 'b'"):
            await yard.queue.push("b", lambda: 1)
    assert dropped == ["c", "b"]
    assert yard.queue.size() == 3


async def test_a_failing_callback_changes_nothing(yard: Yard, caplog: pytest.LogCaptureFixture) -> None:
    yard.queue = Queue(max_size=1, on_drop=lambda key, task: 1 / 0)
    yard.push("a")
    yard.push("b")
    await turns()
    with caplog.at_level(logging.ERROR), pytest.raises(QueueFull):
        await yard.queue.push("k", lambda: 1)
    assert "on_drop failed for 'k'" in caplog.text


async def test_clear_fails_those_who_wait(yard: Yard) -> None:
    running, waiting, other = yard.push("a"), yard.push("b"), yard.push("c", key="other")
    waiting_too = yard.push("d", key="other")
    await turns()
    yard.queue.clear("k")
    yard.queue.clear("unknown")
    await turns()
    with pytest.raises(QueueCleared, match=r"^queue cleared$"):
        waiting.result()
    assert (running.done(), waiting_too.done(), yard.queue.size("k")) == (False, False, 1)
    yard.queue.clear()
    await turns()
    with pytest.raises(QueueCleared):
        waiting_too.result()
    after = yard.push("e")
    await turns()
    await yard.let_go("a", "c", "e")
    assert (running.result(), other.result(), after.result()) == ("a", "c", "e")
    assert yard.log == ["+a", "+c", "-a", "+e", "-c", "-e"]


async def test_close_clears(yard: Yard) -> None:
    yard.push("a")
    waiting = yard.push("b")
    await turns()
    await yard.queue.close()
    await turns()
    with pytest.raises(QueueCleared):
        waiting.result()


async def test_drain_returns_when_nothing_is_left(yard: Yard) -> None:
    await yard.queue.drain()
    await yard.queue.drain("k")
    yard.push("a")
    yard.push("b")
    yard.push("c", key="other")
    await turns()
    of_key = yard.tasks.start(yard.queue.drain("k"), name="of key")
    of_all = yard.tasks.start(yard.queue.drain(), name="of all")
    given_up = yard.tasks.start(yard.queue.drain("k"), name="given up")
    await turns()
    given_up.cancel()
    await yard.let_go("a")
    assert not of_key.done()
    await yard.let_go("b")
    assert (of_key.done(), of_all.done()) == (True, False)
    await yard.let_go("c")
    assert of_all.done()
    assert yard.queue._state.drains == {}


async def test_nobody_is_left_when_all_drains_are_given_up(yard: Yard) -> None:
    yard.push("a")
    await turns()
    drain = yard.tasks.start(yard.queue.drain("k"), name="drain")
    await turns()
    drain.cancel()
    await turns()
    assert yard.queue._state.drains == {}


async def test_cancelling_takes_a_waiting_task_out_and_ends_a_running_one(yard: Yard) -> None:
    running, waiting, _ = yard.push("a"), yard.push("b"), yard.push("c")
    await turns()
    waiting.cancel()
    await turns()
    assert (waiting.cancelled(), yard.queue.size()) == (True, 2)
    running.cancel()
    await turns()
    assert yard.log == ["+a", "-a", "+c"]


@pytest.mark.parametrize("steps", range(8))
async def test_cancelled_anywhere_the_next_has_its_turn(yard: Yard, steps: int) -> None:
    yard.push("a")
    await turns()
    second = yard.push("b")
    yard.push("c")
    await turns()
    yard.gates["a"].set()
    for _ in range(steps):
        await asyncio.sleep(0)
    second.cancel()
    await turns()
    assert yard.log[-1] == "+c"
    await yard.let_go("c")
    assert yard.queue.size() == 0


@pytest.mark.parametrize("has_turn", [False, True])
async def test_a_coroutine_that_is_closed_leaves_the_line(yard: Yard, has_turn: bool) -> None:
    yard.push("a")
    await turns()
    waiting = yard.queue.push("k", lambda: 1)
    waiting.send(None)
    if has_turn:
        await yard.let_go("a")
    waiting.close()
    await yard.let_go("a")
    assert yard.queue.size() == 0


async def test_a_reload_keeps_the_tasks_and_takes_the_new_concurrency(yard: Yard) -> None:
    for name in "abc":
        yard.push(name)
    await turns()
    new = Queue(concurrency=2)
    assert new.adopt(yard.queue)
    await turns()
    assert yard.log == ["+a", "+b"]
    yard.push("d", queue=new)
    await yard.let_go("a", "b", "c", "d")
    assert yard.log[2:] == ["-a", "+c", "-b", "+d", "-c", "-d"]
    assert new.size() == yard.queue.size() == 0


@pytest.mark.parametrize(
    "options",
    [{"concurrency": 0}, {"concurrency": 1.5}, {"max_size": 0}, {"max_key_length": -1}, {"on_drop": 3}],
)
def test_options_are_checked(options: Any) -> None:
    with pytest.raises(ValueError, match=rf"^queue: {next(iter(options))} must be"):
        Queue(**options)


async def test_a_key_is_a_text_and_a_task_can_be_called(yard: Yard) -> None:
    for bad in ("", None, 3, "x" * 257):
        with pytest.raises(ValueError, match=r"^queue: key"):
            await yard.queue.push(bad, lambda: 1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^queue: give a function"):
        await yard.queue.push("k", 3)  # type: ignore[arg-type]
    assert await Queue(max_size=None).push("k", lambda: 1) == 1
