from __future__ import annotations

from runtime.plugins import Replay

HISTORY = Replay()
