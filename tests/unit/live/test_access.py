"""Ready-made access predicates: strict, awaited before they are believed. Spec: live-api 4.3."""

from __future__ import annotations

import asyncio
import functools
from types import SimpleNamespace
from typing import Any

import pytest

from runtime.live.access import Access, allows

access = Access()


def ctx(user: Any) -> Any:
    return SimpleNamespace(user=user)


def forms(**fields: Any) -> list[Any]:
    """Return a user as mapping and as object."""
    return [fields, SimpleNamespace(**fields)]


async def yes(ctx: Any, *args: Any) -> bool:
    return True


async def no(ctx: Any, *args: Any) -> bool:
    return False


async def test_an_owner_has_the_field() -> None:
    for user in forms(id=0, slug="x"):
        assert await allows(access.owner(), ctx(user), [])
        assert await allows(access.owner("slug"), ctx(user), [])
        assert not await allows(access.owner("other"), ctx(user), [])
    for user in (None, {}, {"id": None}, SimpleNamespace()):
        assert not await allows(access.owner(), ctx(user), [])


@pytest.mark.spec("LIVE-43")
async def test_a_role_needs_a_rule_that_is_true_or_says_so() -> None:
    rule = access.role(
        {
            "admin": True,
            "editor": lambda ctx: ctx.user.get("active") if isinstance(ctx.user, dict) else ctx.user.active,
            "async_yes": yes,
            "async_no": no,
            "banned": False,
            "odd": 1,
            "text": "yes",
        }
    )
    for role, active, allowed in (
        ("admin", None, True),
        ("editor", True, True),
        ("editor", False, False),
        ("async_yes", None, True),
        ("async_no", None, False),
        ("banned", None, False),
        ("odd", None, False),
        ("text", None, False),
        ("nobody", None, False),
        (7, None, False),
        (["admin"], None, False),
        (None, None, False),
    ):
        for user in forms(role=role, active=active):
            assert await allows(rule, ctx(user), []) is allowed, role
    assert not await allows(rule, ctx(None), [])


async def test_a_team_member_has_a_team_in_either_spelling() -> None:
    for field in ("teamId", "team_id"):
        for user in forms(**{field: 0}):
            assert await allows(access.team(), ctx(user), [])
    for user in (None, {"team": 1}, {"team_id": None}):
        assert not await allows(access.team(), ctx(user), [])


@pytest.mark.spec("LIVE-44")
@pytest.mark.parametrize(("made", "field"), [(access.org, "organization_id"), (access.user, "user_id")])
@pytest.mark.parametrize(
    ("own", "args", "allowed"),
    [
        (1, [1], True),
        ("1", ["1"], True),
        (1, [1, "more"], True),
        (1, ["1"], False),
        ("1", [1], False),
        (1, [True], False),
        (True, [1], False),
        (1, [1.0], False),
        (1, [2], False),
        (1, [None], False),
        (1, [], False),
        (None, [None], False),
        (None, [], False),
    ],
)
async def test_own_ids_are_compared_strictly(
    made: Any, field: str, own: Any, args: list[Any], allowed: bool
) -> None:
    for user in forms(**{field: own}):
        assert await allows(made(), ctx(user), args) is allowed
    for user in forms(other=own):
        assert await allows(made(field="other"), ctx(user), args) is allowed
    assert not await allows(made(), ctx(None), args)
    assert not await allows(made(), ctx({}), args)


async def test_the_id_may_come_from_the_arguments_by_a_function() -> None:
    async def of_body(ctx: Any, body: dict[str, Any]) -> Any:
        return body["org"]

    for extract in (of_body, lambda ctx, body: body["org"]):
        rule = access.org(from_=extract)
        assert await allows(rule, ctx({"organization_id": 7}), [{"org": 7}])
        assert not await allows(rule, ctx({"organization_id": 7}), [{"org": "7"}])
        assert not await allows(rule, ctx({"organization_id": 7}), [{"org": None}])


@pytest.mark.spec("LIVE-43")
@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        (access.any(no, yes), True),
        (access.any(no, no), False),
        (access.any(), False),
        (access.all(yes, yes), True),
        (access.all(yes, no), False),
        (access.all(), True),
        (access.any(access.all(yes, no), access.all(yes, lambda ctx, *args: 1)), True),
        (access.all(access.any(no), yes), False),
    ],
)
async def test_combinations_await_what_they_combine(rule: Any, allowed: bool) -> None:
    assert await allows(rule, ctx(None), []) is allowed


async def test_combinations_ask_in_order_and_no_longer_than_needed() -> None:
    asked: list[str] = []

    def named(name: str, answer: Any) -> Any:
        def predicate(ctx: Any, *args: Any) -> Any:
            asked.append(f"{name}{args}")
            return answer

        return predicate

    rule = access.any(access.all(named("a", 1), named("b", 0), named("c", 1)), named("d", 1), named("e", 1))
    assert await allows(rule, ctx(None), ["x"])
    assert asked == ["a('x',)", "b('x',)", "d('x',)"]


async def test_what_a_predicate_raises_passes() -> None:
    def broken(ctx: Any) -> bool:
        raise KeyError("role")

    with pytest.raises(KeyError):
        await allows(access.any(broken, yes), ctx(None), [])


async def endless(ctx: Any, *args: Any) -> Any:
    """Look like an asynchronous predicate, and be a generator that nobody runs."""
    yield False


def lazy(ctx: Any, *args: Any) -> Any:
    """Be a generator too."""
    yield False


async def twice(ctx: Any, *args: Any) -> Any:
    """Return what has to be awaited once more."""
    return asyncio.get_running_loop().create_future()


@pytest.mark.spec("LIVE-43", "PLAT-103")
@pytest.mark.parametrize(
    "predicate",
    [
        endless,
        lazy,
        twice,
        lambda *args: ...,
        lambda *args: no,
        lambda *args: str,
        lambda *args: lambda: False,
    ],
)
async def test_an_answer_that_can_only_be_a_mistake_allows_nothing(predicate: Any) -> None:
    for rule in (predicate, access.any(no, predicate), access.all(yes, predicate)):
        with pytest.raises(TypeError, match="must return True or False"):
            await allows(rule, ctx({"role": "r"}), [1])
    with pytest.raises(TypeError, match="must return True or False"):
        await allows(access.role({"r": predicate}), ctx({"role": "r"}), [])


class Callable:
    """An object with an asynchronous call."""

    async def __call__(self, ctx: Any, *args: Any) -> bool:
        return False


@pytest.mark.spec("LIVE-43", "PLAT-103")
async def test_whatever_can_be_awaited_is() -> None:
    def decided(answer: bool) -> Any:
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        future.set_result(answer)
        return future

    for predicate, allowed in (
        (lambda *args: asyncio.sleep(0, False), False),
        (lambda *args: asyncio.sleep(0, True), True),
        (functools.partial(no), False),
        (Callable(), False),
        (lambda *args: decided(False), False),
        (lambda *args: decided(True), True),
        (lambda *args: "text", True),
        (lambda *args: 0, False),
        (lambda *args: None, False),
    ):
        assert await allows(predicate, ctx(None), []) is allowed
