"""The devtools: what a worker keeps for its developer to look at, and the page `/__realtime`. Spec: live-api 21.2."""

from __future__ import annotations

from runtime.server.devtools.owner import Devtools

__all__ = ["Devtools"]
