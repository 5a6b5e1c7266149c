"""The rules about several workers: found under other names, in other files and in nested places, and only then."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime_cli.rules.catalog import all_rules
from realtime_cli.rules.engine import run_rules
from realtime_cli.rules.examples import BASE
from realtime_cli.rules.fixing import fixed_texts
from realtime_cli.rules.project import Project
from tests.cli.check.projects import findings, marked, report_of

CLEAN = (BASE / "realtime.toml").read_text(encoding="utf-8")
FOUR = CLEAN.replace("[server]\n", "[server]\nworkers = 4\n", 1)
REDIS = FOUR + '\n[redis]\nurl = "redis://localhost:6379/0"\n'
CPUS = {"REALTIME_CHECK_CPUS": "4"}


def spread(root: Path, files: dict[str, str], settings: str = FOUR) -> None:
    """Compare what is found with the marks, with four workers."""
    marked(root, {"realtime.toml": settings, **files}, CPUS)


@pytest.mark.parametrize("settings", [FOUR, CLEAN.replace("[server]\n", '[server]\nworkers = "auto"\n', 1)])
def test_local_plugins_are_found_whatever_they_are_called(tmp_path: Path, settings: str) -> None:
    code = """
    import runtime
    import runtime.plugins as plugins
    from runtime import Dedup as Known, Lock as Mutex
    from runtime.plugins.presence import Presence

    LOCK = Mutex()  #! CLU003
    OTHER = runtime.Lock()  #! CLU003
    SEEN = Known(ttl=60)  #! CLU004
    CARTS = plugins.Session(ttl=60)  #! CLU004
    PEOPLE = Presence()  #! CLU005
    POINTERS = plugins.Cursor()  #! CLU005
    TEAM = plugins.Group("team", max_members=10)  #! CLU005
    HISTORY = plugins.Replay()  #! CLU006


    def make(kind: str):
        try:
            if kind == "lock":
                return (lambda: Mutex())()  #! CLU003
        finally:
            pass
        Factory = plugins.Session
        return Factory(ttl=5)  #! CLU004
    """
    spread(tmp_path, {"services.py": code}, settings)


def test_plugins_of_another_file_are_told_where_they_are_made(tmp_path: Path) -> None:
    files = {
        "names.py": "from runtime import Lock as Mutex\n",
        "services.py": "from names import Mutex\n\nLOCK = Mutex()  #! CLU003\n",
        "live/seats.py": "from services import LOCK\n\n\n@live\nasync def take(ctx) -> bool: ...\n",
    }
    spread(tmp_path, files)


def test_decorators_and_options_use_what_one_worker_has(tmp_path: Path) -> None:
    code = """
    locked = live.lock("seats")


    @live.rate_limit(points=5, window=60)
    @locked  #! CLU003
    @live
    async def book(ctx, seat: str) -> str:
        return seat


    @live.idempotent()  #! CLU004
    @live
    async def pay(ctx, amount: int) -> int:
        return amount


    @live.stream("todos", replay=True)  #! CLU006
    async def todos(ctx) -> list[str]:
        return []


    @live.stream("plain", replay=False)
    async def plain(ctx) -> list[str]:
        return []
    """
    found = [
        one for one in findings(tmp_path, marks(code), CPUS) if not one.endswith("CLU007")
    ]  # the limit is a matter of its own
    assert found == wanted(code)


LIVE = "from runtime import guard, live\n\n_guard = guard(authenticated=True)\n\n"


def marks(code: str, settings: str = FOUR) -> dict[str, str]:
    import textwrap

    return {"realtime.toml": settings, "live/todos.py": LIVE + textwrap.dedent(code)}


def wanted(code: str) -> list[str]:
    lines = (LIVE + code).splitlines()
    return [f"live/todos.py:{number} {line[-6:]}" for number, line in enumerate(lines, 1) if "#! " in line]


PLUGINS = """
from runtime import Dedup, Lock, Session
from runtime.plugins import Presence, Replay

LOCK, SEEN, CARTS = Lock(), Dedup(ttl=60), Session(ttl=60)
PEOPLE = Presence()
HISTORY = Replay()
"""


@pytest.mark.parametrize(
    "settings", [CLEAN, CLEAN.replace("[server]\n", "[server]\nworkers = 1\n", 1), REDIS]
)
def test_one_worker_or_a_redis_may_have_them(tmp_path: Path, settings: str) -> None:
    spread(tmp_path, {"services.py": PLUGINS}, settings)


def test_a_redis_that_is_not_used_for_them_does_not_help(tmp_path: Path) -> None:
    kept = 'locks = "memory"\nsessions = "memory"\npresence = "memory"\nreplay = "memory"\n'
    found = findings(tmp_path, {"realtime.toml": REDIS + kept, "services.py": PLUGINS}, CPUS)
    assert sorted(one[-6:] for one in found) == ["CLU003", "CLU004", "CLU004", "CLU005", "CLU006"]


def test_tests_may_make_what_they_like(tmp_path: Path) -> None:
    spread(tmp_path, {"tests/test_locks.py": "from runtime import Lock\n\nLOCK = Lock()\n"})


CRON = """
each_morning = live.cron("0 6 * * *")


@each_morning{mark}
async def send_digest(ctx) -> None:
    await ctx.publish("digest", "ready", None)


@live.cron("* * * * *")
async def count(ctx) -> None:
    await ctx.publish("counts", "counted", None)


@live.cron("* * * * *", per_worker=True)
async def measure(ctx) -> None:
    await ctx.publish("load", "measured", None)
"""


def test_schedules_without_a_leader_are_told_once(tmp_path: Path) -> None:
    spread(tmp_path, {"live/jobs.py": CRON.format(mark="  #! CLU001")})


def test_jobs_of_each_worker_are_meant_so(tmp_path: Path) -> None:
    code = '\n@live.cron("* * * * *", per_worker=True)\nasync def measure(ctx) -> None: ...\n'
    spread(tmp_path, {"live/jobs.py": code})


@pytest.mark.parametrize(
    ("settings", "more"),
    [
        (REDIS, {}),
        (CLEAN, {}),
        (FOUR + "\n[cron]\nenabled = false\n", {}),
        (
            FOUR,
            {
                "leading.py": "from runtime import live\nfrom services import bus, leader\ns = live.configure_cron\n"
                "s(leader=leader, bus=bus)\n",
            },
        ),
    ],
)
def test_schedules_with_a_leader_are_fine(tmp_path: Path, settings: str, more: dict[str, str]) -> None:
    spread(tmp_path, {"live/jobs.py": CRON.format(mark=""), **more}, settings)


def test_a_leader_that_was_taken_back_is_none(tmp_path: Path) -> None:
    code = "from runtime import live\n\nlive.configure_cron(leader=None)\n"
    spread(tmp_path, {"live/jobs.py": CRON.format(mark="  #! CLU001"), "leading.py": code})


def test_work_in_init_is_found_through_functions(tmp_path: Path) -> None:
    hooks = """
    from jobs import begin, migrate_tables, scheduler as planned


    async def init(platform):
        try:
            planned.start()  #! CLU002
        finally:
            begin()
        migrate_tables()  #! CLU002
    """
    jobs = """
    from apscheduler.schedulers.asyncio import AsyncIOScheduler

    scheduler = AsyncIOScheduler()


    def begin():
        if scheduler is not None:
            scheduler.start()  #! CLU002


    def migrate_tables():
        return None
    """
    spread(tmp_path, {"hooks.py": hooks, "jobs.py": jobs})


def test_work_that_the_leader_does_is_fine(tmp_path: Path) -> None:
    hooks = """
    from jobs import cache, leader, scheduler


    async def init(platform):
        await cache.start()
        leader.on_elected(lambda: scheduler.start())
        if leader.is_leader():
            scheduler.start()


    async def shutdown(platform):
        scheduler.start()
    """
    spread(tmp_path, {"hooks.py": hooks})


def test_one_worker_may_start_what_it_likes(tmp_path: Path) -> None:
    hooks = "\nasync def init(platform):\n    scheduler.start()\n"
    spread(tmp_path, {"hooks.py": hooks}, CLEAN)


def test_limits_are_told_once_for_the_project(tmp_path: Path) -> None:
    code = """
    few = live.rate_limit(points=5, window=60)


    @few
    @live
    async def one(ctx) -> int:
        return 1


    @live.rate_limit(points=5, window=60)
    @live
    async def two(ctx) -> int:
        return 2
    """
    found = findings(tmp_path, marks(code), CPUS)
    assert found == ["realtime.toml:2 CLU007"]
    assert findings(tmp_path, marks(code, REDIS), CPUS) == []
    assert findings(tmp_path, marks(code, CLEAN), CPUS) == []


def test_a_plugin_that_limits_counts_as_well(tmp_path: Path) -> None:
    code = "from runtime import plugins\n\nLIMIT = plugins.RateLimit(points=5, interval=60)\n"
    assert findings(tmp_path, {"realtime.toml": FOUR, "limits.py": code}, CPUS) == ["realtime.toml:2 CLU007"]


def test_counts_of_one_worker_are_found_under_any_name(tmp_path: Path) -> None:
    code = """
    import logging

    from runtime import get_platform

    logger = logging.getLogger("app")


    @live
    async def online(ctx) -> dict[str, int]:
        platform = ctx.platform
        here = platform.connections  #! CLU008
        return {"all": here, "room": ctx.platform.subscribers("room")}  #! CLU008


    @live
    async def everybody(ctx) -> int:
        def count() -> int:
            return get_platform().connections  #! CLU008

        return count()


    @live
    async def tell(ctx, text: str) -> None:
        if ctx.platform.subscribers("news") > 0:
            logger.info("%d here", ctx.platform.connections)
            ctx.platform.send_to(lambda user: user["admin"], "news", "told", text)  #! CLU008
    """
    spread(tmp_path, {"live/people.py": code})


def test_counts_are_fine_with_one_worker(tmp_path: Path) -> None:
    code = "\n@live\nasync def online(ctx) -> int:\n    return ctx.platform.connections\n"
    spread(tmp_path, {"live/people.py": code}, CLEAN)


@pytest.mark.parametrize(
    ("settings", "rules"),
    [
        ('bus = "none"\n\n[cron]\nleader = "redis"\n', ["CLU009"]),
        ('bus = "none"\n', ["CLU009"]),
        ('bus = "sharded"\n\n[cron]\nleader = "redis"\n', []),
        ('bus = "none"\n\n[cron]\nleader = false\n', ["CLU001"]),
    ],
)
def test_a_leader_needs_a_bus(tmp_path: Path, settings: str, rules: list[str]) -> None:
    files = {"realtime.toml": REDIS + settings, "live/jobs.py": LIVE + CRON.format(mark="")}
    assert [one[-6:] for one in findings(tmp_path, files, CPUS)] == rules


def test_a_leader_of_code_needs_a_bus_as_well(tmp_path: Path) -> None:
    code = "from runtime import live\nfrom services import bus, leader\nlive.configure_cron(leader=leader)  #! CLU009\n"
    spread(tmp_path, {"live/jobs.py": CRON.format(mark=""), "leading.py": code})
    code = code.replace("leader=leader)  #! CLU009", "leader=leader, bus=bus)")
    spread(tmp_path, {"live/jobs.py": CRON.format(mark=""), "leading.py": code})


RELAYS = """
import runtime
from redis.asyncio import Redis
from runtime import get_platform, publish as tell


async def loop(platform) -> None:
    async with Redis().pubsub() as heard:
        while True:
            message = await heard.get_message(timeout=1)
            if message:
                platform.publish("prices", "updated", message)  #! CLU010
                await tell("prices", "updated", message, seq=False)  #! CLU010
                platform.publish("prices", "updated", message, relay=False)


async def stream(p: "runtime.Platform", pubsub) -> None:
    async for message in pubsub.listen():
        try:
            p.publish(  #! CLU010
                "prices",
                "updated",
                message["data"],
            )
        finally:
            pass


def heard(connection, pid, channel, payload) -> None:
    get_platform().publish("prices", "updated", payload)  #! CLU010


async def start(connection) -> None:
    await connection.add_listener("prices", heard)


async def own(platform) -> None:
    for price in [1, 2]:
        platform.publish("prices", "updated", price)
"""


def test_what_each_worker_hears_is_told_to_its_own_clients_only(tmp_path: Path) -> None:
    marked(tmp_path, {"prices.py": RELAYS})


def test_the_fix_keeps_them_on_their_worker_and_changes_nothing_else(tmp_path: Path) -> None:
    report = report_of(tmp_path, {"prices.py": RELAYS})
    (text,) = fixed_texts(report.findings, Project.read(tmp_path, environ={}).texts).values()
    assert text.count("relay=False") == 5
    assert '                message["data"],\n            relay=False)' in text
    tmp_path.joinpath("prices.py").write_text(text, encoding="utf-8")
    assert run_rules(Project.read(tmp_path, environ={})).findings == ()


@pytest.mark.parametrize(
    ("workers", "cpus", "severity"),
    [("9", "4", "warning"), ("8", "4", None), ("1", "8", "info"), ("1", "4", None), ('"auto"', "64", None)],
)
def test_workers_are_compared_with_processors(
    tmp_path: Path, workers: str, cpus: str, severity: str | None
) -> None:
    settings = CLEAN.replace("[server]\n", f"[server]\nworkers = {workers}\n", 1)
    report = report_of(tmp_path, {"realtime.toml": settings}, {"REALTIME_CHECK_CPUS": cpus})
    assert [str(one.severity) for one in report.findings if one.rule == "CLU020"] == [severity] * bool(
        severity
    )


def test_workers_that_nobody_chose_are_no_finding(tmp_path: Path) -> None:
    assert findings(tmp_path, {}, {"REALTIME_CHECK_CPUS": "64"}) == []


def test_channels_are_told_only_with_a_prefix(tmp_path: Path) -> None:
    shared = CLEAN + '\n[redis]\nurl = "redis://localhost:6379/0"\nraw_channels = true\n'
    assert findings(tmp_path, {"realtime.toml": shared}) == []
    found = findings(tmp_path, {"realtime.toml": shared + 'key_prefix = "shop:"\n'})
    assert [one[-6:] for one in found] == ["CLU018"]


PUSH = """
tell = live.notify


@live
async def remind(ctx, text: str) -> None:
    if text:
        await live.push({"user_id": ctx.user["id"]}, "reminder", text)  #! CLU021
    tell({"user_id": ctx.user["id"]}, "reminder", text)  #! CLU021
"""


def test_pushes_need_a_registry(tmp_path: Path) -> None:
    spread(tmp_path, {"live/reminders.py": PUSH})


@pytest.mark.parametrize(
    ("settings", "more"),
    [
        (CLEAN, {}),
        (REDIS, {}),
        (
            FOUR,
            {"pushing.py": "from runtime import live\nlive.configure_push(remote_registry=r)\n"},
        ),
    ],
)
def test_pushes_with_a_registry_or_one_worker_are_fine(
    tmp_path: Path, settings: str, more: dict[str, str]
) -> None:
    spread(tmp_path, {"live/reminders.py": PUSH.replace("  #! CLU021", ""), **more}, settings)


def test_every_rule_of_the_table_is_there() -> None:
    assert [rule for rule in all_rules() if rule.startswith("CLU")] == [f"CLU{n:03}" for n in range(1, 23)]
    assert [rule for rule in all_rules() if rule.startswith("UPG")] == [f"UPG{n:03}" for n in range(1, 15)]
