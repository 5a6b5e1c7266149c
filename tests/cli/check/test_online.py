"""The online pass against a real Redis and a real Postgres: what is asked and told, and that nothing is changed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from redis import Redis

from realtime_cli.backends import BackendUnreachable, ask_redis
from realtime_cli.rules.calculator import Load
from realtime_cli.rules.engine import run_rules
from realtime_cli.rules.examples import BASE
from realtime_cli.rules.online import Backends, ask_backends
from realtime_cli.rules.project import Project
from runtime.core.settings import RedisSettings
from tests.backends import PASSWORD, Backend, free_port, postgres_server, redis_server, sentinel
from tests.cli.commands import realtime

CLEAN = (BASE / "realtime.toml").read_text(encoding="utf-8")
TABLES = """
CREATE TABLE svti_replay
    (svti_replay_id bigserial, topic text, seq bigint, event text, data jsonb, created_at timestamptz);
CREATE TABLE svti_replay_seq (topic text PRIMARY KEY, seq bigint);
"""


@pytest.fixture(scope="module")
def redis() -> Iterator[Backend]:
    with redis_server() as backend:
        yield backend


@pytest.fixture(scope="module")
def postgres() -> Iterator[Backend]:
    with postgres_server() as backend:
        yield backend


@contextlib.contextmanager
def configured(backend: Backend, **values: str) -> Iterator[None]:
    """Set parameters of a running Redis, and put them back."""
    client: Any = Redis.from_url(backend.url, decode_responses=True)
    before = {name.replace("_", "-"): client.config_get(name.replace("_", "-")) for name in values}
    for name, value in values.items():
        client.config_set(name.replace("_", "-"), value)
    try:
        yield
    finally:
        for name, found in before.items():
            client.config_set(name, found[name])
        client.close()


def project(root: Path, settings: str, **files: str) -> Project:
    root.joinpath("realtime.toml").write_text(CLEAN + settings, encoding="utf-8")
    for name in ("hooks.py", "pyproject.toml"):
        root.joinpath(name).write_text((BASE / name).read_text(encoding="utf-8"), encoding="utf-8")
    root.joinpath("environment.txt").unlink(missing_ok=True)
    return Project.read(
        root,
        environ={"REALTIME_CHECK_CPUS": "4", "BACKEND": files.get("url", ""), "DSN": files.get("dsn", "")},
    )


def told(found: Project) -> list[tuple[str, str]]:
    backends = ask_backends(found.settings.settings)
    return [(one.rule, one.message) for one in run_rules(found, backends=backends).findings]


def redis_rules(root: Path, backend: Backend, settings: str = "", load: Load | None = None) -> list[str]:
    found = project(root, f'[redis]\nurl = "env:BACKEND"\n{settings}', url=backend.url)
    found.load = load
    return [rule for rule, _ in told(found)]


def postgres_rules(
    root: Path, backend: Backend, settings: str = "", before: str = ""
) -> list[tuple[str, str]]:
    return told(project(root, f'{before}\n[postgres]\ndsn = "env:DSN"\n{settings}', dsn=backend.url))


@pytest.mark.spec("PLAT-152")
def test_a_fit_redis_is_fine(tmp_path: Path, redis: Backend) -> None:
    with configured(redis, appendonly="yes"):
        assert redis_rules(tmp_path, redis, 'bus = "sharded"\nreplay = "redis"\n') == []


def test_redis_says_what_it_is(redis: Backend) -> None:
    answers = asyncio.run(ask_redis(RedisSettings(url=redis.url)))
    assert answers["version"][0] >= 6
    assert answers["policy"] == "noeviction"
    assert (answers["saves"], answers["appendonly"]) == (False, False)
    assert answers["pubsub_limit"] == 32 * 2**20
    assert abs(answers["clock_offset"]) < 1
    assert 0 <= answers["latency"] < 5
    assert "refused" not in answers


def test_the_master_of_sentinels_is_asked(tmp_path: Path, redis: Backend) -> None:
    with sentinel(redis, "board") as watching:
        hosts = f"127.0.0.1:{free_port()},127.0.0.1:{watching.port}"
        answers = asyncio.run(ask_redis(RedisSettings(url=f"redis+sentinel://:{PASSWORD}@{hosts}/board/0")))
        assert answers["policy"] == "noeviction"
        named = RedisSettings(url=f"redis+sentinel://:{PASSWORD}@{hosts}/0", sentinel_master="board")
        assert asyncio.run(ask_redis(named))["policy"] == "noeviction"
        wrong = RedisSettings(url=f"redis+sentinel://:s3cret@{hosts}/other")
        with pytest.raises(BackendUnreachable, match=r"redis\+sentinel://:\*\*\*@127.0.0.1") as raised:
            asyncio.run(ask_redis(wrong))
        assert "s3cret" not in str(raised.value)


def test_a_node_of_a_cluster_is_asked() -> None:
    with redis_server("--cluster-enabled", "yes") as node:
        url = node.url.replace("redis://", "redis+cluster://").replace("/0", f",127.0.0.1:{free_port()}")
        assert asyncio.run(ask_redis(RedisSettings(url=url)))["policy"] == "noeviction"


def test_a_policy_that_evicts_is_told(tmp_path: Path, redis: Backend) -> None:
    with configured(redis, maxmemory_policy="allkeys-lru"):
        assert redis_rules(tmp_path, redis) == ["CLU013"]


def test_a_small_buffer_is_told_for_the_load_that_is_asked_about(tmp_path: Path, redis: Backend) -> None:
    heavy = Load(publish_rate=20_000, payload=1000)
    with configured(redis, client_output_buffer_limit="pubsub 8388608 8388608 60"):
        assert redis_rules(tmp_path, redis) == []
        assert redis_rules(tmp_path, redis, load=heavy) == ["CLU014"]
        assert redis_rules(tmp_path, redis, 'bus = "none"\n', load=heavy) == []
    with configured(redis, client_output_buffer_limit="pubsub 0 0 0"):
        assert redis_rules(tmp_path, redis, load=heavy) == []


def test_events_in_a_redis_that_saves_nothing_are_told(tmp_path: Path, redis: Backend) -> None:
    assert redis_rules(tmp_path, redis, 'replay = "redis"\n') == ["CLU015"]
    assert redis_rules(tmp_path, redis) == []
    with configured(redis, save="3600 1"):
        assert redis_rules(tmp_path, redis, 'replay = "redis"\n') == []


def test_a_clock_that_is_off_is_told(tmp_path: Path, redis: Backend) -> None:
    settings = RedisSettings(url=redis.url)
    answers = asyncio.run(ask_redis(settings, now=lambda: time.time() - 3.0))
    assert answers["clock_offset"] == pytest.approx(3.0, abs=0.9)
    found = project(tmp_path, '[redis]\nurl = "env:BACKEND"\n', url=redis.url)
    (finding,) = run_rules(found, backends=Backends(redis=answers)).findings
    assert (finding.rule, "ahead" in finding.message) == ("CLU022", True)


@pytest.mark.parametrize(
    ("version", "sharded", "rule"),
    [([6, 2, 14], False, True), ([6, 2, 14], True, False), ([7, 0, 0], None, False)],
)
def test_a_redis_that_cannot_shard_is_judged_by_what_it_can(
    tmp_path: Path, version: list[int], sharded: bool | None, rule: bool
) -> None:
    found = project(tmp_path, '[redis]\nurl = "env:BACKEND"\nbus = "sharded"\n', url="redis://localhost/0")
    answers = {"version": version, "sharded": sharded}
    findings = run_rules(found, backends=Backends(redis=answers)).findings
    assert [one.rule for one in findings] == ["CLU012"] * rule


@pytest.mark.spec("PLAT-152")
def test_a_wrong_password_is_told_without_it(tmp_path: Path, redis: Backend) -> None:
    url = redis.url.replace(PASSWORD, "s3cret-but-wrong")
    ((rule, message),) = told(project(tmp_path, '[redis]\nurl = "env:BACKEND"\n', url=url))
    assert rule == "CLU011"
    assert f"redis://:***@127.0.0.1:{redis.port}/0" in message
    assert "password" in message
    assert "s3cret" not in message


def test_nobody_at_the_address_is_told(tmp_path: Path) -> None:
    url = f"redis://app:{PASSWORD}@127.0.0.1:{free_port()}/0"
    ((rule, message),) = told(project(tmp_path, '[redis]\nurl = "env:BACKEND"\n', url=url))
    assert rule == "CLU011"
    assert "refused" in message.lower()
    assert PASSWORD not in message


@pytest.mark.parametrize("scheme", ["redis", "postgresql"])
def test_one_who_never_answers_has_a_time_limit(tmp_path: Path, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"{scheme}://app:{PASSWORD}@127.0.0.1:{silent.getsockname()[1]}/0"
        limits = (
            "connect_timeout = 0.2\ncommand_timeout = 0.2\n"
            if scheme == "redis"
            else "command_timeout = 0.3\n"
        )
        key = 'url = "env:BACKEND"' if scheme == "redis" else 'dsn = "env:BACKEND"'
        section = "redis" if scheme == "redis" else "postgres"
        began = time.monotonic()
        ((rule, message),) = told(project(tmp_path, f"[{section}]\n{key}\n{limits}", url=url))
        assert time.monotonic() - began < 5
    assert rule == ("CLU011" if scheme == "redis" else "CLU016")
    assert PASSWORD not in message


def test_all_questions_together_have_a_time_limit(
    tmp_path: Path, redis: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime_cli.rules.online.TIME_LIMIT", 0.001)
    ((rule, message),) = told(project(tmp_path, '[redis]\nurl = "env:BACKEND"\n', url=redis.url))
    assert (rule, message) == ("CLU011", "Redis did not answer all questions within 0.001 s")


def test_what_is_no_redis_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer() -> None:
            peer, _ = other.accept()
            with peer:
                peer.recv(1000)
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"redis://127.0.0.1:{other.getsockname()[1]}/0"
        ((rule, _),) = told(project(tmp_path, '[redis]\nurl = "env:BACKEND"\n', url=url))
        thread.join()
    assert rule == "CLU011"


@pytest.mark.spec("PLAT-152")
def test_a_user_with_few_rights_leaves_questions_open(tmp_path: Path, redis: Backend) -> None:
    admin: Any = Redis.from_url(redis.url)
    admin.execute_command(
        "ACL", "SETUSER", "few", "on", f">{PASSWORD}", "+ping", "+time", "+info", "+client", "+hello"
    )
    url = redis.url.replace(f":{PASSWORD}@", f"few:{PASSWORD}@")
    answers = asyncio.run(ask_redis(RedisSettings(url=url)))
    assert answers["refused"] == ["CONFIG GET"]
    assert answers["policy"] == "noeviction"
    found = project(tmp_path, '[redis]\nurl = "env:BACKEND"\n', url=url)
    assert told(found) == []
    admin.execute_command("ACL", "SETUSER", "few", "-info")
    assert asyncio.run(ask_redis(RedisSettings(url=url)))["refused"] == ["INFO", "CONFIG GET"]
    admin.execute_command("ACL", "DELUSER", "few")
    admin.close()


@pytest.mark.spec("PLAT-152")
def test_redis_is_only_read(tmp_path: Path, redis: Backend) -> None:
    client: Any = Redis.from_url(redis.url, decode_responses=True)
    client.set("kept", "as it was")
    client.config_resetstat()
    redis_rules(tmp_path, redis, 'bus = "sharded"\nreplay = "redis"\n')
    called = {name.removeprefix("cmdstat_") for name in client.info("commandstats")}
    allowed = {
        "ping",
        "auth",
        "hello",
        "select",
        "info",
        "time",
        "config|get",
        "config|resetstat",
        "command|info",
    }
    assert called - allowed <= {"client|setinfo", "client|setname"}
    assert client.get("kept") == "as it was"
    assert client.dbsize() == 1
    client.delete("kept")
    client.close()


@pytest.mark.spec("PLAT-152")
def test_a_fit_postgres_is_fine(tmp_path: Path, postgres: Backend) -> None:
    assert postgres_rules(tmp_path, postgres) == []


def test_tables_that_nobody_makes_are_told(tmp_path: Path, postgres: Backend) -> None:
    replay = '[redis]\nreplay = "postgres"\n'
    assert postgres_rules(tmp_path, postgres, before=replay) == []
    ((rule, message),) = postgres_rules(tmp_path, postgres, "migrate = false\n", replay)
    assert (rule, "no svti_replay; no svti_replay_seq" in message) == ("CLU016", True)
    execute(postgres, TABLES)
    assert postgres_rules(tmp_path, postgres, "migrate = false\n", replay) == []
    execute(postgres, "ALTER TABLE svti_replay RENAME created_at TO created_date")
    ((rule, message),) = postgres_rules(tmp_path, postgres, "migrate = false\n", replay)
    assert (rule, "svti_replay without created_at" in message) == ("CLU016", True)
    ((rule, message),) = postgres_rules(tmp_path, postgres, 'migrate = false\nschema = "other"\n', replay)
    assert (rule, "the schema other has no svti_replay" in message) == ("CLU016", True)
    execute(postgres, "DROP TABLE svti_replay, svti_replay_seq")


def execute(postgres: Backend, sql: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(postgres.url)
        await connection.execute(sql)
        await connection.close()

    asyncio.run(run())


def test_pools_that_are_too_large_together_are_told(tmp_path: Path, postgres: Backend) -> None:
    many = CLEAN.replace("[server]\n", "[server]\nworkers = 4\n", 1)
    for pool, rules in ((50, ["CLU017"]), (25, ["CLU017"]), (24, [])):
        project(tmp_path, "")
        settings = f'{many}\n[postgres]\ndsn = "env:DSN"\npool_max = {pool}\n'
        tmp_path.joinpath("realtime.toml").write_text(settings, encoding="utf-8")
        found = Project.read(tmp_path, environ={"REALTIME_CHECK_CPUS": "4", "DSN": postgres.url})
        assert [rule for rule, _ in told(found)] == rules


@pytest.mark.parametrize(
    ("dsn", "settings", "rule"),
    [
        ("postgresql://localhost:6432/app", 'notify_channels = ["prices"]\n', True),
        (
            "postgresql://db-pooler.example.com/app?sslmode=verify-full",
            'notify_channels = ["prices"]\n',
            True,
        ),
        ("postgresql://localhost/app?pgbouncer=true", 'notify_channels = ["prices"]\n', True),
        ("postgresql://localhost:6432/app", "", False),
        ("postgresql://localhost:5432/app", 'notify_channels = ["prices"]\n', False),
    ],
)
def test_a_pooler_in_front_of_notifications_is_told(
    tmp_path: Path, dsn: str, settings: str, rule: bool
) -> None:
    found = project(tmp_path, f'[postgres]\ndsn = "env:DSN"\n{settings}', dsn=dsn)
    answers = {"max_connections": 100, "missing": {}}
    report = run_rules(found, backends=Backends(postgres=answers))
    assert [one.rule for one in report.findings] == ["CLU019"] * rule


def test_code_that_listens_counts_as_well(tmp_path: Path) -> None:
    found = project(tmp_path, '[postgres]\ndsn = "env:DSN"\n', dsn="postgresql://localhost:6432/app")
    code = "async def wait(connection) -> None:\n    if True:\n        await connection.add_listener('x', print)\n"
    tmp_path.joinpath("waiting.py").write_text(code, encoding="utf-8")
    report = run_rules(found, backends=Backends(postgres={"max_connections": 100}))
    assert [one.rule for one in report.findings] == ["CLU019"]


@pytest.mark.spec("PLAT-152")
def test_postgres_is_only_read(tmp_path: Path, postgres: Backend) -> None:
    execute(postgres, "ALTER SYSTEM SET log_statement = 'mod'; ")
    found = project(tmp_path, '[redis]\nreplay = "postgres"\n[postgres]\ndsn = "env:DSN"\n', dsn=postgres.url)

    async def rows() -> Any:
        connection = await asyncpg.connect(postgres.url)
        try:
            return await connection.fetch("SELECT oid FROM pg_class ORDER BY oid")
        finally:
            await connection.close()

    before = asyncio.run(rows())
    assert told(found) == []
    assert asyncio.run(rows()) == before


@pytest.mark.spec("PLAT-152")
def test_a_wrong_password_of_postgres_is_told_without_it(tmp_path: Path, postgres: Backend) -> None:
    dsn = postgres.url.replace(PASSWORD, "s3cret%2Fbut-wrong")
    ((rule, message),) = told(project(tmp_path, '[postgres]\ndsn = "env:DSN"\n', dsn=dsn))
    assert rule == "CLU016"
    assert "password authentication failed" in message
    assert "s3cret" not in message
    assert "app:***@127.0.0.1" in message


@pytest.mark.spec("PLAT-152", "PLAT-154")
def test_the_command_asks_only_with_its_flag_and_shows_no_password(tmp_path: Path, redis: Backend) -> None:
    project(tmp_path, '[redis]\nurl = "env:BACKEND"\n', url=redis.url)
    wrong = {"BACKEND": redis.url.replace(PASSWORD, "s3cret-but-wrong")}
    offline = realtime("check", "--no-import", "--json", cwd=tmp_path, env=wrong)
    assert [one["rule"] for one in offline.data["findings"]] == []
    for form in ("text", "json"):
        ended = realtime("check", "--no-import", "--online", "--format", form, cwd=tmp_path, env=wrong)
        assert ended.code == 1
        assert "CLU011" in ended.out
        assert "s3cret" not in ended.out + ended.err
    fine = realtime("check", "--no-import", "--online", "--json", cwd=tmp_path, env={"BACKEND": redis.url})
    assert json.loads(fine.out)["findings"] == []


@pytest.mark.spec("PLAT-183")
@pytest.mark.parametrize("backend", ["redis", "postgres"])
def test_serve_does_not_start_without_a_backend_that_is_required(tmp_path: Path, backend: str) -> None:
    key, scheme = ("url", "redis") if backend == "redis" else ("dsn", "postgresql")
    project(tmp_path, f'[{backend}]\n{key} = "env:BACKEND"\n')
    port = free_port()
    env = {"BACKEND": f"{scheme}://app:{PASSWORD}@127.0.0.1:{port}/0"}
    ended = realtime("serve", "--port", "0", cwd=tmp_path, env=env)
    assert ended.code == 3
    assert f"{scheme}://app:***@127.0.0.1:{port}/0 cannot be reached" in ended.err
    assert f"[{backend}] required = false" in ended.err
    assert PASSWORD not in ended.out + ended.err


@pytest.mark.spec("PLAT-183")
def test_a_mistake_in_the_settings_of_a_backend_ends_serve_with_another_code(tmp_path: Path) -> None:
    project(tmp_path, '[redis]\nurl = "ftp://somewhere"\n')
    assert realtime("serve", "--port", "0", cwd=tmp_path).code == 2


@pytest.mark.spec("PLAT-183")
@pytest.mark.parametrize("required", [True, False])
def test_serve_starts_with_its_backends_or_without_those_that_may_be_away(
    tmp_path: Path, required: bool, redis: Backend, postgres: Backend
) -> None:
    project(
        tmp_path,
        f'[redis]\nurl = "env:BACKEND"\nrequired = {str(required).lower()}\n'
        f'[postgres]\ndsn = "env:DSN"\nrequired = {str(required).lower()}\n',
    )
    away = free_port()
    env = {
        "BACKEND": redis.url if required else f"redis://127.0.0.1:{away}/0",
        "DSN": postgres.url if required else f"postgresql://127.0.0.1:{away}/0",
    }
    assert serves(tmp_path, env)


def serves(root: Path, env: dict[str, str]) -> bool:
    """Return whether `realtime serve` comes to listen."""
    from tests.cli.commands import PROGRAM, environment

    process = subprocess.Popen(
        [*PROGRAM, "serve", "--port", "0", "--host", "127.0.0.1"],
        cwd=root,
        env=environment(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        return any("Listening on" in line for line in process.stdout)
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.mark.spec("PLAT-174")
def test_doctor_tells_what_backends_answer(tmp_path: Path, redis: Backend, postgres: Backend) -> None:
    project(tmp_path, '[redis]\nurl = "env:BACKEND"\n[postgres]\ndsn = "env:DSN"\n')
    env = {"BACKEND": redis.url, "DSN": postgres.url}
    ended = realtime("doctor", cwd=tmp_path, env=env)
    assert ended.code == 0, ended.err
    assert "postgres" in ended.out
    assert PASSWORD not in ended.out + ended.err
    data = realtime("doctor", "--json", cwd=tmp_path, env=env).data["backends"]
    assert data["redis"]["policy"] == "noeviction"
    assert data["postgres"]["missing"] == {}
    away = realtime("doctor", cwd=tmp_path, env={**env, "BACKEND": redis.url.replace(PASSWORD, "s3cret")})
    assert away.code == 1
    assert "Redis at redis://:***@127.0.0.1" in away.err
    assert "s3cret" not in away.out + away.err
