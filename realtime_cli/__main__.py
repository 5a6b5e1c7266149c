"""Run the program as ``python -m realtime_cli``."""

from __future__ import annotations

from realtime_cli.main import run

if __name__ == "__main__":
    run()
