"""The settings of 0.4 and where each stands in `realtime.toml`; values that can be known without running code.

Spec: upgrade 2.1, 3.2.
"""

from __future__ import annotations

import ast
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import libcst as cst

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["DROPPED", "KEYS", "NESTED", "SECTION_ORDER", "Environment", "Unknown", "evaluate"]

SECTION_ORDER = ("server", "websocket", "security", "dev", "redis", "postgres")

_SERVER = (
    *("host", "port", "origin", "shutdown_timeout", "protocol_header", "host_header", "port_header"),
    *("address_header", "xff_depth", "precompress", "workers", "cluster_mode"),
)
_WEBSOCKET = (
    *("path", "auth_path", "max_payload_length", "idle_timeout", "max_backpressure", "compression"),
    *("upgrade_timeout", "allowed_origins", "upgrade_rate_limit", "upgrade_rate_limit_window"),
)
_SECURITY = (
    *("allow_system_topic_subscribe", "allow_non_ascii_topics", "compress_credentialed_responses"),
    "unsafe_same_origin_without_host_pin",
)
KEYS: dict[str, tuple[str, str]] = {
    **{key: ("server", key) for key in _SERVER},
    "body_size_limit": ("server", "body_limit"),
    "ssl_cert": ("server", "tls_cert"),
    "ssl_key": ("server", "tls_key"),
    "health_check_path": ("server", "health_path"),
    "handler": ("server", "hooks"),
    **{key: ("websocket", key) for key in _WEBSOCKET},
    "send_pings_automatically": ("websocket", "ping"),
    **{key: ("security", key) for key in _SECURITY},
    "auth_path_require_origin": ("security", "auth_require_origin"),
    "dev_skip_origin_check": ("dev", "skip_origin_check"),
    "redis_url": ("redis", "url"),
    "redis": ("redis", "url"),
    "postgres_dsn": ("postgres", "dsn"),
    "dsn": ("postgres", "dsn"),
    "database_url": ("postgres", "dsn"),
}
"""0.4 key, at the top level or in ``websocket``: section and key of 0.5."""

NESTED = "websocket"
"""The one key whose value is a dictionary of settings."""

DROPPED = {
    "worker_relay_hmac_secret": ("R-18", "workers talk over a pipe in 0.5: there is nothing to sign"),
    "out": ("S-03", "nothing is built in 0.5"),
    "env_prefix": ("P-04", "variables begin with REALTIME_ in 0.5"),
}
"""Keys that go: row and why."""

_MAX_POWER = 1024


class Unknown(Exception):
    """A value that only running the code would tell."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A value that is read from the environment."""

    name: str
    default: Any = None
    has_default: bool = False


_BINARY: dict[type[cst.BaseBinaryOp], Callable[[Any, Any], Any]] = {
    cst.Add: operator.add,
    cst.Subtract: operator.sub,
    cst.Multiply: operator.mul,
    cst.Divide: operator.truediv,
    cst.FloorDivide: operator.floordiv,
    cst.Modulo: operator.mod,
    cst.Power: operator.pow,
    cst.LeftShift: operator.lshift,
}
_CONSTANTS = {"True": True, "False": False, "None": None}


def evaluate(node: cst.BaseExpression, names: Mapping[str, cst.BaseExpression], depth: int = 0) -> Any:
    """Return the value of an expression of literals and of `names` that are bound once to such.

    Nothing is imported or called. A read of the environment is an `Environment`.

    Raises:
        Unknown: the value cannot be known.
    """
    if depth > 30:
        raise Unknown
    if isinstance(node, cst.Integer | cst.Float | cst.SimpleString | cst.ConcatenatedString):
        return _literal(node)
    if isinstance(node, cst.Name):
        if node.value in _CONSTANTS:
            return _CONSTANTS[node.value]
        if node.value in names:
            return evaluate(names[node.value], names, depth + 1)
        raise Unknown
    if isinstance(node, cst.UnaryOperation) and isinstance(node.operator, cst.Minus | cst.Plus):
        return _number(
            operator.neg if isinstance(node.operator, cst.Minus) else operator.pos, node, names, depth
        )
    if isinstance(node, cst.BinaryOperation):
        return _binary(node, names, depth)
    if isinstance(node, cst.List | cst.Tuple):
        if any(isinstance(one, cst.StarredElement) for one in node.elements):
            raise Unknown
        return [_plain(evaluate(one.value, names, depth + 1)) for one in node.elements]
    if isinstance(node, cst.Dict):
        found = {}
        for one in node.elements:
            if not isinstance(one, cst.DictElement):
                raise Unknown
            key = evaluate(one.key, names, depth + 1)
            if not isinstance(key, str):
                raise Unknown
            found[key] = _plain(evaluate(one.value, names, depth + 1))
        return found
    return _environment(node, names, depth)


def _literal(node: cst.BaseExpression) -> Any:
    try:
        value = ast.literal_eval(cst.Module([]).code_for_node(node))
    except (ValueError, SyntaxError):
        raise Unknown from None
    if isinstance(value, bytes | complex):
        raise Unknown
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Environment) or value is None:
        raise Unknown
    return value


def _number(
    function: Callable[[Any], Any],
    node: cst.UnaryOperation,
    names: Mapping[str, cst.BaseExpression],
    depth: int,
) -> Any:
    value = evaluate(node.expression, names, depth + 1)
    if not isinstance(value, int | float):
        raise Unknown
    return function(value)


def _binary(node: cst.BinaryOperation, names: Mapping[str, cst.BaseExpression], depth: int) -> Any:
    function = _BINARY.get(type(node.operator))
    left, right = (evaluate(one, names, depth + 1) for one in (node.left, node.right))
    numbers = isinstance(left, int | float) and isinstance(right, int | float)
    texts = isinstance(left, str) and isinstance(right, str) and isinstance(node.operator, cst.Add)
    if function is None or not (numbers or texts):
        raise Unknown
    if isinstance(node.operator, cst.Power | cst.LeftShift) and abs(right) > _MAX_POWER:
        raise Unknown
    try:
        return function(left, right)
    except (ArithmeticError, ValueError, TypeError):
        raise Unknown from None


def _environment(
    node: cst.BaseExpression, names: Mapping[str, cst.BaseExpression], depth: int
) -> Environment:
    """Read ``os.environ["X"]``, ``os.environ.get("X", d)`` and ``os.getenv("X", d)``."""
    if isinstance(node, cst.Subscript) and _is_environ(node.value) and len(node.slice) == 1:
        index = node.slice[0].slice
        if isinstance(index, cst.Index):
            name = evaluate(index.value, names, depth + 1)
            if isinstance(name, str):
                return Environment(name)
    if isinstance(node, cst.Call) and _is_getter(node.func) and 1 <= len(node.args) <= 2:
        values = [
            evaluate(one.value, names, depth + 1) for one in node.args if not one.star and not one.keyword
        ]
        if len(values) == len(node.args) and isinstance(values[0], str):
            default = _plain(values[1]) if len(values) == 2 and values[1] is not None else None
            return Environment(values[0], default, default is not None)
    raise Unknown


def _is_environ(node: cst.BaseExpression) -> bool:
    if isinstance(node, cst.Name):
        return node.value == "environ"
    return (
        isinstance(node, cst.Attribute)
        and node.attr.value == "environ"
        and isinstance(node.value, cst.Name)
        and node.value.value == "os"
    )


def _is_getter(node: cst.BaseExpression) -> bool:
    if isinstance(node, cst.Name):
        return node.value == "getenv"
    if not isinstance(node, cst.Attribute):
        return False
    if node.attr.value == "get":
        return _is_environ(node.value)
    return node.attr.value == "getenv" and isinstance(node.value, cst.Name) and node.value.value == "os"
