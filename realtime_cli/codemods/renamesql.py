"""The SQL that gives the tables of 0.4 their names of 0.5; a second run changes nothing. Spec: upgrade 3.4."""

from __future__ import annotations

__all__ = ["RENAMES_PATH", "rename_sql"]

RENAMES_PATH = "migrations/realtime_0_5.sql"

_TABLES: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    ("ws_replay", "svti_replay", (("id", "svti_replay_id"), ("created_date", "created_at"))),
    ("ws_replay_seq", "svti_replay_seq", ()),
    ("ws_idempotency", "svti_idempotency", (("key", "svti_idempotency_key"),)),
    ("ws_jobs", "svti_jobs", (("id", "svti_jobs_id"),)),
    (
        "ws_tasks",
        "svti_tasks",
        (("task_id", "svti_tasks_id"), ("idempotency_key", "svti_idempotency_key")),
    ),
)

_HEAD = """\
-- The tables of Realtime Toolkit 0.4 get their names of 0.5.
-- Stop 0.4, run this with psql, start 0.5. A second run changes nothing; if old and new tables are both there,
-- it says so and changes nothing at all.
BEGIN;

DO $$
BEGIN
"""

_TABLE = """\
    IF EXISTS (SELECT FROM information_schema.tables
               WHERE table_schema = current_schema() AND table_name = '{old}') THEN
        IF EXISTS (SELECT FROM information_schema.tables
                   WHERE table_schema = current_schema() AND table_name = '{new}') THEN
            RAISE EXCEPTION 'both {old} and {new} exist: move or drop one of them first';
        END IF;
        ALTER TABLE {old} RENAME TO {new};
    END IF;
"""

_COLUMN = """\
    IF EXISTS (SELECT FROM information_schema.columns
               WHERE table_schema = current_schema() AND table_name = '{table}' AND column_name = '{old}') THEN
        ALTER TABLE {table} RENAME COLUMN {old} TO {new};
    END IF;
"""

_FOOT = """\
END
$$;

COMMIT;
"""


def rename_sql() -> str:
    """Return the script: one transaction, each step only if `information_schema` shows that it is still to do."""
    steps = []
    for old, new, columns in _TABLES:
        steps.append(_TABLE.format(old=old, new=new))
        steps += [_COLUMN.format(table=new, old=before, new=after) for before, after in columns]
    return _HEAD + "".join(steps) + _FOOT
