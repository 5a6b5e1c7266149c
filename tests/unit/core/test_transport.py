"""Typed errors and values as JSON. Spec: live-api 19.1."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime import LiveError, RpcError, Transport, transport
from runtime.client import RpcError as ClientRpcError

ISSUES = [{"path": ["items", "0"], "message": "Required"}]


def over_the_wire(used: Transport, value: Any) -> Any:
    return used.decode(json.loads(json.dumps(used.encode(value))))


@pytest.mark.spec("LIVE-168")
def test_a_live_error_keeps_code_message_and_issues() -> None:
    assert transport.encode(LiveError("NOPE", "Not here")) == {
        "type": "LiveError",
        "value": ["NOPE", "Not here"],
    }
    found = over_the_wire(transport, LiveError("NOPE"))
    assert (type(found), found.code, found.message, found.issues) == (LiveError, "NOPE", "NOPE", None)
    found = over_the_wire(transport, LiveError.validation(ISSUES))
    assert (found.code, found.message, found.issues) == ("VALIDATION", "Validation failed", ISSUES)


@pytest.mark.spec("LIVE-168")
def test_an_rpc_error_keeps_code_message_and_issues() -> None:
    assert ClientRpcError is RpcError
    error = RpcError("VALIDATION", "No", issues=ISSUES)
    assert transport.encode(error) == {"type": "RpcError", "value": ["VALIDATION", "No", ISSUES]}
    found = over_the_wire(transport, error)
    assert (type(found), found.code, found.message, found.issues) == (RpcError, "VALIDATION", "No", ISSUES)
    assert over_the_wire(transport, RpcError("A")).issues is None


class Vector:
    def __init__(self, x: float, y: float) -> None:
        self.x, self.y = x, y


VECTOR = (
    lambda value: isinstance(value, Vector) and [value.x, value.y],
    lambda parts: Vector(*parts),
)


@pytest.mark.spec("LIVE-168")
def test_an_app_adds_types_and_its_entries_win() -> None:
    mine = Transport(
        extras={
            "Vector": VECTOR,
            "LiveError": (lambda value: isinstance(value, LiveError) and {"c": value.code}, lambda v: v["c"]),
        }
    )
    found = over_the_wire(mine, Vector(1, 2))
    assert (type(found), found.x, found.y) == (Vector, 1, 2)
    assert mine.encode(LiveError("A")) == {"type": "LiveError", "value": {"c": "A"}}
    assert over_the_wire(mine, LiveError("A")) == "A"
    assert over_the_wire(mine, RpcError("B")).code == "B"
    first = Transport(extras={"Any": (lambda value: [str(value)], lambda v: v[0])})
    assert first.encode(LiveError("A")) == {"type": "Any", "value": ["A"]}, "asked before ours"


def test_what_nobody_knows_is_not_encoded() -> None:
    for value in (ValueError("secret"), None, 7, Vector(1, 2)):
        assert transport.encode(value) is None
    assert Transport(extras={"Vector": VECTOR}).encode(7) is None


@pytest.mark.parametrize(
    "extras",
    [
        {"Vector": (VECTOR[0],)},
        {"Vector": (VECTOR[0], None)},
        {"Vector": (VECTOR[0], "decode")},
        {"Vector": VECTOR[0]},
        {"Vector": (*VECTOR, VECTOR[0])},
        {"Vector": None},
    ],
)
def test_an_entry_without_two_functions_is_named(extras: Any) -> None:
    with pytest.raises(TypeError, match="'Vector' needs two functions"):
        Transport(extras=extras)


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ({"type": "Vector", "value": [1, 2]}, "'Vector' is not known; there are LiveError, RpcError"),
        ({"type": ["LiveError"], "value": []}, "is not known"),
        ({"type": "LiveError"}, "a payload is"),
        (["LiveError", []], "a payload is"),
        ({"type": "LiveError", "value": []}, "an error is"),
        ({"type": "RpcError", "value": "ABC"}, "an error is"),
        ({"type": "RpcError", "value": ["A", 7]}, "an error is"),
    ],
)
def test_a_payload_that_cannot_be_says_so(payload: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        transport.decode(payload)


def test_issues_that_are_none_are_left_out() -> None:
    assert transport.decode({"type": "LiveError", "value": ["A", None, "no list"]}).issues is None
    with pytest.raises(TypeError, match="needs a name"):
        Transport(extras={"": VECTOR})  # type: ignore[dict-item]
