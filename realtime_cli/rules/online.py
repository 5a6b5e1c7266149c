"""The online pass: what the Redis and Postgres say of themselves that the settings name. Spec: platform 8.1."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from realtime_cli.backends import BackendUnreachable, ask_postgres, ask_redis, unsettled

if TYPE_CHECKING:
    from runtime.core.settings import Settings

__all__ = ["TIME_LIMIT", "Backends", "ask_backends"]

TIME_LIMIT = 20.0  # seconds for all questions to one backend


@dataclass(frozen=True)
class Backends:
    """What was asked and answered; a backend that no setting names is empty.

    Attributes:
        redis: answers by question, such as `version`; `error` alone when it cannot be reached.
        postgres: the same of Postgres.
    """

    redis: Mapping[str, Any] = field(default_factory=dict)
    postgres: Mapping[str, Any] = field(default_factory=dict)

    @property
    def named(self) -> dict[str, Mapping[str, Any]]:
        """The answers of those that settings name."""
        both = {"redis": self.redis, "postgres": self.postgres}
        return {name: answers for name, answers in both.items() if answers}


def ask_backends(settings: Settings) -> Backends:
    """Connect to the backends that the settings name, read what they say of themselves, and close.

    Nothing is written. Each answer has the time of its settings, all together `TIME_LIMIT`.
    """
    return asyncio.run(_asked(settings))


async def _asked(settings: Settings) -> Backends:
    redis = settings.redis.url is not None
    postgres = settings.postgres.dsn is not None
    answers = await asyncio.gather(
        _answer("Redis", ask_redis(settings.redis)) if redis else _nothing(),
        _answer("Postgres", ask_postgres(settings.postgres, unsettled(settings))) if postgres else _nothing(),
    )
    return Backends(*answers)


async def _answer(what: str, asking: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    try:
        async with asyncio.timeout(TIME_LIMIT):
            return await asking
    except BackendUnreachable as problem:
        return {"error": str(problem)}
    except TimeoutError:
        return {"error": f"{what} did not answer all questions within {TIME_LIMIT:g} s"}


async def _nothing() -> dict[str, Any]:
    return {}
