"""Bounds of the process as they are by default, whatever an app of an earlier test had set."""

from __future__ import annotations

import pytest

from runtime.core import capacity


@pytest.fixture(autouse=True)
def default_capacity() -> None:
    capacity.configure({})
