"""SEC002, SEC003, CFG016 and CFG017: hooks that are missing, misspelt, or ask for what there is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from realtime_cli.rules.fixing import fixed_texts
from tests.cli.check.projects import LIVE, marked, report_of

if TYPE_CHECKING:
    from pathlib import Path

BOTH = "async def upgrade(cookies): ...\nasync def subscribe(ws, topic): ...\n"


@pytest.mark.parametrize(
    "text",
    [
        BOTH,
        "async def upgrade(cookies): ...\nasync def subscribe_batch(ws, topics): ...\n",
        "from app.hooks import upgrade, subscribe\n",
        "from app.hooks import enter as upgrade, may as subscribe\n",
        "from app.hooks import *\n",
        "import app.hooks\nupgrade = app.hooks.upgrade\nsubscribe = app.hooks.subscribe\n",
        "if True:\n    async def upgrade(cookies): ...\n    async def subscribe(ws, topic): ...\n",
        "from somewhere import *\n",
        "def (broken",
    ],
)
def test_hooks_that_are_there(text: str, tmp_path: Path) -> None:
    helper = BOTH + "\nenter = upgrade\nmay = subscribe\n"
    report = report_of(tmp_path, {"hooks.py": text, "app/hooks.py": helper})
    assert not [one for one in report.findings if one.rule in {"SEC002", "SEC003"}]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "class Hooks:\n    async def upgrade(self): ...\n    async def subscribe(self): ...\n",
        "def make():\n    async def upgrade(cookies): ...\n    async def subscribe(ws, topic): ...\n",
        "# async def upgrade(cookies): ...\n'''async def subscribe(ws, topic): ...'''\n",
        "from app.hooks import *\n",
    ],
)
def test_hooks_that_are_not_there(text: str, tmp_path: Path) -> None:
    report = report_of(tmp_path, {"hooks.py": text, "app/hooks.py": "_upgrade = _subscribe = None\n"})
    assert [one.rule for one in report.findings if one.path == "hooks.py"] == ["SEC002", "SEC003"]


def test_names_that_are_nearly_hooks(tmp_path: Path) -> None:
    marked(
        tmp_path,
        {
            "hooks.py": """
                import functools

                async def subscrible(ws, topic): ...  #! CFG016

                async def subscribeBatch(ws, topics): ...  #! CFG016

                @functools.cache
                def opened(ws): ...  #! CFG016

                if True:
                    def closed(ws): ...  #! CFG016

                def _opne(ws): ...

                def load(ws): ...

                def messages(ws): ...

                def drains(ws): ...

                class Board:
                    def subscrib(self): ...

                async def message(ws, data):
                    messages(ws)
                    def opens(): ...
                """,
            "app/other.py": "from hooks import drains\n\ndrains(1)\n",
            "live/todos.py": "def subscrible(): ...\n",
        },
    )


def test_what_hooks_ask_for(tmp_path: Path) -> None:
    marked(
        tmp_path,
        {
            "hooks.py": """
                import functools
                from app.hooks import closing as close, with_db

                async def open(ws, sock): ...  #! CFG017

                async def message(ws, data, *, db): ...  #! CFG017

                async def drain(ws, own=1, *args, more=2, **rest): ...

                @with_db
                async def resume(ws, db): ...

                @functools.cache
                def init(platform, loop): ...  #! CFG017

                class Board:
                    def shutdown(self, sock): ...

                def _helper(sock):
                    def unsubscribe(sock): ...
                """,
            "app/hooks.py": """
                async def closing(ws, who): ...  #! CFG017

                def with_db(function):
                    return function
                """,
        },
    )


RENAMED = """\
import app

# äöü 🎈
async def subscribeBatch(ws, topics):  # subscribe to many
    return None


handler = subscribeBatch
"""


@pytest.mark.spec("PLAT-149")
def test_a_camel_case_hook_is_renamed_with_what_reads_it(tmp_path: Path) -> None:
    report = report_of(tmp_path, {"hooks.py": RENAMED})
    changed = fixed_texts(report.findings, {"hooks.py": RENAMED})
    assert changed == {"hooks.py": RENAMED.replace("subscribeBatch", "subscribe_batch")}
    again = report_of(tmp_path, changed)
    assert "CFG016" not in {one.rule for one in again.findings}


@pytest.mark.parametrize(
    "files",
    [
        {"hooks.py": RENAMED + "\nasync def subscribe_batch(ws, topics): ...\n"},
        {"hooks.py": RENAMED + '\n__all__ = ["subscribeBatch"]\n'},
        {"hooks.py": RENAMED, "app/x.py": "import hooks\n\nprint(hooks.subscribeBatch)\n"},
        {"hooks.py": "async def subscribbatch(ws, topics): ...\n"},
    ],
)
def test_a_name_that_something_else_needs_is_left_to_a_person(files: dict[str, str], tmp_path: Path) -> None:
    report = report_of(tmp_path, files)
    assert [one.fixable for one in report.findings if one.rule == "CFG016"] == [False]


STREAMS = """
@live.stream("all")
async def every(ctx) -> list[str]: ...

@live.stream("orders", access=live.access.role({"staff": True}))
async def orders(ctx) -> list[str]: ...

@live.public
@live.stream(lambda ctx, org: f"org:{org}", access=lambda ctx, org: org in ctx.user["orgs"])
async def of_org(ctx, org: str) -> list[str]: ...

typing = live.channel("typing", access=live.access.owner())
open_to_all = live.channel("open", access=None)
"""


@pytest.mark.parametrize(
    ("hooks", "wanted"),
    [
        ("async def upgrade(cookies): ...\n", ["orders", "of_org", "live.channel"]),
        ("async def upgrade(cookies): ...\n\nasync def subscribe(ws, topic): ...\n", []),
        ("async def upgrade(cookies): ...\n\nasync def subscribe_batch(ws, topics): ...\n", []),
    ],
)
def test_access_that_a_plain_subscribe_passes_by(hooks: str, wanted: list[str], tmp_path: Path) -> None:
    report = report_of(tmp_path, {"hooks.py": hooks, "live/todos.py": LIVE + STREAMS})
    told = [one.message.partition(" ")[0] for one in report.findings if one.rule == "SEC034"]
    assert told == wanted
