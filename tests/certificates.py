"""Certificates of our own, made by the `openssl` program."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple


class Pair(NamedTuple):
    """The files of a certificate and its key."""

    cert: Path
    key: Path


def make_certificate(folder: Path, name: str, *, password: str | None = None) -> Pair:
    """Make a certificate for 127.0.0.1 whose subject is `name`."""
    folder.mkdir(parents=True, exist_ok=True)
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    protection = ["-noenc"] if password is None else ["-passout", f"pass:{password}"]
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"),
            *("-keyout", str(pair.key), "-out", str(pair.cert), *protection),
        ],
        check=True,
        capture_output=True,
    )
    return pair
