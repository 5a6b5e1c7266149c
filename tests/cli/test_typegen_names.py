"""Names of an app that mean something else where type declarations are written."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from realtime_cli import typegen
from realtime_cli.typegen.nodes import NULL, UNKNOWN, Array, Basic, Literals, Node, Record, Tuple, Union
from realtime_cli.typegen.stubs import _TAKEN, StubWriter
from realtime_cli.typegen.typescript import _RESERVED_TYPES, CLIENT_TYPES
from realtime_cli.typegen.typescript import type_text as typescript_text
from runtime.live.loader import LiveLoader
from tests.cli.apps import write_project
from tests.cli.commands import environment

CLASHING = {
    "live/names.py": """
        from __future__ import annotations
        import typing as t
        from runtime import live

        # No class of a name that the declarations use, and no name of a language, may get through as it is.
        def made(name: str):
            return t.TypedDict(name, {"x": int})

        Record, Rpc, StreamStore, ErrorCode = map(made, ("Record", "Rpc", "StreamStore", "ErrorCode"))
        string, unknown, never, symbol, delete = map(made, ("string", "unknown", "never", "symbol", "delete"))
        Any, Future, Live, Names, Numbers = map(made, ("Any", "Future", "Live", "Names", "Numbers"))
        Holder = t.TypedDict("Holder", {"str": str, "text": str, "list": list[int], "Numbers": Numbers})

        @live
        async def one(ctx, a: Record, b: dict[str, Rpc], c: StreamStore, d: ErrorCode, e: Names) -> Holder: ...

        @live
        async def two(ctx, a: string, b: unknown, c: never, d: symbol, e: delete) -> tuple[Future, Live]: ...

        @live
        async def three(ctx, timeout: int, timeout_: str, *, fresh: bool = True) -> Any: ...

        @live.stream("rpc")
        async def StreamFactory(ctx, key: str = "") -> list[str]: ...
    """,
    "live/builtin.py": """
        import typing
        from runtime import live

        @live
        async def list(ctx, ids: list[int]) -> list[str]: ...

        @live
        async def str(ctx, text: str) -> dict[str, int]: ...

        @live
        async def Future(ctx, names: typing.List[int]) -> typing.List[typing.Any]: ...

        @live
        async def Record(ctx) -> bool: ...
    """,
    "live/a_b.py": "from runtime import live\n@live\nasync def first(ctx) -> int: ...\n",
    "live/a.py": """
        from runtime import live

        @live
        async def zero(ctx, n: int) -> int: ...

        @live.stream("c")
        async def c(ctx) -> int: ...
    """,
    "live/a/b.py": "from runtime import live\n@live\nasync def second(ctx) -> str: ...\n",
    "live/a/property.py": "from runtime import live\n@live\nasync def third(ctx) -> str: ...\n",
    "live/a/z.py": "from runtime import live\n@live\nasync def fourth(ctx) -> str: ...\n",
    "live/streams.py": """
        from runtime import live

        @live.stream("1")
        async def d_e(ctx) -> int: ...

        @live.stream("2")
        async def dE(ctx) -> str: ...
    """,
}
CLASHING_PROGRAM = """
from typing import Any, TYPE_CHECKING, assert_type, cast
from runtime.client import Realtime

if TYPE_CHECKING:
    from realtime_live import AC, Any2, Live, StreamsDE, StreamsDE2

async def use(rt: Realtime) -> None:
    live = cast("Live", rt.live)
    assert_type(await live.builtin.list([1]), list[str])
    assert_type(await live.builtin.str("a"), dict[str, int])
    assert_type(await live.builtin.Future([1]), list[Any])
    assert_type(await live.names.three(1, "a", fresh=True), "Any2")
    assert_type((await live.names.one({"x": 1}, {}, {"x": 1}, {"x": 1}, {"x": 1}))["Numbers"]["x"], int)
    assert_type(await live.a_b.first(), int)
    assert_type(await live.a.zero(1), int)
    assert_type(await live.a.b.second(), str)
    assert_type(await live.a.property.third(), str)
    assert_type(await live.a.z.fourth(), str)
    await live.builtin.list(["x"])  # type: ignore[list-item]
    numbers: tuple[AC, StreamsDE, StreamsDE2] = (1, 2, "text")
"""


@pytest.fixture
def clashing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    project = write_project(tmp_path / "clashing", CLASHING)
    monkeypatch.setattr(sys, "path", list(sys.path))
    loader = LiveLoader(project, project / "live")
    loader.package.install()
    registry = loader.load().registry
    assert registry.problems == ()
    typegen.write_types(project, registry)
    yield typegen.render(project, registry)
    loader.close()


def test_no_name_of_an_app_breaks_the_declarations_for_python(
    clashing: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "clashing/program.py").write_text(CLASHING_PROGRAM)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "program.py", "types/python/realtime_live.pyi"],
        cwd=tmp_path / "clashing",
        env=environment({"MYPYPATH": "types/python"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_no_name_of_an_app_breaks_the_declarations_for_pages(clashing: dict[str, str]) -> None:
    text = clashing["live/names.d.ts"]
    assert "[a: Record2, b: Record<string, Rpc2>, c: StreamStore2, d: ErrorCode2, e: Names]" in text
    assert "[a: string2, b: unknown2, c: never2, d: symbol2, e: delete2]" in text
    assert "declare const $StreamFactory: StreamFactory<[key?: string], string[]>;" in text
    assert "export { $StreamFactory as StreamFactory };" in text
    for file, source in clashing.items():
        taken = set(re.findall(r"export (?:interface|type) (\w+)", source)) & _RESERVED_TYPES
        assert taken == (set(CLIENT_TYPES) if file == "live/client.d.ts" else set())


NODES: list[Node] = [
    *(Basic(name) for name in get_args(get_type_hints(Basic)["name"])),
    Literals(()),
    Literals((None, True, 1.5)),
    Literals((None, 1)),
    Array(NULL),
    Tuple(()),
    Tuple((NULL, NULL)),
    Record(NULL),
    Union((NULL, UNKNOWN)),
]


@pytest.mark.parametrize("node", NODES, ids=repr)
def test_every_name_that_a_written_type_uses_is_reserved(node: Node) -> None:
    assert set(re.findall(r"[A-Za-z_]\w*", typescript_text(node))) <= _RESERVED_TYPES | {"true"}
    assert set(re.findall(r"[A-Za-z_]\w*", StubWriter().type(node))) <= _TAKEN | {"None"}
