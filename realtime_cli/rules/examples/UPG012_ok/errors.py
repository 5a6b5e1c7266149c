from __future__ import annotations

from runtime import on_error


@on_error
def told(path: str, error: Exception) -> None:
    raise SystemExit(f"{path} failed") from error
