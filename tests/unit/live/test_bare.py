"""A decorator without its parentheses is told to its author instead of hiding the function. Spec: live-api 1.3."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.live.test_registry import load


@pytest.mark.parametrize("name", ["idempotent", "lock", "scoped", "validated", "gate"])
def test_a_function_that_became_a_decorator_is_a_problem_of_its_module(tmp_path: Path, name: str) -> None:
    module = load(
        tmp_path, f"from runtime import live\n\n@live.{name}\nasync def pay(ctx, order):\n    pass\n"
    )
    (problem,) = module.problems
    assert (problem.file, problem.line, problem.kind) == ("live/a.py", 3, "TypeError")
    assert problem.message == f"@live.{name} over pay needs parentheses: write @live.{name}(...)"
    assert module.endpoints == ()


@pytest.mark.parametrize("outer", ["live", "live.public", "live.volatile", "live.rate_limit(1, 1)"])
def test_no_decorator_takes_it_for_a_function(tmp_path: Path, outer: str) -> None:
    source = f"from runtime import live\n\n@{outer}\n@live.lock\nasync def pay(ctx): ...\n"
    with pytest.raises(
        TypeError, match=r"@live\.lock over pay needs parentheses: write @live\.lock\(\.\.\.\)"
    ):
        load(tmp_path, source)


def test_a_plain_loader_is_no_topic_function(tmp_path: Path) -> None:
    module = load(tmp_path, "from runtime import live\n\n@live.stream\ndef todos(ctx): ...\n")
    assert [problem.message for problem in module.problems] == [
        "@live.stream over todos needs parentheses: write @live.stream(...)"
    ]
    with pytest.raises(ValueError, match=r'over a loader write @live\.stream\("topic"\)'):
        load(tmp_path, "from runtime import live\n\n@live.stream\nasync def todos(ctx): ...\n", "b")


@pytest.mark.parametrize("name", ["upload", "binary"])
def test_decorators_whose_options_are_numbers_say_so_at_once(tmp_path: Path, name: str) -> None:
    source = f"from runtime import live\n\n@live.{name}\nasync def put(ctx, data): ...\n"
    with pytest.raises(TypeError, match=rf"@live\.{name} over put needs parentheses"):
        load(tmp_path, source)


def test_a_decorator_that_is_kept_under_a_name_of_its_own_is_none(tmp_path: Path) -> None:
    source = """
        from runtime import live

        def order_of(ctx, order):
            return order

        once = live.idempotent(order_of)
        alone = live.lock(lambda ctx, order: order)

        @once
        @alone
        @live
        async def pay(ctx, order): ...

        @once
        @live
        async def refund(ctx, order): ...
    """
    module = load(tmp_path, source)
    assert module.problems == ()
    assert [endpoint.path for endpoint in module.endpoints] == ["a/pay", "a/refund"]
