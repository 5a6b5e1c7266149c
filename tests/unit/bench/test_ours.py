"""Every load case runs with our own server: the app of the benchmarks, its hooks and its calls fit the generator."""

from __future__ import annotations

import shutil
import sys

import pytest

from bench import run
from bench.case import Run, Scale, run_case
from bench.generator import build
from bench.pool import Pool

TINY = Scale("tiny", rounds=1, seconds=0.05, share=0.01)
LOADS = (
    "fanout",
    "fanout-10",
    "topics",
    "rpc-16",
    "wrappers",
    "latency",
    "upload",
    "storm",
    "idle",
    "transform",
    "subscribe",
)
VARIANTS = frozenset({"ours", "ours-batch", "ours-single", "ours-def", "ours-bare", "ours-plain", "ours-own"})


@pytest.mark.parametrize("name", LOADS)
def test_a_load_case_loses_nothing(name: str) -> None:
    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("some of the cases need the generator in C")
    build.generator.cache_clear()
    (case,) = [case for case in run.CASES if case.name == name]
    with Pool() as pool:
        result = run_case(case, Run(TINY, pool), only=VARIANTS, say=lambda line: None)
    assert result.failed == {}
    assert result.skipped == {}
    found = result.as_json()["contestants"]
    assert set(found) == VARIANTS & {*case.contestants, *case.more}
    assert all(found["ours"][figure.name]["median"] >= 0 for figure in case.figures)
