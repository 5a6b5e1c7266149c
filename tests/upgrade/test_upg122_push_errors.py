"""UPG122: pushes that time out are told by their code."""

from __future__ import annotations

import pytest

from tests.upgrade.projects import after, stays

SOURCE = """\
from runtime import LiveError, live


async def ask(user):
    try:
        return await {call}
    except {kind} as err:
        if {test}:
            return None
        raise
"""


def source(test: str, *, call: str = 'live.push(user, "a", {})', kind: str = "Exception") -> str:
    return SOURCE.replace("{call}", call).replace("{kind}", kind).replace("{test}", test)


@pytest.mark.parametrize(
    "text",
    [
        source('"timed out" in str(err)', call='other.push(user, "a")'),
        source('"timed out" in str(user)'),
        source('"timed out" in err.strerror'),
        source('"timed out" == str(err)'),
        source('"timed" in str(err)'),
        source("True") + '\n\nprint("timed out" in str(x))\n',
    ],
)
def test_look_alikes_stay(text: str) -> None:
    assert stays("UPG122", text)


@pytest.mark.spec("UPGC-56")
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ('"timed out" in str(err)', 'getattr(err, "code", None) == "TIMEOUT"'),
        ('"timed out" not in str(err)', 'getattr(err, "code", None) != "TIMEOUT"'),
        ('"timed out" in err.args[0]', 'getattr(err, "code", None) == "TIMEOUT"'),
        ('user and "timed out" in err.message', 'user and getattr(err, "code", None) == "TIMEOUT"'),
    ],
)
def test_the_code_is_compared(before: str, expected: str) -> None:
    was = before.removeprefix("user and ")
    text = after("UPG122", source(before))
    assert text == source(before).replace(
        f"        if {before}:",
        f"        # TODO(realtime-upgrade UPG122): was: {was}\n        if {expected}:",
    )


@pytest.mark.spec("UPGC-56")
def test_our_own_error_has_the_code() -> None:
    text = after("UPG122", source('"timed out" in str(err)', kind="LiveError"))
    assert '        if err.code == "TIMEOUT":\n' in text
