"""Changes of behaviour that no codemod sees, told where a project uses what they are about. Spec: upgrade 0, 1, 2.4."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from realtime_cli.codemods.finding import Change, Finding, Severity
from realtime_cli.codemods.rows import all_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.project import Project

__all__ = ["BEHAVIOURS", "behaviours"]

_ENGINE = "UPG100"

BEHAVIOURS: dict[str, re.Pattern[bytes]] = {
    row: re.compile(pattern, re.MULTILINE)
    for row, pattern in {
        "C-06": rb"idempoten|Idempoten",
        "C-09": rb"live\.stream\b",
        "C-11": rb"\bPreloaded\b|page_cache",
        "C-17": rb"redis\.ConnectionError|redis\.exceptions",
        "C-19": rb"\bcompress\w*\s*=",
        "C-24": rb"hasattr\(\s*\w*\.?cookies\b|getattr\(\s*\w*\.?cookies\b",
        "C-25": rb"live\.aggregate\b|\bAggregate\b",
        "S-19": rb"\bcall_binary\b",
        "S-32": rb"\bbus\.wrap\b",
        "D-08": rb"^(?:async )?def subscribe\(",
        "D-09": rb"\bwebsockets\.connect\b|\bwebsocket_connect\b|\bcreate_connection\b",
        "D-13": rb"\bruntime\.(?:plugins|cluster)\b",
        "D-16": rb"\bcursors?\.update\(",
        "D-17": rb"\bmax_waiters|\bLockQueueFull\b",
        "D-22": rb"skip_origin_check",
        "D-24": rb"live\.upload\b",
        "D-32": rb"\b(?:conn|client|connection)\.upload\(",
        "D-33": rb"live\.rate_limit|\bRateLimit",
        "D-38": rb"\b(?:PubSubBus|ShardedBus|ShardedPubSubBus)\b",
        "D-40": rb"notify-keyspace-events|keyspace",
        "R-10": rb"live\.upload\b",
        "R-11": rb"\bpush_hooks\b",
        "R-14": rb"\bon_unsubscribe\b",
        "R-15": rb"\bscript_load\b|\bregister_script\b",
        "R-17": rb"\bplatform\.batch\(",
        "R-19": rb"\brefetch_session\b|\bsession=",
        "R-20": rb"\bcall_binary\b",
        "R-21": rb"\brealtime types\b",
    }.items()
}
"""What a project that is concerned has in one of its Python files, by row."""


def behaviours(project: Project) -> Iterator[Finding]:
    """Yield a finding for each such change that the project is concerned by, once."""
    left = dict(BEHAVIOURS)
    for path in sorted(project.imports.seeds):
        if not left:
            break
        if not path.endswith(".py"):
            continue
        raw = project.tree.read(path)
        for row in [row for row, pattern in left.items() if pattern.search(raw)]:
            if row == "D-08" and (path != project.hooks_path or b"def subscribe_batch(" in raw):
                continue
            del left[row]
            known = all_rows()[row]
            yield Finding(
                _ENGINE,
                row,
                Change.BEHAVIOUR,
                "",
                0,
                0,
                f"was: {known.before}; is: {known.after}",
                severity=Severity.INFO,
            )
