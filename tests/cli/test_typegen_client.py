"""The typed Python client: every path, store and error code of an app, under mypy and pyright."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import runtime.client.errors
from realtime_cli import typegen
from realtime_cli.typegen.errorcodes import error_codes, framework_codes
from runtime.live.loader import LiveLoader
from tests.cli.apps import EVERYTHING, write_project
from tests.cli.commands import environment

PROGRAM = """
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_type

from runtime.client import Realtime, RpcError

if TYPE_CHECKING:
    from realtime_live import BoardErrorCode, Card, ErrorCode, FrameworkErrorCode, Stored, Stream
    from realtime_live import connect, connect_sync
else:
    from runtime.client import connect
    from runtime.client.sync import connect as connect_sync


def shown(cards: Stream[list[Card]]) -> int:
    assert_type(cards.value, "list[Card] | None")
    return len(cards.value or [])


def general(rt: Realtime) -> str:
    return rt.status.value


async def main() -> None:
    async with connect("ws://127.0.0.1:3000/ws", timeout=3) as rt:
        general(rt)
        assert_type(await rt.live.board.add("milk", "a", "b", timeout=3), "Card")
        assert_type(await rt.call("board/add", "milk", "a", idempotency_key="k"), "Card")
        assert_type(await rt.call("board/remove", 3, fresh=False), None)
        assert_type(await rt.call("reports-2026/total"), int)
        assert_type(await rt.call("board/desk/__action/rename", "mine", "new"), "Card")
        assert_type(await rt.call_binary("board/thumbnail", b"..", 20, timeout=1), "Stored")
        upload = rt.upload("board/attach", Path("a.bin"), 3)
        upload.on_progress(print)
        assert_type((await upload)["url"], str)
        rt.fire("board/remove", 3)
        async with rt.stream("board/cards") as cards:
            assert_type(await cards.ready(), "list[Card]")
            async for now in cards.values():
                shown(cards) + len(now)
        async for card in rt.stream("board/card", 3):
            assert_type(card, "Card | None")
        assert_type(await rt.stream("board/typing").ready(), list[Any])
        assert_type((await rt.stream("follow/summary").ready())["cards"], int)
        assert_type((await rt.stream("follow/of_shop", "mine").ready())["cards"], int)
        assert_type((await rt.stream("follow/Traffic/__window/last5").ready())["count"], int)
        assert_type((await rt.stream("board/desk/__presence", "mine").ready())[0]["data"]["url"], str)
        rt.call("board/ad", "milk")  # wrong
        rt.call("follow/nightly")  # wrong
        rt.stream("follow/mail")  # wrong
        rt.stream("follow/payments")  # wrong
        rt.call("board/add", 3)  # wrong
        rt.call("board/add")  # wrong
        rt.call("board/cards")  # wrong
        rt.fire("board/remove", "3")  # wrong
        rt.stream("board/card", "3")  # wrong
        rt.call_binary("board/thumbnail", "text")  # wrong
        rt.upload("board/attach", Path("a.bin"))  # wrong
        await rt.live.board.gone()  # wrong
    again = await connect("ws://127.0.0.1:3000/ws")
    await again.close()


def blocking() -> None:
    with connect_sync("ws://127.0.0.1:3000/ws") as rt:
        assert_type(rt.call("board/add", "milk")["title"], str)
        with rt.stream("board/cards") as cards:
            assert_type(cards.ready(), "list[Card]")
            for now in cards.values():
                assert_type(now, "list[Card]")
        assert_type(rt.upload("board/attach", b"..", 3, on_progress=print), "Stored")
        rt.call("board/add", 3)  # wrong


def message(error: RpcError) -> str:
    code: ErrorCode | FrameworkErrorCode = "BOARD_FULL"
    own: BoardErrorCode = "GONE"
    framework: FrameworkErrorCode = "RATE_LIMITED"
    other: ErrorCode = "NO_SUCH_CODE"  # wrong
    return code + own + framework + other + error.code
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with everything that a client can reach, and its declarations."""
    files = {**EVERYTHING, "program.py": PROGRAM}
    root = write_project(tmp_path_factory.mktemp("typed") / "app", files)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))
        loader = LiveLoader(root, root / "live")
        loader.package.install()
        registry = loader.load().registry
        assert registry.problems == ()
        typegen.write_types(root, registry)
        yield root
        loader.close()


def lines_with_errors(command: list[str], project: Path, pattern: str) -> tuple[set[int], str]:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=project,
        env=environment({"MYPYPATH": "types/python"}),
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    return {int(line) for line in re.findall(pattern, done.stdout)}, done.stdout


def wrong_lines() -> set[int]:
    return {
        number for number, line in enumerate(PROGRAM.lstrip("\n").splitlines(), 1) if line.endswith("# wrong")
    }


def test_mypy_finds_each_mistake_and_nothing_else(project: Path) -> None:
    command = ["mypy", "--strict", "program.py", "types/python/realtime_live.pyi"]
    found, out = lines_with_errors(command, project, r"program\.py:(\d+): error")
    assert found == wrong_lines(), out
    assert "realtime_live.pyi" not in out


def test_pyright_finds_each_mistake_and_nothing_else(project: Path) -> None:
    (project / "pyrightconfig.json").write_text(
        '{"extraPaths": ["types/python"], "include": ["program.py", "types/python"]}'
    )
    found, out = lines_with_errors(
        ["pyright", "--pythonpath", sys.executable], project, r"program\.py:(\d+):\d+ - error"
    )
    assert found == wrong_lines(), out
    assert "realtime_live.pyi:" not in out


def test_the_codes_of_the_framework_are_all_declared() -> None:
    """What our own modules raise, and the client's constants, are in the union that both languages get."""
    live = Path(str(runtime.__file__)).parent / "live"
    declared = (live.parent / "client/browser/realtime.d.ts").read_text(encoding="utf-8")
    known = framework_codes(declared)
    assert known == sorted(known)
    raised = {code for file in live.glob("*.py") for code in error_codes(file)}
    assert len(raised) > 5
    constants = {name for name in runtime.client.errors.__all__ if name.isupper()}
    assert raised | constants <= set(known)
    assert framework_codes("nothing of the kind") == []
