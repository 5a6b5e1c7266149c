"""The answer to a stream request, read with distrust: what does not fit is as if it were absent. Spec: wire 5.2."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, TypeGuard

from runtime.live.options import MERGES

__all__ = ["ReplyKind", "StreamReply", "is_number"]


class ReplyKind(enum.Enum):
    """What the data of an answer is."""

    NOTHING = "nothing"  # the value that is there stays
    DELTA = "delta"  # changed items
    REPLAY = "replay"  # missed events
    WHOLE = "whole"  # the value


@dataclass(frozen=True, slots=True)
class StreamReply:
    """One answer. `None` stands for an absent key, except in `data`."""

    data: Any
    topic: str | None
    seq: int | float | None
    merge: str | None
    key: str | None
    prepend: bool | None
    max: int | None
    schema_version: int | float | None
    has_version: bool
    version: Any
    has_more: bool
    cursor: Any
    is_unchanged: bool
    is_delta: bool
    is_replay: bool
    #: A channel or a derived stream: a value that is there is kept.
    keeps_value: bool

    @classmethod
    def of(cls, raw: dict[str, Any]) -> StreamReply:
        """Read the inner object of a reply frame."""
        get = raw.get
        merge, limit, data = get("merge"), get("max"), get("data")
        is_list = isinstance(data, list)
        return cls(
            data=data,
            topic=_text(get("topic")),
            seq=_number(get("seq")),
            merge=merge if isinstance(merge, str) and merge in MERGES else None,
            key=_text(get("key")),
            prepend=get("prepend") if isinstance(get("prepend"), bool) else None,
            max=limit if isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0 else None,
            schema_version=_number(get("schemaVersion")),
            has_version="version" in raw,
            version=get("version"),
            has_more=get("hasMore") is True,
            cursor=get("cursor"),
            is_unchanged=get("unchanged") is True,
            is_delta=get("delta") is True and is_list,
            is_replay=get("replay") is True and is_list,
            keeps_value=get("channel") is True or get("derived") is True,
        )

    def kind(self, *, has_value: bool) -> ReplyKind:
        """Return what the data is for a stream that has a value to keep, or has none."""
        if self.is_unchanged:
            return ReplyKind.NOTHING
        if self.is_delta:
            return ReplyKind.DELTA
        if self.is_replay:
            return ReplyKind.REPLAY
        return ReplyKind.NOTHING if self.keeps_value and has_value else ReplyKind.WHOLE

    @property
    def has_paging(self) -> bool:
        """Whether `has_more` and `cursor` are those of the value from now on."""
        return not (self.is_unchanged or self.is_delta or self.is_replay)

    @property
    def end(self) -> int | float | None:
        """The number of the last event that the answer contains, if it says so."""
        if self.seq is not None or not self.is_replay:
            return self.seq
        numbers = (_number(entry.get("seq")) for entry in reversed(self.data) if isinstance(entry, dict))
        return next((number for number in numbers if number is not None), None)


def is_number(value: Any) -> TypeGuard[int | float]:
    """Return whether a JSON value is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any) -> int | float | None:
    return value if is_number(value) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
