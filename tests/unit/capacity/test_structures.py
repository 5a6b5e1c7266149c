"""Nothing of the runtime grows without a bound that is written down: `structures.toml` against the code.

Spec: platform 6.1 and PLAT-127.
"""

from __future__ import annotations

import importlib
import textwrap
import tomllib
from pathlib import Path

import msgspec
import pytest

import runtime
from runtime.core import capacity
from runtime.core.settings import SECTIONS
from tests.unit.capacity.containers import growing_containers

PACKAGE = Path(runtime.__file__).parent
LISTED = tomllib.loads(Path(__file__).with_name("structures.toml").read_text(encoding="utf-8"))
LIFETIMES = {"apps", "call", "code", "fixed", "names", "program"}
#: Bounds of what is counted and not kept in a container of its own.
COUNTED = {
    "MAX_CONTROL_BYTES",
    "MAX_INFLIGHT_BYTES",
    "MAX_NOTIFIES",
    "MAX_EFFECT_RUNS",
    "MAX_SSR_DEDUP_WAITERS",
}
#: Bounds of one thing that are the size of a container all the same.
SIZES_OF_ONE = {"MAX_AGGREGATE_BUCKETS", "MAX_RESUME_TOPICS", "MAX_SSR_DEDUP_BODY"}


def entries(table: str) -> list[tuple[str, str]]:
    """Return bound and container of each entry of a table."""
    return [(bound, f"runtime.{name}") for bound, names in LISTED[table].items() for name in names]


@pytest.mark.spec("PLAT-127")
def test_each_container_that_can_grow_is_listed_with_its_bound() -> None:
    found = growing_containers(PACKAGE)
    listed = {name for table in LISTED for _, name in entries(table)}
    new = [f"{name} ({found[name]})" for name in sorted(found.keys() - listed)]
    assert not new, "give each of these a bound, and list it in structures.toml:\n" + "\n".join(new)
    assert listed - found.keys() == set(), "no longer in the code"


@pytest.mark.spec("PLAT-127")
def test_each_bound_that_is_listed_is_one() -> None:
    assert set(LISTED) == {"constants", "modules", "settings", "lifetimes"}
    assert {bound for bound, _ in entries("constants")} <= capacity.DEFAULTS.keys()
    for place in LISTED["modules"]:
        module, _, name = place.partition(":")
        limit = getattr(importlib.import_module(module), name)
        assert isinstance(limit, int), place
        assert limit > 0, place
    for key in LISTED["settings"]:
        section, _, name = key.rpartition(".")
        assert name in {field.name for field in msgspec.structs.fields(SECTIONS[section])}, key
    assert set(LISTED["lifetimes"]) == LIFETIMES


@pytest.mark.spec("PLAT-127")
def test_a_container_has_one_kind_of_bound() -> None:
    seen: dict[str, str] = {}
    for table in LISTED:
        for bound, name in entries(table):
            assert seen.setdefault(name, table) == table, f"{name}: {bound}"
    for table in ("modules", "settings", "lifetimes"):
        names = [name for _, name in entries(table)]
        assert len(names) == len(set(names)), table


@pytest.mark.spec("PLAT-127")
def test_each_constant_bounds_something() -> None:
    bounds = {bound for bound, _ in entries("constants")}
    assert capacity.DEFAULTS.keys() - bounds == (capacity.OF_ONE - SIZES_OF_ONE) | (COUNTED - bounds)


PLANTED = {
    "an attribute": "class A:\n    def __init__(self):\n        self._seen = {}\n",
    "one with a type": "class A:\n    def __init__(self):\n        self._seen: set[str] = set()\n",
    "one that comes later": "class A:\n    def put(self):\n        if self.ready:\n            self._seen = deque()\n",
    "a field": "@dataclass\nclass A:\n    _seen: list[str] = field(default_factory=list)\n",
    "a field made by hand": "@dataclass\nclass A:\n    _seen: dict = field(default_factory=lambda: {})\n",
    "one of a class": "class A:\n    _seen = OrderedDict()\n",
    "one that may be missing": "class A:\n    def __init__(self, seen=None):\n        self._seen = seen or []\n",
    "one that begins full": "class A:\n    def __init__(self):\n        self._seen = [1]\n\n    def go(self):\n"
    "        self._seen.append(2)\n",
    "one filled elsewhere": "class A:\n    def __init__(self, n):\n        self._seen = [0 for _ in n]\n\n\n"
    "def fill(a):\n    a._seen[5] = 1\n",
    "two at once": "class A:\n    def __init__(self):\n        self._seen, self._n = bytearray(), 0\n",
    "one of another's": "def give(a):\n    a._seen = {}\n",
    "a queue": "class A:\n    def __init__(self):\n        self._seen = asyncio.Queue()\n",
    "a module's": "_seen = defaultdict(list)\n",
    "a module's that looks like a constant": "_SEEN = {}\n\n\ndef go(a):\n    _SEEN[a] = 1\n",
    "a cache": "@functools.cache\ndef _seen(a):\n    return a\n",
    "a cache without an end": "@lru_cache(maxsize=None)\ndef _seen(a):\n    return a\n",
    "what a closure shares": "def make():\n    _seen = []\n\n    def go(a):\n        _seen.append(a)\n\n"
    "    return go\n",
}
HARMLESS = {
    "a local": "def go(n):\n    seen = []\n    for one in range(n):\n        seen.append(one)\n    return seen\n",
    "a table": "KINDS = {'a': 1}\n\nclass A:\n    words = ['a', 'b']\n",
    "a whole copy": "class A:\n    def __init__(self, n):\n        self.all = dict(n)\n",
    "one value that is kept": "@functools.cache\ndef go():\n    return []\n",
    "a bounded cache": "@lru_cache(256)\ndef go(a):\n    return a\n",
    "a number": "class A:\n    def __init__(self):\n        self.n = 0\n\n    def go(self):\n        self.n += 1\n",
    "the names of a module": "__all__ = ['a']\n__all__ += ['b']\n",
}


def planted(folder: Path, code: str) -> dict[str, str]:
    package = folder / "runtime" / "below"
    package.mkdir(parents=True)
    (package / "one.py").write_text(textwrap.dedent(code), encoding="utf-8")
    return growing_containers(folder / "runtime")


@pytest.mark.parametrize("code", PLANTED.values(), ids=PLANTED)
def test_a_container_is_found_wherever_it_is_made(code: str, tmp_path: Path) -> None:
    (name,) = planted(tmp_path, code)
    assert name.startswith("runtime.below.one:")
    assert name.lower().endswith("_seen")


@pytest.mark.parametrize("code", HARMLESS.values(), ids=HARMLESS)
def test_what_cannot_grow_is_left_out(code: str, tmp_path: Path) -> None:
    assert planted(tmp_path, code) == {}
