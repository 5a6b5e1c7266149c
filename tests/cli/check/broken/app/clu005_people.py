from __future__ import annotations

from runtime.plugins import Presence

PEOPLE = Presence()
