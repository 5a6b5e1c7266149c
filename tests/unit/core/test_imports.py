"""`import runtime` costs next to nothing, and our code never imports what only the app may want."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "starlette",
    "uvicorn",
    "websockets",
    "jinja2",
    "watchfiles",
    "copier",
    "typer",
    "rich",
    "redis",
    "asyncpg",
)


def run(source: str) -> str:
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_runtime_loads_nothing_heavy() -> None:
    loaded = run(
        f"import sys, runtime; print([m for m in {HEAVY!r} + ('asyncio', 'msgspec') if m in sys.modules])"
    )
    assert loaded == "[]"


def test_live_functions_load_no_server() -> None:
    source = f"""
import sys
from runtime import live, LiveError, guard, Page
print([m for m in {HEAVY!r} if m in sys.modules])
"""
    assert run(source) == "[]"


BLOCKED = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"pydantic", "pydantic_core"}:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Block())
"""


def test_everything_works_without_pydantic() -> None:
    source = """
import runtime, runtime.client, runtime.testing
from runtime.live.signature import signature_of
for name in runtime.__all__:
    getattr(runtime, name)
async def f(ctx, a: int, b: list[str] = []): ...
print(signature_of(f).decode([1, ["x"]]))
"""
    assert run(BLOCKED + source) == "[1, ['x']]"


def test_an_app_that_imports_pydantic_itself_gets_its_models_as_schemas() -> None:
    source = """
import pydantic
from runtime.live.signature import signature_of
class M(pydantic.BaseModel):
    n: int
async def f(ctx, m: M): ...
print(signature_of(f).decode([{"n": 1}]))
"""
    assert run(source) == "[M(n=1)]"


@pytest.mark.parametrize("name", ["nothing", "live_", "max_topics"])
def test_a_name_that_does_not_exist_is_an_attribute_error(name: str) -> None:
    import runtime

    with pytest.raises(AttributeError, match=f"module 'runtime' has no attribute '{name}'"):
        getattr(runtime, name)


def test_live_is_the_decorators_even_after_the_package_was_imported() -> None:
    source = """
import runtime.live.app
import runtime
from runtime import live
assert live is runtime.live and callable(live), live
assert set(runtime.__all__) <= set(dir(runtime))
print(live.stream.__name__, runtime.MAX_TOPICS)
"""
    assert run(source) == "stream 2000000"
