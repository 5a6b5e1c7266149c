"""hooks.py: parameters by name, near misses, what is refused. Spec: platform 1.1 and 1.2."""

from __future__ import annotations

import asyncio
import types
from pathlib import Path
from typing import Any

import pytest

from runtime.live.collector import Collector, current
from runtime.server.hooks import HOOKS, Hook, HookSet, HookSignatureError, load_hooks
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


@pytest.mark.parametrize("name", ["authenticate", "drain"])
def test_a_hook_that_is_not_run_is_refused_instead_of_ignored(name: str) -> None:
    with pytest.raises(HookSignatureError, match=f"hook {name} is not supported by this version"):
        HookSet.from_module(module(**{name: lambda: None}))


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


async def test_running_has_a_bound_and_a_missing_hook_answers_none() -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    hooks = HookSet({"init": Hook("init", never)})
    assert await hooks.run("open", 1.0, ws=1) is None
    with pytest.raises(TimeoutError):
        await hooks.run("init", 0.01)


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
    import sys

    before = set(sys.modules)
    file = write_file(tmp_path, "hooks.py", "import sys\nraise RuntimeError('no')\n")
    with pytest.raises(RuntimeError, match="no"):
        load_hooks(file, Collector())
    assert not [name for name in set(sys.modules) - before if "hooks" in name]
