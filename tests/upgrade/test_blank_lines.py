"""UPG105 and UPG116 move statements: a file that the formatter leaves alone is one that it leaves alone afterwards."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.upgrade.projects import after, flagged, upgrade

SERVICES = "from runtime.cluster import PubSubBus\n\nbus = PubSubBus(1)\n"
HEAD = "from runtime import activate_derived, set_cron_platform\n\nfrom services import bus\n"
MOVES = (
    "    set_cron_platform(ctx.platform)\n",
    "    await bus.activate(ctx.platform)\n",
    "    # why\n    activate_derived(ctx.platform)  # beside\n",
)
STAYS = (
    "    greet(ws)\n",
    "    if ws:\n        greet(ws)\n",
    "    # about greeting\n    greet(ws)\n",
    "    def later():\n        pass\n",
)
BEFORE = (
    "",
    "def upgrade(ctx):\n    return {}\n",
    "# the init\nasync def init(ctx):\n    start()\n",
    'async def init(ctx):\n    """Init."""\n',
    "async def init(ctx):\n    pass\n",
    "async def init(ctx):\n    if x:\n        start()\n    # done\n",
    "def init(ctx):\n    def inner():\n        pass\n",
)
BEHIND = (
    "",
    "def close(ws, ctx):\n    bye(ws)\n",
    "# comment at the end\n",
    "LIMIT = 3\n",
    "if X:\n    LIMIT = 3\n",
    "@decorated\ndef close(ws, ctx):\n    bye(ws)\n",
)


def formatted(text: str) -> str:
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", "110", "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


@settings(max_examples=25, deadline=None)
@given(
    before=st.sampled_from(BEFORE),
    doc=st.sampled_from(["", '    """Open."""\n', "    # about it all\n\n"]),
    body=st.lists(
        st.tuples(st.sampled_from([*MOVES, *MOVES, *STAYS]), st.sampled_from(["", "\n"])),
        min_size=1,
        max_size=5,
    ),
    behind=st.sampled_from(BEHIND),
    comment=st.sampled_from(["", "# the hook\n"]),
    both=st.booleans(),
)
def test_formatted_hooks_stay_formatted(
    before: str, doc: str, body: list[tuple[str, str]], behind: str, comment: str, both: bool
) -> None:
    text = doc + "".join(line + blank for line, blank in body)
    opening = f"{comment}async def open(ws, ctx):\n{text.rstrip()}\n"
    source = formatted("\n\n".join(part for part in (HEAD, before, opening, behind) if part))
    assume("open" in source)
    done = upgrade(
        {"hooks.py": source, "services.py": SERVICES}, only={"UPG105", "UPG116"} if both else "UPG105"
    )
    written = done.files["hooks.py"]
    assert formatted(written) == written


TOP = "from runtime import set_cron_platform\n\n\n"
OPEN = "def open(ws, ctx):\n    set_cron_platform(ctx.platform)\n    x()\n"


@pytest.mark.spec("UPGC-39")
@pytest.mark.parametrize(
    "init",
    [
        "def init(ctx): start()\n",
        "def init():\n    start()\n",
        "def init(ctx):\n    if a:\n        return\n    start()\n",
    ],
)
def test_an_init_that_would_not_run_them_gets_nothing(init: str) -> None:
    text = after("UPG105", f"{TOP}{init}\n\n{OPEN}", path="hooks.py")
    todo = "    # TODO(realtime-upgrade UPG105): call set_cron_platform() in init() instead\n"
    assert text == f"{TOP}{init}\n\n{OPEN.replace('    set_cron', f'{todo}    set_cron', 1)}"


def test_a_return_at_the_end_of_init_stays_there() -> None:
    text = after("UPG105", f"{TOP}def init(c):\n    # then\n    return start()\n\n\n{OPEN}", path="hooks.py")
    assert text == (
        f"{TOP}def init(c):\n    set_cron_platform(c.platform)\n    # then\n    return start()\n"
        "\n\ndef open(ws, ctx):\n    x()\n"
    )


def test_a_hook_in_a_condition_keeps_what_it_does() -> None:
    source = TOP + "if DEBUG:\n\n    def open(ws, ctx):\n        set_cron_platform(ctx.platform)\n"
    text = after("UPG105", source, path="hooks.py")
    assert "init(ctx):" not in text
    assert "TODO(realtime-upgrade UPG105)" in text


def test_comments_of_a_hook_that_goes_are_left() -> None:
    source = (
        TOP
        + "# the hook\n"
        + "def open(ws, ctx):\n    # greet them one day\n\n    set_cron_platform(ctx.platform)\n"
    )
    text = after("UPG105", source, path="hooks.py")
    assert text.endswith("# the hook\ndef open(ws, ctx):\n    # greet them one day\n\n    pass\n")
    alone = TOP + "def upgrade(ctx):\n    return 1\n\n\n# the hook\n" + OPEN.replace("    x()\n", "")
    text = after("UPG105", alone + "\n\n# bye\ndef close(ws, ctx):\n    x()\n", path="hooks.py")
    assert text.endswith("    return 1\n\n\n# the hook\n\n\n# bye\ndef close(ws, ctx):\n    x()\n")
    assert flagged("UPG105", alone, path="hooks.py") == []
