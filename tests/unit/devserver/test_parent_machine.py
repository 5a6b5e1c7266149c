"""The supervision under any order of events: a model of the world checks what is always true."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from realtime_cli.devserver.changes import Changes, Layout
from realtime_cli.devserver.channel import (
    Debugging,
    Imported,
    LoadFailed,
    Message,
    Ready,
    Released,
    Reload,
    Reloaded,
    Retire,
    Stop,
    Stopping,
    WhichImported,
)
from realtime_cli.devserver.parent import STOP_LIMIT, Supervision
from realtime_cli.devserver.supervised import Role

CHANGES = st.builds(
    Changes,
    live=st.sets(st.sampled_from(["live/a.py", "live/b.py"]), max_size=2),
    css=st.sets(st.just("/x.css"), max_size=1),
    page=st.sets(st.just("web/index.html"), max_size=1),
    restart=st.sets(st.sampled_from(["hooks.py", ".env"]), max_size=1),
    python=st.sets(st.sampled_from(["app/db.py", "script.py"]), max_size=2),
)
READY = Ready(live="live", web="web", hooks="hooks.py", degraded=False)
STEPS = 50


class Processes:
    """The world: processes that exist until they end, and what each was told."""

    def __init__(self) -> None:
        self.alive: set[int] = set()
        self.told: dict[int, list[Message]] = {}
        self.killed: set[int] = set()
        self.ready: set[int] = set()
        self.held = False

    def spawn(
        self, worker: int, *, may_degrade: bool, changed: Iterable[str], excused: Iterable[str]
    ) -> None:
        assert worker not in self.told
        self.alive.add(worker)
        self.told[worker] = []

    def send(self, worker: int, message: Message) -> None:
        self.told[worker].append(message)

    def kill(self, worker: int) -> None:
        self.killed.add(worker)

    def use_layout(self, layout: Layout) -> None:
        pass

    def serves(self, *, first: bool, duration: float) -> None:
        assert duration >= 0

    def hold(self, active: bool) -> None:
        assert active != self.held
        self.held = active

    def note(self, event: str, text: str, **fields: Any) -> None:
        assert text

    def show(self, problems: list[dict[str, Any]]) -> None:
        assert problems


class SupervisionMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.world = Processes()
        self.parent = Supervision(self.world, lambda: self.now)
        self.interrupts = 0
        self.answered: dict[int, int] = {}
        self.steps = 0
        self.parent.start()
        self.world.ready.add(1)
        self.parent.received(1, READY)

    def told(self, worker: int, kind: type[Message]) -> list[Message]:
        return [message for message in self.world.told[worker] if isinstance(message, kind)]

    def questions(self, worker: int) -> list[Message]:
        return [message for message in self.world.told[worker] if isinstance(message, Reload | WhichImported)]

    def pick(self, data: st.DataObject, among: Iterable[int]) -> int:
        return data.draw(st.sampled_from(sorted(among)))

    @rule(changes=CHANGES)
    def files_change(self, changes: Changes) -> None:
        self.steps += 1
        self.parent.changed(changes)

    @precondition(lambda self: self.world.alive - self.world.ready)
    @rule(data=st.data(), degraded=st.booleans())
    def worker_gets_ready(self, data: st.DataObject, degraded: bool) -> None:
        worker = self.pick(data, self.world.alive - self.world.ready)
        self.world.ready.add(worker)
        self.parent.received(worker, Ready(live="live", web="web", hooks="hooks.py", degraded=degraded))

    @precondition(lambda self: self.world.alive - self.world.ready)
    @rule(data=st.data())
    def worker_fails(self, data: st.DataObject) -> None:
        worker = self.pick(data, self.world.alive - self.world.ready)
        self.parent.received(worker, LoadFailed(problems=[{"file": "hooks.py"}], exit_code=3))
        self.end(worker, 3)

    @precondition(lambda self: self.world.alive and self.steps % 4 == 3)
    @rule(data=st.data(), status=st.sampled_from([0, 1, -9]))
    def worker_ends(self, data: st.DataObject, status: int) -> None:
        self.end(self.pick(data, self.world.alive), status)

    def end(self, worker: int, status: int) -> None:
        self.world.alive.discard(worker)
        self.parent.exited(worker, status)

    @precondition(lambda self: self.world.ready & self.world.alive)
    @rule(data=st.data())
    def worker_answers(self, data: st.DataObject) -> None:
        worker = self.pick(data, self.world.ready & self.world.alive)
        questions = self.questions(worker)
        if len(questions) > self.answered.get(worker, 0):
            self.answered[worker] = len(questions)
            last = questions[-1]
            if isinstance(last, WhichImported):
                self.parent.received(worker, Imported(paths=last.paths[: data.draw(st.integers(0, 1))]))
            else:
                self.parent.received(worker, Reloaded(ok=data.draw(st.booleans())))
        if self.told(worker, Retire):
            self.parent.received(worker, Released())
        if self.told(worker, Stop):
            self.parent.received(worker, Stopping())

    @precondition(lambda self: self.world.alive)
    @rule(data=st.data(), active=st.booleans())
    def debugger(self, data: st.DataObject, active: bool) -> None:
        self.parent.received(self.pick(data, self.world.alive), Debugging(active=active))

    @rule(seconds=st.sampled_from([0.1, 1.0, 10.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.parent.tick()

    @precondition(lambda self: self.interrupts < 2 and self.steps > STEPS / 8)
    @rule()
    def ctrl_c(self) -> None:
        self.interrupts += 1
        self.parent.interrupt()

    @invariant()
    def one_serves_and_one_starts_at_most(self) -> None:
        roles = [worker.role for worker in self.parent._workers.values()]
        assert roles.count(Role.SERVING) <= 1
        assert roles.count(Role.STARTING) <= 1
        assert set(self.parent._workers) == self.world.alive

    @invariant()
    def the_serving_worker_is_ready_and_left_in_peace(self) -> None:
        serving = self.parent.serving
        if serving is not None and self.parent.exit_code is None:
            assert serving.number in self.world.ready
            assert not self.told(serving.number, Retire)
            assert not self.told(serving.number, Stop)
            assert serving.number not in self.world.killed

    @invariant()
    def a_worker_retires_only_for_one_that_is_ready(self) -> None:
        for worker, told in self.world.told.items():
            if any(isinstance(message, Retire) for message in told):
                assert any(later > worker for later in self.world.ready)

    @invariant()
    def a_worker_has_one_question_open_at_most(self) -> None:
        for worker in self.world.told:
            assert len(self.questions(worker)) <= self.answered.get(worker, 0) + 1

    @invariant()
    def the_terminal_is_held_while_somebody_debugs(self) -> None:
        assert self.world.held == any(worker.is_debugging for worker in self.parent._workers.values())

    @invariant()
    def nothing_is_due_of_a_worker_in_a_debugger_but_its_end(self) -> None:
        for worker in self.parent._workers.values():
            if worker.is_debugging:
                assert worker.answer_by is None
                assert (
                    worker.role is not Role.RETIRING
                    or worker.kill_at is None
                    or self.parent.exit_code is not None
                )

    @invariant()
    def somebody_serves_or_starts_or_the_next_change_starts_one(self) -> None:
        if self.parent.exit_code is None and self.parent.serving is None and self.parent.starting is None:
            before = len(self.world.told)
            self.parent.changed(Changes(restart={"hooks.py"}))
            assert len(self.world.told) == before + 1

    def teardown(self) -> None:
        """However it stands, Ctrl-C ends it within the limits."""
        while self.interrupts < 1 or self.parent.exit_code is None:
            self.ctrl_c()
        for worker in self.world.alive:
            assert self.told(worker, Stop) or worker in self.world.killed
        self.now += STOP_LIMIT
        self.parent.tick()
        self.now += STOP_LIMIT
        self.parent.tick()
        assert self.world.alive <= self.world.killed
        for worker in list(self.world.alive):
            self.end(worker, -9)
        assert self.parent.is_done
        assert self.parent.exit_code in (0, 3, 130)


TestSupervision = SupervisionMachine.TestCase
TestSupervision.settings = settings(max_examples=60, stateful_step_count=STEPS, deadline=None)


def test_an_answer_behind_ctrl_c_starts_nothing() -> None:
    world = Processes()
    parent = Supervision(world, lambda: 0.0)
    parent.start()
    parent.received(1, READY)
    parent.changed(Changes(python={"helper.py"}))
    parent.interrupt()
    parent.received(1, Imported(paths=["helper.py"]))
    assert world.alive == {1}
    parent.exited(1, 0)
    assert parent.is_done
    assert parent.exit_code == 0


def test_a_debugger_that_opens_behind_ctrl_c_delays_nothing() -> None:
    world = Processes()
    now = [0.0]
    parent = Supervision(world, lambda: now[0])
    parent.start()
    parent.received(1, READY)
    parent.changed(Changes(restart={"hooks.py"}))
    parent.received(2, READY)
    parent.interrupt()
    parent.received(1, Debugging(active=True))
    now[0] = STOP_LIMIT
    parent.tick()
    assert 1 in world.killed
