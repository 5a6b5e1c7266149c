"""How a kept value is made, in a form that tells whether two executions of a module mean the same. Spec: live-api 21.1.

Executing a module again makes new functions and new classes, so nothing of it equals what it was by `==`. A recipe
describes what was written instead: the code of functions, the names and fields of objects. It holds no object of a
live module, which would keep the whole old module alive.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import inspect
import re
import types
from collections.abc import Callable, Mapping, Set
from typing import Any

from runtime.live.apppackage import PREFIX

__all__ = ["Recipe"]

# An argument may lead to half of the program; what lies beyond these bounds counts as unchanged.
MAX_DEPTH = 12
MAX_PARTS = 10_000

_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...))
_NAMED = (
    types.ModuleType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
)


class Recipe:
    """A factory with its arguments, as they were when they were declared."""

    __slots__ = ("_digest", "_objects", "_parts")

    def __init__(self, factory: Callable[..., Any], args: tuple[Any, ...]) -> None:
        #: Objects of other modules, each with what its fields were.
        self._objects: list[tuple[Any, bytes]] = []
        self._parts = 0
        self._digest = self._of((factory, args), ())

    def same_as(self, other: Recipe) -> bool:
        """Return whether both make the same. A comparison that raises says nothing, and counts as the same."""
        if self._digest != other._digest or len(self._objects) != len(other._objects):
            return False
        return all(_same(*pair) for pair in zip(self._objects, other._objects, strict=True))

    def _of(self, value: Any, within: tuple[int, ...]) -> bytes:
        """Return a digest of `value`. `within`: the ids of what it is a part of, to end at cycles."""
        self._parts += 1
        if id(value) in within or len(within) >= MAX_DEPTH or self._parts > MAX_PARTS:
            return b"..."
        inner = (*within, id(value))
        try:
            kind, parts = self._describe(value, inner)
        except Exception:
            kind, parts = f"unreadable {_name(type(value))}", []
        digests = [self._of(part, inner) for part in parts]
        if isinstance(value, Set | Mapping):
            digests.sort()
        made = hashlib.blake2b(kind.encode(errors="surrogatepass"), digest_size=16)
        for digest in digests:
            made.update(digest)
        return made.digest()

    def _describe(self, value: Any, within: tuple[int, ...]) -> tuple[str, list[Any]]:
        kind = _name(type(value))
        if type(value) in _PLAIN:
            return f"{kind} {value!r}", []
        if isinstance(value, types.FunctionType):
            keywords = value.__kwdefaults__ or {}
            return "function", [value.__code__, value.__defaults__, keywords, _cells(value)]
        if isinstance(value, types.CodeType):
            names = [value.co_names, value.co_varnames, value.co_freevars]
            return f"code {value.co_flags}", [value.co_code, list(value.co_consts), *names]
        if isinstance(value, type):
            # A kept instance of a class whose code was edited would go on with the old methods.
            return f"class {_name(value)}", _methods(value)
        if isinstance(value, types.MethodType):
            return "method", [value.__func__, value.__self__]
        if isinstance(value, functools.partial):
            return kind, [value.func, value.args, value.keywords]
        if isinstance(value, _NAMED):
            return f"{kind} {getattr(value, '__module__', '')} {value.__name__}", []
        if isinstance(value, enum.Enum):
            return f"{kind} {value.name}", []
        if type(value) in (dict, types.MappingProxyType):
            return kind, list(value.items())
        if isinstance(value, list | tuple | set | frozenset):
            return kind, list(value)
        return self._describe_object(value, kind, within)

    def _describe_object(self, value: Any, kind: str, within: tuple[int, ...]) -> tuple[str, list[Any]]:
        fields = _fields(value)
        if type(value).__module__.startswith(PREFIX):
            return kind, fields
        if not fields and _is_compared_by_identity(value):
            fields = [_ADDRESS.sub("", repr(value))]
        self._objects.append((value, self._of(fields, within)))
        return kind, []


def _same(one: tuple[Any, bytes], other: tuple[Any, bytes]) -> bool:
    if one[0] is other[0] or one[1] == other[1]:
        return True
    if _is_compared_by_identity(one[0]):
        return False
    try:
        return bool(one[0] == other[0])
    except Exception:
        return True


def _is_compared_by_identity(value: Any) -> bool:
    return "__eq__" not in {name for cls in type(value).__mro__[:-1] for name in vars(cls)}


def _fields(value: Any) -> list[Any]:
    """Return names and values of the fields of an object, of whatever kind its class is."""
    found = dict(getattr(value, "__dict__", {}))
    for cls in type(value).__mro__:
        slots = vars(cls).get("__struct_fields__") or vars(cls).get("__slots__") or ()
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name) and not name.startswith("__"):
                found[name] = getattr(value, name)
    return sorted(found.items(), key=lambda item: item[0])


def _methods(cls: type) -> list[Any]:
    found: list[Any] = [base for base in cls.__bases__ if base.__module__ == cls.__module__]
    for value in vars(cls).values():
        if isinstance(value, property):
            found += [one for one in (value.fget, value.fset, value.fdel) if one is not None]
        elif isinstance(value, staticmethod | classmethod | types.FunctionType):
            inner: Any = getattr(value, "__func__", value)
            found.append(inspect.unwrap(inner))
    return found


def _cells(function: types.FunctionType) -> list[Any]:
    found = []
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # not bound yet
            found.append(None)
    return found


def _name(cls: Any) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
