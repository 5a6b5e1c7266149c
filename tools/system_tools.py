"""Find the programs that the tests need beside Python, and install them where that is possible.

`python -m tools.system_tools` succeeds when every program of `TOOLS` is there. What is missing is installed
with `apt-get` when the caller is root on a Debian-like system; otherwise the command to type is printed and
the exit status is 1, so that no test is skipped unseen.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

INSTALL_TIMEOUT = 1200


@dataclass(frozen=True, slots=True)
class Tool:
    """One program: the names under which it is looked for, and the packages that bring it."""

    name: str
    commands: tuple[str, ...]
    apt: str
    brew: str
    why: str
    applications: tuple[str, ...] = ()
    variable: str = ""

    def find(self) -> str | None:
        """Return the path of the program, or None when it is not installed; its variable names another one."""
        if os.environ.get(self.variable):
            return os.environ[self.variable]
        for command in self.commands:
            path = shutil.which(command)
            if path is not None:
                return path
        return next((path for path in self.applications if Path(path).exists()), None)


CHROMIUM = Tool(
    name="chromium",
    commands=("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
    apt="chromium",
    brew="--cask chromium",
    why="browser tests",
    applications=(
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    ),
    variable="REALTIME_TEST_CHROMIUM",
)
NODE = Tool("node", ("node",), "nodejs", "node", "the type checker and the tests of the browser client")
GIT = Tool("git", ("git",), "git", "git", "the project templates")
OPENSSL = Tool("openssl", ("openssl",), "openssl", "openssl", "the certificates of the TLS tests")
TYPESCRIPT = Tool("tsc", ("tsc",), "node-typescript", "typescript", "the types of the browser client")
REDIS = Tool(
    "redis-server",
    ("redis-server", "valkey-server"),
    "redis-server",
    "redis",
    "the tests of what Redis is asked",
)
POSTGRES = Tool(
    name="postgres",
    commands=("postgres",),
    apt="postgresql",
    brew="postgresql@17",
    why="the tests of what Postgres is asked",
    # Debian keeps the server out of the PATH, one folder for each version.
    applications=tuple(sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/postgres")), reverse=True)),
)
TOOLS = (CHROMIUM, NODE, GIT, OPENSSL, TYPESCRIPT, REDIS, POSTGRES)


def missing(tools: Sequence[Tool] = TOOLS) -> list[Tool]:
    """Return the programs that are not installed."""
    return [tool for tool in tools if tool.find() is None]


def _may_use_apt() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get") is not None


def _apt_install(packages: Sequence[str]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
        subprocess.run(
            ["apt-get", *command], check=True, env=environment, timeout=INSTALL_TIMEOUT, stdout=sys.stderr
        )


def advice(tools: Sequence[Tool]) -> str:
    """Return what to type to get the given programs."""
    lines = [f"{tool.name} is missing, needed for {tool.why}" for tool in tools]
    lines.append("Debian, Ubuntu:  sudo apt-get install " + " ".join(tool.apt for tool in tools))
    lines.extend(f"macOS:           brew install {tool.brew}" for tool in tools)
    return "\n".join(lines)


def ensure(
    tools: Sequence[Tool] = TOOLS,
    may_install: Callable[[], bool] = _may_use_apt,
    install: Callable[[Sequence[str]], None] = _apt_install,
) -> list[Tool]:
    """Install what is missing where that is possible; return what is still missing."""
    absent = missing(tools)
    if absent and may_install():
        print("Installing " + ", ".join(tool.name for tool in absent), file=sys.stderr)
        try:
            install([tool.apt for tool in absent])
        except (OSError, subprocess.SubprocessError) as problem:
            print(f"apt-get failed: {problem}", file=sys.stderr)
        absent = missing(absent)
    return absent


def main(arguments: Sequence[str]) -> int:
    """Make sure that every program is there; return 1 and say what to type when one is not.

    `--path NAME` prints where one of them is instead, or nothing.
    """
    if arguments[:1] == ["--path"]:
        print(next((tool.find() or "" for tool in TOOLS if tool.name in arguments[1:]), ""))
        return 0
    absent = ensure()
    if absent:
        print(advice(absent), file=sys.stderr)
    return 1 if absent else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
