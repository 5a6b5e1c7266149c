"""What an expression says without being run: text, the start of a text, a number. Spec: upgrade 3.4."""

from __future__ import annotations

import ast

import libcst as cst

__all__ = ["number", "text_of", "text_parts", "text_start"]

_MAX_TEXT = 100_000


def text_of(node: cst.CSTNode) -> str | None:
    """Return the text of a literal, also of joined and repeated ones; None if it is not known or no text."""
    if isinstance(node, cst.SimpleString | cst.ConcatenatedString):
        value = node.evaluated_value
        return value if isinstance(value, str) else None
    if isinstance(node, cst.BinaryOperation):
        if isinstance(node.operator, cst.Add):
            left, right = text_of(node.left), text_of(node.right)
            return left + right if left is not None and right is not None else None
        if isinstance(node.operator, cst.Multiply):
            for text, times in ((node.left, node.right), (node.right, node.left)):
                written, count = text_of(text), number(times)
                if written is not None and isinstance(count, int):
                    return written * max(0, min(count, _MAX_TEXT // max(1, len(written))))
    return None


def text_parts(node: cst.CSTNode) -> list[str]:
    """Return the texts that are written out in an expression: all of a literal, the fixed parts of an f-string."""
    whole = text_of(node)
    if whole is not None:
        return [whole]
    if isinstance(node, cst.FormattedString):
        raw = "r" in node.prefix.lower()
        return [
            _unescaped(part.value, node.quote, raw=raw)
            for part in node.parts
            if isinstance(part, cst.FormattedStringText)
        ]
    if isinstance(node, cst.ConcatenatedString | cst.BinaryOperation):
        return [*text_parts(node.left), *text_parts(node.right)]
    return []


def text_start(node: cst.CSTNode) -> str:
    """Return the text that an expression certainly begins with; empty if nothing is known."""
    whole = text_of(node)
    if whole is not None:
        return whole
    if isinstance(node, cst.FormattedString):
        first = node.parts[0] if node.parts else None
        if isinstance(first, cst.FormattedStringText):
            return _unescaped(first.value, node.quote, raw="r" in node.prefix.lower())
        return ""
    if isinstance(node, cst.ConcatenatedString) or (
        isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.Add)
    ):
        return text_start(node.left)
    return ""


def _unescaped(text: str, quote: str, *, raw: bool) -> str:
    text = text.replace("{{", "{").replace("}}", "}")
    if raw:
        return text
    try:
        value = ast.literal_eval(f"{quote}{text}{quote}")
    except (SyntaxError, ValueError):
        return text
    return value if isinstance(value, str) else text


def number(node: cst.CSTNode) -> int | float | None:
    """Return the value of a number, also of a product or a negative one; None for anything else."""
    if isinstance(node, cst.Integer | cst.Float):
        return node.evaluated_value
    if isinstance(node, cst.UnaryOperation) and isinstance(node.operator, cst.Minus):
        value = number(node.expression)
        return -value if value is not None else None
    if isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.Multiply):
        left, right = number(node.left), number(node.right)
        return left * right if left is not None and right is not None else None
    return None
