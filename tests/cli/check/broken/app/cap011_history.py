from __future__ import annotations

from runtime.plugins import Replay

HISTORY = Replay(size=100_000, max_topics=1000)
