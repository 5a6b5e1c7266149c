"""Kinds of the settings that say when dev warns of a topic. Spec: platform 4.2 `[dev]`, live-api 8.13."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from runtime.core.settingkinds import Kind, boolean, duration, number, text_line, text_list

__all__ = ["PublishRateWarning", "SilentTopicWarning", "publish_rate_warning", "silent_topic_warning"]

DAY = 86400.0


class SilentTopicWarning(msgspec.Struct, frozen=True):
    """Warn of a topic with subscribers that stays without an event for `after` seconds, unless it is in `suppress`."""

    after: float = 30.0
    suppress: tuple[str, ...] = ()


class PublishRateWarning(msgspec.Struct, frozen=True):
    """Warn of a topic with more than `threshold` events per second; look every `interval` seconds."""

    threshold: float = 200.0
    interval: float = 5.0


def silent_topic_warning() -> Kind:
    """Return the kind of `{after = 30, suppress = []}`; `false` is none, `true` the usual."""
    keys = {"after": duration(0.001, DAY), "suppress": text_list(text_line(), "topics")}
    return _table(SilentTopicWarning, keys, "a table {after = <seconds, above 0>, suppress = <topics>}")


def publish_rate_warning() -> Kind:
    """Return the kind of `{threshold = 200, interval = 5}`; `false` is none, `true` the usual."""
    keys = {"threshold": number(0.001, 1e9), "interval": duration(0.001, DAY)}
    return _table(
        PublishRateWarning, keys, "a table {threshold = <events per second>, interval = <seconds, above 0>}"
    )


def _table(struct: type[msgspec.Struct], keys: Mapping[str, Kind], expected: str) -> Kind:
    switch = boolean()

    def parse(value: object) -> Any:
        if value is None or value is False:
            return None
        if value is True:
            return struct()
        if isinstance(value, struct):
            value = msgspec.structs.asdict(value)
        if not isinstance(value, Mapping) or not set(value) <= set(keys):
            raise ValueError(expected)
        return struct(**{name: keys[name].parse(given) for name, given in value.items()})

    def parse_text(text: str) -> Any:
        if not text.lstrip().startswith("{"):
            return parse(switch.parse_text(text))
        try:
            return parse(json.loads(text))
        except RecursionError:
            raise ValueError(expected) from None

    def to_toml(value: Any) -> str:
        if value is None:
            return "false"
        entries = (f"{name} = {keys[name].to_toml(getattr(value, name))}" for name in keys)
        return "{" + ", ".join(entries) + "}"

    names = ", ".join(keys)
    return Kind(f"{{{names}}} or bool", f"{expected}, or true or false", parse, parse_text, to_toml)
