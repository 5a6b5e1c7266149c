"""What fills a bound asserts as a test does."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    "tests.unit.capacity.fills_core",
    "tests.unit.capacity.fills_live",
    "tests.unit.capacity.fills_plugins",
    "tests.unit.capacity.world",
)
