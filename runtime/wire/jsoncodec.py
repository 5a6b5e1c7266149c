r"""The one JSON encoder and decoder, with JavaScript's rules. Spec: wire 2.1, 10; platform 2.2.

msgspec does the work: compact, raw UTF-8, NaN and infinities as `null`, dates as ISO 8601. Strings with a
lone surrogate, which JavaScript writes as `\ud800` and which msgspec refuses, take the slow way by `json`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from itertools import chain
from typing import Any, NoReturn

import msgspec

__all__ = ["DecodeError", "EncodeError", "NestingError", "decode", "encode", "nesting_exceeds", "to_plain"]


class EncodeError(TypeError):
    """A value that has no JSON form; the message names its type."""


class DecodeError(ValueError):
    """Text that is not JSON, or JSON that cannot be held: a number out of range, invalid UTF-8."""


class NestingError(DecodeError):
    """JSON nested deeper than the parser goes, which is several hundred levels."""


def encode(value: Any) -> bytes:
    r"""Return `value` as compact UTF-8 JSON.

    Beyond plain values and what is derived from them: dataclasses, msgspec structs (unset fields are left out),
    enums, sets, UUIDs and decimals (as strings), dates and times (ISO 8601), `bytes` (base64), pydantic-like objects
    by `model_dump(mode="json")`, rows and mappings of any kind as objects, other sized collections as arrays.
    Lone surrogates are written as `\uXXXX`.

    Raises:
        EncodeError: something inside has no JSON form, or contains itself.
    """
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        return _encode_surrogates(value)
    except EncodeError:
        raise
    except RecursionError:
        raise EncodeError(f"{_type_name(value)} is nested too deep for JSON, or contains itself") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise EncodeError(f"{_type_name(value)} has no JSON form: {error}") from error


def to_plain(value: Any, keep: tuple[type, ...] = ()) -> Any:
    """Return what `encode` would write as plain objects, arrays and values; those of the types `keep` stay as they are.

    Raises:
        EncodeError: something inside has no JSON form, or contains itself.
    """
    try:
        return msgspec.to_builtins(value, builtin_types=keep, str_keys=True, enc_hook=_enc_hook)
    except EncodeError:
        raise
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise EncodeError(f"{_type_name(value)} has no JSON form: {error}") from error


def decode(data: bytes | str) -> Any:
    """Return the value of JSON text. Integers of any usual size stay exact; of equal keys the last one wins.

    Raises:
        NestingError: nested too deep to parse.
        DecodeError: not JSON (`NaN` is not), invalid UTF-8, a number that does not fit.
    """
    try:
        return _decoder.decode(data)
    except RecursionError:
        raise NestingError("nested too deep to parse") from None
    except (msgspec.MsgspecError, ValueError) as error:
        if _may_have_lone_surrogate(data):
            return _decode_surrogates(data)
        raise DecodeError(str(error)) from None


def nesting_exceeds(data: bytes | str, value: Any, limit: int) -> bool:
    """Return whether `value`, decoded from `data`, is nested deeper than `limit` levels; itself is level 1.

    Walks level by level, without recursion; text with few brackets is not walked at all.
    """
    brackets = (
        data.count("{") + data.count("[") if isinstance(data, str) else data.count(b"{") + data.count(b"[")
    )
    if brackets <= limit:
        return False
    # A frame may hold several hundred thousand of them: one loop per level, not one per container.
    lists = [value] if value.__class__ is list else []
    dicts = [value] if value.__class__ is dict else []
    for _ in range(limit):
        inner = [
            child
            for child in chain(chain.from_iterable(lists), chain.from_iterable(map(dict.values, dicts)))
            if child.__class__ is dict or child.__class__ is list
        ]
        if not inner:
            return False
        lists = [child for child in inner if child.__class__ is list]
        dicts = [child for child in inner if child.__class__ is dict]
    return True


def _type_name(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _enc_hook(value: Any) -> Any:
    if value is None or isinstance(value, bool):  # a key; as a value msgspec knows it
        return json.dumps(value)
    plain = _plain(value)
    if plain is not None:
        return plain
    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return dump(mode="json")
    if isinstance(value, Mapping) or (hasattr(value, "keys") and hasattr(value, "__getitem__")):
        return dict(value)
    if isinstance(value, Collection):
        return list(value)
    raise EncodeError(
        f"{_type_name(value)} has no JSON form: use plain values, a dataclass, a msgspec struct or a model"
    )


def _plain(value: Any) -> str | int | float | bytes | None:
    """Return the plain value that `value`, of a class derived from one, holds; `None` when it is none of those."""
    if isinstance(value, str):  # not its __str__, which may say anything
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    return bytes(memoryview(value)) if isinstance(value, bytes) else None


_encoder = msgspec.json.Encoder(enc_hook=_enc_hook)
_decoder = msgspec.json.Decoder()


def _encode_surrogates(value: Any) -> bytes:
    try:
        plain = _finite(msgspec.to_builtins(value, enc_hook=_enc_hook))
        text = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise EncodeError(f"{_type_name(value)} has no JSON form: {error}") from error
    # A surrogate is the only thing that UTF-8 refuses, and its backslash form is JSON's escape.
    return text.encode("utf-8", "backslashreplace")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def _may_have_lone_surrogate(data: bytes | str) -> bool:
    if isinstance(data, str):
        return "\\ud" in data or "\\uD" in data
    return b"\\ud" in data or b"\\uD" in data


def _decode_surrogates(data: bytes | str) -> Any:
    try:
        text = data if isinstance(data, str) else data.decode()
        text.encode()  # a raw surrogate never came from a socket
        return json.loads(text, parse_constant=_refuse, parse_float=_parse_float)
    except RecursionError:
        raise NestingError("nested too deep to parse") from None
    except ValueError as error:
        raise DecodeError(str(error)) from None


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _parse_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("number out of range")
    return number
