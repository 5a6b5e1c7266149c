"""`ctx.throttle` and `ctx.debounce` of scripts are `publishThrottled` and `publishDebounced`. Spec: upgrade 5.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from realtime_cli.codemods.finding import Change, Finding
from realtime_cli.codemods.scriptcodemod import ScriptCodemod
from realtime_cli.codemods.scriptcontexts import NEW_NAMES, LimitedUse, limited_uses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.codemods.scriptfile import ScriptFile

__all__ = ["ScriptThrottle"]


class ScriptThrottle(ScriptCodemod):
    """Calls with topic, event, data and milliseconds publish; the two-argument form is UPJ04's."""

    id: ClassVar[str] = "UPJ03"
    title: ClassVar[str] = "ctx.throttle, ctx.debounce with four arguments"
    change: ClassVar[Change] = Change.AUTO
    rows: ClassVar[tuple[str, ...]] = ("R-01", "R-02")
    tokens: ClassVar[tuple[bytes, ...]] = (b"throttle", b"debounce")

    def script(self, file: ScriptFile) -> Iterator[Finding]:
        """Yield each use but the gates."""
        for use in limited_uses(file):
            if use.name == "throttle" and use.count == 2 and use.proven:
                continue
            yield self._use(file, use)

    def _use(self, file: ScriptFile, use: LimitedUse) -> Finding:
        new, row = NEW_NAMES[use.name]
        if not use.proven:
            return self.told(
                file,
                use.node,
                row,
                f"ctx.{use.name}() with four arguments, and nothing shows that ctx is a live context",
                f"if it is, call ctx.{new}() instead",
            )
        key = use.node.child_by_field_name("property")
        if use.call is not None and use.count == 4 and key is not None:
            message = f"ctx.{use.name}() is ctx.{new}()"
            return self.rewritten(file, use.call, row, message, [file.replace(key, new)])
        what = "is taken as a value" if use.call is None or key is None else f"with {use.count} arguments"
        return self.told(
            file,
            use.node,
            row,
            f"ctx.{use.name} {what}",
            f"ctx.{new}(topic, event, data, ms) publishes; ctx.skip(key, ms) is the gate",
        )
