"""UPG101: the moves, those who import what moves, and when nothing moves."""

from __future__ import annotations

import pytest

from tests.upgrade.projects import Upgraded, upgrade


def moved(files: dict[str, str | bytes]) -> Upgraded:
    return upgrade(files, only="UPG101")


@pytest.mark.parametrize(
    "source",
    [
        "import hooks_ws_more\n",
        "text = 'hooks_ws'\n",
        "from other import hooks_ws\n",
        "from app.src.live import a\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    done = moved({"hooks_ws.py": "x = 1\n", "a.py": source})
    assert done.files["a.py"] == source


@pytest.mark.spec("UPGC-32")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("import hooks_ws\n\nhooks_ws.open(hooks_ws.x.y)\n", "import hooks\n\nhooks.open(hooks.x.y)\n"),
        ("import hooks_ws as h  # ours\n", "import hooks as h  # ours\n"),
        ("from hooks_ws import open as o\n", "from hooks import open as o\n"),
        ("from . import hooks_ws\n\nhooks_ws.x\n", "from . import hooks\n\nhooks.x\n"),
        ("import hooks_ws\n\nhooks = hooks_ws.x\n", "import hooks as hooks_ws\n\nhooks = hooks_ws.x\n"),
        (
            "import hooks_ws\n\n\ndef f(hooks):\n    return hooks_ws.x\n",
            "import hooks as hooks_ws\n\n\ndef f(hooks):\n    return hooks_ws.x\n",
        ),
        (
            "def f():\n    import hooks_ws\n    return hooks_ws.x\n",
            "def f():\n    import hooks\n    return hooks.x\n",
        ),
    ],
)
def test_imports_follow(before: str, expected: str) -> None:
    done = moved({"hooks_ws.py": "x = 1\n", "a.py": before})
    assert done.files["a.py"] == expected
    assert done.files["hooks.py"] == "x = 1\n"
    assert "hooks_ws.py" not in done.files


def test_strings_that_patch_are_marked_and_names_that_are_computed_told() -> None:
    done = moved(
        {
            "hooks_ws.py": "x = 1\n",
            "a.py": "import importlib\n\nmock.patch('hooks_ws.x')\nimportlib.import_module('hooks_ws.x')\n",
        }
    )
    assert "mock.patch('hooks.x')" in done.files["a.py"]
    assert done.files["a.py"].count("TODO(realtime-upgrade UPG101)") == 1
    assert [one.status for one in done.findings if one.path == "a.py"] == ["todo", "flagged"]


def test_src_is_left() -> None:
    done = moved(
        {
            "src/hooks_ws.py": "from src.live.a import x\n",
            "src/live/__init__.py": "",
            "src/live/a.py": "from src.live import b\nfrom .b import y\n\nx = 1\n",
            "src/live/b.py": "y = 1\n",
            "src/other.py": "import src.live.a\n\nsrc.live.a.x\n",
            "pyproject.toml": "[project]\nname = 'x'\n",
        }
    )
    assert {name: text for name, text in done.files.items() if name.endswith(".py")} == {
        "hooks.py": "from live.a import x\n",
        "live/__init__.py": "",
        "live/a.py": "from live import b\nfrom .b import y\n\nx = 1\n",
        "live/b.py": "y = 1\n",
        "src/other.py": "import live.a\n\nlive.a.x\n",
    }


@pytest.mark.spec("UPGC-32")
@pytest.mark.parametrize(
    ("files", "path"),
    [
        ({"hooks_ws.py": "x = 1\n", "hooks.py": "x = 2\n"}, "hooks_ws.py"),
        ({"src/live/a.py": "x = 1\n", "live/b.py": "x = 2\n"}, "src/live"),
        (
            {
                "src/live/a.py": "x = 1\n",
                "pyproject.toml": "[tool.hatch.build.targets.wheel]\npackages = ['src']\n",
            },
            "src/live",
        ),
        ({"src/live/a.py": "from ..services import bus\n", "src/services.py": "bus = 1\n"}, "src/live/a.py"),
    ],
)
def test_what_is_not_certain_does_not_move(files: dict[str, str | bytes], path: str) -> None:
    done = moved(files)
    assert done.files == files
    assert [(one.path, one.status, one.severity) for one in done.findings] == [(path, "flagged", "error")]


def test_an_equal_copy_goes() -> None:
    done = moved({"hooks_ws.py": "x = 1\n", "hooks.py": "x = 1\n"})
    assert done.files == {"hooks.py": "x = 1\n"}
