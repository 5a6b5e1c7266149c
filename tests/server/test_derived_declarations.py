"""Declarations of derived streams that cannot be. Spec: live-api 10.1."""

from __future__ import annotations

import pytest

from tests.server.conftest import AppFactory

BAD = {
    "takes arguments": (
        '@live.derived("a")\n    async def bad(ctx, org: str): return 1',
        "takes no arguments",
    ),
    "takes arguments but ctx": ('@live.derived("a")\n    async def bad(org): return 1', "org"),
    "has wrappers and no ctx": (
        '@live.derived("a")\n    @live.scoped(lambda ctx: True)\n    async def bad(): return 1',
        "takes ctx",
    ),
    "no ctx though dynamic": ("@live.derived(lambda: ['a'])\n    async def bad(): return 1", "must be ctx"),
    "system topic as parentheses": ("@live.derived\n    async def bad(ctx): return 1", "needs parentheses"),
    "nothing": ("@live.derived([])\n    async def bad(): return 1", "at least one topic"),
    "no text": ("@live.derived([7])\n    async def bad(): return 1", "is no text"),
    "no topics": ("@live.derived(7)\n    async def bad(): return 1", "sources must be topics"),
    "no name": ("@live.derived('')\n    async def bad(): return 1", "sources"),
    "wait": ("@live.derived('a', debounce=-1)\n    async def bad(): return 1", "debounce"),
    "merge": ("@live.derived('a', merge='other')\n    async def bad(): return 1", "merge"),
    "option": ("@live.derived('a', debouce=1)\n    async def bad(): return 1", "did you mean 'debounce'"),
    "async sources": (
        "async def names(org): return ['a']\n    import functools\n"
        "    @live.derived(functools.partial(names, 1))\n    async def bad(ctx): return 1",
        "not an async one",
    ),
    "sources with ctx": (
        "@live.derived(lambda ctx: ['a'])\n    async def bad(ctx): return 1",
        "arguments alone",
    ),
    "pipe": (
        "from runtime import pipe\n    @live.derived('a')\n    async def good(): return []\n"
        "    bad = pipe(good, pipe.limit(2))",
        "pipe: good is computed anew",
    ),
    "topic of another stream": (
        "@live.derived('a')\n    async def bad(): return []\n"
        "    @live.stream('m/bad')\n    async def worse(ctx): return []",
        "declared twice",
    ),
}


@pytest.mark.parametrize("case", BAD)
async def test_declarations_that_cannot_be_say_what_is_wrong(make_app: AppFactory, case: str) -> None:
    source, message = BAD[case]
    app = await make_app(
        {"live/m.py": f"\n    # realtime-allow-public\n    from runtime import live\n    {source}\n"},
        env="dev",
    )
    problems = app.runtime.live.registry.problems
    assert any(message in problem.message for problem in problems), [p.message for p in problems]
    assert app.runtime.live.registry.find("m/bad") is None
