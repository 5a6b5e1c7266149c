"""The script that renames the tables of 0.4, in a real Postgres with the tables of 0.4, run twice."""

from __future__ import annotations

from collections.abc import Iterator

import asyncpg
import pytest

from realtime_cli.codemods.renamesql import rename_sql
from tests.backends import Backend, postgres_server

OLD_SCHEMA = """
CREATE TABLE ws_replay (
    id BIGSERIAL PRIMARY KEY, topic TEXT NOT NULL, seq BIGINT NOT NULL, event TEXT, data JSONB,
    created_date TIMESTAMPTZ NOT NULL DEFAULT now());
CREATE INDEX ws_replay_topic ON ws_replay (topic, seq);
CREATE TABLE ws_replay_seq (topic TEXT PRIMARY KEY, seq BIGINT NOT NULL);
CREATE TABLE ws_idempotency (key TEXT PRIMARY KEY, status TEXT NOT NULL, result JSONB, expires_at TIMESTAMPTZ);
CREATE TABLE ws_jobs (id BIGSERIAL PRIMARY KEY, queue TEXT NOT NULL, payload JSONB);
CREATE TABLE ws_tasks (task_id UUID PRIMARY KEY, name TEXT NOT NULL, idempotency_key TEXT, input JSONB);
INSERT INTO ws_replay (topic, seq, event) VALUES ('a', 1, 'set'), ('a', 2, 'set');
INSERT INTO ws_idempotency (key, status) VALUES ('k', 'done');
"""
COLUMNS = """
SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'
ORDER BY table_name, ordinal_position
"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[Backend]:
    with postgres_server() as backend:
        yield backend


async def columns(connection: asyncpg.Connection) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for table, column in await connection.fetch(COLUMNS):
        found.setdefault(table, []).append(column)
    return found


async def emptied(backend: Backend) -> asyncpg.Connection:
    connection = await asyncpg.connect(backend.url)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public;")
    return connection


@pytest.mark.spec("UPGC-54")
async def test_it_renames_tables_and_columns_and_keeps_every_row(postgres: Backend) -> None:
    connection = await emptied(postgres)
    try:
        await connection.execute(OLD_SCHEMA)
        await connection.execute(rename_sql())
        first = await columns(connection)
        assert {table: names[:1] for table, names in first.items()} == {
            "svti_idempotency": ["svti_idempotency_key"],
            "svti_jobs": ["svti_jobs_id"],
            "svti_replay": ["svti_replay_id"],
            "svti_replay_seq": ["topic"],
            "svti_tasks": ["svti_tasks_id"],
        }
        assert "created_at" in first["svti_replay"]
        assert "svti_idempotency_key" in first["svti_tasks"]
        assert await connection.fetchval("SELECT count(*) FROM svti_replay") == 2
        await connection.execute(rename_sql())
        assert await columns(connection) == first
        assert await connection.fetchval("SELECT status FROM svti_idempotency") == "done"
    finally:
        await connection.close()


@pytest.mark.spec("UPGC-54")
async def test_with_both_tables_nothing_changes(postgres: Backend) -> None:
    connection = await emptied(postgres)
    try:
        await connection.execute(OLD_SCHEMA)
        await connection.execute("CREATE TABLE svti_tasks (svti_tasks_id UUID)")
        before = await columns(connection)
        with pytest.raises(asyncpg.RaiseError, match="both ws_tasks and svti_tasks exist"):
            await connection.execute(rename_sql())
        await connection.execute("ROLLBACK")
        assert await columns(connection) == before
    finally:
        await connection.close()


@pytest.mark.spec("UPGC-54")
async def test_where_only_some_tables_are_there_these_are_renamed(postgres: Backend) -> None:
    connection = await emptied(postgres)
    try:
        await connection.execute("CREATE TABLE ws_jobs (id BIGSERIAL PRIMARY KEY)")
        await connection.execute(rename_sql())
        assert await columns(connection) == {"svti_jobs": ["svti_jobs_id"]}
    finally:
        await connection.close()
