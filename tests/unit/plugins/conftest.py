"""Apps from sources given in the test, as the server tests have them."""

from __future__ import annotations

from tests.server.conftest import make_app
from tests.unit.core.conftest import default_capacity

__all__ = ["default_capacity", "make_app"]
