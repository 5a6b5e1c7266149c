"""The example's own tests are data here."""

from __future__ import annotations

collect_ignore = ["example"]
