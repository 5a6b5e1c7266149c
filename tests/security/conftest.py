"""Fixtures of the security tests: those of the server's."""

from __future__ import annotations

from tests.server.conftest import make_app

__all__ = ["make_app"]
