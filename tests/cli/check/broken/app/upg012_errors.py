from __future__ import annotations

from runtime import on_cron_error


@on_cron_error
def told(path: str, error: Exception) -> None:
    raise SystemExit(f"{path} failed") from error
