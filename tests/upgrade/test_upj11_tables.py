"""UPJ11: the names of Postgres tables."""

from __future__ import annotations

import pytest

from realtime_cli.codemods.project import Options
from tests.upgrade.projects import upgrade
from tests.upgrade.scriptprojects import PACKAGE, becomes, stays_everywhere, told

_PG = "import { createReplay } from 'svelte-adapter-uws-extensions/postgres'\n"
_JOBS = "import { createJobs } from 'svelte-adapter-uws-extensions/postgres/jobs'\n"


@pytest.mark.spec("UPGC-81")
@pytest.mark.parametrize(
    "source",
    [
        "import { createReplay } from 'svelte-adapter-uws-extensions/redis'\nconst replay = createReplay(redis)\n",
        "import { createReplay } from 'another/postgres'\nconst replay = createReplay(pg)\n",
        f"{_PG}const replay = createReplay(pg, {{ table: 'mine' }})\n",
        f"{_PG}const f = (createReplay) => createReplay(pg)\n",
        f"{_PG}const replay = createReplay\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays_everywhere("UPJ11", source)


@pytest.mark.spec("UPGC-81", "UPGC-54")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (f"{_PG}const r = createReplay(pg)", f"{_PG}const r = createReplay(pg, {{ table: 'ws_replay' }})"),
        (
            f"{_JOBS}const j = createJobs({{ client }});",
            f"{_JOBS}const j = createJobs({{ client, table: 'ws_jobs' }});",
        ),
        (f"{_JOBS}const j = createJobs({{}})", f"{_JOBS}const j = createJobs({{table: 'ws_jobs'}})"),
        (
            f"{_PG}const r = createReplay(pg, {{\n\tsize: 5 // few\n}})",
            f"{_PG}const r = createReplay(pg, {{\n\tsize: 5,\n\ttable: 'ws_replay' // few\n}})",
        ),
        (
            _PG.replace("'", '"') + "const r = createReplay(pg, { size: 5, })",
            _PG.replace("'", '"') + 'const r = createReplay(pg, { size: 5, table: "ws_replay", })',
        ),
    ],
)
def test_the_old_name_is_pinned(before: str, expected: str) -> None:
    assert becomes("UPJ11", f"{before}\n", f"{expected}\n")


@pytest.mark.spec("UPGC-81", "UPGC-54")
@pytest.mark.parametrize(
    "call", ["createReplay(pg, options)", "createReplay(pg, { ...options })", "createReplay(...all)"]
)
def test_options_that_cannot_be_seen_are_told(call: str) -> None:
    assert told("UPJ11", f"{_PG}const r = {call}\n") == [("S-23", 2)]


@pytest.mark.spec("UPGC-54")
def test_a_reserved_name_is_an_error() -> None:
    assert told("UPJ11", f"{_PG}const r = createReplay(pg, {{ table: 'pg_replay' }})\n") == [("C-26", 2)]


@pytest.mark.spec("UPGC-54")
def test_a_package_of_the_new_line_and_a_rename_pin_nothing() -> None:
    source = f"{_PG}const r = createReplay(pg)\n"
    files: dict[str, str | bytes] = {"package.json": PACKAGE.replace("0.4.5", "0.5.2"), "src/a.js": source}
    assert upgrade(files, only="UPJ11").findings == []
    files["package.json"] = PACKAGE
    assert upgrade(files, only="UPJ11", options=Options(postgres="rename")).findings == []


def test_one_argument_that_may_be_the_options_is_told() -> None:
    assert told("UPJ11", f"{_JOBS}const j = createJobs(options)\n") == [("S-23", 2)]
