"""Apps from sources given in the test, as the server tests have them."""

from __future__ import annotations

from tests.server.conftest import make_app

__all__ = ["make_app"]
