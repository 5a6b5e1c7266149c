from __future__ import annotations

import pytest

from runtime.wire import closing
from runtime.wire.closing import CloseClass, close_class


@pytest.mark.parametrize("code", [1008, 4401, 4403])
@pytest.mark.spec("WIRE-115")
def test_terminal_codes(code: int) -> None:
    assert close_class(code) is CloseClass.TERMINAL


@pytest.mark.parametrize(
    "code", [0, 1000, 1001, 1005, 1006, 1007, 1009, 1011, 1012, 1013, 3000, 4000, 4402, 4999]
)
def test_codes_that_are_retried(code: int) -> None:
    assert close_class(code) is CloseClass.RETRY


def test_rate_limited_clients_wait_longer() -> None:
    assert close_class(4429) is CloseClass.THROTTLE


def test_the_texts_that_peers_see() -> None:
    assert (closing.GOING_AWAY, closing.SHUTDOWN_REASON) == (1001, "Server shutting down")
    assert (closing.SERVICE_RESTART, closing.RESTART_REASON) == (1012, "Handler reloaded")
