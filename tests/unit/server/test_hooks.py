"""hooks.py: parameters by name, near misses, what is refused. Spec: platform 1.1 and 1.2."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from runtime.core.clock import SystemClock
from runtime.core.errors import HookTimeout
from runtime.core.metrics import Metrics
from runtime.core.settings import ServerSettings, Settings, SettingsError
from runtime.live.collector import Collector, current
from runtime.server.assembly import StartupError, assemble
from runtime.server.hooks import HOOKS, Hook, HookContext, HookSet, HookSignatureError, load_hooks
from runtime.server.hookwatch import HookWatch
from tests.server.peers import write_file


def module(**members: Any) -> types.ModuleType:
    made = types.ModuleType("hooks_of_test")
    for name, value in members.items():
        if isinstance(value, types.FunctionType):
            value.__module__ = made.__name__
        setattr(made, name, value)
    return made


@pytest.mark.spec("PLAT-3")
async def test_a_hook_gets_what_it_names_and_nothing_else() -> None:
    async def on_open(platform: Any, ws: Any) -> Any:
        return ws, platform

    assert await Hook("open", on_open)(ws=1, platform=2) == (1, 2)
    assert await Hook("open", lambda: "none")(ws=1, platform=2) == "none"
    assert await Hook("open", lambda *, ws: ws)(ws=1, platform=2) == 1
    assert await Hook("close", lambda ws, own="default": (ws, own))(ws=1, code=1000) == (1, "default")


@pytest.mark.spec("PLAT-3")
async def test_a_hook_may_take_everything_or_a_context() -> None:
    values = {"ws": 1, "topic": "a", "platform": 2}
    assert await Hook("subscribe", lambda **all: all)(**values) == values
    assert await Hook("subscribe", lambda topic, **rest: (topic, rest))(**values) == (
        "a",
        {"ws": 1, "platform": 2},
    )
    assert await Hook("subscribe", lambda ctx: (ctx.ws, ctx.topic, ctx.platform))(**values) == (1, "a", 2)
    assert await Hook("subscribe", lambda topic, ctx: (topic, ctx.ws))(**values) == ("a", 1)
    assert await Hook("subscribe", lambda *rest: rest)(**values) == ()


async def test_the_context_has_every_name_of_the_row_and_says_which_those_are() -> None:
    seen: list[HookContext] = []
    await Hook("subscribe", lambda ctx: seen.append(ctx))(ws=1, topic="a")
    (ctx,) = seen
    assert (ctx.ws, ctx.topic, ctx.platform) == (1, "a", None)
    with pytest.raises(
        AttributeError, match="ctx of hook subscribe has no 'user'; it has ws, topic, platform"
    ):
        _ = ctx.user
    assert not hasattr(ctx, "code")
    assert repr(ctx) == "<HookContext of subscribe>"


async def test_a_ready_made_hook_of_a_plugin_fits_as_it_is() -> None:
    class Plugin:
        def __init__(self) -> None:
            self.seen: list[Any] = []

        async def open(self, ws: Any, ctx: HookContext) -> None:
            self.seen.append((ws, ctx.platform))

    plugin = Plugin()
    hooks = HookSet.from_module(module(open=plugin.open))
    await hooks.run("open", None, ws=1, platform=2)
    assert plugin.seen == [(1, 2)]


async def test_methods_and_callable_objects_are_hooks_too() -> None:
    class Own:
        def method(self, ws: Any) -> Any:
            return ws

        async def __call__(self, topic: str) -> str:
            return topic

    own = Own()
    assert await Hook("open", own.method)(ws=1, platform=2) == 1
    assert await Hook("subscribe", own)(ws=1, topic="a") == "a"


def unknown(socket): ...
def positional(ws, /): ...


@pytest.mark.spec("PLAT-3")
@pytest.mark.parametrize(
    ("name", "function", "message"),
    [
        ("open", unknown, "hook open: unknown parameter 'socket'; it may take ws, platform or ctx"),
        ("upgrade", lambda ws: None, "hook upgrade: unknown parameter 'ws'; it may take headers, cookies"),
        ("close", lambda *, why: None, "hook close: unknown parameter 'why'"),
        ("open", positional, "hook open: 'ws' is positional-only"),
    ],
)
def test_a_parameter_that_cannot_be_given_is_refused_when_it_is_bound(
    name: str, function: Any, message: str
) -> None:
    with pytest.raises(HookSignatureError, match=message):
        Hook(name, function)


def test_a_callable_without_readable_parameters_is_refused() -> None:
    with pytest.raises(HookSignatureError, match=r"hook open: the parameters of .* cannot be read"):
        Hook("open", type)


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_may_have_each_of_its_parameters(name: str) -> None:
    function = eval(f"lambda {', '.join(HOOKS[name])}: None")
    assert Hook(name, function).name == name
    assert "platform" in HOOKS[name]


def test_hooks_are_found_by_name_and_routes_come_along() -> None:
    routes = [object()]
    found = HookSet.from_module(module(open=lambda ws: None, other=lambda: None, CONSTANT=5, routes=routes))
    assert found.get("open") is not None
    assert found.get("close") is None
    assert found.routes == tuple(routes)
    assert HookSet.from_module(module(routes="no list")).routes == ()


@pytest.mark.spec("PLAT-4")
@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("on_open", None),
        ("opne", "open"),
        ("opened", "open"),
        ("subscribeBatch", "subscribe_batch"),
        ("subscribe_bach", "subscribe_batch"),
        ("un_subscribe", "unsubscribe"),
        ("subscribed", "subscribe"),
        ("authentikate", "authenticate"),
        ("drian", "drain"),
        ("shutdow", "shutdown"),
        ("Init", None),
        ("helper", None),
        ("_opne", None),
    ],
)
def test_names_that_look_like_a_hook_are_reported(
    name: str, meant: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    HookSet.from_module(module(**{name: lambda: None}))
    if meant is None:
        assert "did you mean" not in caplog.text or "Init" in name
    else:
        assert f"hooks.py: {name} is no hook; did you mean {meant}?" in caplog.text


def test_an_imported_function_is_not_taken_for_a_misspelt_hook(caplog: pytest.LogCaptureFixture) -> None:
    made = module()
    made.opne = len
    HookSet.from_module(made)
    assert caplog.text == ""


@pytest.mark.spec("PLAT-4")
def test_the_camel_case_form_is_reported_of_whatever_can_be_called(caplog: pytest.LogCaptureFixture) -> None:
    made = module()
    made.subscribeBatch = functools.partial(len)
    HookSet.from_module(made)
    assert "hooks.py: subscribeBatch is no hook; did you mean subscribe_batch?" in caplog.text


@pytest.mark.spec("PLAT-2")
@pytest.mark.parametrize(
    ("value", "named"),
    [(None, "a value of NoneType"), ("text", "a value of str"), (functools, "the module functools")],
)
def test_a_hook_that_cannot_be_called_lets_nobody_in(value: Any, named: str) -> None:
    made = module(open=lambda: None)
    made.upgrade = value  # what a decorator leaves that returns nothing
    with pytest.raises(HookSignatureError, match=f"hook upgrade: hooks.py has {named} under this name"):
        HookSet.from_module(made)


def yielding() -> Any:
    yield True


async def yielding_later() -> Any:
    yield True


@pytest.mark.spec("PLAT-2", "PLAT-103")
@pytest.mark.parametrize("function", [yielding, yielding_later, functools.partial(yielding_later)])
def test_a_hook_that_yields_is_refused(function: Any) -> None:
    with pytest.raises(HookSignatureError, match="hook subscribe: it has a yield"):
        Hook("subscribe", function)


@pytest.mark.spec("PLAT-103")
@pytest.mark.parametrize("function", [yielding, yielding_later])
async def test_a_generator_is_no_answer(function: Any) -> None:
    watch = HookWatch(Metrics(), SystemClock(), dev=False)
    hook = Hook("subscribe", lambda: function())
    for asked in (hook(), hook.timed(watch, {})):
        with pytest.raises(TypeError, match="hook subscribe returned a generator"):
            await asked


async def test_who_calls_exit_is_named() -> None:
    with pytest.raises(RuntimeError, match=r"^hook open called sys\.exit\(\)"):
        await Hook("open", lambda: sys.exit(1))()


@pytest.mark.spec("PLAT-4")
def test_a_class_is_reported_for_the_camel_case_form_only(caplog: pytest.LogCaptureFixture) -> None:
    made = module()
    for name in ("Close", "Message", "subscribeBatch"):
        vars(made)[name] = type(name, (), {"__module__": made.__name__})
    HookSet.from_module(made)
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "hooks.py: subscribeBatch is no hook"
    ]
    assert ", ".join(HOOKS) in caplog.text


SYNC, ASYNC, AWAITABLE = "sync", "async", "awaitable"


def in_form(form: str, function: Any) -> Any:
    """Return a hook without parameters of its own that does what `function` does."""
    if form == SYNC:
        return lambda **all: function()

    async def wanted(**all: Any) -> Any:
        await asyncio.sleep(0)
        return function()

    return wanted if form == ASYNC else lambda **all: asyncio.ensure_future(wanted(**all))


@pytest.mark.spec("PLAT-5")
@pytest.mark.parametrize("name", HOOKS)
@pytest.mark.parametrize("form", [SYNC, ASYNC, AWAITABLE])
async def test_plain_and_async_hooks_answer_and_fail_alike(name: str, form: str) -> None:
    def fail() -> None:
        raise LookupError("broken hook")

    works = HookSet({name: Hook(name, in_form(form, lambda: False))})
    assert await works.run(name, 5.0) is False
    breaks = HookSet({name: Hook(name, in_form(form, fail))})
    with pytest.raises(LookupError, match="broken hook"):
        await breaks.run(name, 5.0)
    assert await breaks.attempt(name, 5.0) is False


async def never(**all: Any) -> None:
    await asyncio.Event().wait()


async def swallowing(**all: Any) -> str:
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    return "too late"


async def breaking(**all: Any) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        raise OSError("while it was ended")


@pytest.mark.spec("PLAT-182")
@pytest.mark.parametrize("function", [never, swallowing, breaking])
async def test_an_async_hook_is_ended_by_its_limit(function: Any, caplog: pytest.LogCaptureFixture) -> None:
    metrics, hooks = Metrics(), HookSet({"open": Hook("open", function)})
    hooks.watch = HookWatch(metrics, SystemClock(), dev=True)
    assert await hooks.run("close", 1.0, ws=1) is None
    with pytest.raises(HookTimeout, match=r"hook open took longer than 0\.01 s and was ended"):
        await hooks.run("open", 0.01, ws=1)
    assert await hooks.attempt("open", 0.01, ws=1) is False
    assert "hook open took longer than 0.01 s and was ended; look for what it waits for" in caplog.text
    assert metrics.get("hook_timeouts_total", "open") == 2
    assert metrics.get("hook_errors_total", "open") == 0
    assert sum(metrics.spread("hook_duration_seconds", "open").counts) == 2
    assert metrics.spread("hook_duration_seconds", "open").total >= 0.02


async def test_a_timeout_of_the_hook_itself_is_a_failure_like_any_other() -> None:
    async def impatient() -> None:
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()

    metrics, hooks = Metrics(), HookSet({"open": Hook("open", impatient)})
    hooks.watch = HookWatch(metrics, SystemClock(), dev=True)
    assert await hooks.attempt("open", 5.0) is False
    assert metrics.get("hook_errors_total", "open") == 1
    assert metrics.get("hook_timeouts_total", "open") == 0


@pytest.mark.parametrize("limit", [None, 0])
async def test_without_a_limit_a_hook_takes_as_long_as_it_takes(limit: float | None) -> None:
    async def slow() -> str:
        for _ in range(20):
            await asyncio.sleep(0)
        return "done"

    assert await HookSet({"init": Hook("init", slow)}).run("init", limit) == "done"


class Stopwatch(SystemClock):
    """A clock that a hook moves by as long as it pretends to block."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.mark.spec("PLAT-182")
@pytest.mark.parametrize("fails", [False, True])
async def test_a_plain_hook_that_blocks_is_reported_in_dev(
    fails: bool, caplog: pytest.LogCaptureFixture
) -> None:
    clock, metrics = Stopwatch(), Metrics()

    def block() -> None:
        clock.seconds += 1.25
        if fails:
            raise RuntimeError("broken hook")

    hooks = HookSet({"message": Hook("message", block), "open": Hook("open", lambda: None)})
    hooks.watch = HookWatch(metrics, clock, dev=True)
    await hooks.attempt("open", 5.0)
    await hooks.attempt("message", 5.0)
    (report,) = [one.getMessage() for one in caplog.records if "blocked" in one.getMessage()]
    assert report.startswith("hook message blocked everybody for 1250 ms")
    assert metrics.spread("hook_duration_seconds", "message").total == 1.25
    for _ in range(9):  # it is said once in ten seconds
        await hooks.attempt("message", 5.0)
    assert caplog.text.count("blocked everybody") == 2


async def test_in_production_it_is_only_measured(caplog: pytest.LogCaptureFixture) -> None:
    clock, metrics = Stopwatch(), Metrics()

    def block() -> None:
        clock.seconds += 3

    hooks = HookSet({"open": Hook("open", block)})
    hooks.watch = HookWatch(metrics, clock, dev=False)
    await hooks.attempt("open", 5.0)
    assert caplog.text == ""
    assert metrics.spread("hook_duration_seconds", "open").counts[-1] == 1


async def test_an_async_hook_that_waits_blocks_nobody(caplog: pytest.LogCaptureFixture) -> None:
    clock = Stopwatch()

    async def wait() -> None:
        await asyncio.sleep(0)
        clock.seconds += 3

    hooks = HookSet({"open": Hook("open", wait)})
    hooks.watch = HookWatch(Metrics(), clock, dev=True)
    await hooks.attempt("open", 5.0)
    assert caplog.text == ""


async def test_a_hook_that_is_cancelled_from_outside_passes_that_on() -> None:
    hooks = HookSet({"open": Hook("open", never)})
    running = asyncio.ensure_future(hooks.attempt("open", 5.0))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def test_a_file_is_loaded_under_a_private_name_and_declares_into_its_collector(tmp_path: Path) -> None:
    file = write_file(
        tmp_path,
        "hooks.py",
        """
        from runtime import live
        live.middleware(lambda ctx, next: next())
        name = __name__
        def open(ws): return name
        """,
    )
    collector = Collector()
    hooks = load_hooks(file, collector)
    assert hooks.get("open") is not None
    assert len(collector.middleware) == 1
    assert current() is not collector
    assert load_hooks(tmp_path / "missing.py", collector).get("open") is None


def test_a_file_that_fails_leaves_no_module_behind(tmp_path: Path) -> None:
    before = set(sys.modules)
    file = write_file(tmp_path, "hooks.py", "import sys\nraise RuntimeError('no')\n")
    with pytest.raises(RuntimeError, match="no"):
        load_hooks(file, Collector())
    assert not [name for name in set(sys.modules) - before if "hooks" in name]


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("hooks.py", "hooks.py"),
        ("app/hooks.py", "app/hooks.py"),
        ("app.hooks", "app/hooks.py"),
        ("app", "app.py"),
        ("my-app/hooks.py", "my-app/hooks.py"),
        ("my-app.hooks", "my-app.hooks"),
    ],
)
def test_the_setting_names_a_file_or_a_module(value: str, path: str) -> None:
    assert ServerSettings(hooks=value).hooks == path


@pytest.mark.parametrize("value", ["../hooks.py", "/etc/hooks.py", "", "a:b"])
def test_the_setting_stays_inside_the_project(value: str) -> None:
    with pytest.raises(SettingsError, match="hooks: expected a Python file inside the project"):
        ServerSettings(hooks=value)


@pytest.mark.spec("PLAT-1")
@pytest.mark.parametrize("value", ["app.hooks", "app/hooks.py", "hooks.py"])
async def test_hooks_of_another_place_are_loaded_and_the_usual_file_may_be_missing(
    tmp_path: Path, value: str
) -> None:
    write_file(tmp_path, "app/hooks.py", "def subscribe(topic): return 'NO'\n")
    settings = Settings(server=ServerSettings(env="test", hooks=value, shutdown_timeout=0))
    runtime = assemble(tmp_path, settings)
    await runtime.start()
    assert runtime.membership.gate.is_open is (value == "hooks.py")
    await runtime.stop()


@pytest.mark.spec("PLAT-2")
async def test_hooks_that_the_settings_name_may_not_be_missing(tmp_path: Path) -> None:
    settings = Settings(server=ServerSettings(env="production", hooks="app.hoks"))
    with pytest.raises(StartupError, match=r"\[server\] hooks: there is no file .*hoks\.py"):
        await assemble(tmp_path, settings).start()
