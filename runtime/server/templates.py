"""The Jinja2 environment of the pages; imported only by apps that have such pages. Spec: platform 3.4."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Undefined

from runtime.server.livedata import live_data, live_error

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["make_templates"]


def make_templates(root: Path, *, dev: bool) -> Environment:
    """Return the environment of the pages below `root`, with autoescape; in dev an unknown name raises.

    Templates may call what has to be awaited: `{% set rows = load("todos/todos") %}`.
    """
    made = Environment(
        loader=FileSystemLoader(root),
        autoescape=True,
        undefined=StrictUndefined if dev else Undefined,
        auto_reload=dev,
        enable_async=True,
    )
    made.globals.update(live_data=live_data, live_error=live_error)
    return made
