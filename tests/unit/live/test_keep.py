"""`live.keep`: when a value survives and when it is made anew. Spec: live-api 21.1."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.core import capacity
from runtime.core.errors import CapacityExceeded
from runtime.live.apppackage import PREFIX
from runtime.live.keep import KeepStore


def run(store: KeepStore, source: str, module: str = "m") -> Any:
    """Execute `source` like a module that is loaded again; it calls `keep(name, factory, *args)` and sets `value`."""
    names = {
        "__name__": PREFIX + module,
        "keep": lambda name, factory, *args: store.get(module, name, factory, args),
    }
    exec(compile(source, f"{module}.py", "exec"), names)
    return names["value"]


SAME = [
    "value = keep('x', dict)",
    "value = keep('x', list, (1, 2))",
    "def make(): return object()\nvalue = keep('x', make)",
    "def make(n=1, *, m=2): return object()\nvalue = keep('x', make)",
    "value = keep('x', lambda: [object()])",
    "class Store:\n    def add(self): return 1\nvalue = keep('x', Store)",
    "def outer(n):\n    def make(): return [n]\n    return make\nvalue = keep('x', outer(5))",
    "def make():\n    def inner(): return 1\n    return [inner]\nvalue = keep('x', make)",
    "import functools\ndef make(n): return [n]\nvalue = keep('x', functools.partial(make, 5))",
    "import enum\nclass E(enum.Enum): A = 1\nvalue = keep('x', list, (E.A,))",
    "class P:\n    def __init__(self): self.n = 1\nvalue = keep('x', lambda p: [p], P())",
    "import asyncio\nvalue = keep('x', asyncio.Lock)",
    "import math\nvalue = keep('x', lambda m, f: [m], math, math.sin)",
    "loop = []\nloop.append(loop)\nvalue = keep('x', lambda l: [l], loop)",
    "class T:\n    __slots__ = ('n',)\nt = T()\nt.n = 1\nvalue = keep('x', lambda t: [t], t)",
    "class B:\n    def f(self): return 1\nclass C(B):\n    @property\n    def g(self): return 1\nvalue = keep('x', C)",
    "from pathlib import Path\nvalue = keep('x', lambda p: [p], Path('a'))",
    "value = keep('x', lambda o: [o], object())",
    "class M:\n    def make(self): return []\nvalue = keep('x', M().make)",
]


@pytest.mark.spec("LIVE-203")
@pytest.mark.parametrize("source", SAME)
def test_the_same_recipe_gives_the_same_value(source: str) -> None:
    store = KeepStore()
    value = run(store, source)
    assert run(store, source) is value
    assert run(store, "\n\n# moved down\n" + source) is value


@pytest.mark.spec("LIVE-203")
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("value = keep('x', dict)", "value = keep('x', list)"),
        ("value = keep('x', dict, {'a': 1})", "value = keep('x', dict, {'a': 2})"),
        ("value = keep('x', lambda: [1])", "value = keep('x', lambda: [2])"),
        ("value = keep('x', lambda: [1])", "value = keep('x', lambda: [1.0])"),
        ("value = keep('x', lambda: [len])", "value = keep('x', lambda: [abs])"),
        ("def f(n=1): return [n]\nvalue = keep('x', f)", "def f(n=2): return [n]\nvalue = keep('x', f)"),
        (
            "def f(*, n=1): return [n]\nvalue = keep('x', f)",
            "def f(*, n=2): return [n]\nvalue = keep('x', f)",
        ),
        (
            "class S:\n    def add(self): return 1\nvalue = keep('x', S)",
            "class S:\n    def add(self): return 2\nvalue = keep('x', S)",
        ),
        (
            "def outer(n):\n    def f(): return [n]\n    return f\nvalue = keep('x', outer(5))",
            "def outer(n):\n    def f(): return [n]\n    return f\nvalue = keep('x', outer(6))",
        ),
        (
            "def f():\n    def g(): return 1\n    return [g]\nvalue = keep('x', f)",
            "def f():\n    def g(): return 2\n    return [g]\nvalue = keep('x', f)",
        ),
        (
            "import functools\ndef f(n): return [n]\nvalue = keep('x', functools.partial(f, 5))",
            "import functools\ndef f(n): return [n]\nvalue = keep('x', functools.partial(f, 6))",
        ),
        (
            "class P:\n    def __init__(self): self.n = 1\nvalue = keep('x', lambda p: [p], P())",
            "class P:\n    def __init__(self): self.n = 2\nvalue = keep('x', lambda p: [p], P())",
        ),
        (
            "class C:\n    @property\n    def g(self): return 1\nvalue = keep('x', C)",
            "class C:\n    @property\n    def g(self): return 2\nvalue = keep('x', C)",
        ),
        (
            "class C:\n    @staticmethod\n    def g(): return 1\nvalue = keep('x', C)",
            "class C:\n    @staticmethod\n    def g(): return 2\nvalue = keep('x', C)",
        ),
        (
            "from pathlib import Path\nvalue = keep('x', lambda p: [p], Path('a'))",
            "from pathlib import Path\nvalue = keep('x', lambda p: [p], Path('b'))",
        ),
        (
            "class M:\n    def make(self): return []\nvalue = keep('x', M().make)",
            "class M:\n    def make(self): return [1]\nvalue = keep('x', M().make)",
        ),
        (
            "import math\nvalue = keep('x', lambda f: [f], math.sin)",
            "import math\nvalue = keep('x', lambda f: [f], math.cos)",
        ),
    ],
)
def test_another_recipe_makes_another_value(before: str, after: str) -> None:
    store = KeepStore()
    value = run(store, before)
    assert run(store, after) is not value
    assert run(store, before) is not value


def test_names_belong_to_their_module() -> None:
    store = KeepStore()
    source = "value = keep('x', list)"
    one = run(store, source, "a")
    assert run(store, source, "b") is not one
    assert run(store, "value = keep('y', list)", "a") is not one
    assert run(store, source, "a") is one


def test_a_factory_that_fails_is_called_again() -> None:
    store = KeepStore()

    class Factory:
        calls = 0

        def __call__(self) -> str:
            self.calls += 1
            if self.calls == 1:
                raise RuntimeError("not yet")
            return "made"

    factory = Factory()
    with pytest.raises(RuntimeError):
        store.get("m", "x", factory, ())
    assert store.get("m", "x", factory, ()) == "made"
    assert store.get("m", "x", factory, ()) == "made"
    assert factory.calls == 2


def test_none_is_a_value_that_is_kept() -> None:
    store = KeepStore()
    calls: list[int] = []
    for _ in range(2):
        assert store.get("m", "x", calls.append, (1,)) is None
    assert calls == [1]


def test_values_are_bounded_and_known_ones_stay() -> None:
    store = KeepStore()
    with capacity.capacity_override(MAX_LIVE_KEPT=2):
        kept = [store.get("m", str(n), list, ()) for n in range(2)]
        with pytest.raises(CapacityExceeded, match="more than MAX_LIVE_KEPT values; is '2' made in a loop"):
            store.get("m", "2", list, ())
        assert [store.get("m", str(n), list, ()) for n in range(2)] == kept
        assert store.get("m", "0", dict, ()) == {}
