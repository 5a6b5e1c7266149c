"""UPG119: the old tables are pinned, or renamed by a script."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime_cli.codemods.finding import Severity
from realtime_cli.codemods.project import Options
from realtime_cli.codemods.renamesql import RENAMES_PATH, rename_sql
from tests.upgrade.projects import after, flagged, plan_of, stays, upgrade, write

HEAD = "from runtime.cluster import JobQueue, PgClient, PgIdempotencyStore, PgReplay, TaskRunner\n\n"


@pytest.mark.parametrize(
    "source",
    [
        HEAD + 'jobs = JobQueue(pg, table="jobs")\n',
        HEAD + "pg = PgClient(dsn)\n",
        "class JobQueue: ...\n\n\njobs = JobQueue(pg)\n",
        "from celery import JobQueue\n\njobs = JobQueue(pg)\n",
        HEAD + "class Mine(JobQueue): ...\n\n\njobs = Mine(pg)\n",
        HEAD + "kinds = {'a': JobQueue}\n",
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays("UPG119", source)


@pytest.mark.spec("UPGC-54")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("JobQueue(pg)", 'JobQueue(pg, table="ws_jobs")'),
        ("PgReplay(pg, size=500)", 'PgReplay(pg, size=500, table="ws_replay")'),
        ("PgIdempotencyStore()", 'PgIdempotencyStore(table="ws_idempotency")'),
        (
            "TaskRunner(\n    pg,\n    name='a',  # x\n)",
            ("TaskRunner(\n    pg,\n    name='a',  # x\n    table='ws_tasks',\n)"),
        ),
        ("JobQueue(*args)", 'JobQueue(*args, table="ws_jobs")'),
    ],
)
def test_tables_are_pinned(before: str, expected: str) -> None:
    assert after("UPG119", f"{HEAD}x = {before}  # y\n") == f"{HEAD}x = {expected}  # y\n"


@pytest.mark.spec("UPGC-54")
def test_what_cannot_be_pinned_is_told() -> None:
    assert flagged("UPG119", HEAD + "x = JobQueue(pg, **options)\n") == [("S-23", 3)]
    for name in ("pg_jobs", "information_schema_x", "PG_x"):
        done = upgrade({"a.py": f"{HEAD}x = JobQueue(pg, table='{name}')\n"}, only="UPG119")
        assert [(one.row, one.severity) for one in done.findings] == [("C-26", Severity.ERROR)]


@pytest.mark.spec("UPGC-54")
def test_a_script_is_written_instead(tmp_path: Path) -> None:
    source = HEAD + "x = JobQueue(pg)\n"
    write(tmp_path, {"a.py": source})
    done = plan_of(tmp_path, {"UPG119"}, Options(postgres="rename"))
    assert done.files == {"a.py": source, RENAMES_PATH: rename_sql()}
    assert [(one.row, one.status) for one in done.findings] == [("S-23", "edited")]
    write(tmp_path, {RENAMES_PATH: "-- mine\n"})
    assert plan_of(tmp_path, {"UPG119"}, Options(postgres="rename")).findings == []
    unused = upgrade({"a.py": HEAD}, only="UPG119", options=Options(postgres="rename"))
    assert RENAMES_PATH not in unused.files


@pytest.mark.spec("UPGC-54")
def test_the_script_renames_every_table_and_column_once_in_one_transaction() -> None:
    text = rename_sql()
    assert text.count("BEGIN;") == text.count("COMMIT;") == 1
    for old in ("ws_replay", "ws_replay_seq", "ws_idempotency", "ws_jobs", "ws_tasks"):
        assert text.count(f"ALTER TABLE {old} RENAME TO {old.replace('ws_', 'svti_')};") == 1
        assert f"both {old} and" in text
    assert "ALTER TABLE svti_replay RENAME COLUMN created_date TO created_at;" in text
    assert "ALTER TABLE svti_tasks RENAME COLUMN idempotency_key TO svti_idempotency_key;" in text
    assert "DROP" not in text
