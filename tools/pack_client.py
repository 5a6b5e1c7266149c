"""Make the small form of the browser client, which servers send outside of dev: `python -m tools.pack_client`.

esbuild, fetched by npx, takes out comments and shortens what only the file itself names. The first line says of which
source the file was made; `--check` compares that without any tool, and ends with status 1 when it is another one.
"""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["MAX_PACKED_BYTES", "PACKED", "SOURCE", "banner", "is_current"]

BROWSER = Path(__file__).parents[1] / "runtime" / "client" / "browser"
SOURCE = BROWSER / "realtime.js"
PACKED = BROWSER / "realtime.min.js"
ESBUILD = "esbuild@0.28.2"
FLAGS = ("--minify", "--format=esm", "--target=es2022", "--charset=utf8", "--legal-comments=none")
TIMEOUT = 300
#: What a page may cost, compressed. Spec: the browser client stays below 20 KiB.
MAX_PACKED_BYTES = 20 * 1024


def banner(source: bytes) -> str:
    """Return the first line of the file that is made of `source`."""
    return f"/* Realtime Toolkit's client, made of realtime.js {hashlib.sha256(source).hexdigest()[:16]} */\n"


def is_current() -> bool:
    """Return whether the small form was made of the present source."""
    return PACKED.exists() and PACKED.read_text(encoding="utf-8").startswith(banner(SOURCE.read_bytes()))


def main(arguments: Sequence[str]) -> int:
    """Make the file, or look whether it is current."""
    if "--check" in arguments:
        if is_current():
            return 0
        print(f"{PACKED.name} is older than {SOURCE.name}: run `make client` and commit it", file=sys.stderr)
        return 1
    source = SOURCE.read_bytes()
    done = subprocess.run(
        ["npx", "--yes", ESBUILD, *FLAGS, "--loader=js"],
        input=source,
        capture_output=True,
        check=False,
        timeout=TIMEOUT,
    )
    if done.returncode != 0:
        print(done.stderr.decode(), file=sys.stderr)
        return 1
    PACKED.write_bytes(banner(source).encode() + done.stdout)
    size = len(gzip.compress(PACKED.read_bytes(), 9))
    print(f"{PACKED.name}: {size:,} bytes with gzip, at most {MAX_PACKED_BYTES:,}")
    return 0 if size < MAX_PACKED_BYTES else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
