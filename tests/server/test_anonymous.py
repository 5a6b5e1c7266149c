"""Who connects without having said who they are is nobody, and guards refuse nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runtime.client import RpcError
from runtime.testing import running_server

LIVE = """
from runtime import guard, live

@live.public
@live
async def who(ctx):
    return ctx.user
"""
GUARDED = """
from runtime import guard, live

_guard = guard(authenticated=True)

@live
async def act(ctx):
    return "done"

@live.stream("acts", merge="set")
async def acts(ctx):
    return []
"""


@pytest.mark.spec("LIVE-193")
@pytest.mark.parametrize(
    ("hooks", "is_known"),
    [
        (None, False),
        ("def upgrade(): return None\n", False),
        ("async def upgrade(): return None\n", False),
        ("def upgrade(): return {'name': 'Ann'}\n", True),
    ],
)
async def test_without_user_data_of_an_upgrade_hook_there_is_no_user(
    tmp_path: Path, hooks: str | None, is_known: bool
) -> None:
    files = {"live/open.py": LIVE, "live/closed.py": GUARDED, **({"hooks.py": hooks} if hooks else {})}
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    async with running_server(tmp_path) as server, server.connect() as rt:
        user: Any = await rt.call("open/who")
        stream = rt.stream("closed/acts")
        if is_known:
            assert user["name"] == "Ann"
            assert await rt.call("closed/act") == "done"
            assert await stream.ready() == []
            return
        assert user is None
        for work in (rt.call("closed/act"), stream.ready()):
            with pytest.raises(RpcError) as caught:
                await work
            assert (caught.value.code, caught.value.message) == ("UNAUTHENTICATED", "Authentication required")
