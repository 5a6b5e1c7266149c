"""Type declarations from annotations."""

from __future__ import annotations

import datetime
import enum
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NotRequired,
    TypedDict,
    TypeVar,
)

import msgspec
import pytest
from pydantic import BaseModel

from realtime_cli import typegen
from realtime_cli.typegen.errorcodes import error_codes
from realtime_cli.typegen.model import Direction, TypeModel
from realtime_cli.typegen.stubs import StubWriter
from realtime_cli.typegen.typescript import _declaration
from realtime_cli.typegen.typescript import type_text as typescript_text
from runtime.core.settings import Settings
from runtime.live.loader import LiveLoader
from runtime.live.registry import Registry
from runtime.server.stubs import stub_source
from tests.cli.apps import NOTES, OPEN, write_project
from tests.cli.commands import environment, realtime

T = TypeVar("T")
python_text = StubWriter().type


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1


class Point(msgspec.Struct, array_like=True):
    x: int
    y: float = 0


class Box(msgspec.Struct, Generic[T]):
    item: T


class Tree(msgspec.Struct):
    """A tree of names."""

    name: str
    children: list[Tree] = []


class Renamed(msgspec.Struct, rename="camel", tag="thing"):
    first_name: str


class Sparse(msgspec.Struct, omit_defaults=True):
    a: int
    b: int = 0


class Patch(msgspec.Struct):
    title: str | msgspec.UnsetType = msgspec.UNSET


@dataclass
class Settings_:
    size: int
    tags: list[str] = field(default_factory=list)


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


class Pair(NamedTuple):
    left: int
    right: str


class Author(BaseModel):
    """Who wrote it."""

    name: str
    born: datetime.date | None = None


class Book(BaseModel):
    title: str
    authors: list[Author]
    sequel: Book | None = None


class Shelf(BaseModel, Generic[T]):
    items: list[T]


class Unknown:
    pass


@pytest.mark.parametrize(
    ("annotation", "typescript", "python"),
    [
        (str, "string", "str"),
        (int, "number", "int"),
        (float, "number", "float"),
        (bool, "boolean", "bool"),
        (None, "null", "None"),
        (bytes, "string", "str"),
        (datetime.datetime, "string", "str"),
        (datetime.timedelta, "string", "str"),
        (uuid.UUID, "string", "str"),
        (Decimal, "string", "str"),
        (Any, "unknown", "Any"),
        (object, "unknown", "Any"),
        (Unknown, "unknown", "Any"),
        (T, "unknown", "Any"),
        (list[int], "number[]", "list[int]"),
        (set[str], "string[]", "list[str]"),
        (Sequence[str], "string[]", "list[str]"),
        (tuple[int, ...], "number[]", "list[int]"),
        (tuple[int, str], "[number, string]", "list[int | str]"),
        (dict[str, int], "Record<string, number>", "dict[str, int]"),
        (Mapping[str, list[int]], "Record<string, number[]>", "dict[str, list[int]]"),
        (str | None, "string | null", "str | None"),
        (None | list[str | None], "(string | null)[] | null", "list[str | None] | None"),
        (Literal["b", "a"], '"a" | "b"', "Literal['a', 'b']"),
        (Literal["a", 1, None], 'null | 1 | "a"', "Literal[None, 1, 'a']"),
        (list[Literal["a", "b"]], '("a" | "b")[]', "list[Literal['a', 'b']]"),
        (Annotated[str, msgspec.Meta(max_length=3)], "string", "str"),
        (Annotated[int, msgspec.Meta(description="how many", title="Count", examples=[1])], "number", "int"),
        (Annotated[int, msgspec.Meta(description="how many")] | None, "number | null", "int | None"),
        (list[Annotated[Point, msgspec.Meta(title="a")]], "[number, number][]", "list[list[int | float]]"),
        (Annotated[list[Unknown], "note"], "unknown[]", "list[Any]"),
        (int | Any, "unknown", "Any"),
        (Color, "Color", "Color"),
        (Point, "[number, number]", "list[int | float]"),
        (Pair, "[number, string]", "list[int | str]"),
        (Tree | Movie, "Tree | Movie", "Tree | Movie"),
        (list[Tree | Movie], "(Tree | Movie)[]", "list[Tree | Movie]"),
        (dict[str, Tree | Movie], "Record<string, Tree | Movie>", "dict[str, Tree | Movie]"),
    ],
)
def test_an_annotation_in_both_languages(annotation: Any, typescript: str, python: str) -> None:
    node = TypeModel().convert(annotation, "out")
    assert typescript_text(node) == typescript
    assert python_text(node) == python


def declared(annotation: Any, direction: Direction = "out") -> tuple[str, dict[str, str]]:
    """The TypeScript of an annotation and of what it declares, on one line each."""
    model = TypeModel()
    node = typescript_text(model.convert(annotation, direction))
    return node, {name: " ".join(_declaration(d).split()) for name, d in model.declarations.items()}


def test_a_result_has_every_field_and_an_argument_may_leave_out_defaults() -> None:
    assert declared(Tree, "out") == (
        "Tree",
        {"Tree": "/** A tree of names. */ export interface Tree { name: string; children: Tree[]; }"},
    )
    assert declared(Tree, "in") == (
        "TreeInput",
        {
            "TreeInput": "/** A tree of names. */ export interface TreeInput { name: string; children?: TreeInput[]; }"
        },
    )
    assert declared(Settings_, "in")[0] == "Settings_Input"
    assert declared(list[Settings_], "out")[1] == {
        "Settings_": "export interface Settings_ { size: number; tags: string[]; }"
    }


def test_a_described_type_has_the_same_forms_as_a_bare_one() -> None:
    described = Annotated[
        list[Annotated[Tree, msgspec.Meta(title="a tree")]], msgspec.Meta(description="all")
    ]
    assert declared(described, "in") == declared(list[Tree], "in")
    assert declared(described, "out") == declared(list[Tree], "out")


def test_a_type_without_defaults_is_declared_once_for_both() -> None:
    model = TypeModel()
    assert model.convert(Movie, "in") == model.convert(list[Movie], "out").item  # type: ignore[union-attr]  # an Array
    assert list(model.declarations) == ["Movie"]
    assert declared(Movie)[1]["Movie"] == "export interface Movie { title: string; year?: number; }"


def test_fields_that_may_be_absent_in_a_result() -> None:
    assert declared(Sparse)[1]["Sparse"] == "export interface Sparse { a: number; b?: number; }"
    assert declared(Patch)[1]["Patch"] == "export interface Patch { title?: string; }"


def test_wire_names_and_tags_are_used() -> None:
    assert declared(Renamed)[1]["Renamed"] == 'export interface Renamed { type: "thing"; firstName: string; }'


def test_enums_are_unions_of_their_values() -> None:
    assert declared(Color)[1] == {"Color": 'export type Color = "red" | "blue";'}
    assert declared(Level)[1] == {"Level": "export type Level = 1;"}


def test_generic_classes_are_named_by_their_arguments() -> None:
    model = TypeModel()
    assert typescript_text(model.convert(tuple[Box[int], Box[str], Box[list[int]]], "out")) == (
        "[BoxInt, BoxStr, BoxListInt]"
    )
    assert "item: string;" in _declaration(model.declarations["BoxStr"])


def test_two_classes_of_one_name_stay_apart() -> None:
    class Movie(msgspec.Struct):
        other: int

    class Rpc(msgspec.Struct):
        pass

    model = TypeModel(reserved=frozenset({"Rpc"}))
    names = [typescript_text(model.convert(cls, "out")) for cls in (globals()["Movie"], Movie, Rpc, Movie)]
    assert names == ["Movie", "Movie2", "Rpc2", "Movie2"]


def test_pydantic_models_come_from_their_schema() -> None:
    node, types = declared(Book, "out")
    assert node == "Book"
    assert types["Book"] == (
        "export interface Book { title: string; authors: Author[]; sequel: Book | null; }"
    )
    assert types["Author"] == (
        "/** Who wrote it. */ export interface Author { name: string; born: string | null; }"
    )
    node, types = declared(list[Book], "in")
    assert node == "BookInput[]"
    assert "sequel?: BookInput | null;" in types["BookInput"]
    assert "born?: string | null;" in types["AuthorInput"]
    model = TypeModel()
    assert [typescript_text(model.convert(Book, way)) for way in ("out", "in", "out")] == [
        "Book",
        "BookInput",
        "Book",
    ]


def test_a_generic_pydantic_model_has_a_name_of_letters() -> None:
    node, types = declared(Shelf[int], "out")
    assert node.isidentifier()
    assert list(types) == [node]


# ---------------------------------------------------------------- whole modules


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {
        "live/notes.py": NOTES,
        "live/admin/open.py": OPEN,
        "live/words.py": """
            from runtime import live

            @live
            async def delete(ctx, timeout: int, new: int = 0): ...

            @live
            async def eval(ctx): ...
        """,
        "live/empty.py": "",
        "live/_private.py": "x = 1",
    }
    return write_project(tmp_path / "app", files)


@pytest.fixture
def registry(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    loader = LiveLoader(project, project / "live")
    loader.package.install()
    yield loader.load().registry
    loader.close()


def test_the_declarations_of_a_module(project: Path, registry: Registry) -> None:
    assert typegen.render(project, registry)["live/notes.d.ts"] == (
        "// Written by `realtime types` from live/notes.py; changes are lost.\n"
        'import type { Rpc, StreamFactory } from "./client.js";\n'
        "\n"
        "/** Add a note. */\n"
        "export const add: Rpc<[text: string, ...tags: string[]], Note>;\n"
        "\n"
        'export const notes: StreamFactory<[board?: "a" | "b"], Note[]>;\n'
        "\n"
        "export interface Note {\n"
        "  id: string;\n"
        "  text: string;\n"
        "}\n"
        "\n"
        "/** Codes of the errors that this module raises itself. */\n"
        "export type ErrorCode =\n"
        '  | "FULL";\n'
    )


def test_other_modules(project: Path, registry: Registry) -> None:
    files = typegen.render(project, registry)
    assert set(files) == {
        "live/client.d.ts",
        "live/notes.d.ts",
        "live/admin/open.d.ts",
        "live/words.d.ts",
        "live/empty.d.ts",
        "python/realtime_live.pyi",
        "live.json",
    }
    nested = files["live/admin/open.d.ts"]
    assert 'from "../client.js"' in nested
    assert "export const ping: Rpc<[], unknown>;" in nested
    assert "export const typing: StreamStore<unknown[]>;" in nested
    assert files["live/empty.d.ts"].endswith("export {};\n")
    assert (
        "declare const $delete: Rpc<[timeout: number, new_?: number], unknown>;\nexport { $delete as delete };"
        in files["live/words.d.ts"]
    )
    assert "export declare" not in files["live/words.d.ts"]
    assert "export interface Rpc<" in files["live/client.d.ts"]


def test_calls_with_bytes_are_declared_without_the_payload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """
        from runtime import live

        @live.binary(max_size=100)
        async def thumbnail(ctx, data: bytes, width: int = 80) -> str: ...
    """
    project = write_project(tmp_path / "bytes", {"live/images.py": source})
    monkeypatch.setattr(sys, "path", list(sys.path))
    loader = LiveLoader(project, project / "live")
    loader.package.install()
    registry = loader.load().registry
    files = typegen.render(project, registry)
    assert 'import type { BinaryRpc } from "./client.js";' in files["live/images.d.ts"]
    assert "export const thumbnail: BinaryRpc<[width?: number], string>;" in files["live/images.d.ts"]
    assert "def thumbnail(" not in files["python/realtime_live.pyi"]
    script = stub_source(registry.modules["images"], Settings())
    assert 'export const thumbnail = __binaryRpc("images/thumbnail");' in script
    loader.close()


@pytest.mark.spec("LIVE-174")
def test_declarations_and_stubs_have_exactly_the_exports_and_no_ctx(
    project: Path, registry: Registry
) -> None:
    files = typegen.render(project, registry)
    for module in registry.modules.values():
        names = {endpoint.name for endpoint in module.endpoints}
        script = stub_source(module, Settings())
        types = files[f"live/{module.name}.d.ts"]
        for text in (script, types):
            exported = re.findall(r"export const (\w+)|export \{ \$\w+ as (\w+) \}", text)
            assert {a or b for a, b in exported} == names
            assert "ctx" not in text
    assert "ctx" not in files["python/realtime_live.pyi"]


def test_error_codes_are_read_from_the_source(tmp_path: Path) -> None:
    file = tmp_path / "m.py"
    file.write_text(
        "import runtime\nCODE = 'X'\nLiveError('B')\nLiveError(code='A', message='m')\nruntime.LiveError('C')\n"
        "LiveError(CODE)\nOther('D')\nLiveError()\n"
    )
    assert error_codes(file) == ["A", "B", "C"]
    file.write_text("def (:")
    assert error_codes(file) == []
    assert error_codes(tmp_path / "missing.py") == []


PROGRAM = """
from typing import TYPE_CHECKING, assert_type, cast
from runtime.client import Realtime

if TYPE_CHECKING:
    from realtime_live import Live, Note, NotesNotes

async def use(rt: Realtime) -> None:
    live = cast("Live", rt.live)
    assert_type(await live.notes.add("text", "tag", timeout=3), "Note")
    assert_type((await live.notes.add("text"))["id"], str)
    value: NotesNotes = []
    value.append({"id": "1", "text": "t"})
    await live.words.delete(3)
    await live.admin.open.ping()
    await live.notes.add(3)  # type: ignore[arg-type]
    await live.notes.remove("x")  # type: ignore[attr-defined]
    await live.words.delete("x", fresh=False)  # type: ignore[arg-type]
"""


def test_programs_that_call_the_app_are_type_checked(project: Path, registry: Registry) -> None:
    typegen.write_types(project, registry)
    (project / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "program.py"],
        cwd=project,
        env=environment({"MYPYPATH": "types/python"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


# ---------------------------------------------------------------- on disk


def test_only_what_changed_is_written(project: Path, registry: Registry) -> None:
    written = typegen.write_types(project, registry)
    assert [path.relative_to(project).as_posix() for path in written] == [
        "types/live/admin/open.d.ts",
        "types/live/client.d.ts",
        "types/live/empty.d.ts",
        "types/live/notes.d.ts",
        "types/live/words.d.ts",
        "types/live.json",
        "types/python/realtime_live.pyi",
    ]
    assert typegen.write_types(project, registry) == []
    notes = project / "types/live/notes.d.ts"
    notes.write_text("old")
    before = (project / "types/live/words.d.ts").stat().st_mtime_ns
    assert typegen.write_types(project, registry) == [notes]
    assert (project / "types/live/words.d.ts").stat().st_mtime_ns == before


def test_declarations_of_deleted_modules_go_and_foreign_files_stay(project: Path, registry: Registry) -> None:
    typegen.write_types(project, registry)
    own = project / "types/live/own.d.ts"
    own.write_text("export {};\n")
    left = Registry(modules={k: v for k, v in registry.modules.items() if k not in ("notes", "words")})
    (project / "live/words.py").unlink()
    gone = project / "types/live/words.d.ts"
    stored = project / "types/live.json"
    assert typegen.write_types(project, left) == [gone, stored, project / "types/python/realtime_live.pyi"]
    assert not gone.exists()
    assert own.exists()
    assert (project / "types/live/notes.d.ts").exists()  # the file is there, it only does not import now


# ---------------------------------------------------------------- the command


def test_the_command_writes_and_lists(project: Path) -> None:
    ended = realtime("types", cwd=project)
    assert ended.code == 0
    assert str(project / "types/live/notes.d.ts") in ended.out.splitlines()
    assert '"$live/*": ["./types/live/*"]' in ended.err
    ended = realtime("types", cwd=project)
    assert (ended.code, ended.out, ended.err) == (0, "", "up to date\n")


def test_check_writes_nothing_and_ends_with_1(project: Path) -> None:
    ended = realtime("types", "--check", cwd=project)
    assert ended.code == 1
    assert "7 files are out of date" in ended.err
    assert "next: realtime types" in ended.err
    assert not (project / "types").exists()
    assert realtime("types", "-q", cwd=project).code == 0
    assert realtime("types", "--check", cwd=project).code == 0


def test_json_and_out(project: Path, tmp_path: Path) -> None:
    ended = realtime("types", "--out", tmp_path / "elsewhere", "--json", cwd=project)
    assert ended.code == 0
    assert ended.data["ok"] is True
    assert str(tmp_path / "elsewhere/live/notes.d.ts") in ended.data["written"]
    assert not (project / "types").exists()
    checked = realtime("types", "--check", "--json", cwd=project)
    assert (checked.code, checked.data["ok"], len(checked.data["outdated"])) == (1, False, 7)


def test_a_module_that_does_not_import_ends_with_1_and_the_rest_is_written(project: Path) -> None:
    write_project(project, {"live/bad.py": "import nothing_of_this_name\n"})
    ended = realtime("types", cwd=project)
    assert ended.code == 1
    assert "live/bad.py:1: ModuleNotFoundError" in ended.err
    assert (project / "types/live/notes.d.ts").exists()
    assert not (project / "types/live/bad.d.ts").exists()


def test_a_folder_that_cannot_be_written_ends_with_1(project: Path) -> None:
    (project / "types").write_text("a file")
    ended = realtime("types", cwd=project)
    assert ended.code == 1
    assert "cannot write to" in ended.err
