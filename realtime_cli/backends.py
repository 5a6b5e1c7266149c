"""Ask the Redis and the Postgres that the settings name, without changing anything in them.

For `realtime check --online`, and for `realtime serve`, which does not start without a backend that is required.
No text of this module holds a password. Spec: platform 8.1, 8.7.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlunsplit

from runtime.core.backendaddress import split_address
from runtime.core.sensitive import MASK, is_query_secret, redact_text, redact_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from asyncpg import Connection
    from redis.asyncio import Redis

    from runtime.core.backendaddress import Address
    from runtime.core.settings import PostgresSettings, RedisSettings, Settings

__all__ = ["TABLES", "BackendUnreachable", "ask_postgres", "ask_redis", "reach_required", "unsettled"]

#: Tables and their columns that a backend of `[redis]` needs in Postgres. Spec: cluster 9 and 17.
TABLES: Mapping[str, Mapping[str, frozenset[str]]] = {
    "replay": {
        "svti_replay": frozenset({"svti_replay_id", "topic", "seq", "event", "data", "created_at"}),
        "svti_replay_seq": frozenset({"topic", "seq"}),
    },
    "idempotency": {"svti_idempotency": frozenset({"svti_idempotency_key", "status"})},
}
CONFIG = ("client-output-buffer-limit", "maxmemory-policy", "save", "appendonly")


class BackendUnreachable(Exception):
    """A backend did not answer; the text names it with its redacted address and says why."""


async def reach_required(settings: Settings) -> None:
    """Connect to each backend that has to be there at the start, ask for a sign of life, and close.

    Raises:
        BackendUnreachable: the first that cannot be reached.
    """
    redis, postgres = settings.redis, settings.postgres
    if redis.url is not None and redis.required:
        async with _redis(redis):
            pass
    if postgres.dsn is not None and postgres.required:
        async with _postgres(postgres):
            pass


async def ask_redis(settings: RedisSettings, now: Callable[[], float] = time.time) -> dict[str, Any]:
    """Return what Redis says of itself: the answers to PING, INFO, CONFIG GET and TIME, by question.

    What its user may not ask is left out and named in `refused`.

    Raises:
        BackendUnreachable: it does not answer.
    """
    from redis.exceptions import RedisError

    answers: dict[str, Any] = {}
    refused: list[str] = []
    async with _redis(settings) as client:
        before = now()
        began = time.monotonic()
        seconds, micros = await client.time()
        took = time.monotonic() - began
        answers["clock_offset"] = round(seconds + micros / 1e6 - (before + took / 2), 3)
        answers["latency"] = round(took, 6)
        try:
            info = await client.info()
        except RedisError:
            refused.append("INFO")
        else:
            answers["version"] = [int(part) for part in str(info["redis_version"]).split(".")[:3]]
            answers["policy"] = info.get("maxmemory_policy")
            answers["appendonly"] = bool(info.get("aof_enabled"))
        try:
            config = {name: value for key in CONFIG for name, value in (await client.config_get(key)).items()}
        except RedisError:
            refused.append("CONFIG GET")
        else:
            answers["policy"] = config.get("maxmemory-policy", answers.get("policy"))
            answers["saves"] = bool(config.get("save"))
            answers["appendonly"] = config.get("appendonly") == "yes"
            answers["pubsub_limit"] = _pubsub_limit(config.get("client-output-buffer-limit") or "")
        with contextlib.suppress(RedisError):
            answers["sharded"] = await _knows(client, "ssubscribe")
    if refused:
        answers["refused"] = refused
    return answers


async def _knows(client: Any, command: str) -> bool:
    """Return whether Redis has a command: only servers that shard channels have `ssubscribe`."""
    found = await client.execute_command("COMMAND", "INFO", command)
    return any(found.values() if isinstance(found, dict) else found)


def _pubsub_limit(text: str) -> int | None:
    """Return the bytes at which Redis drops a subscriber, 0 for none: `pubsub 33554432 8388608 60`."""
    words = text.split()
    if "pubsub" not in words[:-1]:
        return None
    return int(words[words.index("pubsub") + 1])


async def ask_postgres(settings: PostgresSettings, tables: Mapping[str, frozenset[str]]) -> dict[str, Any]:
    """Return what Postgres says of itself, and which of `tables` lack what columns in the schema of the settings.

    Raises:
        BackendUnreachable: it does not answer.
    """
    async with _postgres(settings) as connection, connection.transaction(readonly=True):
        answers: dict[str, Any] = {"version": list(connection.get_server_version()[:2])}
        for name in ("max_connections", "superuser_reserved_connections"):
            answers[name] = int(await connection.fetchval("SELECT current_setting($1)", name))
        rows = await connection.fetch(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = $1",
            settings.schema,
        )
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row["table_name"], set()).add(row["column_name"])
    answers["missing"] = {
        table: sorted(columns - found.get(table, set())) if table in found else []
        for table, columns in tables.items()
        if not columns <= found.get(table, set())
    }
    return answers


def unsettled(settings: Settings) -> dict[str, frozenset[str]]:
    """Return the tables that the settings need in Postgres, with their columns."""
    return {
        table: columns
        for key, tables in TABLES.items()
        if getattr(settings.redis, key) == "postgres"
        for table, columns in tables.items()
    }


@contextlib.asynccontextmanager
async def _redis(settings: RedisSettings) -> AsyncIterator[Redis]:
    """Give a connection that answered a PING; every command has the time of the settings and is tried once."""
    from redis.asyncio import Redis, Sentinel
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError

    url = settings.url or ""
    options: dict[str, Any] = {
        "socket_connect_timeout": settings.connect_timeout,
        "socket_timeout": settings.command_timeout,
        "retry": Retry(NoBackoff(), 0),
        "decode_responses": True,
        "client_name": "realtime-check",
    }
    opened: list[Redis] = []
    try:
        async with asyncio.timeout(settings.connect_timeout + settings.command_timeout):
            address = split_address(url)
            if address.scheme == "redis+sentinel":
                watching: Any = Sentinel
                sentinel = watching(
                    [(host, port or 26379) for host, port in address.hosts], sentinel_kwargs={**options}
                )
                opened += sentinel.sentinels
                path = address.path.strip("/").split("/")
                numbers = [int(part) for part in path if part.isdigit()]
                client = sentinel.master_for(
                    settings.sentinel_master or path[0],
                    **options,
                    **_account(address),
                    db=numbers[-1] if numbers else 0,
                )
            else:
                client = Redis.from_url(_first_of_cluster(url, address), **options)
            opened.append(client)
            await client.ping()
        yield client
    except (RedisError, OSError, TimeoutError, ValueError) as problem:
        raise BackendUnreachable(_told("Redis", url, problem, settings.connect_timeout)) from None
    finally:
        for one in opened:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                await one.aclose(close_connection_pool=True)


def _account(address: Address) -> dict[str, str]:
    """Return the user and password of an address."""
    found = {"username": address.user, "password": address.password}
    return {key: value for key, value in found.items() if value}


def _first_of_cluster(url: str, address: Address) -> str:
    """Return an ordinary address of the first host of a cluster, or the address as it is."""
    if address.scheme != "redis+cluster" or not address.hosts:
        return url
    has_account = address.user or address.password
    account = f"{quote(address.user, safe='')}:{quote(address.password, safe='')}@" if has_account else ""
    host, port = address.hosts[0]
    where = f"[{host}]" if ":" in host else host
    return urlunsplit(("redis", f"{account}{where}:{port or 6379}", address.path, address.query, ""))


@contextlib.asynccontextmanager
async def _postgres(settings: PostgresSettings) -> AsyncIterator[Connection]:
    """Give a connection that answered a query."""
    import asyncpg

    dsn = settings.dsn or ""
    limit = min(settings.command_timeout, 10.0)
    connection: Connection | None = None
    try:
        async with asyncio.timeout(limit):
            connection = await asyncpg.connect(
                dsn, timeout=limit, command_timeout=settings.command_timeout, statement_cache_size=0
            )
            await connection.fetchval("SELECT 1")
        yield connection
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, ValueError) as problem:
        raise BackendUnreachable(_told("Postgres", dsn, problem, limit)) from None
    finally:
        if connection is not None:
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                await connection.close(timeout=1.0)


def _told(what: str, url: str, problem: Exception, limit: float) -> str:
    """Return in one line which backend does not answer, and why."""
    if isinstance(problem, TimeoutError) and not str(problem):
        why = f"no answer within {limit:g} s"
    else:
        number = _errno(problem)
        why = os.strerror(number) if number else str(problem) or type(problem).__name__
        why = why.partition("\n")[0].rstrip(".")
    for secret in _secrets(url):
        why = why.replace(secret, MASK)
    return f"{what} at {redact_url(url)} cannot be reached: {redact_text(why)}"


def _errno(problem: BaseException | None) -> int:
    """Return the number of the system's error behind one of a driver, 0 where there is none."""
    while problem is not None:
        if isinstance(problem, OSError) and problem.errno and problem.errno > 0:
            return problem.errno
        problem = problem.__cause__ or problem.__context__
    return 0


def _secrets(url: str) -> list[str]:
    """Return the passwords in an address, as they stand there and as they are sent."""
    try:
        address = split_address(url)
        found = [
            address.password,
            *(v for k, v in parse_qsl(address.query) if is_query_secret(k)),
        ]
    except ValueError:
        return []
    return [text for secret in found if secret for text in {secret, unquote(secret), quote(secret, safe="")}]
