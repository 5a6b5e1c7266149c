"""Live modules that anybody may call: said, refused, or passed over, as the settings want it. Platform 5.17."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from runtime.core.settings import SecuritySettings
from runtime.server.startup import StartupError
from tests.server.conftest import AppFactory

OPEN = "from runtime import live\n\n@live\nasync def call(ctx): return 1\n"
CLOSED = {
    "a guard": "from runtime import guard, live\n_guard = guard(authenticated=True)\n@live\nasync def f(ctx): ...\n",
    "public": "from runtime import live\n@live.public\n@live\nasync def call(ctx): return 1\n",
    "a comment": f"# realtime-allow-public: it is a wall\n{OPEN}",
    "a narrow comment": f"#realtime-allow-public\n{OPEN}",
    "nothing to call": "from runtime import live\n\nNUMBER = 1\n",
}
FOUND = "live/things.py: no _guard: anybody may call call"


def required(how: str) -> dict[str, Any]:
    return {"security": SecuritySettings(require_guard=how)}


@pytest.mark.spec("PLAT-119")
async def test_production_says_it_and_starts(make_app: AppFactory, caplog: pytest.LogCaptureFixture) -> None:
    app = await make_app({"live/things.py": OPEN, "live/more.py": CLOSED["public"]}, env="production")
    assert app.runtime.is_ready
    assert [one.getMessage() for one in caplog.records if "_guard" in one.getMessage()] == [
        f"{FOUND}; add one, mark them @live.public, or write # realtime-allow-public"
    ]


async def test_production_refuses_it_where_that_is_wanted(make_app: AppFactory) -> None:
    files = {"live/things.py": OPEN, "live/deep/more.py": OPEN, "live/fine.py": CLOSED["a guard"]}
    with pytest.raises(StartupError, match='require_guard = "error"') as refused:
        await make_app(files, env="production", **required("error"))
    assert sorted(problem.file for problem in refused.value.problems) == [
        "live/deep/more.py",
        "live/things.py",
    ]
    assert "anybody may call call" in str(refused.value)


@pytest.mark.parametrize("what", CLOSED)
async def test_what_somebody_decided_is_nothing_to_refuse(make_app: AppFactory, what: str) -> None:
    app = await make_app({"live/things.py": CLOSED[what]}, env="production", **required("error"))
    assert app.runtime.is_ready


@pytest.mark.parametrize(
    "source",
    [
        OPEN.replace("call(ctx)", "call(ctx, text='realtime-allow-public')"),
        OPEN + "# realtime-allow-publicly\n",
        OPEN + "_guard_ = 1\n",
        OPEN + "_guard = None\n",
        OPEN + "@live.public\n@live\nasync def other(ctx): ...\n",
    ],
    ids=["no comment", "another word", "another name", "none", "one public of two"],
)
async def test_what_only_looks_decided_is_refused(make_app: AppFactory, source: str) -> None:
    with pytest.raises(StartupError, match="_guard: anybody may call"):
        await make_app({"live/things.py": source}, env="production", **required("error"))


@pytest.mark.parametrize(("env", "how", "said"), [("dev", "warn", 1), ("dev", "error", 1), ("dev", "off", 0)])
async def test_dev_says_it_and_never_refuses(
    make_app: AppFactory, env: str, how: str, said: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        app = await make_app({"live/things.py": OPEN}, env=env, **required(how))
    assert app.runtime.is_ready
    assert caplog.text.count(FOUND) == said


async def test_it_can_be_switched_off(make_app: AppFactory, caplog: pytest.LogCaptureFixture) -> None:
    await make_app({"live/things.py": OPEN}, env="production", **required("off"))
    assert "_guard" not in caplog.text
