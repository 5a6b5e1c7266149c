"""`[check]`: what `realtime check` leaves out, how it weighs it, and what the machine has. Spec: platform 8.1, 8.6."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

from runtime.core import settingkinds as kinds
from runtime.core.settingsection import Key, Section

__all__ = ["SEVERITIES", "CheckSettings"]

SEVERITIES = ("error", "warning", "info")
_RULE = re.compile(r"[A-Za-z]{3}\d{3}", re.ASCII)
MANY = 2**53 - 1


class _Unfit(ValueError):
    """The value is not of this kind."""


def _rule_name(value: object) -> str:
    if not isinstance(value, str) or not _RULE.fullmatch(value):
        raise _Unfit
    return value.upper()


def _rules() -> kinds.Kind:
    item = kinds.Kind("rule", "the id of a rule", _rule_name, _rule_name)
    return kinds.text_list(item, 'ids of rules, such as "SEC003"')


def _severities() -> kinds.Kind:
    def parse(value: object) -> Mapping[str, str]:
        if not isinstance(value, Mapping) or not set(value.values()) <= set(SEVERITIES):
            raise _Unfit
        return MappingProxyType({_rule_name(rule): severity for rule, severity in value.items()})

    def parse_text(text: str) -> Mapping[str, str]:
        try:
            return parse(json.loads(text))
        except (ValueError, RecursionError):
            raise _Unfit from None

    def to_toml(value: Any) -> str:
        return "{" + ", ".join(f"{rule} = {json.dumps(severity)}" for rule, severity in value.items()) + "}"

    expected = f"a table from the id of a rule to one of {', '.join(map(json.dumps, SEVERITIES))}"
    return kinds.Kind("table", expected, parse, parse_text, to_toml)


class CheckSettings(Section, frozen=True, kw_only=True):
    """`[check]`: nothing of it changes how the app runs."""

    on_start: Annotated[
        bool, Key(kinds.boolean(), "Let `realtime serve` log the errors of the project when it has started.")
    ] = True
    ignore: Annotated[tuple[str, ...], Key(_rules(), "Rules whose findings are left out.")] = ()
    severity: Annotated[
        Mapping[str, str],
        Key(_severities(), "How heavy the findings of a rule are, in place of what the rule says."),
    ] = MappingProxyType({})
    memory_limit: Annotated[
        int | None,
        Key(
            kinds.size(1, 2**50, off=True),
            "Memory of the machine that serves, shared by its workers; 0 is what this one has.",
        ),
    ] = None
    fd_limit: Annotated[
        int | None,
        Key(kinds.integer(1, off=True), "Descriptors that a worker may open; 0 is what this shell has."),
    ] = None
    bandwidth: Annotated[int, Key(kinds.integer(1, MANY), "Bits per second that the machine can send.")] = (
        1_000_000_000
    )
    deliveries_per_second: Annotated[
        int, Key(kinds.integer(1, MANY), "Events that a worker can deliver per second.")
    ] = 250_000
