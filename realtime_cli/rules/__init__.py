"""The rules of `realtime check`: what is looked at, what is found, and how it is told. Spec: platform 8.

`engine` runs the rules of `catalog` over a `project.Project`, which holds the settings and every parsed source file.
Each family of rules has modules of its own, named after what they look at.
"""

from __future__ import annotations

__all__: list[str] = []
