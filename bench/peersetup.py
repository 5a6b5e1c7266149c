"""Install the peers that are no dependency of the project: `python -m bench.peersetup`.

Python packages go into an environment of their own in `bench/.venv-peers`, packages of the npm registry into a folder
inside it. What cannot be installed is said and skipped: a run then leaves that peer out with the same reason.
"""

from __future__ import annotations

import shutil
import subprocess
import sys

from bench.servers import NODE_MODULES, PEER_PYTHON, PEERS, bun_program, has_module

TIMEOUT = 240.0
PYTHON_PEERS = {
    "socketio": "python-socketio>=5.11",
    "picows": "picows>=1.5",
    "aiohttp": "aiohttp>=3.10",
    "socketify": "socketify>=0.0.31",
    "uvicorn": "uvicorn>=0.50",
    "uvloop": "uvloop>=0.21",
    "httptools": "httptools>=0.6.4",
    "websockets": "websockets>=16",
}


def _run(*command: str) -> str | None:
    """Run a command; return None when it succeeded, else the last line it said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    except (OSError, subprocess.TimeoutExpired) as problem:
        return type(problem).__name__
    if done.returncode == 0:
        return None
    return (done.stderr or done.stdout).strip().rpartition("\n")[2]


def missing_modules() -> list[str]:
    """Return the Python peers that are not installed."""
    return [module for module in PYTHON_PEERS if not has_module(module)]


def missing_packages() -> list[str]:
    """Return the peers of the npm registry that are not installed."""
    missing = [] if (NODE_MODULES / "ws").exists() else ["ws"]
    return missing if bun_program() else [*missing, "bun"]


def install_modules() -> list[str]:
    """Install the missing Python peers, all at once and else one by one; return what went wrong."""
    missing = missing_modules()
    if not missing:
        return []
    if not PEER_PYTHON.exists():
        problem = _run(sys.executable, "-m", "venv", str(PEERS))
        if problem:
            return [f"no environment for the peers: {problem}"]
    install = (str(PEER_PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    if _run(*install, *(PYTHON_PEERS[module] for module in missing)) is None:
        return []
    found = [(module, _run(*install, PYTHON_PEERS[module])) for module in missing]
    return [f"{module}: {problem}" for module, problem in found if problem]


def install_packages() -> list[str]:
    """Install the missing peers of the npm registry; return what went wrong."""
    missing = missing_packages()
    npm = shutil.which("npm")
    if not missing:
        return []
    if npm is None:
        return [f"{', '.join(missing)}: npm is not installed"]
    folder = NODE_MODULES.parent
    folder.mkdir(parents=True, exist_ok=True)
    install = (npm, "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(folder))
    found = [(package, _run(*install, package)) for package in missing]
    return [f"{package}: {problem}" for package, problem in found if problem]


def main() -> int:
    """Install what is missing and say what could not be."""
    missing = [*missing_modules(), *missing_packages()]
    if missing:
        print(f"installing peers into bench/.venv-peers: {', '.join(missing)}", flush=True)
    problems = [*install_modules(), *install_packages()]
    for problem in problems:
        print(f"skipped: {problem}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
