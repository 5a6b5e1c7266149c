from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from realtime_cli.devserver import fingerprints
from realtime_cli.devserver.changes import Layout
from realtime_cli.devserver.fingerprints import FileIndex


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for folder in ("live/admin", "web", ".venv/lib", "tests", "live/__pycache__"):
        (tmp_path / folder).mkdir(parents=True)
    for file in (
        "live/a.py",
        "live/admin/b.py",
        "web/x.css",
        "hooks.py",
        ".env",
        ".venv/lib/z.py",
        "tests/t.py",
    ):
        (tmp_path / file).write_text(f"# {file}")
    return tmp_path


@pytest.fixture
def index(project: Path) -> FileIndex:
    made = FileIndex(project, Layout())
    made.scan()
    return made


def test_scan_leaves_out_what_is_ignored(index: FileIndex) -> None:
    assert len(index) == 5
    assert index.update([""]).changed == set()


def test_a_changed_file(index: FileIndex, project: Path) -> None:
    (project / "live/a.py").write_text("changed")
    assert index.update(["live/a.py"]).changed == {"live/a.py"}
    assert index.update(["live/a.py"]).changed == set()


def test_a_touch_is_no_change(index: FileIndex, project: Path) -> None:
    os.utime(project / "live/a.py", (1, 1))
    (project / "live/admin/b.py").write_text("# live/admin/b.py")
    assert index.update(["live/a.py", "live/admin/b.py"]).changed == set()


def test_new_deleted_and_renamed_files(index: FileIndex, project: Path) -> None:
    (project / "live/new.py").write_text("x")
    (project / "live/a.py").rename(project / "live/c.py")
    changed = index.update(["live/new.py", "live/a.py", "live/c.py", "live/never.py"]).changed
    assert changed == {"live/new.py", "live/a.py", "live/c.py"}
    (project / "live/new.py").unlink()
    assert index.update(["live/new.py"]).changed == {"live/new.py"}
    assert index.update(["live/new.py"]).changed == set()


def test_a_folder_stands_for_its_files(index: FileIndex, project: Path) -> None:
    (project / "live/admin/deep").mkdir()
    (project / "live/admin/deep/d.py").write_text("x")
    (project / "live/admin/b.py").write_text("y")
    assert index.update(["live/admin"]).changed == {"live/admin/deep/d.py", "live/admin/b.py"}
    shutil.rmtree(project / "live")
    assert index.update(["live"]).changed == {"live/a.py", "live/admin/b.py", "live/admin/deep/d.py"}


def test_a_folder_beside_with_the_same_beginning_is_left_alone(index: FileIndex, project: Path) -> None:
    (project / "livestock").mkdir()
    (project / "livestock/cow.py").write_text("x")
    assert index.update(["livestock"]).changed == {"livestock/cow.py"}
    (project / "livestock/cow.py").unlink()
    shutil.rmtree(project / "live")
    assert "livestock/cow.py" not in index.update(["live"]).changed


def test_ignored_paths_never_differ(index: FileIndex, project: Path) -> None:
    (project / ".venv/lib/z.py").write_text("changed")
    (project / "live/a.py.tmp").write_text("x")
    (project / "live/__pycache__/a.pyc").write_text("x")
    assert index.update([".venv", ".venv/lib/z.py", "live/a.py.tmp", "live/__pycache__"]).changed == set()


def test_emptied_files_are_named(index: FileIndex, project: Path) -> None:
    (project / "live/a.py").write_text("")
    (project / "live/new.py").write_text("")
    found = index.update(["live/a.py", "live/new.py"])
    assert found.changed == {"live/a.py", "live/new.py"}
    assert found.emptied == {"live/a.py"}


def test_forgotten_files_differ_again(index: FileIndex) -> None:
    index.forget(["live/a.py", "live/unknown.py"])
    assert index.update(["live/a.py", "live/unknown.py"]).changed == {"live/a.py"}


def test_large_files_are_compared_by_size_and_time(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "MAX_HASHED_SIZE", 10)
    (project / "web/big.bin").write_bytes(b"x" * 11)
    index = FileIndex(project, Layout())
    index.scan()
    assert index.update(["web/big.bin"]).changed == set()
    os.utime(project / "web/big.bin", ns=(1, 1))
    assert index.update(["web/big.bin"]).changed == {"web/big.bin"}


def test_the_index_is_bounded(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "MAX_FILES", 2)
    index = FileIndex(project, Layout())
    index.scan()
    assert len(index) == 2


def test_files_found_in_a_folder_are_read_only_if_they_look_new(index: FileIndex, project: Path) -> None:
    file = project / "live/a.py"
    status = file.stat()
    file.write_text("# live/b.py")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert index.update([""]).changed == set()
    assert index.update(["live/a.py"]).changed == {"live/a.py"}


def test_a_fingerprint_changes_with_names_times_and_sizes(index: FileIndex, project: Path) -> None:
    seen = {index.fingerprint("web")}
    assert index.fingerprint("web") in seen
    (project / "live/a.py").write_text("elsewhere")
    (project / "web/x.css.swp").write_text("an editor's")
    assert index.fingerprint("web") in seen
    (project / "web/new.css").write_text("")
    os.utime(project / "web/new.css", ns=(1, 1))
    seen.add(index.fingerprint("web"))
    (project / "web/new.css").write_text("longer")
    os.utime(project / "web/new.css", ns=(1, 1))
    seen.add(index.fingerprint("web"))
    os.utime(project / "web/new.css", ns=(2, 2))
    seen.add(index.fingerprint("web"))
    assert len(seen) == 4
    assert index.fingerprint("missing") == index.fingerprint("nowhere")
