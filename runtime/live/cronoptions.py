"""What a scheduled function was declared with. Spec: live-api 16."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo

from runtime.live.cronexpression import CronExpression

__all__ = ["CronOptions"]


@dataclass(frozen=True, slots=True)
class CronOptions:
    """When a job runs and where its result goes; `zone` is `None` for the zone of `[cron] tz`."""

    expression: CronExpression
    topic: str | None
    zone: tzinfo | None
    per_worker: bool
