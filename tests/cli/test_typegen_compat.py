"""`realtime types --check`: what of a new version breaks programs that were written for an old one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from realtime_cli import typegen
from realtime_cli.typegen.compatibility import breaking_changes
from realtime_cli.typegen.contract import BadContract, Contract, contract_of, read_contract
from runtime.live.loader import LiveLoader
from tests.cli.apps import write_project
from tests.cli.commands import realtime

HEAD = """
from __future__ import annotations
from enum import Enum
from typing import Any, Literal, NotRequired, TypedDict
from runtime import live

"""
NOTE = "class Note(TypedDict):\n    id: int\n    text: str\n"
TREE = "class Tree(TypedDict):\n    name: str\n    children: list[Tree]\n"

# What was, what is, and what is said of it: the kind of each change and its words.
CASES: dict[str, tuple[str, str, list[tuple[str, str]]]] = {
    "a removed path": (
        "@live\nasync def f(ctx): ...\n",
        "",
        [("removed-path", "is gone")],
    ),
    "another kind": (
        "@live\nasync def f(ctx) -> list[int]: ...\n",
        "@live.stream('f')\nasync def f(ctx) -> list[int]: ...\n",
        [("changed-kind", "was a call and is a stream now")],
    ),
    "a store that becomes a function": (
        "@live.stream('f')\nasync def f(ctx) -> int: ...\n",
        "@live.stream(lambda n: f'f:{n}')\nasync def f(ctx, n: int = 1) -> int: ...\n",
        [("changed-kind", "was a store and is a function that gives one now, in pages")],
    ),
    "an argument of another type": (
        "@live\nasync def f(ctx, a: str): ...\n",
        "@live\nasync def f(ctx, a: int): ...\n",
        [("changed-argument", "argument 'a' took string and takes integer now")],
    ),
    "a narrower argument": (
        "@live\nasync def f(ctx, a: float, b: str, c: Literal['x', 'y'], d: int | None): ...\n",
        "@live\nasync def f(ctx, a: int, b: Literal['x'], c: Literal['x'], d: int): ...\n",
        [
            ("changed-argument", "argument 'a' took number and takes integer now"),
            ("changed-argument", "argument 'b' took string and takes \"x\" now"),
            ("changed-argument", 'argument \'c\' took "x" | "y" and takes "x" now'),
            ("changed-argument", "argument 'd' took integer | null and takes integer now"),
        ],
    ),
    "a new required argument": (
        "@live\nasync def f(ctx, a: str = ''): ...\n",
        "@live\nasync def f(ctx, a: str, b: int): ...\n",
        [
            ("required-argument", "argument 'a' is required now"),
            ("required-argument", "needs a further argument 'b' now"),
        ],
    ),
    "a removed argument": (
        "@live\nasync def f(ctx, a: str, b: int): ...\n",
        "@live\nasync def f(ctx, a: str): ...\n",
        [("removed-argument", "takes no argument 'b' any more")],
    ),
    "no rest any more": (
        "@live\nasync def f(ctx, *a: str): ...\n",
        "@live\nasync def f(ctx, a: str = ''): ...\n",
        [("removed-argument", "takes no number of 'a' any more")],
    ),
    "a rest that an argument stands before": (
        "@live\nasync def f(ctx, *a: str): ...\n",
        "@live\nasync def f(ctx, b: int = 0, *a: str): ...\n",
        [("changed-argument", "argument 'a' took string and takes integer now")],
    ),
    "a key that arguments need": (
        f"{NOTE}@live\nasync def f(ctx, notes: list[Note]): ...\n",
        f"{NOTE}    by: str\n@live\nasync def f(ctx, notes: list[Note]): ...\n",
        [("changed-argument", "argument 'notes'[...] needs 'by' now")],
    ),
    "a key that arguments need always": (
        f"{NOTE}    by: NotRequired[str]\n@live\nasync def f(ctx, note: Note): ...\n",
        f"{NOTE}    by: str\n@live\nasync def f(ctx, note: Note): ...\n",
        [("changed-argument", "argument 'note' needs 'by' always now")],
    ),
    "a key that arguments must not have": (
        f"{NOTE}    by: str\n@live\nasync def f(ctx, note: Note): ...\n",
        f"{NOTE}@live\nasync def f(ctx, note: Note): ...\n",
        [("changed-argument", "argument 'note' takes no 'by' any more")],
    ),
    "a result without a key": (
        f"{NOTE}    by: str\n@live\nasync def f(ctx) -> dict[str, Note | None]: ...\n",
        f"{NOTE}@live\nasync def f(ctx) -> dict[str, Note | None]: ...\n",
        [("changed-result", "the result[...] has no 'by' any more")],
    ),
    "a result with a key that may be missing": (
        f"{NOTE}    by: str\n@live\nasync def f(ctx) -> Note: ...\n",
        f"{NOTE}    by: NotRequired[str]\n@live\nasync def f(ctx) -> Note: ...\n",
        [("changed-result", "the result may be without 'by' now")],
    ),
    "a wider result": (
        "@live\nasync def f(ctx) -> int: ...\n",
        "@live\nasync def f(ctx) -> float | None: ...\n",
        [("changed-result", "the result was integer and is number | null now")],
    ),
    "a result of which nothing is known": (
        "@live\nasync def f(ctx) -> int: ...\n",
        "@live\nasync def f(ctx): ...\n",
        [("changed-result", "the result was integer and is unknown now")],
    ),
    "a further value of an enum": (
        "class E(Enum):\n    A = 'a'\n@live\nasync def f(ctx) -> E: ...\n",
        "class E(Enum):\n    A = 'a'\n    B = 'b'\n@live\nasync def f(ctx) -> E: ...\n",
        [("changed-result", 'the result was "a" and is "a" | "b" now')],
    ),
    "the value of a stream": (
        f"{NOTE}@live.stream('f')\nasync def f(ctx) -> list[Note]: ...\n",
        f"{NOTE.replace('int', 'str')}@live.stream('f')\nasync def f(ctx) -> list[Note]: ...\n",
        [("changed-result", "the value[...]['id'] was integer and is string now")],
    ),
    "deep in a type that contains itself": (
        f"{TREE}@live\nasync def f(ctx) -> Tree: ...\n",
        f"{TREE.replace('name: str', 'name: str | None')}@live\nasync def f(ctx) -> Tree: ...\n",
        [("changed-result", "the result['name'] was string and is string | null now")],
    ),
    "a tuple of another length": (
        "@live\nasync def f(ctx, a: tuple[int, int]) -> tuple[int, str]: ...\n",
        "@live\nasync def f(ctx, a: tuple[int]) -> list[int | str]: ...\n",
        [
            ("changed-argument", "argument 'a' took [integer, integer] and takes [integer] now"),
            ("changed-result", "the result was [integer, string] and is (integer | string)[] now"),
        ],
    ),
    "the arguments behind the bytes": (
        "@live.binary()\nasync def f(ctx, data: bytes, a: int): ...\n",
        "@live.binary()\nasync def f(ctx, data: bytes, a: str): ...\n",
        [("changed-argument", "argument 'a' took integer and takes string now")],
    ),
    # ------------------------------------------------ what breaks nothing
    "new paths and optional arguments": (
        "@live\nasync def f(ctx, a: int): ...\n",
        "@live\nasync def f(ctx, a: int, b: str = '', *c: str): ...\n@live\nasync def g(ctx): ...\n",
        [],
    ),
    "wider arguments and narrower results": (
        f"{NOTE}@live\nasync def f(ctx, a: int, b: Literal[1], c: Note) -> float | str | None: ...\n",
        f"{NOTE}    by: NotRequired[str]\n"
        "@live\nasync def f(ctx, z: float | None, b: int, c: Note = {}) -> int: ...\n",
        [],
    ),
    "results with more keys": (
        f"{NOTE}@live\nasync def f(ctx) -> list[Note]: ...\n",
        f"{NOTE}    by: str\n@live\nasync def f(ctx) -> list[Note]: ...\n",
        [],
    ),
    "arguments that become a rest": (
        "@live\nasync def f(ctx, a: str, b: str = ''): ...\n",
        "@live\nasync def f(ctx, *a: str): ...\n",
        [],
    ),
    "a type of another name": (
        f"{TREE}@live\nasync def f(ctx, a: Tree) -> Tree: ...\n",
        f"{TREE.replace('Tree', 'Node')}@live\nasync def f(ctx, a: Node) -> Node: ...\n",
        [],
    ),
    "objects for records, tuples for lists, literals for texts": (
        "@live\nasync def f(ctx, a: Any) -> tuple[dict[str, int | str], list[int], str | int]: ...\n",
        f"{NOTE}@live\nasync def f(ctx, a: Any) -> tuple[Note, tuple[int, int], Literal['x', 1]]: ...\n",
        [],
    ),
}

Load = Callable[[str], Contract]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Makes the contract of a module `m` of this source."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    made: list[LiveLoader] = []

    def contract(source: str) -> Contract:
        root = tmp_path / f"app{len(made)}"
        (root / "live").mkdir(parents=True)
        (root / "live/m.py").write_text(HEAD + source)
        loader = LiveLoader(root, root / "live")
        made.append(loader)
        loader.package.install()
        try:
            registry = loader.load().registry
            assert registry.problems == ()
            return contract_of(registry.modules.values(), {})
        finally:
            loader.close()

    return contract


@pytest.mark.parametrize("case", CASES)
def test_what_breaks_programs_is_found(case: str, load: Load) -> None:
    before, after, expected = CASES[case]
    old, new = load(before), load(after)
    found = breaking_changes(read_contract(old.text()), new)
    assert [(change.kind, change.message) for change in found] == expected
    assert {change.path for change in found} <= {"m/f"}


@pytest.mark.parametrize("case", CASES)
def test_a_version_is_compatible_with_itself_and_comes_back_from_disk(case: str, load: Load) -> None:
    for source in CASES[case][:2]:
        contract = load(source)
        stored = read_contract(contract.text())
        assert stored.text() == contract.text()
        assert breaking_changes(stored, contract) == []


TYPE = (
    '{"version": 1, "modules": {"m": {"file": "", "codes": [], "paths": {}, "types": {"T": {"is": NODE}}}}}'
)


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{", "null", "[" * 100_000, '{"version": 2, "modules": {}}', '{"version": 1}'),
        '{"version": 1, "modules": {"m": {}}}',
        *(TYPE.replace("NODE", node) for node in ('"text"', "3", "{}", '{"set_of": "string"}')),
        TYPE.replace("NODE", '{"list_of": "string", "tuple": []}'),
    ],
)
def test_what_is_no_contract_is_refused(text: str) -> None:
    with pytest.raises(BadContract):
        read_contract(text)


# ---------------------------------------------------------------- the command

BEFORE = dedent(
    """
    from runtime import live

    @live
    async def add(ctx, text: str) -> int: ...

    @live
    async def remove(ctx, number: int): ...
    """
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = write_project(
        tmp_path / "app", {"live/notes.py": BEFORE, "live/other.py": BEFORE.replace("add", "more")}
    )
    assert realtime("types", "-q", cwd=root).code == 0
    return root


@pytest.mark.spec("PLAT-174")
def test_check_names_what_breaks_programs_and_ends_with_1(project: Path) -> None:
    after = BEFORE.replace("text: str", "text: int").replace("remove", "delete")
    write_project(project, {"live/notes.py": after})
    ended = realtime("types", "--check", cwd=project)
    assert ended.code == 1
    assert (
        "error: 2 changes break programs of the stored types\n"
        "  notes/add     argument 'text' took string and takes integer now\n"
        "  notes/remove  is gone\n"
        "  next: keep the old path beside a new one"
    ) in ended.err
    assert "3 files are out of date" in ended.err
    data = realtime("types", "--check", "--json", cwd=project).data
    assert data["ok"] is False
    assert data["breaking"] == [
        {
            "path": "notes/add",
            "change": "changed-argument",
            "message": "argument 'text' took string and takes integer now",
        },
        {"path": "notes/remove", "change": "removed-path", "message": "is gone"},
    ]
    assert realtime("types", "--check", "--breaking", cwd=project).code == 1
    assert realtime("types", "-q", cwd=project).code == 0
    assert realtime("types", "--check", cwd=project).code == 0


@pytest.mark.spec("PLAT-174")
def test_what_breaks_nothing_can_be_let_through(project: Path) -> None:
    write_project(project, {"live/notes.py": BEFORE.replace("text: str", "text: str, by: str = ''")})
    ended = realtime("types", "--check", cwd=project)
    assert ended.code == 1
    assert "break" not in ended.err
    ended = realtime("types", "--check", "--breaking", cwd=project)
    assert (ended.code, ended.err) == (0, "3 files are out of date\n")
    data = realtime("types", "--check", "--breaking", "--json", cwd=project).data
    assert (data["ok"], len(data["outdated"]), data["breaking"]) == (True, 3, [])


def test_a_module_that_does_not_load_is_not_called_gone(project: Path) -> None:
    stored = (project / "types/live.json").read_text()
    write_project(project, {"live/notes.py": "import nothing_of_this_name\n"})
    ended = realtime("types", "--check", "--breaking", cwd=project)
    assert ended.code == 1
    assert "ModuleNotFoundError" in ended.err
    assert "gone" not in ended.err
    assert realtime("types", cwd=project).code == 1
    assert (project / "types/live.json").read_text() == stored
    (project / "live/notes.py").unlink()
    ended = realtime("types", "--check", cwd=project)
    assert "  notes/add     is gone\n  notes/remove  is gone\n" in ended.err


def test_types_stored_elsewhere_are_compared_with_too(project: Path) -> None:
    assert realtime("types", "-q", "--out", "published", cwd=project).code == 0
    write_project(project, {"live/notes.py": ""})
    assert realtime("types", "-q", cwd=project).code == 0
    assert realtime("types", "--check", cwd=project).code == 0
    ended = realtime("types", "--check", "--breaking", "--out", "published", cwd=project)
    assert ended.code == 1
    assert "2 changes break" in ended.err


def test_what_cannot_be_compared_with_is_said(project: Path) -> None:
    assert "next: realtime types --check --breaking" in realtime("types", "--breaking", cwd=project).err
    (project / "types/live.json").write_text(json.dumps({"version": 9}))
    ended = realtime("types", "--check", cwd=project)
    assert ended.code == 1
    assert "live.json: cannot be compared with: it has version 9, and this is 1" in ended.err
    assert "next: write the types anew with: realtime types" in ended.err
    assert realtime("types", "-q", cwd=project).code == 0
    assert realtime("types", "--check", cwd=project).code == 0


def test_nothing_is_said_where_nothing_is_stored(project: Path) -> None:
    code = LiveLoader(project, project / "live")
    code.package.install()
    try:
        assert typegen.incompatible(project, code.load().registry, project / "none") == []
    finally:
        code.close()
