"""How much memory a worker has and may have. Spec: platform 2.7."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.core import memory
from runtime.core.memory import MIB, Memory, cgroup_limit, physical_memory, worker_limit

GIB = 1024 * MIB


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


V2 = "sys/fs/cgroup"
V1 = "sys/fs/cgroup/memory"


@pytest.mark.spec("PLAT-73")
@pytest.mark.parametrize(
    ("files", "limit"),
    [
        # A container sees its own group as the root of the mount.
        ({"proc/self/cgroup": "0::/\n", f"{V2}/memory.max": f"{GIB}\n"}, GIB),
        ({"proc/self/cgroup": "0::/\n", f"{V2}/memory.max": "max\n"}, None),
        # A service of systemd stands in groups inside groups, and the narrowest counts.
        (
            {
                "proc/self/cgroup": "0::/a.slice/b.service\n",
                f"{V2}/a.slice/memory.max": f"{GIB}\n",
                f"{V2}/a.slice/b.service/memory.max": "max\n",
            },
            GIB,
        ),
        (
            {
                "proc/self/cgroup": "0::/a.slice/b.service\n",
                f"{V2}/a.slice/memory.max": f"{GIB}\n",
                f"{V2}/a.slice/b.service/memory.max": f"{2 * GIB}\n",
            },
            GIB,
        ),
        # Version 1, with the path of the host that the container does not see.
        (
            {
                "proc/self/cgroup": "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n",
                f"{V1}/memory.limit_in_bytes": f"{GIB}\n",
            },
            GIB,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/\n",
                f"{V1}/memory.limit_in_bytes": "9223372036854771712\n",
            },
            None,
        ),
        # Both at once: systemd has version 2 for itself beside the controllers of version 1.
        (
            {
                "proc/self/cgroup": "4:memory:/\n0::/\n",
                f"{V1}/memory.limit_in_bytes": f"{3 * GIB}\n",
            },
            3 * GIB,
        ),
        ({"proc/self/cgroup": "0::/../outside\n", f"{V2}/memory.max": "7000\n"}, 7000),
        ({"proc/self/cgroup": "nonsense\n\n"}, None),
        ({"proc/self/cgroup": "0::/\n", f"{V2}/memory.max": "many\n"}, None),
        ({}, None),
    ],
)
def test_the_limit_of_the_control_groups(tmp_path: Path, files: dict[str, str], limit: int | None) -> None:
    assert cgroup_limit(tree(tmp_path, files)) == limit


@pytest.mark.spec("PLAT-73")
def test_workers_share_the_limit_of_the_container(tmp_path: Path) -> None:
    root = tree(tmp_path, {"proc/self/cgroup": "0::/\n", f"{V2}/memory.max": f"{GIB // 4}\n"})
    assert worker_limit(None, 1, root) == GIB // 4
    assert worker_limit(None, 4, root) == GIB // 16
    assert Memory(worker_limit(None, 4, root)).ratio(GIB // 32) == 0.5


def test_a_setting_wins_and_the_machine_is_the_last_resort(tmp_path: Path) -> None:
    root = tree(tmp_path, {"proc/self/cgroup": "0::/\n", f"{V2}/memory.max": f"{GIB}\n"})
    assert worker_limit(3 * GIB, 2, root) == 3 * GIB // 2
    assert worker_limit(None, 2, tmp_path / "none") == physical_memory() // 2
    beyond = tree(tmp_path / "b", {"proc/self/cgroup": "0::/\n", f"{V2}/memory.max": f"{1 << 50}\n"})
    assert worker_limit(None, 1, beyond) == physical_memory()


def test_without_a_limit_nothing_is_tight(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "physical_memory", lambda: 0)
    assert worker_limit(None, 1, tmp_path) == 0
    assert Memory(0).ratio(GIB) == 0


def test_what_the_process_has_taken() -> None:
    own = Memory(GIB)
    before = own.resident()
    assert 5 * MIB < before < 100 * GIB
    block = b"x" * (64 * MIB)
    assert own.resident() - before > 48 * MIB
    del block


def test_where_proc_is_missing_the_highest_value_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = Memory(GIB)
    now = own.resident()
    monkeypatch.setattr(memory, "STATM", tmp_path / "none")
    assert own.resident() >= now // 2
    assert physical_memory() > now
