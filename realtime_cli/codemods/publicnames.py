"""The public names of the toolkit: under which paths each can be imported, and what 0.4 exported. Spec: upgrade 3.1."""

from __future__ import annotations

__all__ = ["STAR_NAMES", "canonical"]

STAR_NAMES = frozenset(
    {
        "LiveError",
        "Platform",
        "activate_derived",
        "close",
        "configure_cron",
        "create_message",
        "enable_signals",
        "guard",
        "live",
        "message",
        "on_cron_error",
        "pipe",
        "set_cron_platform",
        "unsubscribe",
    }
)
"""What ``from runtime import *`` brought in 0.4."""

_SHORTER = (
    ("@ctx.platform", "@platform"),
    ("@ctx.ws", "@ws"),
    ("@hookctx.platform", "@platform"),
    ("@server.platform", "@platform"),
)
_PACKAGES = ("runtime.plugins.", "runtime.cluster.", "runtime.client.", "runtime.server.", "runtime.core.")
_CLIENT_FUNCTIONS = frozenset({"connect", "configure", "ready"})


def canonical(path: str) -> str:
    """Return the one path under which a meaning is known here.

    A class that a submodule of a public package defines counts as the package's (``runtime.plugins.lock.Lock`` is
    ``runtime.plugins.Lock``); constants keep their module.
    """
    if path.startswith("@"):
        for long, short in _SHORTER:
            if path == long or path.startswith(f"{long}."):
                return short + path[len(long) :]
        return path
    for package in _PACKAGES:
        if not path.startswith(package):
            continue
        module, dot, rest = path[len(package) :].partition(".")
        name = rest.partition("(")[0].partition(".")[0]
        is_class = name[:1].isupper() and not name.isupper()
        if dot and module.islower() and "(" not in module and (is_class or name in _CLIENT_FUNCTIONS):
            return package + rest
    return path
