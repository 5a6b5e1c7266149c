"""The stubs and types of a room: one object with a member per part. Spec: live-api 12 and 21.1."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any, TypedDict

import pytest

from realtime_cli.typegen import stubs
from realtime_cli.typegen.typescript import declaration_source
from runtime import live
from runtime.core.settings import ServerSettings, Settings
from runtime.live.registry import LiveModule, build_module
from runtime.server.stubs import stub_source

HERE = Path(__file__)


class Card(TypedDict):
    """A card."""

    id: int


class Who(TypedDict):
    """What others see of somebody."""

    name: str


async def cards(ctx: Any, board_id: str) -> list[Card]:
    return []


async def who(ctx: Any) -> Who:
    return {"name": ""}


async def add_card(ctx: Any, board_id: str, title: str) -> Card:
    """Add a card."""
    return {"id": 1}


@live
async def delete(ctx: Any, number: int) -> None:
    """Delete it."""


@pytest.fixture
def module() -> LiveModule:
    source = ModuleType(__name__)
    vars(source)["board"] = live.room(
        topic=lambda board_id: f"board:{board_id}",
        init=cards,
        presence=who,
        cursors=True,
        actions={"add_card": add_card, "9": add_card, "__proto__": add_card},
    )
    vars(source)["new"] = live.room(topic="lobby", init=who, merge="set")
    vars(source)["delete"] = delete
    made = build_module(source, "m", HERE, HERE.parent)
    assert made.problems == ()
    return made


def source_of(module: LiveModule, env: str) -> str:
    return stub_source(module, Settings(server=ServerSettings(env=env)))


@pytest.mark.spec("LIVE-126")
def test_a_room_is_one_object(module: LiveModule) -> None:
    assert source_of(module, "production") == (
        'import { __rpc, __stream } from "./client.js";\n'
        "export const board = {\n"
        '  data: __stream("m/board/__data", {"merge":"crud","key":"id"}, true),\n'
        '  presence: __stream("m/board/__presence", {"merge":"presence"}, true),\n'
        '  cursors: __stream("m/board/__cursors", {"merge":"cursor"}, true),\n'
        '  add_card: __rpc("m/board/__action/add_card"),\n'
        '  ["9"]: __rpc("m/board/__action/9"),\n'
        '  ["__proto__"]: __rpc("m/board/__action/__proto__"),\n'
        '  move_cursor: __rpc("m/board/__action/move_cursor"),\n'
        "};\n"
        "const $new = {\n"
        '  data: __stream("m/new/__data", {"merge":"set"}, false),\n'
        "};\n"
        "export { $new as new };\n"
        'const $delete = __rpc("m/delete");\n'
        "export { $delete as delete };\n"
    )


def test_in_dev_every_member_says_where_it_stands(module: LiveModule) -> None:
    text = source_of(module, "dev")
    line = add_card.__code__.co_firstlineno
    comment = (
        f"  /**\n   * board.add_card(board_id, title), {HERE.name}:{line}\n   *\n   * Add a card.\n   */\n"
    )
    assert comment + "  add_card: __rpc(" in text
    assert "board.move_cursor(board_id, data)" in text
    assert "Show the others in the room where your cursor is." in text


@pytest.mark.parametrize("env", ["dev", "production"])
def test_the_stub_is_a_module_whose_members_are_its_own(module: LiveModule, env: str, tmp_path: Path) -> None:
    client = "export const __rpc = path => path;\nexport const __stream = path => path;\n"
    (tmp_path / "client.js").write_text(client, encoding="utf-8")
    (tmp_path / "m.js").write_text(source_of(module, env), encoding="utf-8")
    (tmp_path / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    script = 'import * as m from "./m.js"; console.log(JSON.stringify(Object.keys(m.board)), m.new.data)'
    (tmp_path / "main.js").write_text(script, encoding="utf-8")
    done = subprocess.run(
        ["node", "main.js"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=30
    )
    names, _, path = done.stdout.strip().rpartition(" ")
    assert json.loads(names) == ["9", "data", "presence", "cursors", "add_card", "__proto__", "move_cursor"]
    assert path == "m/new/__data"


def test_the_types_say_what_each_member_holds(module: LiveModule) -> None:
    text = declaration_source(module)
    assert (
        "export const board: {\n"
        "  data: StreamFactory<[board_id: string], Card[]>;\n"
        "  presence: StreamFactory<[board_id: string], RosterEntryWho[]>;\n"
        "  cursors: StreamFactory<[board_id: string], Record<string, unknown>[]>;\n"
        "  /** Add a card. */\n"
        "  add_card: Rpc<[board_id: string, title: string], Card>;\n"
        "  /** Add a card. */\n"
        '  "9": Rpc<[board_id: string, title: string], Card>;\n'
    ) in text
    assert "declare const $new: {\n  data: StreamStore<Who>;\n};\nexport { $new as new };\n" in text
    assert "export interface RosterEntryWho {\n  key: string;\n  data: Who;\n}\n" in text


def test_python_programs_get_the_values_of_a_rooms_streams(module: LiveModule) -> None:
    text = stubs.stub_source([module])
    assert "MBoardData: TypeAlias = list[Card]\n" in text
    assert "MBoardPresence: TypeAlias = list[RosterEntryWho]\n" in text
    assert "def board(" not in text
