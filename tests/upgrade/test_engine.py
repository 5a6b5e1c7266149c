"""The engine: what it leaves byte for byte, where it stops, and that order and number of processes do not matter."""

from __future__ import annotations

import json
import os
import random
import sys
import sysconfig
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_cli.codemods.catalog import all_codemods
from realtime_cli.codemods.chain import upgrade_file
from realtime_cli.codemods.engine import make_plan
from realtime_cli.codemods.project import Project, Tree
from realtime_cli.codemods.proof import UnprovedEdit, prove
from realtime_cli.codemods.rows import all_rows
from realtime_cli.codemods.scan import scan
from realtime_cli.codemods.splices import Splice, apply_splices
from tests.upgrade.projects import Upgraded, after, flagged, upgrade

OURS = "from runtime import live\n\n\n@live\nasync def a(ctx):\n    ctx.signal(1, 2, 3)\n"
NEW = OURS.replace("signal", "send_signal")


@pytest.mark.spec("UPGC-10", "UPGC-11")
@pytest.mark.parametrize(
    "change",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: f"# -*- coding: latin-1 -*-\nx = 'é'  # ü\n{text}".encode("latin-1"),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n\n\n", "\r\n\n\r\n").encode(),
        lambda text: text.removesuffix("\n").encode(),
        lambda text: ("#!/usr/bin/env python\n" + text).encode(),
        lambda text: text.replace("    ctx", "\tctx").encode(),
        lambda text: text.replace("(1, 2, 3)", "(1,\\\n  2, 3 )  # type: ignore # noqa").encode(),
        lambda text: ("x = 1  # 💥\n" + text).encode(),
    ],
)
def test_everything_around_an_edit_stays(change: object) -> None:
    before: bytes = change(OURS)  # type: ignore[operator]
    done = upgrade({"live/a.py": before}, only="UPG106")
    assert done.files["live/a.py"].encode(errors="surrogateescape") == change(NEW)  # type: ignore[operator]


@pytest.mark.spec("UPGC-13")
def test_a_last_line_of_blanks_blocks_nothing() -> None:
    done = upgrade({"live/a.py": (OURS + "    ").encode()}, only="UPG106")
    assert done.files["live/a.py"] == NEW + "    "


@pytest.mark.spec("UPGC-12")
@pytest.mark.parametrize("odd", ["x = 1\n\x0cy = 2\n", "x = 1\n\x0c\ny = 2\n"])
def test_an_odd_place_blocks_only_what_comes_after_it(odd: str) -> None:
    before = OURS + odd
    assert after("UPG106", before) == NEW + odd
    late = odd + OURS
    done = upgrade({"live/a.py": late}, only="UPG106")
    told = [(one.codemod, one.status) for one in done.findings]
    assert done.files["live/a.py"] in (late, odd + NEW)
    if done.files["live/a.py"] == late:
        assert sorted(told) == [("UPG100", "flagged"), ("UPG106", "flagged")]


@pytest.mark.spec("UPGC-27")
@pytest.mark.parametrize(
    "source",
    [
        "# realtime-upgrade: skip\n" + OURS,
        "# realtime-upgrade: skip=UPG101, UPG106\n" + OURS,
        OURS.replace("(1, 2, 3)", "(1, 2, 3)  # realtime-upgrade: skip"),
        OURS.replace("(1, 2, 3)", "(1, 2, 3)  # noqa # realtime-upgrade: skip=UPG106"),
    ],
)
def test_what_asks_to_be_skipped_is_skipped(source: str) -> None:
    done = upgrade({"live/a.py": source}, only="UPG106")
    assert done.files["live/a.py"] == source
    assert [one.status for one in done.findings] == ["skipped"]


@pytest.mark.spec("UPGC-27")
@pytest.mark.parametrize(
    "source",
    [
        "text = '# realtime-upgrade: skip'\n" + OURS,
        "# realtime-upgrade: skip=UPG101\n" + OURS,
        "x = 1  # realtime-upgrade: skip\n" + OURS,
    ],
)
def test_what_does_not_ask_is_not(source: str) -> None:
    assert "send_signal" in after("UPG106", source)


@pytest.mark.spec("UPGC-22")
@pytest.mark.parametrize(
    "source",
    [
        "import runtime as r\n\n\n@r.live.stream('a')\n@other\nasync def a(c):\n    c.signal(1)\n",
        "from runtime import guard\n\n\n@guard\ndef a(c):\n    c.signal(1)\n",
        "from runtime import live\n\nx = live.stream(lambda c: c.signal(1))\n",
        "from runtime import live\n\n\ndef go(c):\n    c.signal(1)\n\n\nroom = live.room(actions={'go': go})\n",
        "from runtime import LiveContext\n\n\ndef a(x, c: LiveContext):\n    c.signal(1)\n",
        "import typing, runtime\n\n\ndef a(c: 'runtime.LiveContext | None'):\n    c.signal(1)\n",
        "from typing import Optional\nfrom runtime import CronContext\n\n\n"
        "def a(c: Optional[CronContext]):\n    c.signal(1)\n",
        "from runtime import live\n\n\n@live\ndef a(ctx):\n    def b():\n        ctx.signal(1)\n",
        "from services import live\n\n\n@live\ndef a(c):\n    c.signal(1)\n",
    ],
)
def test_live_contexts_are_found(source: str) -> None:
    text = after("UPG106", source, services="from runtime import live\n")
    assert ".send_signal(1)" in text


def test_nesting_without_end_is_left_alone() -> None:
    deep = OURS + "x = " + "+".join(["1"] * 5000) + "\n"
    done = upgrade({"live/a.py": deep}, only="UPG106")
    assert done.files["live/a.py"] == deep
    assert [one.codemod for one in done.findings] == ["UPG100"]


@pytest.mark.parametrize(
    "raw",
    [b"\0", b"# coding: nothing\nthrottle\n", b"# coding: utf-8\n'\xff' throttle\n", b"throttle \xff\n", b""],
)
def test_what_cannot_be_read_is_left_alone(raw: bytes) -> None:
    done = upgrade({"live/a.py": raw, "live/b.py": OURS}, only="UPG106")
    assert done.files["live/a.py"].encode(errors="surrogateescape") == raw
    assert done.files["live/b.py"] == NEW


@pytest.mark.spec("UPGC-29")
@pytest.mark.parametrize(
    ("before", "splices"),
    [
        ("x = a\n", [Splice(0, 0, b"y = 1; ")]),
        ("x = a + b * c\n", [Splice(4, 4, b"("), Splice(9, 9, b")")]),
        ("x = 1  # c\n", [Splice(7, 7, b"'''\n'''")]),
        ("if a:\n    b\nc\n", [Splice(12, 12, b"    ")]),
        ("x = a\n", [Splice(5, 5, b" ))")]),
    ],
)
def test_an_edit_that_changes_more_than_it_says_is_not_proved(before: str, splices: list[Splice]) -> None:
    data = before.encode()
    if splices[0].text == b"y = 1; ":
        prove(data, apply_splices(data, splices), splices)  # this one is fine
        return
    with pytest.raises(UnprovedEdit):
        prove(data, apply_splices(data, splices), splices)


def test_an_unproved_edit_stops_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "live").mkdir()
    (tmp_path / "live/a.py").write_text(OURS)
    project = Project(Tree(tmp_path, ["live/a.py"]))
    codemod = all_codemods()["UPG106"]
    wrong = [Splice(0, 0, b"(")]
    monkeypatch.setattr(codemod, "_signals", lambda file: [codemod.auto(file, file.tree, "P-08", "x", wrong)])
    outcome = upgrade_file(project, "live/a.py", [codemod])
    assert outcome.unproved
    assert outcome.new is None
    assert "unproved edit" in outcome.findings[0].message


@pytest.mark.spec("UPGC-31")
def test_processes_and_order_do_not_matter(tmp_path: Path) -> None:
    for number in range(40):
        path = tmp_path / f"live/a{number}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(OURS + f"# {number}\n")
    paths = scan(tmp_path).paths
    results = []
    for jobs, seed in ((1, None), (2, None), (1, 5)):
        order = list(paths)
        if seed is not None:
            random.Random(seed).shuffle(order)
        tree = Tree(tmp_path, order)
        plan = make_plan(Project(tree), jobs=jobs)
        results.append((tree.changed, plan.findings))
    assert results[0] == results[1] == results[2]
    assert len(results[0][0]) == 40


@pytest.mark.spec("UPGC-73")
def test_links_and_names(tmp_path: Path) -> None:
    root, outside = tmp_path / "app", tmp_path / "outside"
    (root / "live").mkdir(parents=True)
    outside.mkdir()
    (outside / "o.py").write_text(OURS)
    (root / "live/real.py").write_text(OURS)
    (root / "live/link.py").symlink_to("real.py")
    (root / "live/out.py").symlink_to(outside / "o.py")
    (root / "live/loop.py").symlink_to("loop.py")
    (root / "linked").symlink_to(outside)
    (root / "live/A.py").write_text(OURS)
    (root / "live/a.py").write_text(OURS)
    os.mkfifo(root / "live/pipe.py")
    odd = os.fsdecode(b"live/\xff.py")
    (root / odd).write_text(OURS)
    os.link(root / "live/a.py", root / "live/second.py")
    scanned = scan(root)
    assert scanned.paths == sorted(["live/A.py", "live/a.py", "live/real.py", "live/second.py", odd])
    assert dict(scanned.skipped).keys() == {"live/out.py", "live/loop.py"}
    assert {path for path, _ in scanned.notes} == {"live/a.py", "live/second.py"}
    tree = Tree(root, scanned.paths)
    make_plan(Project(tree))
    assert sorted(tree.changed) == scanned.paths


def test_what_is_ignored_is_not_looked_at(tmp_path: Path) -> None:
    for name in (
        "a.py",
        "build/b.py",
        "x/.venv/c.py",
        "gen/d.py",
        "gen/kept.py",
        "sub/.git/config",
        "sub/e.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / ".gitignore").write_text("gen/*\n!gen/kept.py\n")
    (tmp_path / "big.py").write_bytes(b"#" * (2 * 1024 * 1024 + 1))
    assert scan(tmp_path).paths == ["a.py", "gen/kept.py"]
    assert scan(tmp_path).skipped == [("big.py", "is larger than 2 MiB")]
    assert scan(tmp_path, include=("build",), exclude=("gen/*",)).paths == ["a.py", "build/b.py"]


def corpus(root: Path, most: int) -> list[str]:
    found = [
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if "site-packages" not in path.relative_to(root).parts
    ]
    found = [path for path in sorted(found) if (root / path).stat().st_size < 40_000]
    return random.Random(4).sample(found, min(most, len(found)))


LOOK_ALIKES = {
    "zz_ours/runtime.py": "def live(f):\n    return f\n\n\ndef throttle(*a):\n    pass\n",
    "zz_ours/app.py": "from .runtime import live, throttle\n\n\n"
    "@live\ndef a(ctx):\n    ctx.throttle(1, 2)\n    throttle(1)\n",
    "zz_ours/other.py": "from somewhere import runtime\n\n\n@runtime.live\ndef a(ctx):\n    ctx.throttle(1, 2)\n",
}


@pytest.mark.parametrize(
    ("root", "prefilter", "most"),
    [
        (Path(sysconfig.get_path("stdlib")), True, 100_000),
        (Path(sysconfig.get_path("stdlib")), False, 60),
        (Path(sysconfig.get_path("purelib")) / "typer", False, 100),
        (Path(sysconfig.get_path("purelib")), True, 100_000),
    ],
    ids=["standard library", "standard library, all parsed", "a package, all parsed", "all packages"],
)
def test_code_of_others_stays(root: Path, prefilter: bool, most: int) -> None:
    if root.name == "site-packages":
        paths = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*.py"))]
    else:
        paths = corpus(root, most)
    tree = Tree(root, paths)
    plan = make_plan(Project(tree), prefilter=prefilter)
    assert tree.changed == {}
    assert not plan.unproved
    assert plan.edits == 0
    assert [one.message for one in plan.findings if one.message.startswith("internal")] == []


def test_look_alikes_among_the_standard_library_stay(tmp_path: Path) -> None:
    root = Path(sysconfig.get_path("stdlib"))
    for name, text in LOOK_ALIKES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    for name in ("asyncio/streams.py", "asyncio/events.py", "threading.py", "signal.py", "contextlib.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((root / name).read_bytes())
    tree = Tree(tmp_path, scan(tmp_path).paths)
    plan = make_plan(Project(tree), prefilter=False)
    assert tree.changed == {}
    assert not plan.unproved


STATEMENTS = st.sampled_from(
    [
        "ctx.throttle('a', 'b', x, 0.05)  # note",
        "ctx.throttle(f'k:{x}', 1)",
        "ctx.debounce(\n        'a', 'b',\n        x, 1,\n    )",
        "ctx.signal(x, 'e', {'k': [1, 2]})",
        "y = ctx . debounce ('a','b',x,1) if x else None",
        "throttle(x, 1)",
        "other.throttle(1, 2, 3, 4)",
        "# a comment\n    pass",
        "async with lock: ctx.signal(1, 2, 3)",
        "print(f'{ctx.user!r:>{x}}')",
        "def inner(ctx):\n        ctx.throttle('a', 1)",
        "x = [ctx.signal(i, 2, 3) for i in x]",
        "on_cron_error(print)",
        "if x: ctx.throttle('a', 1); y = 2",
        "'''ctx.throttle(1, 2, 3, 4)\n    on_cron_error'''",
    ]
)
HEADS = st.sampled_from(
    [
        "from runtime import live, on_cron_error\n",
        "from runtime import (\n    live,  # ours\n    on_cron_error,\n)\n",
        "import runtime\nfrom runtime import live\non_cron_error = runtime.on_cron_error\n",
        "try:\n    from runtime import live, on_cron_error\nexcept ImportError:\n    live = on_cron_error = None\n",
        "from runtime import *\n",
        "from elsewhere import live, on_cron_error\n",
    ]
)


@pytest.mark.spec("UPGC-30")
@settings(max_examples=25)
@given(head=HEADS, body=st.lists(STATEMENTS, min_size=1, max_size=5), ends=st.sampled_from(["\n", "\r\n"]))
def test_generated_programs_are_upgraded_once_and_only_where_they_say(
    head: str, body: list[str], ends: str
) -> None:
    lines = "".join(f"    {one}\n" for one in body)
    source = f"{head}\n\n@live\nasync def a(ctx, x):\n{lines}".replace("\n", ends)
    done: Upgraded = upgrade({"live/a.py": source.encode()}, only={"UPG106", "UPG107"})
    text = done.files["live/a.py"]
    compile(text, "a.py", "exec")
    first = upgrade({"live/a.py": source.encode()}, only="UPG106").files["live/a.py"]
    both = upgrade({"live/a.py": first.encode()}, only="UPG107").files["live/a.py"]
    assert both == text


@pytest.mark.spec("UPGC-30")
@settings(max_examples=40)
@given(
    raw=st.one_of(
        st.binary(max_size=200),
        st.text(alphabet="abc():\n\t#'\"\\ctx.throttle@live", max_size=200).map(str.encode),
    )
)
def test_nothing_that_is_fed_to_it_breaks_it(raw: bytes) -> None:
    source = raw + b"\nfrom runtime import live\nthrottle\n"
    done = upgrade({"live/a.py": source}, only={"UPG106", "UPG107"})
    assert "internal" not in json.dumps([one.message for one in done.findings])


@pytest.mark.spec("UPGC-3")
def test_the_table_is_complete() -> None:
    rows = all_rows()
    counts = {letter: sum(row.startswith(letter) for row in rows) for letter in "CSDRP"}
    assert counts == {"C": 26, "S": 32, "D": 40, "R": 21, "P": 8}
    known = all_codemods()
    for row in rows.values():
        for name in row.codemod.replace(",", " ").split():
            if name not in ("-", "UPJ"):
                assert name in known, (row.id, name)
                if name.startswith("UPG"):
                    assert row.id in known[name].rows, (row.id, name)


@pytest.mark.spec("UPGC-1")
def test_every_codemod_has_its_module_and_its_tests() -> None:
    here = Path(__file__).parent
    known = all_codemods()
    assert [name for name in known if name.startswith("UPG")] == [
        f"UPG{number}" for number in range(101, 135)
    ]
    for codemod in known.values():
        module = sys.modules[type(codemod).__module__].__name__.rpartition(".")[2]
        assert module.startswith(codemod.id.lower())
        assert (here / f"test_{module}.py").exists(), module
        assert codemod.title
        assert codemod.rows


def test_flags_say_where(tmp_path: Path) -> None:
    del tmp_path
    assert flagged("UPG106", "def f(ctx):\n    é = ctx.throttle(1, 2, 3, 4)\n") == [("R-01", 2)]
