"""Addresses of Redis and Postgres: those of several hosts, and what is refused."""

from __future__ import annotations

import pytest

from runtime.core.backendaddress import split_address
from runtime.core.settings import PostgresSettings, RedisSettings, SettingsError


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "rediss://app:p%40ss@cache.internal:6380/0",
        "redis://[::1]:6379/0",
        "unix:///run/redis.sock",
        "redis+cluster://app:secret@a.internal:7000,b.internal:7001,c.internal",
        "redis+sentinel://:secret@10.0.0.1:26379,[::1]:26380/board/0",
    ],
)
def test_an_address_is_kept_as_it_is(url: str) -> None:
    assert RedisSettings(url=url).url == url


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "http://localhost",
        "redis://localhost:0",
        "redis://a:1,b:2",
        "redis+cluster://a:7000,b:zero",
        "redis+sentinel://a:26379,b:0/board",
        "redis+sentinel://a:26379,,b:26379/board",
        "redis+sentinel://a:26379,b]:26379/board",
        "redis://local\nhost",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(SettingsError) as raised:
        RedisSettings(url=url)
    assert url not in str(raised.value)


def test_the_parts_of_an_address() -> None:
    found = split_address("redis+sentinel://app:p%40ss@10.0.0.1:26379,[::1]:26380,c/board/0?db=1")
    hosts = (("10.0.0.1", 26379), ("::1", 26380), ("c", None))
    assert found == ("redis+sentinel", "app", "p@ss", hosts, "/board/0", "db=1")
    assert split_address("unix:///run/redis.sock") == ("unix", "", "", (), "/run/redis.sock", "")
    assert split_address("rediss://[::1]/2") == ("rediss", "", "", (("::1", None),), "/2", "")
    assert split_address("postgresql://a:5432,b:5433/app").hosts == (("a", 5432), ("b", 5433))


def test_postgres_has_addresses_of_its_own() -> None:
    for dsn in ("postgresql://localhost/app", "postgres://a:5432,b:5432/app", "postgresql:///app?host=/run"):
        assert PostgresSettings(dsn=dsn).dsn == dsn
    with pytest.raises(SettingsError):
        PostgresSettings(dsn="redis://localhost")
