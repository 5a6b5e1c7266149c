"""Images, versions, commands and dashboards around the app: edited by line, or told. Spec: upgrade 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from realtime_cli.codemods.codemod import Codemod
from realtime_cli.codemods.deployfiles import (
    Line,
    ci_lines,
    command_lines,
    docker_lines,
    is_ci,
    is_dockerfile,
    is_started_from,
    pins,
    redis_images,
)
from realtime_cli.codemods.finding import Change, Finding, Severity
from realtime_cli.codemods.requirements import PACKAGE, WANTED, admits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.project import Project

__all__ = ["Deployment"]

_CLASSES = ("Presence", "ShardedBus", "FunctionLibrary")
_SKIP = b"realtime-upgrade: skip"
_COUNTER = b"presence_stale_cleaned_total"
_PRESENCE_REDIS, _SHARDED_REDIS = (7, 4), (7, 0)


class Deployment(Codemod):
    """Python 3.11, Redis 7.4 for cluster presence, `realtime serve`, and a counter that is gone."""

    id: ClassVar[str] = "UPG133"
    title: ClassVar[str] = "images, commands, dashboards"
    change: ClassVar[Change] = Change.ASSISTED
    rows: ClassVar[tuple[str, ...]] = ("C-16", "D-39", "P-06", "S-05", "S-06", "S-28")

    def project(self, project: Project) -> Iterator[Finding]:
        """Look at every file that says how the app is built, started and watched."""
        if project.kind == "javascript":
            return
        code = project.mentions(_COUNTER, *(name.encode() for name in _CLASSES))
        made = _made(project, code)
        presence, sharded = "Presence" in made, bool(made - {"Presence"})
        for path in code:
            yield from self._counter(project, path)
        if presence:
            yield self.behaviour(
                "C-16",
                "cluster presence needs Redis 7.4; the keys are new ones, and counts are complete after one TTL (90 s)",
                "upgrade Redis first",
            )
        for path in project.tree.files():
            if path.endswith(
                (".py", ".pyi", ".toml", ".js", ".mjs", ".cjs", ".ts", ".tsx", ".jsx", ".svelte")
            ):
                continue
            if is_dockerfile(path):
                yield from self._edit(project, path, docker_lines, "S-06")
            if is_ci(path):
                yield from self._edit(project, path, ci_lines, "S-06")
            if is_started_from(path) or is_dockerfile(path):
                yield from self._edit(project, path, command_lines, "P-06")
            if path.endswith((".yml", ".yaml")) or is_started_from(path) or is_dockerfile(path):
                yield from self._pins(project, path)
            if path.endswith((".yml", ".yaml")) or is_dockerfile(path):
                yield from self._redis(project, path, presence=presence, sharded=sharded)
            if path.endswith((".json", ".yml", ".yaml")):
                yield from self._counter(project, path)

    def _edit(self, project: Project, path: str, lines: Line, row: str) -> Iterator[Finding]:
        raw = _read(project, path)
        if raw is None:
            return
        out: list[bytes] = []
        told: list[tuple[str, int, int]] = []
        for piece in lines(raw):
            if piece.message and _SKIP in piece.old:
                out.append(piece.old)
                continue
            if piece.message:
                margin = piece.new[: len(piece.new) - len(piece.new.lstrip())]
                newline = b"\r\n" if piece.old.endswith(b"\r\n") else b"\n"
                todo = f"# TODO(realtime-upgrade {self.id}): {piece.message}".encode()
                out += [margin, todo, newline]
                at = sum(map(len, out))
                told.append((piece.message, at, at + len(piece.new.rstrip())))
            out.append(piece.new)
        after = b"".join(out)
        if after != raw:
            project.tree.write(path, after)
        advice = "look at the line below the TODO"
        for message, start, end in told:
            yield self.in_text(path, row, Change.ASSISTED, message, advice, start=start, end=end, raw=after)

    def _pins(self, project: Project, path: str) -> Iterator[Finding]:
        """Tell what installs 0.4 beside the app; which version an image or a job gets is for a person to say."""
        raw = _read(project, path) or b""
        for written, versions, start in pins(raw):
            is_elsewhere = "$" in versions and versions.startswith(("==", "~="))
            if is_elsewhere:
                message = f"{written} is installed here, the version is said elsewhere"
                advice = f"see to it that the version is one of 0.5 ({PACKAGE}{WANTED})"
            elif not admits(versions, "0.5"):
                message = f"{written} is installed here: the app is for 0.5 now"
                advice = f'install "{PACKAGE}{WANTED}" in this line'
            else:
                continue
            yield self.in_text(
                path,
                "S-05",
                Change.FLAG,
                message,
                advice,
                start=start,
                end=start + len(written.encode()),
                raw=raw,
                severity=Severity.WARNING if is_elsewhere else Severity.ERROR,
            )

    def _redis(self, project: Project, path: str, *, presence: bool, sharded: bool) -> Iterator[Finding]:
        raw = _read(project, path)
        for image, version, start in redis_images(raw or b""):
            end = start + len(image)
            if presence and version < _PRESENCE_REDIS:
                yield self.in_text(
                    path,
                    "C-16",
                    Change.FLAG,
                    f"{image} is too old: cluster presence needs Redis 7.4",
                    "use redis:7.4 or newer, and upgrade it before the app",
                    start=start,
                    end=end,
                    raw=raw or b"",
                    severity=Severity.ERROR,
                )
            if sharded and version < _SHARDED_REDIS:
                yield self.in_text(
                    path,
                    "S-28",
                    Change.FLAG,
                    f"{image} is too old: the sharded bus and the function library need Redis 7",
                    "use redis:7.4 or newer, and upgrade it before the app",
                    start=start,
                    end=end,
                    raw=raw or b"",
                    severity=Severity.ERROR,
                )

    def _counter(self, project: Project, path: str) -> Iterator[Finding]:
        raw = _read(project, path)
        start = raw.find(_COUNTER) if raw is not None else -1
        if start >= 0:
            yield self.in_text(
                path,
                "D-39",
                Change.FLAG,
                "the counter presence_stale_cleaned_total is no longer there",
                "take it out: entries expire by themselves in Redis 7.4",
                start=start,
                end=start + len(_COUNTER),
                raw=raw or b"",
            )


def _read(project: Project, path: str) -> bytes | None:
    text = project.text(path)
    return None if text is None else text.encode()


def _made(project: Project, paths: list[str]) -> set[str]:
    """Return of which classes of the cluster half the project makes objects."""
    found: set[str] = set()
    for path in paths:
        file = project.file(path) if path in project.imports.reaching else None
        if file is None:
            continue
        for call in file.calls(*_CLASSES):
            found |= {
                one.rpartition(".")[2]
                for one in file.names.of(call.func)
                if one.startswith("runtime.cluster.")
            }
    return found & set(_CLASSES)
