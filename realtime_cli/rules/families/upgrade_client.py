"""What is left of 0.4 in pages, scripts and Python clients. Spec: platform 8.5, upgrade 1.1 to 1.4."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from realtime_cli.rules.finding import Finding, Severity
from realtime_cli.rules.rule import Rule
from realtime_cli.rules.upgraded import upgraded_edits
from realtime_cli.rules.webtext import WebText, web_texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.project import Project
    from realtime_cli.rules.source import Source

__all__ = ["ClosedStatus", "HandChunked", "IgnoredHeader", "OldPresence", "SystemSubscribe"]

_USES_CLIENT = re.compile(r"""(from|import)\s*\(?\s*["'][^"']*(client|realtime|live)[^"']*["']""")
_COMPARED = r"""\s*(?:===?|!==?)\s*(?P<quote>["'])closed(?P=quote)"""
_REVERSED = r"""(?P<quote>["'])closed(?P=quote)\s*(?:===?|!==?)\s*"""


class ClosedStatus(Rule):
    """UPG005."""

    id = "UPG005"
    severity = Severity.WARNING
    title = 'a status is compared with "closed", which it never has'
    why = "A lost connection is disconnected while the client tries again, and failed when it has given up."
    how = 'compare with "failed", or with "disconnected" and "failed"'
    fixes = True

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at comparisons of the status of a client."""
        for page in web_texts(project):
            if '"closed"' in page.text or "'closed'" in page.text:
                yield from self._in_page(project, page)
        for source in project.sources.values():
            if "closed" in source.text and re.search(r"runtime(\.client|\s+import)", source.text):
                yield from self._in_python(project, source)

    def _in_page(self, project: Project, page: WebText) -> Iterator[Finding]:
        names = page.imported("status")
        if not names and not page.code_matches(_USES_CLIENT):
            return
        known = "|".join(re.escape(one) for one in (names or ["status"]))
        forms = rf"(?:\$?(?:{known})|(?:{known})\.get\(\)|get\((?:{known})\)|(?:client|connection|realtime)\.status)"
        taken = re.compile(rf"(?:{known})\.subscribe\(\s*(?:async\s*)?\(?\s*(\w+)\s*\)?\s*=>")
        values = {match[1] for match in page.find(taken)}
        if values:
            forms = rf"(?:{forms}|(?:{'|'.join(sorted(values))}))"
        either = (rf"(?<![\w.$])(?P<left>{forms}){_COMPARED}", rf"{_REVERSED}(?P<left>{forms})(?![\w.$(])")
        for pattern in either:
            for match in page.find(re.compile(pattern)):
                span = page.span(match.start(), match.end())
                edits = upgraded_edits(project, page.path, ("UPJ06",), span)
                yield self.on(page.path, span, f'{match["left"]} is never "closed"', edits=edits)

    def _in_python(self, project: Project, source: Source) -> Iterator[Finding]:
        for node in source.nodes(ast.Compare):
            sides = [node.left, *node.comparators]
            if not any(isinstance(one, ast.Constant) and one.value == "closed" for one in sides):
                continue
            status = next((one for one in sides if _is_status(source, one)), None)
            if status is not None:
                edits = upgraded_edits(project, source.path, ("UPG110",), source.span(node))
                message = f'{source.segment(status)} is never "closed"'
                yield self.at(source, node, message, edits=edits)


def _is_status(source: Source, node: ast.expr) -> bool:
    """Return whether an expression is the status of a client, or its value."""
    if isinstance(node, ast.Attribute) and node.attr == "value":
        node = node.value
    if not isinstance(node, ast.Attribute) or node.attr != "status":
        return False
    if (source.name(node.value) or "").startswith("runtime."):
        return True
    return re.search(r"client|connection|realtime", source.segment(node.value)) is not None


_OLD_EVENT = re.compile(
    r"""(?:\b(?:event|type|name)\s*===?\s*|\bcase\s+)(?P<quote>["'])(?P<event>updated|list)(?P=quote)"""
)


class OldPresence(Rule):
    """UPG006."""

    id = "UPG006"
    severity = Severity.WARNING
    title = "presence is read by the events of 0.4"
    why = "list, join, updated and leave do not come any more, so that the roster stays empty."
    how = "use presence(topic) of the client, or read presence_state and presence_diff"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for the old events where presence is read by hand, once for each file."""
        for page in web_texts(project):
            if page.imported("presence") or not re.search(r"presence", page.text, re.IGNORECASE):
                continue
            match = next(page.find(_OLD_EVENT), None)
            if match is not None:
                message = f"presence has no event {match['event']!r} any more"
                yield self.on(page.path, page.span(match.start(), match.end()), message)
        for source in project.sources.values():
            if "__presence:" not in source.text:
                continue
            for node in source.nodes(ast.Compare):
                last = node.comparators[-1]
                value = last.value if isinstance(last, ast.Constant) else None
                if value in {"updated", "list"} and re.search(r"event|type", source.segment(node.left)):
                    yield self.at(source, node, f"presence has no event {value!r} any more")
                    break


_LOOP = re.compile(r"\b(?:for|while)\s*(?:await\s*)?\((?P<head>[^{;]*(?:;[^{;]*;[^{]*)?)\)\s*\{")
_SENDS = re.compile(r"\bawait\s+(?P<name>[\w.]+)\s*\(")
_CHUNK_WORDS = re.compile(
    r"^(chunk|part|piece|slice|segment|block)?_?(index|number|no|offset|seq|total|count)$"
)


class HandChunked(Rule):
    """UPG007."""

    id = "UPG007"
    severity = Severity.WARNING
    title = "a file is sent in pieces by hand"
    why = "Each piece is a call of its own: nothing slows a fast sender down, and a lost piece is a broken file."
    how = "use @live.upload, whose handler reads ctx.stream"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for binary functions that are given the number of a piece, and for loops that cut."""
        found = False
        for handler in project.handlers:
            words = [one.arg for one in handler.arguments]
            if handler.kind == "binary" and any(_CHUNK_WORDS.match(word) for word in words):
                found = True
                message = f"{handler.node.name} puts pieces of a file together"
                yield self.at(handler.source, handler.node, message)
        for source in project.sources.values() if not found else ():
            if "binary" not in source.text:
                continue
            for loop in source.nodes(ast.For, ast.AsyncFor, ast.While):
                call = _cutting_call(source, loop)
                if call is not None:
                    found = True
                    yield self.at(source, call, "a loop cuts a file into binary calls")
        for page in web_texts(project) if not found else ():
            for match in page.find(_LOOP):
                body = page.code[match.end() : match.end() + 1500]
                cut = body.find(".slice(")
                sent = next((one for one in _SENDS.finditer(body) if _is_live(page, one["name"])), None)
                if cut >= 0 and sent is not None and _depth(body, max(cut, sent.start())) >= 0:
                    message = "a loop cuts a file into binary calls"
                    yield self.on(page.path, page.span(match.start(), match.end()), message)
                    break


def _cutting_call(source: Source, loop: ast.stmt) -> ast.Call | None:
    for statement in ast.iter_child_nodes(loop):
        for node in ast.walk(statement):
            if isinstance(node, ast.Call) and "binary" in source.segment(node.func):
                for given in node.args:
                    if any(isinstance(one, ast.Slice) for one in ast.walk(given)):
                        return node
    return None


def _is_live(page: WebText, name: str) -> bool:
    """Return whether a function of a script is one of a live module."""
    first = re.escape(name.split(".")[0])
    imported = rf"""import\s*(?:\{{[^}}]*\b{first}\b[^}}]*\}}|\*\s*as\s+{first})\s*from\s*["'][^"']*live/"""
    return re.search(imported, page.code) is not None or "binary" in name.lower()


def _depth(body: str, end: int) -> int:
    """Return how deep a place of a body is, negative behind its end."""
    depth = 0
    for letter in body[:end]:
        depth += (letter == "{") - (letter == "}")
        if depth < 0:
            return -1
    return depth


class IgnoredHeader(Rule):
    """UPG011."""

    id = "UPG011"
    severity = Severity.INFO
    title = "the header x-no-dedup, which does nothing any more"
    why = "Requests with the same address share one answer unless they have credentials, whatever the header says."
    how = "send a cookie or an authorization header where an answer is one person's"

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for the name of the header."""
        for source in project.sources.values():
            if "x-no-dedup" in source.text.lower():
                for node in source.nodes(ast.Constant):
                    if isinstance(node.value, str) and node.value.lower() == "x-no-dedup":
                        yield self.at(source, node, "x-no-dedup does nothing any more")
        pattern = re.compile(r"x-no-dedup", re.IGNORECASE)
        for page in web_texts(project):
            for match in page.find(pattern):
                yield self.on(page.path, page.span(*match.span()), "x-no-dedup does nothing any more")


_SUBSCRIBES = (
    re.compile(
        r"""["']?\btype["']?\s*:\s*["']subscribe(?:-batch)?["'][^{}]*?topics?["']?\s*:\s*\[?\s*["'`]__\w"""
    ),
    re.compile(
        r"""["']?\btopics?["']?\s*:\s*\[?\s*["'`]__\w[^{}]*?type["']?\s*:\s*["']subscribe(?:-batch)?["']"""
    ),
)


class SystemSubscribe(Rule):
    """UPG014."""

    id = "UPG014"
    severity = Severity.WARNING
    title = "a client subscribes to a topic of the framework by hand"
    why = "The server denies it with INVALID_TOPIC: only the framework subscribes to topics with two underscores."
    how = 'use what the client offers: presence("x"), cursor("x"), group("x"), onReplay("x"), onSignal(id, f)'

    def check(self, project: Project) -> Iterator[Finding]:
        """Look for frames that subscribe to such topics."""
        for page in web_texts(project):
            for pattern in _SUBSCRIBES:
                for match in page.find(pattern):
                    message = "the server denies a subscription to a topic that begins with two underscores"
                    yield self.on(page.path, page.span(*match.span()), message)
        for source in project.sources.values():
            if '"__' in source.text or "'__" in source.text:
                yield from self._in_python(source)

    def _in_python(self, source: Source) -> Iterator[Finding]:
        message = "the server denies a subscription to a topic that begins with two underscores"
        for node in source.nodes(ast.Dict):
            named = {
                key.value: value
                for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant)
            }
            kind, topic = named.get("type"), named.get("topic", named.get("topics"))
            is_subscribe = isinstance(kind, ast.Constant) and str(kind.value).startswith("subscribe")
            if is_subscribe and topic is not None and _has_system_topic(topic):
                yield self.at(source, node, message)


def _has_system_topic(topic: ast.expr) -> bool:
    return any(
        isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("__")
        for node in ast.walk(topic)
    )
