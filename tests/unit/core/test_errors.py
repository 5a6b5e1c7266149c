"""Which part of an exception a client may see. Spec: live-api 3.2 and 28, wire 4.2."""

from __future__ import annotations

import pytest

from runtime.core.errors import LiveError, PayloadTooLarge, PlatformNotReady, WireError, denial_error, to_wire


@pytest.mark.spec("WIRE-64", "LIVE-27")
def test_a_live_error_passes_as_it_is() -> None:
    error = LiveError("FULL", "Board is full", {"max": 3})
    assert to_wire(error, None) == WireError("FULL", "Board is full", data={"max": 3})
    assert to_wire(LiveError("FULL"), str) == WireError("FULL", "FULL")
    assert (str(error), str(LiveError("FULL"))) == ("FULL: Board is full", "FULL")


@pytest.mark.parametrize(("seconds", "ms"), [(1.5, 1500), (0.0001, 1), (0, 1), (2, 2000), (0.0015, 2)])
def test_a_wait_travels_in_whole_milliseconds(seconds: float, ms: int) -> None:
    error = LiveError("RATE_LIMITED")
    error.retry_after = seconds
    assert to_wire(error, None).retry_after_ms == ms


def test_wrong_arguments_travel_with_their_paths() -> None:
    issues = [{"path": ["a", "0"], "message": "Required"}]
    wire = to_wire(LiveError.validation(issues), None)
    assert (wire.code, wire.message, wire.issues) == ("VALIDATION", "Validation failed", issues)


@pytest.mark.spec("WIRE-64", "LIVE-194")
def test_anything_else_has_no_detail_unless_in_dev() -> None:
    error = ValueError("secret detail")
    assert to_wire(error, None) == WireError("INTERNAL_ERROR", "Internal server error")
    in_dev = to_wire(error, lambda e: f"{e} redis://user:hunter2@host/0")
    assert (in_dev.code, in_dev.message) == ("INTERNAL_ERROR", "Internal server error")
    assert "secret detail" in in_dev.data["traceback"]
    assert "hunter2" not in in_dev.data["traceback"]


def test_a_traceback_of_any_length_is_looked_through_in_a_moment() -> None:
    secret = "password=hunter2" * 200_000
    long = f"first line\nValueError: {secret}\nlast line\n"
    sent = to_wire(ValueError(), lambda _: long).data["traceback"]
    left_out = len("ValueError: \n") + len(secret)
    assert sent == f"first line\n[{left_out:,} characters are left out]\nlast line\n"
    assert to_wire(ValueError(), lambda _: secret).data["traceback"].startswith("[3,200,000 characters")
    short = "x\n" * 16_000
    assert to_wire(ValueError(), lambda _: short).data["traceback"] == short


@pytest.mark.spec("WIRE-94")
@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("UNAUTHENTICATED", "Authentication required"),
        ("FORBIDDEN", "Access denied"),
        ("ANYTHING", "Access denied"),
        ("CONNECTION_CLOSED", "WebSocket closed"),
    ],
)
def test_a_denied_stream_says_why(reason: str, text: str) -> None:
    error = denial_error(reason)
    assert (error.code, error.message) == (reason, text)


def test_errors_are_of_the_kinds_that_callers_expect() -> None:
    assert issubclass(PayloadTooLarge, ValueError)
    assert issubclass(PlatformNotReady, RuntimeError)
