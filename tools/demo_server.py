"""Run the demo application for `make dev`: scaffold it when it is not there, then `realtime dev` in it.

The server runs as a child in the same terminal. Ctrl-C reaches it there; this process waits for it and
turns its "interrupted" into success, so that make does not report an error for what was asked for.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INTERRUPTED = frozenset({130, -signal.SIGINT, 143, -signal.SIGTERM})


def run(command: list[str], directory: Path) -> int:
    """Run a command in the foreground until it ends and return its status; SIGTERM is passed on to it."""
    signal.signal(signal.SIGINT, lambda *_: None)
    with subprocess.Popen(command, cwd=directory) as child:
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        return child.wait()


def as_asked(status: int) -> int:
    """Return success for a command that the developer or the system asked to stop."""
    return 0 if status in INTERRUPTED else status


def main(arguments: list[str]) -> int:
    """Scaffold `./demo` when it is absent and serve it; further arguments go to `realtime dev`."""
    realtime = [sys.executable, "-m", "realtime_cli"]
    demo = ROOT / "demo"
    if not (demo / "pyproject.toml").exists():
        print("Making ./demo from the template board", file=sys.stderr)
        status = run([*realtime, "new", demo.name, "--template", "board", "--defaults", "--quiet"], ROOT)
        if status != 0:
            return as_asked(status)
    return as_asked(run([*realtime, "dev", *arguments], demo))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
