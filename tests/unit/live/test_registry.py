"""What a module that has run declares, and how modules become one registry. Spec: live-api 1."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import pytest

from runtime.live.collector import Collector, collecting
from runtime.live.registry import LiveModule, Registry, build_module, build_registry
from tests.server.peers import write_file


def load(tmp_path: Path, source: str, name: str = "a") -> LiveModule:
    """Run `source` as the live module `name` and read what it declares."""
    file = write_file(tmp_path, f"live/{name}.py", source)
    module = types.ModuleType(f"_test.live.{name.replace('/', '.')}")
    module.__file__ = str(file)
    collector = Collector()
    with collecting(collector):
        exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), vars(module))
    return build_module(module, name, file, tmp_path, collector)


def test_an_endpoint_knows_where_it_comes_from(tmp_path: Path) -> None:
    module = load(
        tmp_path,
        '''
        from runtime import guard, live

        _guard = guard(authenticated=True)

        @live.public
        @live.volatile
        async def add(ctx, text: str, n: int = 1) -> int:
            """Add a row."""

        @live.stream(lambda room: f"rows:{room}", merge="set")
        async def rows(ctx, room: str): ...

        typing = live.channel(lambda room: f"typing:{room}")
        news = live.channel("news")
        ''',
        "sub/a",
    )
    add, rows, typing, news = module.endpoints
    assert (add.path, add.module, add.name, add.kind) == ("sub/a/add", "sub/a", "add", "rpc")
    assert (add.file, add.line, add.doc) == ("live/sub/a.py", 6, "Add a row.")
    assert (add.public, add.volatile, add.thread, add.guarded, add.member) == (True, True, False, True, None)
    assert [p.name for p in add.signature.parameters] == ["text", "n"]
    assert (add.dynamic, rows.dynamic, typing.dynamic, news.dynamic) == (False, True, True, False)
    assert [(e.kind, e.fn is None) for e in (rows, typing, news)] == [
        ("stream", False),
        ("channel", True),
        ("channel", True),
    ]
    assert (typing.line, news.line) == (14, 15)
    assert (module.name, module.file, module.problems) == ("sub/a", "live/sub/a.py", ())


@pytest.mark.spec("LIVE-3", "LIVE-47")
@pytest.mark.parametrize(
    ("source", "warnings"),
    [
        ("@live\nasync def a(ctx): ...", ["no _guard: anybody may call a; add one"]),
        ("@live\nasync def a(ctx): ...\n@live\nasync def b(ctx): ...", ["anybody may call a, b"]),
        ("@live.public\n@live\nasync def a(ctx): ...", []),
        ("# realtime-allow-public\n@live\nasync def a(ctx): ...", []),
        ("_guard = lambda ctx: True\n@live\nasync def a(ctx): ...", []),
        ("@live.public\nasync def a(ctx): ...\n@live\nasync def b(ctx): ...", ["anybody may call a, b"]),
        ("async def helper(ctx): ...", ["helper is not wrapped: put @live over it"]),
        ("def plain(ctx): ...", []),
        ("@live\nasync def _hidden(ctx): ...", ["_hidden is reserved"]),
        ("_room = live.channel('x')", ["_room is reserved"]),
        ("from asyncio import sleep\nCONSTANT = 5", []),
    ],
)
def test_what_is_odd_about_a_module_is_a_warning(tmp_path: Path, source: str, warnings: list[str]) -> None:
    module = load(tmp_path, "from runtime import live\n" + source)
    assert len(module.warnings) == len(warnings)
    for warning, text in zip(module.warnings, warnings, strict=True):
        assert text in warning
        assert warning.startswith("live/a.py: ")


async def test_a_guard_that_is_none_refuses_every_call(tmp_path: Path) -> None:
    module = load(tmp_path, "from runtime import live\n_guard = 'admin'\n@live\nasync def a(ctx): ...")
    (problem,) = module.problems
    assert "_guard must be made by guard(...) or be a function of ctx, not 'admin'" in problem.message
    ctx = types.SimpleNamespace(user={"id": 1})
    with pytest.raises(Exception, match="FORBIDDEN"):
        await module.endpoints[0].guard(ctx)


def test_mistakes_in_one_declaration_leave_the_others(tmp_path: Path) -> None:
    source = "from runtime import live\n\n@live\nasync def bad(): ...\n\n@live\nasync def good(ctx): ..."
    module = load(tmp_path, source)
    assert [endpoint.path for endpoint in module.endpoints] == ["a/good"]
    (problem,) = module.problems
    assert (problem.line, problem.kind) == (3, "SignatureError")
    assert (3, "@live") in problem.excerpt


@pytest.mark.spec("LIVE-6", "LIVE-7")
def test_clashes_name_both_and_register_neither(tmp_path: Path) -> None:
    source = "from runtime import live\n@live.stream('rows')\nasync def NAME(ctx): ..."
    one = load(tmp_path, source.replace("NAME", "x"), "a")
    two = load(tmp_path, source.replace("NAME", "y"), "b")
    three = load(tmp_path, "from runtime import live\n@live\nasync def z(ctx): ...", "c")
    registry = build_registry([three, two, one])
    assert list(registry.endpoints) == ["c/z"]
    assert list(registry.modules) == ["a", "b", "c"]
    (problem,) = registry.problems
    assert (problem.kind, problem.file, problem.line) == ("DuplicateTopic", "live/b.py", 2)
    assert problem.message == "topic 'rows' is declared twice: live/a.py:2 and live/b.py:2"
    assert registry.find("a/x") is None
    assert registry.find("c/z") is three.endpoints[0]


def test_channels_may_share_a_topic_and_functions_may_compute_one(tmp_path: Path) -> None:
    source = (
        "from runtime import live\nx = live.channel('t')\n@live.stream(lambda: 't')\nasync def y(ctx): ..."
    )
    registry = build_registry([load(tmp_path, source, "a"), load(tmp_path, source, "b")])
    assert registry.problems == ()
    assert len(registry.endpoints) == 4


def test_a_registry_cannot_be_changed() -> None:
    registry: Any = Registry()
    with pytest.raises(TypeError):
        registry.endpoints["a/b"] = None
    with pytest.raises(AttributeError):
        registry.problems = ()
