"""The capacity calculator: its figures against real servers, what it names, and the rules that use it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.itemcosts import ITEMS, bytes_of
from bench.memory import Load as Measured
from bench.memory import estimated, resident
from realtime_cli.rules.calculator import ASSUMED_CONNECTIONS, Load, capacity_of
from realtime_cli.rules.examples import BASE
from realtime_cli.rules.project import Project
from realtime_cli.rules.report_capacity import amount, render_capacity
from runtime.core.capacity import COSTS, capacity_override
from tests.cli.check.projects import findings, report_of
from tests.cli.commands import realtime

TOLERANCE = 0.3
CLEAN = (BASE / "realtime.toml").read_text(encoding="utf-8")
OPEN = CLEAN.replace("max_connections = 900\n", "")


def project(root: Path, settings: str = "") -> Project:
    root.joinpath("realtime.toml").write_text(settings, encoding="utf-8")
    return Project.read(root, environ={"REALTIME_CHECK_CPUS": "4"})


@pytest.mark.spec("PLAT-156")
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "load",
    [
        Measured(100, 900, fanout=1),
        Measured(500, 80, fanout=10),
        Measured(700, 20, fanout=700, fast_path="off"),
    ],
    ids=["many topics", "shared topics", "plain ASGI"],
)
def test_what_is_calculated_is_what_a_server_takes(load: Measured) -> None:
    _, measured = resident(load)
    assert estimated(load) == pytest.approx(measured, rel=TOLERANCE)


@pytest.mark.spec("PLAT-156")
@pytest.mark.parametrize("item", list(ITEMS))
@pytest.mark.anyio
async def test_what_an_entry_takes_is_what_was_measured(item: str) -> None:
    with capacity_override(MAX_RATE_LIMIT_IDENTITIES=100_000):
        assert await bytes_of(item) == pytest.approx(COSTS[item], rel=TOLERANCE)


@pytest.mark.spec("PLAT-156")
def test_the_formula_is_that_of_the_documents(tmp_path: Path) -> None:
    settings = '[server]\nworkers = 4\n[check]\nmemory_limit = "4G"\nfd_limit = 65536\n'
    made = capacity_of(project(tmp_path, settings), Load(20_000, 8, 300, 200, 50), replay_bytes=1_000_000)
    memory, descriptors, deliveries, bandwidth = made.resources
    one = COSTS["connection"] + 8 * COSTS["subscription"] + 8 / 50 * COSTS["topic"]
    assert memory.typical == pytest.approx(COSTS["worker"] + 1_000_000 + 5000 * one)
    assert memory.worst > memory.typical + 5000 * 2 * 2**20
    assert memory.limit == 2**30
    assert (descriptors.typical, descriptors.limit) == (5064, 65_536)
    assert (deliveries.worst, deliveries.limit) == (15_000, 1_000_000)
    assert bandwidth.worst == 15_000 * (200 + 60 + 4 + 29) * 8
    assert made.first is memory
    assert memory.at is not None
    assert memory.at < 5000
    assert "lower [websocket] max_backpressure" in made.verdict


def test_what_clients_cannot_fill_is_not_counted(tmp_path: Path) -> None:
    few = capacity_of(project(tmp_path, "[websocket]\nmax_connections = 10\n"))
    assert few.connections == 10
    assert few.memory.worst < 57_300_000 + 10 * 2.1 * 2**20
    assert capacity_of(project(tmp_path)).connections == ASSUMED_CONNECTIONS


@pytest.mark.parametrize(
    ("load", "settings", "first"),
    [
        (Load(1000), 'memory_limit = "64G"\nfd_limit = 100', "file descriptors"),
        (
            Load(10, 1, 100_000, 10, 100),
            'memory_limit = "64G"\nfd_limit = 65536\nbandwidth = 999999999999',
            "deliveries / s",
        ),
        (
            Load(10, 1, 100, 10_000, 100),
            'memory_limit = "64G"\nfd_limit = 65536\nbandwidth = 1000000',
            "bandwidth out",
        ),
        (Load(1000), 'memory_limit = "128M"\nfd_limit = 65536', "memory / worker"),
    ],
)
def test_it_names_what_falls_over_first(tmp_path: Path, load: Load, settings: str, first: str) -> None:
    made = capacity_of(project(tmp_path, f"[check]\n{settings}\n"), load)
    assert made.first.name == first
    assert made.verdict.startswith(f"First to fall over: {made.first.label} at about")


def test_equal_shares_are_named_in_the_order_of_the_table(tmp_path: Path) -> None:
    settings = (
        "[check]\nmemory_limit = 0\nfd_limit = 65536\ndeliveries_per_second = 1000\nbandwidth = 2424000\n"
    )
    made = capacity_of(project(tmp_path, settings), Load(1, 1, 100, 210, 10))
    _, _, deliveries, bandwidth = made.resources
    assert deliveries.share == bandwidth.share == 1
    assert made.first is deliveries


def test_a_machine_without_room_for_a_worker_is_told_so(tmp_path: Path) -> None:
    made = capacity_of(project(tmp_path, '[check]\nmemory_limit = "16M"\n'))
    assert "whatever the load is" in made.verdict


def test_many_connections_run_out_of_ports_of_a_proxy(tmp_path: Path) -> None:
    assert capacity_of(project(tmp_path), Load(28_000)).ports is None
    ports = capacity_of(project(tmp_path), Load(60_000)).ports
    assert ports is not None
    assert "needs 3 addresses" in ports


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [(0, "bytes", "0 B"), (412 * 2**20, "bytes", "412 MiB"), (-8.9 * 2**30, "bytes", "-8.9 GiB"),
     (36e6, "bit/s", "36 Mbit/s"), (1e9, "bit/s", "1.0 Gbit/s"), (5090, "", "5 090"), (65_536, "", "65 536")],
)  # fmt: skip
def test_amounts_are_short(value: float, unit: str, shown: str) -> None:
    assert amount(value, unit) == shown


@pytest.mark.spec("PLAT-156")
def test_text_and_json_say_the_same(tmp_path: Path) -> None:
    settings = '[check]\nmemory_limit = "8G"\nfd_limit = 30000\n'
    project(tmp_path, settings)
    flags = [
        "check",
        "--no-import",
        "--capacity",
        "--connections",
        "20000",
        "--publish-rate",
        "300",
        "--fanout",
        "50",
    ]
    text = realtime(*flags, cwd=tmp_path).out
    document = realtime(*flags, "--json", cwd=tmp_path).data
    answer = document["capacity"]
    assert answer["inputs"]["connections"] == 20_000
    lines = text.splitlines()
    for line, resource in zip(lines[1:], answer["resources"], strict=False):
        assert line.startswith(resource["resource"])
        for name in ("typical", "worst", "limit"):
            assert amount(resource[name], resource["unit"]) in line
    first = answer["first"]
    assert first["resource"] == "memory / worker"
    at = amount(first["at"], "")
    assert lines[5] == f"First to fall over: memory at about {at} {first['of']}: {first['change']}"


def test_the_table_has_a_line_for_each_resource(tmp_path: Path) -> None:
    made = capacity_of(project(tmp_path, "[check]\nfd_limit = 1000\n"), Load(100))
    head, *lines = render_capacity(made)
    assert head.split() == ["resource", "typical", "worst", "case", "limit", "headroom"]
    names = [line[:20].strip() for line in lines[:4]]
    assert names == ["memory / worker", "file descriptors", "deliveries / s", "bandwidth out"]


def test_numbers_of_any_size_stand_apart(tmp_path: Path) -> None:
    most = Load(10**9, 10**9, 10**9, 10**9, 10**9)
    deliveries = list(render_capacity(capacity_of(project(tmp_path), most)))[3]
    assert "1 000 000 000 000 000 000 1 000 000 000 000 000 000 250 000 " in deliveries


def test_connections_without_a_limit_are_told_with_the_number_that_fits(tmp_path: Path) -> None:
    report = report_of(tmp_path, {"realtime.toml": OPEN + '[check]\nmemory_limit = "2G"\n'})
    (found,) = report.findings
    assert found.rule == "CAP001"
    assert "exceeds the limit of 2.0 GiB" in found.message
    assert "max_connections = 900" in found.fix


def test_a_machine_that_can_take_all_is_fine(tmp_path: Path) -> None:
    settings = OPEN + '[check]\nmemory_limit = "512G"\n'
    assert findings(tmp_path, {"realtime.toml": settings}) == []


UPLOAD = """\
from __future__ import annotations

from runtime import guard, live
{more}
_guard = guard(authenticated=True)


{decorator}
async def video(ctx, title: str) -> int:
{body}
"""
STREAMED = (
    "    size = 0\n    async for chunk in ctx.stream:\n        size = size + len(chunk)\n    return size"
)
BUFFERED = (
    "    parts = bytearray()\n    async for chunk in ctx.stream:\n        parts.extend(chunk)\n    return 1"
)


def upload(decorator: str, body: str = STREAMED, more: str = "") -> str:
    return UPLOAD.format(decorator=decorator, body=body, more=more)


@pytest.mark.parametrize(
    "text",
    [
        upload("@live.upload(max_size=2 * 1024**3)"),
        upload("@send", more="\nsend = live.upload(max_size=1024 * 1024 * 1024)\n"),
        upload(
            "@live.rate_limit(points=5, window=60)\n@live.upload(max_size=2_000_000_000, max_concurrent_total=None)"
        ),
        upload("@live.upload", BUFFERED),
        upload("@live.upload(max_size=LARGE)", more="\nLARGE = 4 * 1024**3\n"),
        upload("@live.upload(max_concurrent_total=4, max_buffered_chunks=4096)"),
        upload("@live.upload(max_size=8 * 1024**3, max_concurrent_total=64)", BUFFERED),
    ],
)
def test_uploads_that_are_too_large_together_are_told(tmp_path: Path, text: str) -> None:
    files = {"live/videos.py": text, "realtime.toml": CLEAN + '[check]\nmemory_limit = "4G"\n'}
    assert [one.rpartition(" ")[2] for one in findings(tmp_path, files)] == ["CAP007"]


@pytest.mark.parametrize(
    "text",
    [
        upload("@live.upload"),
        upload("@live.upload(max_size=4 * 1024**3, max_concurrent_total=2)"),
        upload("@live.upload(max_size=1024 * 1024, max_concurrent_total=64)", BUFFERED),
        upload("@live.upload(max_concurrent_total=4, max_buffered_chunks=128)"),
    ],
)
def test_uploads_with_bounds_are_fine(tmp_path: Path, text: str) -> None:
    files = {"live/videos.py": text, "realtime.toml": CLEAN + '[check]\nmemory_limit = "4G"\n'}
    assert findings(tmp_path, files) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "from runtime.plugins import Replay as History\nLOG = History(size=100_000, max_topics=1000)\n",
            True,
        ),
        ("import runtime.plugins as p\nBIG = 10**6\nLOG = p.Replay(size=BIG)\n", True),
        (
            "from runtime.plugins import Replay\n\ndef f():\n    if True:\n        return Replay(max_topics=10**6)\n",
            True,
        ),
        ("from runtime.plugins import Replay\nLOG = Replay()\n", False),
        ("from runtime.plugins import Replay\nLOG = Replay(size=10, max_topics=10_000)\n", False),
    ],
)
def test_replays_that_ask_for_much_are_told(tmp_path: Path, text: str, found: bool) -> None:
    files = {"history.py": text, "realtime.toml": CLEAN + '[check]\nmemory_limit = "4G"\n'}
    assert [one.rpartition(" ")[2] for one in findings(tmp_path, files)] == ["CAP011"] * found


PUBLIC = "from __future__ import annotations\n\nfrom runtime import live\n\n{code}"


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("@live.public\n@live\nasync def find(ctx, word: str) -> int:\n    return len(word)\n", True),
        ("@live\n@live.public\nasync def find(ctx, word: str) -> int:\n    return len(word)\n", True),
        (
            "everybody = live.public\n\n\n@everybody\n@live\nasync def find(ctx, word: str) -> int:\n    return 1\n",
            True,
        ),
        (
            "@live.public\n@live.rate_limit(points=1, window=1)\n@live\nasync def find(ctx, word: str) -> int: ...\n",
            False,
        ),
        ('@live.public\n@live.stream("words")\nasync def words(ctx) -> list[str]:\n    return []\n', False),
    ],
)
def test_public_functions_need_a_limit(tmp_path: Path, code: str, rule: bool) -> None:
    found = findings(tmp_path, {"live/words.py": PUBLIC.format(code=code)})
    assert [one.rpartition(" ")[2] for one in found] == ["CAP013"] * rule


def test_a_limit_of_all_functions_is_enough(tmp_path: Path) -> None:
    code = "@live.public\n@live\nasync def find(ctx, word: str) -> int:\n    return len(word)\n"
    limits = CLEAN + "[rate_limits]\ndefault = { points = 100, window = 10 }\n"
    assert findings(tmp_path, {"live/words.py": PUBLIC.format(code=code), "realtime.toml": limits}) == []
