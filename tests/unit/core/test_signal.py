"""A signal fires once and tells everybody who asked."""

from __future__ import annotations

from runtime import Signal


def test_callbacks_run_in_the_call_that_fires_it_and_once() -> None:
    signal, heard = Signal(), []
    signal.on_abort(lambda: heard.append(("a", signal.reason)))
    forget = signal.on_abort(lambda: heard.append(("b", signal.reason)))
    signal.on_abort(lambda: heard.append(("c", signal.reason)))
    forget()
    forget()
    signal.abort("left")
    signal.abort("again")
    assert heard == [("a", "left"), ("c", "left")]


def test_a_callback_can_be_taken_back_after_it_ran() -> None:
    signal = Signal()
    forget = signal.on_abort(lambda: None)
    signal.abort("left")
    forget()
    signal.on_abort(lambda: None)()
