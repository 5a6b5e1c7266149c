"""UPG131: declarations that are refused or run differently."""

from __future__ import annotations

import pytest

from realtime_cli.codemods.cronperiod import period_of
from realtime_cli.codemods.finding import Severity
from tests.upgrade.projects import flagged, stays, upgrade

HEAD = (
    "import asyncio\nfrom dataclasses import dataclass\n"
    "from typing import TypedDict\nimport msgspec\nfrom runtime import live\n\n\n"
)
MIDDLEWARE = HEAD + "@live.middleware\nasync def m(ctx, next):\n{body}"
CRON = HEAD + "@live.cron('{schedule}', 'stats')\nasync def slow(ctx):\n    await asyncio.sleep({seconds})\n"
SCHEMA = HEAD + "{kind}\n\n\n@live.validated({given})\nasync def f(ctx, value): ...\n"


def middleware(*lines: str) -> str:
    return MIDDLEWARE.replace("{body}", "".join(f"    {line}\n" for line in lines))


@pytest.mark.parametrize(
    "source",
    [
        SCHEMA.format(kind="@dataclass\nclass A: ...", given="A"),
        SCHEMA.format(kind="class A(msgspec.Struct): ...", given="A"),
        SCHEMA.format(kind="class A(TypedDict): ...", given="A"),
        SCHEMA.format(kind="class Base(msgspec.Struct): ...\n\n\nclass A(Base): ...", given="A"),
        SCHEMA.format(kind="class A(Unknown): ...", given="A"),
        SCHEMA.format(kind="class A:\n    def validate(self, value): ...", given="A()"),
        SCHEMA.format(kind="x = 1", given="dict[str, int]"),
        SCHEMA.format(kind="class A: ...", given="A").replace("@live.validated", "@other.validated"),
        middleware("return await next()"),
        middleware("if ctx.user:", "    return await next()", "return await next()"),
        middleware("if ctx.user:", "    x = await next()", "else:", "    x = await next()", "return x"),
        middleware("return await next() if ctx.user else await next()"),
        middleware("async def again():", "    return await next()", "return await next()"),
        middleware("await next()", "await next()").replace("@live.middleware\n", ""),
        HEAD + "live.publish_rate_warning(threshold=5)\nlive.silent_topic_warning(False)\n",
        HEAD + "live.publish_rate_warning(threshold=limit)\n",
        HEAD + "live.configure_push(identify=f)\n",
        CRON.format(schedule="* * * * *", seconds=30),
        CRON.format(schedule="*/5 * * * *", seconds=90),
        CRON.format(schedule="0 3 * * *", seconds=90),
        CRON.format(schedule="* * * * *", seconds="n"),
        CRON.format(schedule="* * * * *", seconds=90).replace(
            "await asyncio.sleep(90)", "asyncio = 1; other.sleep(90)"
        ),
    ],
)
def test_look_alikes_stay(source: str) -> None:
    assert stays("UPG131", source)


@pytest.mark.spec("UPGC-60")
@pytest.mark.parametrize(
    ("source", "row"),
    [
        (SCHEMA.format(kind="class A: ...", given="A"), "S-17"),
        (SCHEMA.format(kind="class A(object): ...", given="A"), "S-17"),
        (SCHEMA.format(kind="class A: ...", given="A()"), "S-17"),
        (SCHEMA.format(kind="class A:\n    async def validate(self, value): ...", given="A()"), "S-17"),
        (SCHEMA.format(kind="class A: ...", given="A").replace("validated(", "stream('a', schema="), "S-17"),
        (middleware("await next()", "return await next()"), "D-25"),
        (middleware("if ctx.user:", "    await next()", "return await next()"), "D-25"),
        (middleware("try:", "    return await next()", "except OSError:", "    return await next()"), "D-25"),
        (middleware("return [await next(), await next()]"), "D-25"),
        (HEAD + "live.publish_rate_warning(threshold=0)\n", "D-30"),
        (HEAD + "live.silent_topic_warning(threshold=-1.5)\n", "D-30"),
        (HEAD + "live.publish_rate_warning(interval='5')\n", "D-30"),
        (HEAD + "live.configure_push()\n", "R-12"),
        (CRON.format(schedule="* * * * *", seconds=90), "D-31"),
        (CRON.format(schedule="*/10 * * * * *", seconds=10.5), "D-31"),
    ],
)
def test_declarations_are_told(source: str, row: str) -> None:
    assert [one for one, _ in flagged("UPG131", source)] == [row]


@pytest.mark.spec("UPGC-60")
def test_what_stops_the_start_is_an_error() -> None:
    source = HEAD + "live.publish_rate_warning(threshold=0)\nlive.configure_push()\n"
    done = upgrade({"live/a.py": source}, only="UPG131")
    assert [one.severity for one in done.findings] == [Severity.ERROR, Severity.ERROR]


@pytest.mark.parametrize(
    ("schedule", "seconds"),
    [
        ("* * * * *", 60),
        ("*/5 * * * *", 300),
        ("0,10,55 * * * *", 300),
        ("0 * * * *", 3600),
        ("0 */6 * * *", 21_600),
        ("0 3 * * *", 86_400),
        ("0 0 1 1 *", 86_400),
        ("* * * * * *", 1),
        ("*/20 0 0 * * *", 20),
        ("10-20 * * * *", 60),
        ("@daily", None),
        ("a * * * *", None),
        ("", None),
    ],
)
def test_how_often_a_schedule_is_due(schedule: str, seconds: int | None) -> None:
    assert period_of(schedule) == seconds
