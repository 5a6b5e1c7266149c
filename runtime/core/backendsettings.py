"""`[redis]` and `[postgres]`: the backends that several workers share. Spec: platform 4, cluster 1.3 and 1.6."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated

from runtime.core import settingkinds as kinds
from runtime.core.backendaddress import split_address
from runtime.core.settingkeys import flag_key, limit_key
from runtime.core.settingsection import Key, Section

__all__ = ["PostgresSettings", "RedisSettings"]

REDIS_SCHEMES = frozenset({"redis", "rediss", "unix", "redis+cluster", "redis+sentinel"})
POSTGRES_SCHEMES = frozenset({"postgres", "postgresql"})
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}", re.ASCII)
_PREFIX = re.compile(r"[!-~]{0,64}", re.ASCII)


class _Unfit(ValueError):
    """The value is not of this kind."""


def _address(schemes: frozenset[str], example: str) -> kinds.Kind:
    def parse(value: object) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str) or not value.isprintable():
            raise _Unfit
        try:
            address = split_address(value)
        except ValueError:
            raise _Unfit from None
        has_port_zero = any(port == 0 for _, port in address.hosts)
        if address.scheme not in schemes or has_port_zero or not (address.hosts or address.path):
            raise _Unfit
        return value

    return kinds.Kind("address", f'an address such as "{example}"', parse, parse)


def _text(pattern: re.Pattern[str], expected: str) -> kinds.Kind:
    def parse(value: object) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise _Unfit
        return value

    return kinds.Kind("text", expected, parse, parse)


def _optional_line() -> kinds.Kind:
    kind = kinds.text_line()
    return replace(kind, parse=lambda value: None if value is None else kind.parse(value))


def _where(*words: str) -> Key:
    def parse(value: object) -> str | None:
        if value is None or value in words:
            return value if isinstance(value, str) else None
        raise _Unfit

    expected = "one of " + ", ".join(f'"{word}"' for word in words)
    kind = kinds.Kind("choice", expected, parse, parse, bounds=", ".join(words))
    return Key(kind, "Where this is kept.", default_text='`"redis"` with a `url`, else `"memory"`')


def _seconds(doc: str) -> Key:
    return Key(kinds.duration(0.05, 3600.0), doc)


class RedisSettings(Section, frozen=True, kw_only=True):
    """`[redis]`: the Redis that workers and machines share; without `url` there is none."""

    url: Annotated[
        str | None,
        Key(
            _address(REDIS_SCHEMES, "rediss://user:password@host:6379/0"),
            "Address of the Redis.",
            secret=True,
        ),
    ] = None
    key_prefix: Annotated[
        str,
        Key(
            _text(_PREFIX, "at most 64 printable ASCII characters without spaces"),
            "In front of every key and channel, so that apps can share a Redis.",
        ),
    ] = ""
    raw_channels: Annotated[bool, flag_key("Leave `key_prefix` off the names of channels.")] = False
    bus: Annotated[
        str, Key(kinds.choice("pubsub", "sharded", "none"), "How publishes reach the other workers.")
    ] = "pubsub"
    presence: Annotated[str | None, _where("redis", "memory")] = None
    replay: Annotated[str | None, _where("redis", "memory", "postgres")] = None
    sessions: Annotated[str | None, _where("redis", "memory")] = None
    locks: Annotated[str | None, _where("redis", "memory")] = None
    rate_limits: Annotated[str | None, _where("redis", "memory")] = None
    registry: Annotated[str | None, _where("redis", "memory")] = None
    idempotency: Annotated[str | None, _where("redis", "memory", "postgres")] = None
    required: Annotated[bool, flag_key("Do not start while it cannot be reached.")] = True
    connect_timeout: Annotated[float, _seconds("Longest time for a connection to open.")] = 5.0
    command_timeout: Annotated[float, _seconds("Longest time for an answer.")] = 5.0
    max_connections: Annotated[int, Key(kinds.integer(1, 10_000), "Connections of one worker.")] = 64
    breaker_threshold: Annotated[
        int, Key(kinds.integer(1, 10_000), "Failures in a row after which it is left alone for a while.")
    ] = 5
    breaker_reset: Annotated[float, _seconds("How long it is left alone.")] = 30.0
    cluster: Annotated[
        bool | None,
        Key(kinds.alternative(kinds.boolean(), "auto"), "Whether it is a cluster; `auto` reads the address."),
    ] = None
    sentinel_master: Annotated[
        str | None, Key(_optional_line(), "Name of the master that the sentinels watch.")
    ] = None
    probe_interval: Annotated[
        float | None, limit_key("How often a worker sends itself a message over the bus.")
    ] = 5.0
    probe_timeout: Annotated[
        float, _seconds("A worker that did not hear itself for so long is not ready.")
    ] = 15.0


class PostgresSettings(Section, frozen=True, kw_only=True):
    """`[postgres]`: the Postgres that workers and machines share; without `dsn` there is none."""

    dsn: Annotated[
        str | None,
        Key(
            _address(POSTGRES_SCHEMES, "postgresql://user:password@host:5432/app"),
            "Address of the database.",
            secret=True,
        ),
    ] = None
    schema: Annotated[
        str,
        Key(
            _text(_IDENTIFIER, "the name of a schema: letters, digits and '_', at most 63"),
            "Schema in which the tables stand.",
        ),
    ] = "public"
    pool_min: Annotated[int, Key(kinds.integer(0, 10_000), "Connections that stay open.")] = 1
    pool_max: Annotated[int, Key(kinds.integer(1, 10_000), "Connections of one worker.")] = 10
    command_timeout: Annotated[float, _seconds("Longest time for an answer.")] = 30.0
    statement_cache_size: Annotated[
        int, Key(kinds.integer(0, 100_000), "Prepared statements per connection; 0 behind a pooler.")
    ] = 100
    required: Annotated[bool, flag_key("Do not start while it cannot be reached.")] = True
    migrate: Annotated[bool, flag_key("Bring the tables up to date at the start.")] = True
    notify_channels: Annotated[
        tuple[str, ...],
        Key(
            kinds.text_list(_text(_IDENTIFIER, "the name of a channel"), "names of channels"),
            "Channels of `NOTIFY` whose messages are published.",
        ),
    ] = ()
