"""The ctx of a cron job: nobody called, and there is no connection. Spec: live-api 2 and 16.4."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.live.context import ThreadCtx

if TYPE_CHECKING:
    from runtime.core.signal import Signal
    from runtime.live.scope import LiveScope

__all__ = ["CronCtx"]


class CronCtx(ThreadCtx):
    """`ctx` of one run: `user`, `ws` and `cursor` are `None`, every way to publish is there.

    `signal` fires when the worker begins to stop, a while before a run that goes on is cancelled.
    """

    def __init__(self, scope: LiveScope, signal: Signal) -> None:
        super().__init__(scope, None, user=None, signal=signal, request_id=scope.platform.request_id)
