"""In-process primitives. Their cluster twins have the same methods: swap the import, nothing else."""

from __future__ import annotations

from runtime.plugins.protocols import Gap, ReplayMessage, ReplayOutcome, ReplayProtocol
from runtime.plugins.replay import Replay

__all__ = ["Gap", "Replay", "ReplayMessage", "ReplayOutcome", "ReplayProtocol"]
