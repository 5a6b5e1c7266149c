"""The example of a whole project: byte for byte, in several dresses, and what is told of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from realtime_cli.codemods.project import Options
from tests.upgrade.projects import Upgraded, plan_of

HERE = Path(__file__).parent / "example"


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def upgraded(root: Path) -> Upgraded:
    return plan_of(root, None, Options())


def raw(done: Upgraded) -> dict[str, bytes]:
    return {name: text.encode(errors="surrogateescape") for name, text in done.files.items()}


@pytest.fixture(name="root")
def project(tmp_path: Path) -> Path:
    root = tmp_path / "boardapp"
    shutil.copytree(HERE / "before", root)
    return root


@pytest.mark.spec("UPGC-7")
def test_the_example_is_upgraded_byte_for_byte(root: Path) -> None:
    done = upgraded(root)
    assert not done.unproved
    expected = tree(HERE / "after")
    for name, content in raw(done).items():
        assert content.decode() == expected[name].decode(), name
    assert raw(done).keys() == expected.keys()


@pytest.mark.spec("UPGC-7", "UPGC-79")
def test_a_second_run_edits_nothing(root: Path) -> None:
    shutil.rmtree(root)
    shutil.copytree(HERE / "after", root)
    done = upgraded(root)
    assert raw(done) == tree(HERE / "after")
    assert {one.status for one in done.findings} <= {"flagged", "open", "skipped"}


@pytest.mark.spec("UPGC-11")
@pytest.mark.parametrize("end", [b"\r\n"])
def test_with_other_line_ends(root: Path, end: bytes) -> None:
    for name, content in tree(root).items():
        (root / name).write_bytes(content.replace(b"\n", end))
    done = raw(upgraded(root))
    for name, content in tree(HERE / "after").items():
        if name.endswith(".py"):
            assert done[name] == content.replace(b"\n", end), name


@pytest.mark.spec("UPGC-11")
def test_with_tabs(root: Path) -> None:
    for name, content in tree(root).items():
        if name.endswith(".py"):
            (root / name).write_bytes(content.replace(b"    ", b"\t"))
    done = raw(upgraded(root))
    for name, content in tree(HERE / "after").items():
        if name.endswith(".py"):
            assert done[name].replace(b"\t", b"    ") == content, name


@pytest.mark.spec("UPGC-11")
def test_with_another_encoding(root: Path) -> None:
    head = "# -*- coding: latin-1 -*-\n# Café, größer\n"
    path = root / "live" / "board.py"
    path.write_bytes((head + path.read_text()).encode("latin-1"))
    bom = root / "services.py"
    bom.write_bytes(b"\xef\xbb\xbf" + bom.read_bytes())
    upgraded(root)
    done = plan_of(root, None, Options())
    expected = tree(HERE / "after")
    assert (
        done.files["live/board.py"].encode(errors="surrogateescape")
        == head.encode("latin-1") + expected["live/board.py"]
    )
    assert raw(done)["services.py"] == b"\xef\xbb\xbf" + expected["services.py"]


@pytest.mark.spec("UPGC-7")
def test_what_is_told_of_it(root: Path) -> None:
    done = upgraded(root)
    told = {(one.row, one.path) for one in done.findings if one.status == "flagged"}
    for row, path in (
        ("C-01", "live/board.py"),
        ("C-02", "live/more.py"),
        ("C-04", "hooks.py"),
        ("C-05", "live/more.py"),
        ("C-08", "live/board.py"),
        ("C-13", "hooks.py"),
        ("C-20", "live/more.py"),
        ("S-18", "live/board.py"),
        ("S-24", "live/more.py"),
        ("D-05", "client/bot.py"),
        ("D-06", "services.py"),
        ("D-07", "tests/test_board.py"),
        ("D-18", "services.py"),
        ("D-20", "live/board.py"),
        ("D-25", "live/more.py"),
        ("D-30", "live/more.py"),
        ("D-31", "live/more.py"),
        ("D-37", "live/more.py"),
        ("R-05", "live/files.py"),
        ("R-12", "live/more.py"),
    ):
        assert (row, path) in told, (row, path)
    assert ("R-18", "realtime_config.py") in {(one.row, one.path) for one in done.findings}
    errors = {one.row for one in done.findings if one.severity == "error" and one.status == "flagged"}
    assert {"C-05", "S-18"} <= errors
    behaviour = {one.row for one in done.findings if one.change == "BEHAVIOUR"}
    assert {"C-06", "C-09", "C-14", "C-16", "D-08", "D-10", "D-13", "D-34", "D-38"} <= behaviour
