"""UPG107, and with it every way in which a name of ours can be imported (rules of 3.1)."""

from __future__ import annotations

import textwrap

import pytest

from tests.upgrade.projects import after, flagged, stays, upgrade


@pytest.mark.spec("UPGC-14")
@pytest.mark.parametrize(
    "source",
    [
        "from other import on_cron_error\n\non_cron_error(print)\n",
        "def on_cron_error(f):\n    return f\n\n\n@on_cron_error\ndef a():\n    pass\n",
        "from runtime import live\n\n\ndef f(on_cron_error):\n    on_cron_error(1)\n",
        "class A:\n    def on_cron_error(self):\n        self.x = 1\n",
        "from .runtime import on_cron_error\n\non_cron_error(print)\n",
        "text = 'on_cron_error'\n",
        "from runtime import live\n\non_error = 1\n# on_cron_error\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays("UPG107", source)


@pytest.mark.spec("UPGC-14")
def test_a_module_of_the_same_name_is_not_ours() -> None:
    assert stays(
        "UPG107",
        "from runtime import on_cron_error\n\non_cron_error(1)\n",
        runtime="def on_cron_error(f): ...\n",
    )


@pytest.mark.spec("UPGC-15", "UPGC-16", "UPGC-17", "UPGC-41")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (
            "from runtime import on_cron_error\n\n@on_cron_error\ndef a(p, e): ...\n",
            "from runtime import on_error\n\n@on_error\ndef a(p, e): ...\n",
        ),
        (
            "import runtime as rt\n\n@rt.on_cron_error\ndef a(p, e): ...\n",
            "import runtime as rt\n\n@rt.on_error\ndef a(p, e): ...\n",
        ),
        ("import runtime\nruntime.on_cron_error(print)\n", "import runtime\nruntime.on_error(print)\n"),
        (
            "import runtime.plugins\nruntime.on_cron_error(print)\n",
            "import runtime.plugins\nruntime.on_error(print)\n",
        ),
        (
            "from runtime import live, on_cron_error as oops  # both\noops(print)\n",
            "from runtime import live, on_error as oops  # both\noops(print)\n",
        ),
        (
            "from runtime import (\n    live,\n    on_cron_error,  # cron\n)\non_cron_error(print)\n",
            "from runtime import (\n    live,\n    on_error,  # cron\n)\non_error(print)\n",
        ),
        (
            "def f():\n    from runtime import on_cron_error\n    return on_cron_error(print)\n",
            "def f():\n    from runtime import on_error\n    return on_error(print)\n",
        ),
        (
            "if TYPE_CHECKING:\n    from runtime import on_cron_error\n",
            "if TYPE_CHECKING:\n    from runtime import on_error\n",
        ),
        (
            "from runtime import on_cron_error\non_error = 1\non_cron_error(print)\n",
            "from runtime import on_error as on_cron_error\non_error = 1\non_cron_error(print)\n",
        ),
        (
            "from runtime import on_cron_error\n\ndef f(on_error):\n    on_cron_error(on_error)\n",
            "from runtime import on_error as on_cron_error\n\ndef f(on_error):\n    on_cron_error(on_error)\n",
        ),
        (
            "from runtime import on_cron_error\n__all__ = ['a', 'on_cron_error']\n",
            "from runtime import on_error\n__all__ = ['a', 'on_error']\n",
        ),
        (
            "from runtime import on_cron_error\n\ndef f():\n    return [on_cron_error(x) for x in y]\n",
            "from runtime import on_error\n\ndef f():\n    return [on_error(x) for x in y]\n",
        ),
    ],
)
def test_every_form_of_import(before: str, expected: str) -> None:
    assert after("UPG107", before) == expected


@pytest.mark.spec("UPGC-18")
def test_a_fallback_keeps_the_local_name() -> None:
    source = "try:\n    from runtime import on_cron_error\nexcept ImportError:\n    on_cron_error = None\n"
    assert after("UPG107", source) == (
        "try:\n"
        "    # TODO(realtime-upgrade UPG107): on_cron_error is on_error in 0.5; the name was kept for the other way in"
        " which it is bound\n"
        "    from runtime import on_error as on_cron_error\n"
        "except ImportError:\n"
        "    on_cron_error = None\n"
    )
    other = "try:\n    from runtime import on_cron_error\nexcept ImportError:\n    from old import on_cron_error\n"
    assert flagged("UPG107", other) == [("R-04", 2)]
    assert after("UPG107", other) == other


@pytest.mark.spec("UPGC-19")
def test_a_star_import_is_never_certain() -> None:
    text = after("UPG107", "from runtime import *\n\non_cron_error(print)\n")
    assert "# TODO(realtime-upgrade UPG107)" in text
    assert "\non_error(print)" in text


@pytest.mark.spec("UPGC-20")
@pytest.mark.parametrize(("hops", "followed"), [(1, True), (8, True), (9, False)])
def test_re_exports_are_followed_eight_times(hops: int, followed: bool) -> None:
    chain: dict[str, str | bytes] = {"m0.py": "from runtime import on_cron_error\n"}
    for number in range(1, hops):
        chain[f"m{number}.py"] = f"from m{number - 1} import on_cron_error\n"
    chain["use.py"] = f"import m{hops - 1} as last\n\nlast.on_cron_error(print)\n"
    done = upgrade(chain, only="UPG107")
    assert ("last.on_error(print)" in done.files["use.py"]) is followed
    if not followed:
        assert [one.status for one in done.findings if one.path == "use.py"] == ["flagged"]


@pytest.mark.spec("UPGC-20")
def test_a_circle_of_re_exports_ends() -> None:
    done = upgrade(
        {
            "a.py": "from b import on_cron_error\n",
            "b.py": "from a import on_cron_error\n",
            "use.py": "import a\n\na.on_cron_error(print)\n",
        },
        only="UPG107",
    )
    assert [(one.path, one.status) for one in done.findings] == [("use.py", "flagged")]


def test_those_who_import_from_a_project_file_follow() -> None:
    done = upgrade(
        {
            "services.py": "from runtime import on_cron_error\n",
            "live/a.py": "from services import on_cron_error\n\non_cron_error(print)\n",
            "live/b.py": "import services\n\nservices.on_cron_error(print)\n",
            "kept.py": "from runtime import on_cron_error\n\non_error = 1\n",
            "live/c.py": "from kept import on_cron_error\n\non_cron_error(print)\n",
        },
        only="UPG107",
    )
    assert done.files["live/a.py"] == "from services import on_error\n\non_error(print)\n"
    assert done.files["live/b.py"] == "import services\n\nservices.on_error(print)\n"
    assert done.files["kept.py"] == "from runtime import on_error as on_cron_error\n\non_error = 1\n"
    assert done.files["live/c.py"] == "from kept import on_cron_error\n\non_cron_error(print)\n"


def test_strings_that_name_it() -> None:
    assert flagged("UPG107", "import runtime\n\ngetattr(runtime, 'on_cron_error')(print)\n") == [("R-04", 3)]
    text = after(
        "UPG107", "from unittest import mock\n\nwith mock.patch('runtime.on_cron_error'):\n    pass\n"
    )
    assert "mock.patch('runtime.on_error')" in text
    assert text.count("TODO(realtime-upgrade UPG107)") == 1


@pytest.mark.spec("UPGC-41")
def test_both_registrations_are_told() -> None:
    source = textwrap.dedent("""
        from runtime import on_cron_error, on_error

        on_error(print)
        on_cron_error(print)
        """)
    done = upgrade({"live/a.py": source}, only="UPG107")
    assert "from runtime import on_error as on_cron_error, on_error" in done.files["live/a.py"]
