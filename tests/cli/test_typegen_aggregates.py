"""What pages and Python programs see of aggregates: stubs and types of their windows. Spec: live-api 21.1, wire 5.3."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from realtime_cli import typegen
from runtime.core.settings import ServerSettings, Settings
from runtime.live.loader import LiveLoader
from runtime.live.registry import Registry
from runtime.server.stubs import stub_source
from tests.server.peers import write_file

STATS = '''
    from runtime import Compute, Lifetime, Reducer, Sliding, combine_sum, live

    def one_more(acc: int, event: str, data: dict) -> int:
        return acc + 1

    def spread(state) -> "dict[str, Nothing]":
        return {}

    class Requests(live.Aggregate):
        """What is asked of us."""

        source, topic = "requests", "stats"
        windows = {"total": Lifetime(), "last5": Sliding(duration=300, slide=30)}
        count = Reducer(init=lambda: 0, reduce=one_more, combine=combine_sum)
        twice = Compute(lambda s: s["count"] * 2)

    single = live.aggregate("requests", {"count": Requests.count, "odd": Compute(spread)}, topic="single")
'''


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    write_file(tmp_path, "live/stats.py", STATS)
    monkeypatch.setattr(sys, "path", list(sys.path))
    loader = LiveLoader(tmp_path, tmp_path / "live")
    loader.package.install()
    yield loader.load().registry
    loader.close()


def test_windows_are_members_of_one_object(registry: Registry) -> None:
    assert stub_source(registry.modules["stats"], Settings()) == (
        'import { __stream } from "./client.js";\n'
        "export const Requests = {\n"
        '  total: __stream("stats/Requests/__window/total", {"merge":"set"}, false),\n'
        '  last5: __stream("stats/Requests/__window/last5", {"merge":"set"}, false),\n'
        "};\n"
        'export const single = __stream("stats/single", {"merge":"set"}, false);\n'
    )
    commented = stub_source(registry.modules["stats"], Settings(server=ServerSettings(env="dev")))
    assert "/**\n * Requests, live/stats.py:10\n *\n * What is asked of us.\n */" in commented
    assert "  /**\n   * Requests.total, live/stats.py:10\n   */" in commented


def test_the_types_of_windows(tmp_path: Path, registry: Registry) -> None:
    files = typegen.render(tmp_path, registry)
    assert files["live/stats.d.ts"] == (
        "// Written by `realtime types` from live/stats.py; changes are lost.\n"
        'import type { StreamStore } from "./client.js";\n'
        "\n"
        "/** What is asked of us. */\n"
        "export const Requests: {\n"
        "  total: StreamStore<RequestsValue>;\n"
        "  last5: StreamStore<RequestsValue>;\n"
        "};\n"
        "\n"
        "export const single: StreamStore<SingleValue>;\n"
        "\n"
        "export interface RequestsValue {\n"
        "  count: number;\n"
        "  twice: unknown;\n"
        "}\n"
        "\n"
        "export interface SingleValue {\n"
        "  count: number;\n"
        "  odd: unknown;\n"
        "}\n"
    )
    stub = files["python/realtime_live.pyi"]
    assert "_typing.Literal['stats/Requests/__window/last5']" in stub
    assert "-> Stream[RequestsValue]: ..." in stub
