"""What `realtime serve` frees stays with it, up to a bound."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from realtime_cli import allocator

# Pieces as large as those of a message come and go at the end of the heap, where nothing lies behind them.
PROGRAM = """
import resource, sys
from realtime_cli.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    print(keep_freed_memory())
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(200):
    pieces = [bytearray(100_000) for _ in range(4)]
    del pieces
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(mode: str, **environment: str) -> list[str]:
    clean = {name: value for name, value in os.environ.items() if name not in allocator._CHOSEN_BY}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, mode],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_freed_memory_is_not_asked_for_again() -> None:
    kept, count = faults("keep")
    assert kept == str(platform.libc_ver()[0] == "glibc")
    if kept == "True":
        assert int(count) < int(faults("plain")[0]) / 4


def test_what_the_environment_chose_is_left_alone() -> None:
    assert faults("keep", MALLOC_TRIM_THRESHOLD_="131072")[0] == "False"


@pytest.mark.parametrize("name", ["darwin", "win32"])
def test_other_systems_have_no_such_switch(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(sys, "platform", name)
    assert allocator.keep_freed_memory() is False


def test_a_library_without_it_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: object())
    monkeypatch.setattr(sys, "platform", "linux")
    assert allocator.keep_freed_memory() is False
