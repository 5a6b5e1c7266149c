from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from realtime_cli.devserver.changes import Changes, Layout
from realtime_cli.devserver.channel import (
    Alive,
    Assets,
    Debugging,
    Hold,
    Imported,
    LoadFailed,
    Message,
    Probe,
    Ready,
    Released,
    Reload,
    Reloaded,
    RestartFailed,
    Retire,
    Stop,
    Stopping,
    WhichImported,
)
from realtime_cli.devserver.parent import (
    ANSWER_LIMIT,
    MAX_CRASHES,
    REPORT_LIMIT,
    RETIRE_LIMIT,
    START_NOTE,
    STEADY,
    STOP_ANSWER,
    STOP_LIMIT,
    STOP_NOTE,
    Supervision,
)

PROBLEM = {"file": "hooks.py", "message": "boom"}
FAILED = LoadFailed(problems=[PROBLEM], exit_code=3)


def ready(*, degraded: bool = False, live: str = "live", failing: list[str] | None = None) -> Ready:
    return Ready(live=live, web="web", hooks="hooks.py", degraded=degraded, failing=failing or [])


class World:
    """Stands for processes, terminal and time, and remembers what was asked of it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.spawned: list[tuple[int, bool, list[str]]] = []
        self.excused: list[list[str]] = []
        self.held: list[bool] = []
        self.sent: list[tuple[int, Message]] = []
        self.killed: list[int] = []
        self.layout: Layout | None = None
        self.notes: list[str] = []
        self.shown: list[dict[str, Any]] = []
        self.served: list[bool] = []
        self.parent = Supervision(self, lambda: self.now)

    def spawn(
        self, worker: int, *, may_degrade: bool, changed: Iterable[str], excused: Iterable[str]
    ) -> None:
        self.spawned.append((worker, may_degrade, list(changed)))
        self.excused.append(list(excused))

    def hold(self, active: bool) -> None:
        self.held.append(active)

    def send(self, worker: int, message: Message) -> None:
        self.sent.append((worker, message))

    def kill(self, worker: int) -> None:
        self.killed.append(worker)

    def use_layout(self, layout: Layout) -> None:
        self.layout = layout

    def serves(self, *, first: bool, duration: float) -> None:
        self.served.append(first)

    def note(self, event: str, text: str, **fields: Any) -> None:
        self.notes.append(event)

    def show(self, problems: list[dict[str, Any]]) -> None:
        self.shown += problems

    def take_sent(self) -> list[tuple[int, Message]]:
        sent, self.sent = self.sent, []
        return sent

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.parent.tick()


@pytest.fixture
def world() -> World:
    """A world in which worker 1 serves."""
    made = World()
    made.parent.start()
    made.parent.received(1, ready())
    return made


def test_the_first_worker_may_serve_a_broken_project() -> None:
    world = World()
    world.parent.start()
    assert world.spawned == [(1, True, [])]
    assert world.parent.serving is None
    world.parent.received(1, ready(live="src/live"))
    assert world.parent.serving is not None
    assert world.served == [True]
    assert world.layout == Layout("src/live", "web", "hooks.py")
    assert world.sent == []


def test_live_changes_go_to_the_serving_worker(world: World) -> None:
    world.parent.changed(Changes(live={"live/b.py", "live/a.py"}))
    assert world.take_sent() == [(1, Reload(paths=["live/a.py", "live/b.py"]))]
    assert len(world.spawned) == 1


def test_changes_during_a_reload_wait_and_are_joined(world: World) -> None:
    world.parent.changed(Changes(live={"live/a.py"}))
    world.take_sent()
    world.parent.changed(Changes(live={"live/b.py"}))
    world.parent.changed(Changes(live={"live/c.py"}, css={"/x.css"}))
    assert world.take_sent() == []
    world.parent.received(1, Reloaded(ok=True))
    assert world.take_sent() == [
        (1, Reload(paths=["live/b.py", "live/c.py"])),
        (1, Assets(css=["/x.css"], page=False)),
    ]
    world.parent.received(1, Reloaded(ok=False))
    assert world.take_sent() == []


def test_web_changes_are_passed_on(world: World) -> None:
    world.parent.changed(Changes(css={"/b.css", "/a.css"}))
    world.parent.changed(Changes(page={"web/index.html"}))
    assert world.take_sent() == [
        (1, Assets(css=["/a.css", "/b.css"], page=False)),
        (1, Assets(css=[], page=True)),
    ]


def test_hooks_start_a_worker_that_takes_over_when_ready(world: World) -> None:
    world.parent.changed(Changes(restart={"hooks.py"}))
    assert world.spawned[1:] == [(2, False, [])]
    assert world.take_sent() == []
    assert world.parent.serving is not None
    assert world.parent.serving.number == 1
    world.parent.received(2, ready())
    assert world.take_sent() == [(1, Retire(page=False))]
    assert world.parent.serving.number == 2
    assert world.served == [True]
    world.parent.received(1, Released())
    assert world.served == [True, False]
    world.parent.exited(1, 0)
    world.parent.changed(Changes(live={"live/a.py"}))
    assert world.take_sent() == [(2, Reload(paths=["live/a.py"]))]
    assert "crash" not in world.notes


def test_pages_load_again_when_they_changed_together_with_hooks(world: World) -> None:
    world.parent.changed(Changes(restart={"hooks.py"}, page={"web/index.html"}))
    assert world.take_sent() == []
    world.parent.received(2, ready())
    assert world.take_sent() == [(1, Retire(page=True))]


def test_a_failed_worker_leaves_the_old_one_and_tells_it(world: World) -> None:
    world.parent.changed(Changes(restart={"hooks.py"}, live={"live/a.py"}, css={"/x.css"}))
    world.parent.received(2, FAILED)
    assert world.take_sent() == [
        (1, RestartFailed(paths=["hooks.py"], problems=[PROBLEM])),
        (1, Reload(paths=["live/a.py"])),
        (1, Assets(css=["/x.css"], page=False)),
    ]
    world.parent.exited(2, 3)
    assert world.parent.serving is not None
    assert world.parent.exit_code is None
    world.parent.received(1, Reloaded(ok=True))
    world.parent.changed(Changes(restart={"hooks.py"}))
    assert world.spawned[2:] == [(3, False, [])]
    world.parent.received(3, ready())
    assert world.take_sent() == [(1, Retire(page=False))]


def test_while_broken_any_code_change_is_a_new_attempt(world: World) -> None:
    world.parent.changed(Changes(restart={"hooks.py"}))
    world.parent.received(2, FAILED)
    world.parent.exited(2, 3)
    world.take_sent()
    world.parent.changed(Changes(python={"app/db.py"}))
    assert world.spawned[-1] == (3, False, ["app/db.py"])
    assert world.take_sent() == []
    world.parent.received(3, FAILED)
    world.parent.exited(3, 3)
    world.take_sent()
    world.parent.changed(Changes(live={"live/a.py"}))
    assert world.spawned[-1][0] == 4
    assert world.take_sent() == [(1, Reload(paths=["live/a.py"]))]
    world.parent.received(4, FAILED)
    assert world.take_sent() == [(1, RestartFailed(paths=["live/a.py"], problems=[PROBLEM]))]
    world.parent.changed(Changes(css={"/x.css"}))
    assert len(world.spawned) == 4


def test_after_the_repair_live_changes_are_only_reloads_again(world: World) -> None:
    world.parent.changed(Changes(restart={"hooks.py"}))
    world.parent.received(2, FAILED)
    world.parent.changed(Changes(restart={"hooks.py"}))
    world.parent.received(3, ready())
    world.parent.changed(Changes(live={"live/a.py"}))
    assert len(world.spawned) == 3


def test_a_worker_that_ends_while_it_starts_counts_as_failed(world: World) -> None:
    world.parent.changed(Changes(restart={"hooks.py"}))
    world.parent.exited(2, -11)
    [(number, message)] = world.take_sent()
    assert number == 1
    assert isinstance(message, RestartFailed)
    assert message.problems[0]["file"] == "hooks.py"
    assert "signal 11" in message.problems[0]["message"]


def test_other_modules_ask_whether_they_are_imported(world: World) -> None:
    world.parent.changed(Changes(python={"app/db.py", "script.py"}, live={"live/a.py"}))
    assert world.take_sent() == [(1, WhichImported(paths=["app/db.py", "script.py"]))]
    world.parent.changed(Changes(css={"/x.css"}))
    assert world.take_sent() == []
    world.parent.received(1, Imported(paths=[]))
    assert world.take_sent() == [(1, Reload(paths=["live/a.py"]))]
    world.parent.received(1, Reloaded(ok=True))
    assert world.take_sent() == [(1, Assets(css=["/x.css"], page=False))]
    assert len(world.spawned) == 1


def test_an_imported_module_asks_for_a_new_worker(world: World) -> None:
    world.parent.changed(Changes(python={"app/db.py", "script.py"}, live={"live/a.py"}))
    world.parent.received(1, Imported(paths=["app/db.py"]))
    assert world.spawned[1:] == [(2, False, ["app/db.py"])]
    assert world.take_sent() == [(1, WhichImported(paths=["app/db.py", "script.py"]))]
    world.parent.received(2, FAILED)
    assert world.take_sent() == [
        (1, RestartFailed(paths=["app/db.py"], problems=[PROBLEM])),
        (1, Reload(paths=["live/a.py"])),
    ]


def test_a_second_change_replaces_the_starting_worker(world: World) -> None:
    world.parent.changed(Changes(restart={"hooks.py"}, live={"live/a.py"}))
    world.parent.changed(Changes(restart={".env"}))
    assert [number for number, _, _ in world.spawned] == [1, 2, 3]
    assert world.take_sent() == [(2, Stop())]
    world.parent.received(2, ready())
    assert world.parent.serving is not None
    assert world.parent.serving.number == 1
    world.pass_time(STOP_ANSWER)
    assert world.killed == [2]
    world.parent.exited(2, -9)
    world.parent.received(3, FAILED)
    assert world.take_sent() == [
        (1, RestartFailed(paths=[".env", "hooks.py"], problems=[PROBLEM])),
        (1, Reload(paths=["live/a.py"])),
    ]


def test_what_changes_while_a_worker_starts_reaches_both(world: World) -> None:
    world.parent.changed(Changes(restart={"hooks.py"}))
    world.parent.changed(Changes(live={"live/a.py"}))
    assert world.take_sent() == [(2, Probe()), (1, Reload(paths=["live/a.py"]))]
    world.parent.received(2, ready())
    assert world.take_sent() == [(1, Retire(page=False)), (2, Reload(paths=["live/a.py"]))]


def test_a_retired_worker_that_stays_is_killed(world: World) -> None:
    world.parent.changed(Changes(restart={"hooks.py"}))
    world.parent.received(2, ready())
    world.pass_time(1.0)
    world.parent.received(1, Released())
    world.pass_time(RETIRE_LIMIT - 0.1)
    assert world.killed == []
    world.pass_time(0.1)
    assert world.killed == [1]
    assert world.parent.next_deadline() is None


def test_a_retired_worker_that_never_answers_is_killed_and_the_takeover_reported(world: World) -> None:
    world.parent.changed(Changes(restart={"hooks.py"}))
    world.parent.received(2, ready())
    assert world.served == [True]
    world.pass_time(REPORT_LIMIT)
    assert world.served == [True, False]
    world.pass_time(RETIRE_LIMIT - REPORT_LIMIT)
    assert world.killed == [1]
    world.parent.exited(1, -9)
    assert world.served == [True, False]


@pytest.mark.parametrize("is_told_first", [True, False])
def test_a_retired_worker_in_a_debugger_is_left_alone(world: World, is_told_first: bool) -> None:
    if is_told_first:
        world.parent.received(1, Debugging(active=True))
    world.parent.changed(Changes(restart={"hooks.py"}))
    world.parent.received(2, ready())
    world.parent.received(1, Debugging(active=True))
    world.pass_time(10 * RETIRE_LIMIT)
    assert world.killed == []
    assert world.served == [True, False]
    world.parent.received(1, Debugging(active=False))
    world.pass_time(RETIRE_LIMIT)
    assert world.killed == [1]


def test_a_worker_that_does_not_load_changed_code_is_replaced(world: World) -> None:
    world.parent.changed(Changes(live={"live/a.py"}))
    world.pass_time(ANSWER_LIMIT - 0.1)
    assert len(world.spawned) == 1
    world.pass_time(0.1)
    assert world.spawned[1:] == [(2, True, [])]
    assert world.notes == ["stuck"]
    world.parent.received(2, ready())
    assert world.take_sent()[-1] == (1, Retire(page=False))
    world.pass_time(STOP_ANSWER)  # it is known not to answer
    assert world.killed == [1]
    world.parent.exited(1, -9)
    assert world.served == [True, False]
    world.take_sent()
    world.parent.changed(Changes(live={"live/a.py"}))
    assert world.take_sent() == [(2, Reload(paths=["live/a.py"]))]


def test_a_worker_that_says_nothing_about_its_imports_is_replaced(world: World) -> None:
    world.parent.changed(Changes(python={"app/db.py"}))
    world.pass_time(ANSWER_LIMIT)
    assert len(world.spawned) == 2


def test_a_worker_that_answers_late_stays(world: World) -> None:
    world.parent.changed(Changes(live={"live/a.py"}))
    world.pass_time(ANSWER_LIMIT)
    world.take_sent()
    world.parent.received(1, Reloaded(ok=True))
    assert world.take_sent() == [(2, Stop())]
    world.parent.received(2, ready())
    assert world.parent.serving is not None
    assert world.parent.serving.number == 1
    world.parent.changed(Changes(restart={"hooks.py"}))
    assert world.spawned[-1] == (3, False, [])


def test_a_late_answer_does_not_stop_a_worker_that_was_wanted_anyway(world: World) -> None:
    world.parent.changed(Changes(live={"live/a.py"}))
    world.pass_time(ANSWER_LIMIT)
    world.parent.changed(Changes(restart={"hooks.py"}))
    world.parent.received(1, Reloaded(ok=True))
    world.parent.received(3, ready())
    assert world.parent.serving is not None
    assert world.parent.serving.number == 3


def test_a_worker_in_a_debugger_has_all_the_time(world: World) -> None:
    world.parent.received(1, Debugging(active=True))
    world.parent.changed(Changes(live={"live/a.py"}))
    world.pass_time(10 * ANSWER_LIMIT)
    assert len(world.spawned) == 1
    world.parent.received(1, Debugging(active=False))
    world.pass_time(ANSWER_LIMIT - 0.1)
    assert len(world.spawned) == 1
    world.parent.received(1, Debugging(active=True))
    world.pass_time(ANSWER_LIMIT)
    world.parent.received(1, Reloaded(ok=True))  # who answers is in no debugger
    assert world.held == [True, False, True, False]
    assert world.parent.next_deadline() is None
    assert len(world.spawned) == 1


def test_a_worker_whose_start_never_ends_is_replaced_when_something_changes(world: World) -> None:
    world.parent.changed(Changes(restart={"hooks.py"}))
    world.pass_time(START_NOTE)
    assert world.notes[-1] == "wait"
    world.take_sent()
    world.parent.changed(Changes(live={"live/a.py"}))
    assert world.take_sent() == [(2, Probe()), (1, Reload(paths=["live/a.py"]))]
    world.parent.received(1, Reloaded(ok=True))
    world.pass_time(ANSWER_LIMIT)
    assert world.take_sent() == [(2, Stop())]
    assert world.spawned[-1] == (3, False, [])
    world.parent.received(3, ready())
    assert world.take_sent() == [(1, Retire(page=True))]


def test_a_start_that_is_only_slow_is_left_alone(world: World) -> None:
    world.parent.changed(Changes(restart={"hooks.py"}))
    world.parent.changed(Changes(css={"/x.css"}))
    world.parent.received(2, Alive())
    world.pass_time(10 * ANSWER_LIMIT)
    assert len(world.spawned) == 2


def test_others_keep_off_the_terminal_of_a_debugger(world: World) -> None:
    world.parent.received(1, Debugging(active=True))
    assert world.held == [True]
    world.parent.changed(Changes(restart={"hooks.py"}))
    assert world.take_sent() == [(2, Hold(active=True))]
    world.parent.received(2, ready())
    world.take_sent()
    world.parent.exited(1, -9)
    assert world.held == [True, False]
    assert world.take_sent() == [(2, Hold(active=False))]


def test_a_module_that_is_not_imported_counts_while_live_modules_fail(world: World) -> None:
    world.parent.changed(Changes(live={"live/a.py"}))
    world.parent.received(1, Reloaded(ok=False))
    world.take_sent()
    world.parent.changed(Changes(python={"helper.py"}, live={"live/b.py"}, css={"/x.css"}))
    assert world.take_sent() == [(1, WhichImported(paths=["helper.py"]))]
    world.parent.received(1, Imported(paths=[]))
    assert world.take_sent() == [
        (1, Reload(paths=["helper.py", "live/b.py"])),
        (1, Assets(css=["/x.css"], page=False)),
    ]
    world.parent.received(1, Reloaded(ok=True))
    world.parent.changed(Changes(python={"helper.py"}))
    world.parent.received(1, Imported(paths=[]))
    assert world.take_sent() == [(1, WhichImported(paths=["helper.py"]))]
    assert len(world.spawned) == 1


def test_a_module_counts_too_that_was_broken_at_the_start() -> None:
    world = World()
    world.parent.start()
    world.parent.received(1, ready(failing=["helper.py"]))
    world.parent.changed(Changes(python={"helper.py"}))
    world.parent.received(1, Imported(paths=[]))
    assert world.take_sent()[-1] == (1, Reload(paths=["helper.py"]))


def test_a_new_worker_may_lack_what_the_serving_one_never_had() -> None:
    world = World()
    world.parent.start()
    world.parent.received(1, ready(failing=["live/bad.py", "live/worse.py"]))
    world.parent.changed(Changes(live={"live/bad.py"}))
    world.parent.received(1, Reloaded(ok=False, failing=["live/worse.py"]))
    world.parent.changed(Changes(restart={"hooks.py"}))
    assert world.excused == [[], ["live/worse.py"]]


def test_a_degraded_worker_is_replaced_by_any_code_change() -> None:
    world = World()
    world.parent.start()
    world.parent.received(1, ready(degraded=True))
    world.parent.changed(Changes(python={"app/db.py"}))
    assert [number for number, _, _ in world.spawned] == [1, 2]
    world.parent.received(2, FAILED)
    assert world.take_sent() == [(1, RestartFailed(paths=["app/db.py"], problems=[PROBLEM]))]
    world.parent.changed(Changes(restart={"hooks.py"}))
    world.parent.received(3, ready())
    assert world.take_sent() == [(1, Retire(page=False))]


def test_a_first_start_that_fails_ends_the_program() -> None:
    world = World()
    world.parent.start()
    world.parent.received(1, LoadFailed(problems=[PROBLEM], exit_code=2))
    assert world.shown == [PROBLEM]
    assert world.parent.exit_code == 2
    assert not world.parent.is_done
    world.parent.exited(1, 2)
    assert world.parent.is_done


def test_a_first_worker_that_ends_without_a_word_ends_the_program() -> None:
    world = World()
    world.parent.start()
    world.parent.exited(1, 7)
    assert "exit code 7" in world.shown[0]["message"]
    assert world.parent.exit_code == 3
    assert world.parent.is_done


def test_a_crash_starts_another_worker_but_not_for_ever(world: World) -> None:
    for number in range(1, MAX_CRASHES + 2):
        world.parent.exited(number, -11)
        world.parent.received(number + 1, ready())
    assert len(world.spawned) == MAX_CRASHES + 1
    assert world.notes[-1] == "wait"
    assert all(may_degrade for _, may_degrade, _ in world.spawned)
    world.parent.changed(Changes(live={"live/a.py"}))
    assert len(world.spawned) == MAX_CRASHES + 2
    assert world.parent.exit_code is None


def test_crashes_after_steady_service_start_to_count_anew(world: World) -> None:
    for number in range(1, 10):
        world.now += STEADY
        world.parent.exited(number, 1)
        world.parent.received(number + 1, ready())
    assert len(world.spawned) == 10


def test_a_restart_after_a_crash_that_fails_waits_for_a_change(world: World) -> None:
    world.parent.exited(1, -11)
    world.parent.received(2, FAILED)
    world.parent.exited(2, 3)
    assert world.shown == [PROBLEM]
    assert world.parent.exit_code is None
    world.parent.changed(Changes(page={"web/index.html"}))
    assert len(world.spawned) == 3


def test_a_crash_forgets_what_the_worker_was_asked(world: World) -> None:
    world.parent.changed(Changes(python={"app/db.py"}))
    world.parent.exited(1, 1)
    world.parent.received(2, ready())
    world.take_sent()
    world.parent.changed(Changes(live={"live/a.py"}))
    assert world.take_sent() == [(2, Reload(paths=["live/a.py"]))]


def test_ctrl_c_ends_in_order(world: World) -> None:
    world.parent.interrupt()
    assert world.take_sent() == [(1, Stop())]
    assert world.parent.exit_code == 0
    assert not world.parent.is_done
    world.parent.received(1, Stopping())
    world.pass_time(STOP_ANSWER)
    assert world.killed == []
    world.parent.exited(1, 0)
    assert world.parent.is_done
    assert world.notes == []


def test_ctrl_c_ends_workers_of_every_role(world: World) -> None:
    world.parent.changed(Changes(restart={"hooks.py"}))
    world.parent.received(2, ready())
    world.parent.changed(Changes(restart={"hooks.py"}))
    world.take_sent()
    world.parent.interrupt()
    assert world.take_sent() == [(1, Stop()), (2, Stop()), (3, Stop())]
    world.parent.received(3, ready())
    assert world.take_sent() == []


def test_a_blocked_worker_is_killed_soon_after_ctrl_c(world: World) -> None:
    world.parent.interrupt()
    assert world.parent.next_deadline() == world.now + STOP_ANSWER
    world.pass_time(STOP_ANSWER)
    assert world.killed == [1]
    world.parent.exited(1, -9)
    assert world.parent.exit_code == 0
    assert world.parent.is_done


def test_a_slow_end_is_explained_and_bounded(world: World) -> None:
    world.parent.interrupt()
    world.parent.received(1, Stopping())
    world.pass_time(STOP_NOTE)
    assert world.notes == ["stop"]
    world.pass_time(STOP_LIMIT)
    assert world.killed == [1]


def test_a_second_ctrl_c_ends_at_once(world: World) -> None:
    world.parent.interrupt()
    world.parent.interrupt()
    assert world.killed == [1]
    assert world.parent.exit_code == 130
    world.parent.exited(1, -9)
    assert world.parent.is_done


def test_ctrl_c_before_the_first_worker_is_ready() -> None:
    world = World()
    world.parent.start()
    world.parent.interrupt()
    world.parent.exited(1, 0)
    assert world.parent.exit_code == 0
    assert world.parent.is_done
    assert world.shown == []


def test_changes_after_the_end_are_ignored(world: World) -> None:
    world.parent.interrupt()
    world.take_sent()
    world.parent.changed(Changes(restart={"hooks.py"}, live={"live/a.py"}))
    assert world.take_sent() == []
    assert len(world.spawned) == 1
