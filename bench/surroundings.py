"""What a reader must know to judge the figures: machine, versions, commit, load, settings and limits."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from bench.generator.build import generator
from bench.processes import ROOT, cores
from bench.servers import APP, NODE_MODULES, PEER_PYTHON, bun_program
from runtime.core.settings import Settings
from runtime.server.settings_source import load_settings

PACKAGES = (
    "realtime-toolkit",
    "msgspec",
    "starlette",
    "uvicorn",
    "uvloop",
    "httptools",
    "websockets",
    "watchfiles",
)
PEER_PACKAGES = ("python-socketio", "picows", "aiohttp", "socketify", "uvicorn", "uvloop")
#: Settings that decide what is measured, shown even where they are the defaults.
SHOWN = (
    "server.loop",
    "websocket.fast_path",
    "websocket.max_payload_length",
    "websocket.max_backpressure",
    "websocket.idle_timeout",
    "websocket.text_keepalive",
    "websocket.upgrade_rate_limit",
    "websocket.allowed_origins",
)


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)
    except OSError:
        return ""
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "-"


@functools.cache
def peer_versions() -> dict[str, str]:
    """Return the versions of the peers that are installed beside the project's own packages."""
    found: dict[str, str] = {}
    if PEER_PYTHON.exists():
        asked = f"""
import importlib.metadata as metadata, json
found = {{}}
for name in {PEER_PACKAGES!r}:
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""
        found.update(json.loads(_output(str(PEER_PYTHON), "-c", asked) or "{}"))
    package = NODE_MODULES / "ws" / "package.json"
    if package.exists():
        found["ws"] = json.loads(package.read_text())["version"]
        found["node"] = _output("node", "--version").removeprefix("v")
    program = bun_program()
    if program:
        found["bun"] = _output(program, "--version")
    return found


def _keys(settings: Settings) -> Iterator[tuple[str, Any, Any]]:
    """Return every setting with its value and its default."""
    defaults = msgspec.to_builtins(Settings(), enc_hook=str)
    for section, values in msgspec.to_builtins(settings, enc_hook=str).items():
        if section != "capacity" and isinstance(values, dict):
            for name, value in values.items():
                yield f"{section}.{name}", value, defaults[section].get(name)


def our_settings() -> dict[str, Any]:
    """Return those settings of the measured app that are not the defaults, and the ones in `SHOWN`."""
    settings = load_settings(APP, env_default="production").settings
    return {name: value for name, value, default in _keys(settings) if value != default or name in SHOWN}


def surroundings() -> dict[str, Any]:
    """Return machine, versions, commit, load and settings; no path and no host name."""
    server, client = cores()
    return {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": _output("git", "rev-parse", "--short=12", "HEAD"),
        "changed_files": len(_output("git", "status", "--porcelain", "--untracked-files=no").splitlines()),
        "machine": {
            "system": f"{platform.system()} {platform.release()}",
            "processor": _processor(),
            "cores": os.cpu_count(),
            "server_core": server,
            "generator_core": client,
            "load": [round(value, 2) for value in os.getloadavg()],
        },
        "python": platform.python_version(),
        "versions": {package: _version(package) for package in PACKAGES},
        "peer_versions": peer_versions(),
        "settings": our_settings(),
        "generator": generator()[0],
    }


def described(found: dict[str, Any]) -> list[str]:
    """Return the surroundings as lines for people."""
    machine = found["machine"]
    versions = {**found["peer_versions"], **found["versions"]}
    lines = [
        f"machine: {machine['processor']}, {machine['cores']} cores, {machine['system']}, load {machine['load'][0]}",
        f"server on core {machine['server_core']}, generator ({found['generator']}) on {machine['generator_core']}",
        f"Python {found['python']}; " + ", ".join(f"{name} {version}" for name, version in versions.items()),
        "ours: " + ", ".join(f"{name} = {value}" for name, value in found["settings"].items()),
    ]
    if found["changed_files"]:
        lines.append(f"{found['changed_files']} files differ from commit {found['commit']}")
    return lines
