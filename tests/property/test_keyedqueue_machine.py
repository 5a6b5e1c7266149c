"""Any order of pushing, ending, cancelling and clearing tasks, against a model. Spec: platform 7.10."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from runtime.plugins import Queue, QueueCleared, QueueFull

KEYS = ("a", "b")
MAX_SIZE = 3


class Job:
    def __init__(self, number: int) -> None:
        self.number = number
        self.gate = asyncio.Event()
        self.fails = False
        self.is_running = False
        self.push: asyncio.Task[int]

    async def __call__(self) -> int:
        self.is_running = True
        try:
            await self.gate.wait()
            if self.fails:
                raise KeyError(self.number)
            return self.number
        finally:
            self.is_running = False


class Queues(RuleBasedStateMachine):
    """The model keeps, by key, the jobs that run and those that wait."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.running: dict[str, list[Job]] = {key: [] for key in KEYS}
        self.waiting: dict[str, list[Job]] = {key: [] for key in KEYS}
        self.ended: list[tuple[Job, type[BaseException] | None]] = []
        self.dropped: list[int] = []
        self.expected_drops: list[int] = []
        self.drains: list[tuple[str | None, asyncio.Task[None]]] = []
        self.count = 0

    @initialize(concurrency=st.integers(1, 3))
    def make(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self.queue = Queue(
            concurrency=concurrency,
            max_size=MAX_SIZE,
            on_drop=lambda key, job: self.dropped.append(job.number),
        )

    def settle(self) -> None:
        async def turns() -> None:
            for _ in range(10):
                await asyncio.sleep(0)

        for key in KEYS:
            running, waiting = self.running[key], self.waiting[key]
            while waiting and len(running) < self.concurrency:
                running.append(waiting.pop(0))
        self.runner.run(turns())

    @rule(key=st.sampled_from(KEYS))
    def push(self, key: str) -> None:
        async def start() -> Job:
            job = Job(self.count)
            job.push = asyncio.get_running_loop().create_task(self.queue.push(key, job))
            return job

        self.count += 1
        job = self.runner.run(start())
        if len(self.waiting[key]) >= MAX_SIZE and len(self.running[key]) >= self.concurrency:
            self.ended.append((job, QueueFull))
            self.expected_drops.append(job.number)
        else:
            self.waiting[key].append(job)
        self.settle()

    @rule(key=st.sampled_from(KEYS), place=st.integers(0, 2), fails=st.booleans())
    def end(self, key: str, place: int, fails: bool) -> None:
        if place < len(self.running[key]):
            job = self.running[key].pop(place)
            job.fails = fails
            job.gate.set()
            self.ended.append((job, KeyError if fails else None))
            self.settle()

    @rule(key=st.sampled_from(KEYS), place=st.integers(0, 2), of=st.sampled_from(["running", "waiting"]))
    def cancel(self, key: str, place: int, of: str) -> None:
        jobs = getattr(self, of)[key]
        if place < len(jobs):
            job = jobs.pop(place)
            job.push.cancel()
            self.ended.append((job, asyncio.CancelledError))
            self.settle()

    @rule(key=st.sampled_from(KEYS))
    def end_one_and_cancel_the_next_in_the_same_step(self, key: str) -> None:
        if self.running[key] and self.waiting[key]:
            job, heir = self.running[key].pop(0), self.waiting[key].pop(0)
            job.gate.set()
            self.runner.run(asyncio.sleep(0))
            heir.push.cancel()
            self.ended += [(job, None), (heir, asyncio.CancelledError)]
            self.settle()

    @rule(key=st.sampled_from([*KEYS, None]))
    def clear(self, key: str | None) -> None:
        async def clear() -> None:
            self.queue.clear(key)

        self.runner.run(clear())
        for name in KEYS if key is None else [key]:
            self.ended += [(job, QueueCleared) for job in self.waiting[name]]
            self.waiting[name].clear()
        self.settle()

    @rule(key=st.sampled_from([*KEYS, None]))
    def drain(self, key: str | None) -> None:
        async def start() -> asyncio.Task[None]:
            return asyncio.get_running_loop().create_task(self.queue.drain(key))

        self.drains.append((key, self.runner.run(start())))
        self.settle()

    @invariant()
    def those_run_who_should(self) -> None:
        for key in KEYS:
            assert all(job.is_running for job in self.running[key])
            assert not any(job.is_running for job in self.waiting[key])
            if hasattr(self, "queue"):
                assert self.queue.size(key) == len(self.running[key]) + len(self.waiting[key])

    @invariant()
    def whoever_ended_did_so_as_expected(self) -> None:
        for job, expected in self.ended:
            assert job.push.done()
            assert not job.is_running
            if expected is asyncio.CancelledError:
                assert job.push.cancelled()
            elif expected is None:
                assert job.push.result() == job.number
            else:
                assert type(job.push.exception()) is expected
        assert self.dropped == self.expected_drops

    @invariant()
    def drains_end_with_the_last_task(self) -> None:
        left = []
        for key, task in self.drains:
            names = KEYS if key is None else [key]
            if any(self.running[name] or self.waiting[name] for name in names):
                left.append((key, task))
            else:
                assert task.done()
        self.drains = [(key, task) for key, task in left if not task.done()]

    def teardown(self) -> None:
        async def end() -> None:
            jobs = [job for jobs in (self.running, self.waiting) for key in KEYS for job in jobs[key]]
            tasks: list[asyncio.Task[object]] = [*(job.push for job in jobs), *(t for _, t in self.drains)]  # type: ignore[list-item]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self.runner.run(end())
        if hasattr(self, "queue"):
            assert (self.queue.size(), self.queue._state.drains) == (0, {})
        self.runner.close()


TestQueues = Queues.TestCase
TestQueues.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestQueues.pytestmark = [pytest.mark.spec("PLAT-142")]
