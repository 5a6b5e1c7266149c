"""`[tracing]`: whether calls are traced with OpenTelemetry. Spec: platform 4, live-api 18.5."""

from __future__ import annotations

from typing import Annotated

from runtime.core import settingkinds as kinds
from runtime.core.settingsection import Key, Section

__all__ = ["TracingSettings"]


class TracingSettings(Section, frozen=True, kw_only=True):
    """`[tracing]`: spans of calls. `enabled` is `None` for `auto`."""

    enabled: Annotated[
        bool | None,
        Key(
            kinds.alternative(kinds.boolean(), "auto"),
            "Make a span of each call; `auto` does if OpenTelemetry is installed, `true` needs the extra `otel`.",
        ),
    ] = None
