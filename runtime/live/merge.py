"""How a client folds the events of a stream into its value: pure functions of value, event and data.

Used by the Python client and by the test kit; the browser client follows the same table. Spec: wire 5.6,
live-api 8.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.live.options import MERGES

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

__all__ = ["LATEST_MAX", "Merger"]

#: Entries that a `latest` stream keeps when it declares no `max`.
LATEST_MAX = 50
REFRESHED = "refreshed"
#: Keys that never enter a keyed value; they would reach the prototype of a JavaScript object.
STRIPPED = ("__proto__", "constructor", "prototype")

# strategy -> (events that add or replace by key, events that remove by key, events that replace the value)
_KEYED: dict[str, tuple[frozenset[str], frozenset[str], frozenset[str]]] = {
    "crud": (frozenset({"created", "updated"}), frozenset({"deleted"}), frozenset()),
    "presence": (frozenset({"join"}), frozenset({"leave"}), frozenset({"set"})),
    "cursor": (frozenset({"update"}), frozenset({"remove"}), frozenset({"set"})),
}
_ABSENT = object()


class Merger:
    """The value of one stream and the rules that change it.

    `value` is never changed in place: once handed out, a list stays as it was. Rows are kept, not copied.

    Args:
        merge: one of `crud`, `latest`, `set`, `presence`, `cursor`.
        key: the field that tells rows of a `crud` stream apart; presence and cursor always use `key`.
        prepend: new rows of a `crud` stream go first.
        max: most entries to keep; `None` or 0 is no bound for `crud` and `LATEST_MAX` for `latest`.
        keep_order: whether a removal keeps the order of the other rows. `False` is the browser client's rule:
            the last row moves into the gap.

    Raises:
        ValueError: an unknown strategy.
    """

    __slots__ = ("_index", "_rows", "_shown", "_value", "keep_order", "key", "max", "merge", "prepend")

    def __init__(
        self,
        merge: str = "crud",
        *,
        key: str = "id",
        prepend: bool = False,
        max: int | None = None,
        keep_order: bool = True,
    ) -> None:
        self.keep_order = keep_order
        self._value: Any = None
        #: The list behind `value` while the strategy works on one; changed in place, shown as a copy.
        self._rows: list[Any] | None = None
        self._shown: list[Any] | None = None
        self._index: dict[Hashable, int] = {}
        self.configure(merge, key=key, prepend=prepend, max=max)

    def configure(
        self, merge: str, *, key: str = "id", prepend: bool = False, max: int | None = None
    ) -> None:
        """Install other options, as the reply to a stream request does; the value stays.

        Raises:
            ValueError: an unknown strategy.
        """
        if merge not in MERGES:
            raise ValueError(f"merge: must be one of {', '.join(MERGES)}, not {merge!r}")
        self.merge = merge
        self.key = key if merge == "crud" else "key"
        self.prepend = prepend
        self.max = max or 0
        self.load(self.value)

    @property
    def value(self) -> Any:
        """The present value; `None` before anything was loaded."""
        if self._rows is None:
            return self._value
        if self._shown is None:
            self._shown = list(self._rows)
        return self._shown

    def load(self, data: Any) -> None:
        """Replace the value by `data`."""
        self._value = self._shown = self._rows = None
        self._index = {}
        if self.merge == "set" or not isinstance(data, list):
            self._value = self._clean(data)
            return
        self._rows = [self._clean(row) for row in data]
        self._reindex(0)

    def apply(self, event: str, data: Any) -> bool:
        """Fold one event of the topic into the value; return whether the value changed."""
        if event == REFRESHED:
            self.load(data)
            return True
        if self.merge == "set":
            changed = not _same(data, self._value)
            self._value = data
            return changed
        if self.merge == "latest":
            rows = self._list()
            rows.append(data)
            del rows[: -(self.max or LATEST_MAX)]
            return True
        upserts, removals, replacements = _KEYED[self.merge]
        if event in upserts:
            return self._upsert(self._clean(data), insert=event != "updated")
        if event in removals:
            return self._remove(data)
        if event in replacements:
            self.load(data)
            return True
        return False

    def patch(self, items: Iterable[Any]) -> bool:
        """Apply the items of a `delta` reply; return whether the value changed.

        Each is added or replaced by key, or removed where it has a true `_deleted`. Spec: wire 5.4.
        """
        changed = False
        for item in items:
            if isinstance(item, dict) and item.get("_deleted"):
                changed = self._remove(item) or changed
            else:
                changed = self._upsert(self._clean(item), insert=True) or changed
        return changed

    def extend(self, page: Any) -> bool:
        """Add the rows of a further page behind the present ones (`prepend`: before them). Spec: wire 5.5.

        A row that came as an event already is replaced where it is.
        """
        if self.merge == "set" or not isinstance(page, list) or not page:
            return False
        rows = self._list()
        fresh = [row for row in map(self._clean, page) if not self._replace(row)]
        if self.prepend:
            rows[:0] = fresh
            self._reindex(0)
        else:
            start = len(rows)
            rows.extend(fresh)
            self._reindex(start)
        return True

    def confirms(self, event: str, data: Any) -> Hashable:
        """Return the key of the row that `event` adds or replaces, or `None` when it does neither.

        A server event that touches the key of an optimistic change confirms that change. Spec: wire 5.7.
        """
        if self.merge not in _KEYED or event not in _KEYED[self.merge][0] or not isinstance(data, dict):
            return None
        return self._identity(data)

    def fork(self) -> Merger:
        """Return another merger with the same options and value, independent from now on."""
        other = Merger(
            self.merge, key=self.key, prepend=self.prepend, max=self.max, keep_order=self.keep_order
        )
        other._value = self._value
        other._rows = None if self._rows is None else list(self._rows)
        other._index = dict(self._index)
        return other

    def _list(self) -> list[Any]:
        """Return the rows for changing; a value that is no list becomes an empty one."""
        if self._rows is None:
            self._rows = []
            self._value = None
        self._shown = None
        return self._rows

    def _upsert(self, row: Any, *, insert: bool) -> bool:
        if row is None:
            return False
        rows = self._list()
        if self._replace(row):
            return True
        if not insert:
            return False
        if self.prepend and self.merge == "crud":
            rows.insert(0, row)
            if self.max:
                del rows[self.max :]
            self._reindex(0)
            return True
        rows.append(row)
        self._index[self._identity(row)] = len(rows) - 1
        if self.merge == "crud" and self.max and len(rows) > self.max:
            del rows[: len(rows) - self.max]
            self._reindex(0)
        return True

    def _replace(self, row: Any) -> bool:
        """Put a row in the place of the one with its key; return whether there was one."""
        position = self._index.get(self._identity(row)) if self.merge in _KEYED else None
        if position is None:
            return False
        self._list()[position] = row
        return True

    def _remove(self, row: Any) -> bool:
        if row is None:
            return False
        rows = self._list()
        position = self._index.pop(self._identity(row), None)
        if position is None:
            return False
        if self.keep_order:
            del rows[position]
            self._reindex(position)
            return True
        last = rows.pop()
        if position < len(rows):
            rows[position] = last
            self._index[self._identity(last)] = position
        return True

    def _reindex(self, start: int) -> None:
        """Note the positions of the rows from `start` on; from 0 everything is forgotten first."""
        if self.merge not in _KEYED or self._rows is None:
            return
        if start == 0:
            self._index = {}
        for position in range(start, len(self._rows)):
            self._index[self._identity(self._rows[position])] = position

    def _identity(self, row: Any) -> Hashable:
        """Return what tells `row` apart, as JavaScript's `Map` would.

        Texts, numbers, bools and null count by value. A row without the field equals every other such row; a
        field that holds an object equals nothing but the very same object.
        """
        if not isinstance(row, dict):
            return _ABSENT
        value = row.get(self.key, _ABSENT)
        if isinstance(value, bool):
            return (bool, value)
        return ("object", id(value)) if isinstance(value, list | dict) else value

    def _clean(self, data: Any) -> Any:
        if self.merge not in _KEYED or not isinstance(data, dict):
            return data
        if any(name in data for name in STRIPPED):
            return {name: value for name, value in data.items() if name not in STRIPPED}
        return data


def _same(a: Any, b: Any) -> bool:
    """Return whether JavaScript's `===` would call two JSON values equal."""
    return a is b or (type(a) is type(b) and not isinstance(a, list | dict) and bool(a == b))
