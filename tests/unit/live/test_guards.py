"""Guards: parts in order, the first that refuses ends it. Spec: live-api 4.1."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from runtime.core.errors import LiveError
from runtime.live.guards import Guard, denied, guard, run_guard


def ctx(user: Any = None) -> Any:
    return SimpleNamespace(user=user)


async def refusal(check: Any, user: Any = None) -> LiveError | None:
    try:
        await run_guard(check, ctx(user))
    except LiveError as error:
        return error
    return None


@pytest.mark.spec("LIVE-37")
@pytest.mark.parametrize("made", [guard(authenticated=True), guard({"authenticated": True})])
async def test_authenticated_refuses_nobody_and_accepts_an_empty_user(made: Guard) -> None:
    error = await refusal(made)
    assert error is not None
    assert (error.code, error.message) == ("UNAUTHENTICATED", "Authentication required")
    for user in ({}, 0, "", {"id": 1}):
        assert await refusal(made, user) is None


@pytest.mark.spec("LIVE-38")
async def test_parts_run_in_order_and_stop_at_the_first_that_refuses() -> None:
    log: list[str] = []

    async def first(ctx: Any) -> None:
        log.append("first")

    def second(ctx: Any) -> Any:
        log.append("second")
        return ctx.user != "stopped"

    def third(ctx: Any) -> None:
        log.append("third")
        raise LiveError("CLOSED", "Closed on Sundays")

    made = guard(first, {"authenticated": True}, second, checks=[third])
    assert (await refusal(made)).code == "UNAUTHENTICATED"
    assert log == ["first"]
    log.clear()
    assert (await refusal(made, "stopped")).code == "FORBIDDEN"
    assert log == ["first", "second"]
    log.clear()
    error = await refusal(made, "somebody")
    assert (error.code, error.message) == ("CLOSED", "Closed on Sundays")
    assert log == ["first", "second", "third"]


@pytest.mark.spec("LIVE-39", "WIRE-63")
@pytest.mark.parametrize(("user", "code"), [(None, "UNAUTHENTICATED"), ({}, "FORBIDDEN")])
async def test_a_foreign_exception_gets_the_code_that_fits_and_keeps_its_text_to_itself(
    user: Any, code: str
) -> None:
    async def broken(ctx: Any) -> None:
        raise KeyError("secret column")

    for check in (broken, guard(broken)):
        error = await refusal(check, user)
        assert error.code == code
        assert "secret" not in f"{error} {error.data}"
        assert isinstance(error.__cause__, KeyError)


@pytest.mark.parametrize(
    ("answer", "refused"), [(False, True), (None, False), (True, False), (0, False), ("", False), ([], False)]
)
async def test_only_an_explicit_false_refuses(answer: Any, refused: bool) -> None:
    async def later(ctx: Any) -> Any:
        return answer

    for check in (lambda ctx: answer, later):
        assert (await refusal(check) is not None) is refused
        assert (await refusal(guard(check)) is not None) is refused


async def test_it_is_a_decorator_too() -> None:
    @guard
    async def _guard(ctx: Any) -> None:
        raise LiveError("NO")

    assert isinstance(_guard, Guard)
    assert (await refusal(_guard)).code == "NO"
    assert (await refusal(guard(_guard, authenticated=True), "user")).code == "NO"


@pytest.mark.parametrize(
    ("parts", "options", "error", "message"),
    [
        ((), {}, ValueError, "at least one check"),
        (({"authenticated": False},), {}, ValueError, "at least one check"),
        (({},), {}, ValueError, "at least one check"),
        (
            ({"authentication": True},),
            {},
            ValueError,
            "unknown option 'authentication'; known: authenticated",
        ),
        (("admin",), {}, TypeError, "must be a function of ctx or a mapping, not 'admin'"),
        ((), {"checks": [5]}, TypeError, "not 5"),
    ],
)
def test_what_checks_nothing_or_cannot_be_checked_is_refused(
    parts: Any, options: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        guard(*parts, **options)


def test_the_refusal_depends_on_whether_there_is_somebody() -> None:
    assert (denied(None).code, denied({}).code) == ("UNAUTHENTICATED", "FORBIDDEN")


@pytest.mark.spec("PLAT-103")
async def test_a_guard_that_nobody_ran_refuses() -> None:
    async def generator(ctx: Any) -> Any:
        yield

    def plain(ctx: Any) -> Any:
        yield

    async def twice(ctx: Any) -> Any:
        return generator

    for check in (generator, plain, twice):
        for made in (check, guard(check), guard({"authenticated": True}, checks=[check])):
            error = await refusal(made, {"id": 1})
            assert error is not None
            assert error.code == "FORBIDDEN"
