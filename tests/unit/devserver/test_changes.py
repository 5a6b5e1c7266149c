from __future__ import annotations

import pytest

from realtime_cli.devserver.changes import Changes, Layout, classify, is_ignored

LAYOUT = Layout()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("live/todos.py", Changes(live={"live/todos.py"})),
        ("live/admin/users.py", Changes(live={"live/admin/users.py"})),
        ("live/_shared.py", Changes(live={"live/_shared.py"})),
        ("live/notes.txt", Changes()),
        ("web/style.css", Changes(css={"/style.css"})),
        ("web/theme/dark.css", Changes(css={"/theme/dark.css"})),
        ("web/index.html", Changes(page={"web/index.html"})),
        ("web/app.js", Changes(page={"web/app.js"})),
        ("web/img/logo.svg", Changes(page={"web/img/logo.svg"})),
        ("hooks.py", Changes(restart={"hooks.py"})),
        ("realtime.toml", Changes(restart={"realtime.toml"})),
        ("pyproject.toml", Changes(restart={"pyproject.toml"})),
        (".env", Changes(restart={".env"})),
        ("app/db.py", Changes(python={"app/db.py"})),
        ("setup.py", Changes(python={"setup.py"})),
        ("README.md", Changes()),
        ("livestock/cow.py", Changes(python={"livestock/cow.py"})),
        ("webby/style.css", Changes()),
        ("sub/realtime.toml", Changes()),
    ],
)
def test_each_file_asks_for_one_thing(path: str, expected: Changes) -> None:
    assert classify([path], LAYOUT) == expected
    assert bool(expected) == bool(classify([path], LAYOUT))


@pytest.mark.parametrize(
    "path",
    [
        "live/__pycache__/todos.cpython-311.pyc",
        "live/todos.pyi",
        ".venv/lib/x.py",
        "venv/lib/x.py",
        "node_modules/x/y.js",
        "web/node_modules/x/y.js",
        ".git/index.lock",
        "live/.hidden.py",
        "live/.todos.py.swp",
        "live/4913",
        "live/todos.py~",
        "live/.#todos.py",
        "live/#todos.py#",
        "live/todos.py.tmp",
        "web/page.html___jb_tmp___",
        "types/todos.d.ts",
        "tests/test_todos.py",
        "app.sqlite3",
        "data/x.py",
        "web/store.db-wal",
        ".env.local",
    ],
)
def test_ignored(path: str) -> None:
    assert is_ignored(path, LAYOUT)
    assert not classify([path], LAYOUT)


def test_ignored_folders_are_not_walked() -> None:
    assert is_ignored(".venv", LAYOUT, folder=True)
    assert is_ignored("live/__pycache__", LAYOUT, folder=True)
    assert is_ignored("types", LAYOUT, folder=True)
    assert not is_ignored("live", LAYOUT, folder=True)
    assert not is_ignored("live/types", LAYOUT, folder=True)
    assert not is_ignored("", LAYOUT, folder=True)


def test_folders_of_the_settings_win_over_the_ignored_names() -> None:
    layout = Layout(live="data/live", web="build", hooks="app/hooks.py")
    assert not is_ignored("data", layout, folder=True)
    assert is_ignored("data/raw/x.py", layout)
    assert classify(["data/live/a.py", "build/x.css", "app/hooks.py", "live/a.py"], layout) == Changes(
        live={"data/live/a.py"}, css={"/x.css"}, restart={"app/hooks.py"}, python={"live/a.py"}
    )


def test_add_joins() -> None:
    changes = classify(["live/a.py", "web/a.css"], LAYOUT)
    changes.add(classify(["live/b.py", "web/a.css", "app.py", "web/a.html", ".env"], LAYOUT))
    assert changes == Changes(
        live={"live/a.py", "live/b.py"},
        css={"/a.css"},
        page={"web/a.html"},
        restart={".env"},
        python={"app.py"},
    )
