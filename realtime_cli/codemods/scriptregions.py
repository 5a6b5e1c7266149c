"""Where scripts and expressions are in a Svelte component or an HTML page. Spec: upgrade 5.2."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

__all__ = ["Expression", "Regions", "Script", "cut"]

_NAME = re.compile(rb"[A-Za-z_$][\w$]*")
_ATTRIBUTE = re.compile(rb"""([\w:-]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|\{?([^\s>}"']+)\}?))?""")
_BLOCK = re.compile(
    rb"\s*(#if|:else\s+if|#each|#await|#key|#snippet|:then|:catch|@const|@html|@render|@attach|@debug)\b"
)
_OTHER_BLOCK = re.compile(rb"\s*[#:/@]")
_LET = re.compile(rb"\blet:([A-Za-z_$][\w$]*)")
_OPENING, _CLOSING = b"([{", b")]}"
_BEFORE_REGEX = b"(,=:[!&|?{};+-*%<>~^"
_RAW = (b"style", b"textarea")


@dataclass(frozen=True, slots=True)
class Script:
    """The content of a script block.

    Attributes:
        start: its first byte.
        end: the first byte behind it.
        lang: what ``lang=`` says.
        shared: whether it belongs to the module, not to each component (``module`` or ``context="module"``).
    """

    start: int
    end: int
    lang: str = ""
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression in the markup.

    Attributes:
        start: its first byte.
        end: the first byte behind it.
        owner: first byte of the tag or ``{`` it stands in.
    """

    start: int
    end: int
    owner: int


@dataclass(slots=True)
class Regions:
    """What a component is made of.

    Attributes:
        scripts: its script blocks.
        expressions: those of the markup, in source order.
        bound: names that the markup itself binds (``{#each}``, ``{:then}``, ``{#snippet}``, ``{@const}``, ``let:``).
        tags: from ``<`` to behind ``>`` of each tag, and from ``{`` to behind ``}`` outside of tags.
        kept: stretches whose blanks are shown as they are: no line may be added there.
    """

    scripts: list[Script] = field(default_factory=list)
    expressions: list[Expression] = field(default_factory=list)
    bound: set[str] = field(default_factory=set)
    tags: list[tuple[int, int]] = field(default_factory=list)
    kept: list[tuple[int, int]] = field(default_factory=list)


def cut(data: bytes, *, braces: bool) -> Regions:
    """Find the script blocks of a page, and with `braces` the expressions of a Svelte component."""
    return _Cutter(data, braces=braces).run()


def _after_brace(data: bytes, at: int) -> int:
    """Return the place of the ``}`` that closes what begins at `at`; the end of the text if none does."""
    depth = 0
    while at < len(data):
        byte = data[at]
        if byte in b"\"'`":
            at = _after_string(data, at)
            continue
        if data.startswith(b"//", at):
            at = _find(data, b"\n", at)
            continue
        if data.startswith(b"/*", at):
            at = _find(data, b"*/", at + 2) + 2
            continue
        if byte == 47 and _begins_regex(data, at):
            at = _after_regex(data, at)
            continue
        if byte in _OPENING:
            depth += 1
        elif byte in _CLOSING:
            if depth == 0:
                return at
            depth -= 1
        at += 1
    return len(data)


def _find(data: bytes, what: bytes, at: int) -> int:
    found = data.find(what, at)
    return len(data) if found < 0 else found


def _after_string(data: bytes, at: int) -> int:
    quote = data[at]
    at += 1
    while at < len(data):
        if data[at] == 92:
            at += 2
            continue
        if data[at] == quote:
            return at + 1
        if quote == 96 and data.startswith(b"${", at):
            at = _after_brace(data, at + 2)
        elif quote != 96 and data[at] == 10:
            return at
        at += 1
    return len(data)


def _begins_regex(data: bytes, at: int) -> bool:
    before = data[max(0, at - 40) : at].rstrip()
    return not before or before[-1] in _BEFORE_REGEX


def _after_regex(data: bytes, at: int) -> int:
    at += 1
    in_class = False
    while at < len(data) and data[at] != 10:
        if data[at] == 92:
            at += 1
        elif data[at] == 91:
            in_class = True
        elif data[at] == 93:
            in_class = False
        elif data[at] == 47 and not in_class:
            return at + 1
        at += 1
    return at


class _Cutter:
    def __init__(self, data: bytes, *, braces: bool) -> None:
        self.data, self.braces = data, braces
        self.found = Regions()
        self.next_mark = re.compile(rb"[<{]" if braces else rb"<")

    def run(self) -> Regions:
        at = 0
        while True:
            mark = self.next_mark.search(self.data, at)
            if mark is None:
                return self.found
            at = mark.start()
            if self.data[at] == 60:
                at = self._angle(at)
                continue
            end = self._block(at, at)
            self.found.tags.append((at, end))
            at = end

    def _angle(self, at: int) -> int:
        if self.data.startswith(b"<!--", at):
            return _find(self.data, b"-->", at + 4)
        name = _NAME.match(self.data, at + 1)
        if name is None:
            return at + 1
        end = self._tag(at, name.end())
        self.found.tags.append((at, end))
        word = name.group().lower()
        if word == b"script" and not self.data[:end].endswith(b"/>"):
            return self._script(name.end(), end)
        if word in (*_RAW, b"pre"):
            close = re.compile(rb"</%s\b" % word, re.IGNORECASE).search(self.data, end)
            stop = close.start() if close else len(self.data)
            self.found.kept.append((end, stop))
            return end if word == b"pre" or not self.braces or word == b"textarea" else stop
        return end

    def _tag(self, start: int, at: int) -> int:
        """Return the place behind a tag's ``>``; notes the expressions of its attributes."""
        while at < len(self.data):
            byte = self.data[at]
            if byte == 62:
                break
            if byte == 123 and self.braces:
                at = self._block(at, start)
                continue
            if byte in b"\"'":
                at = self._quoted(at, start)
                continue
            at += 1
        if self.braces:
            self.found.bound |= {one.decode() for one in _LET.findall(self.data[start:at])}
        return min(at + 1, len(self.data))

    def _quoted(self, at: int, start: int) -> int:
        quote = self.data[at]
        at += 1
        while at < len(self.data) and self.data[at] != quote:
            if self.data[at] == 123 and self.braces:
                at = self._block(at, start)
                continue
            at += 1
        return at + 1

    def _script(self, name_end: int, end: int) -> int:
        close = re.compile(rb"</script\b", re.IGNORECASE).search(self.data, end)
        stop = close.start() if close else len(self.data)
        attributes = {
            one[1].decode().lower(): (one[2] or one[3] or one[4] or b"").decode()
            for one in _ATTRIBUTE.finditer(self.data[name_end : end - 1])
        }
        kind = attributes.get("type", "")
        if "src" not in attributes and kind in ("", "module", "text/javascript", "text/typescript"):
            shared = "module" in attributes or attributes.get("context") == "module"
            lang = attributes.get("lang", "ts" if kind == "text/typescript" else "")
            self.found.scripts.append(Script(end, stop, lang, shared))
        return stop

    def _block(self, brace: int, owner: int) -> int:
        if re.compile(rb"\s*/[a-z]").match(self.data, brace + 1):
            return _find(self.data, b"}", brace) + 1
        end = _after_brace(self.data, brace + 1)
        inside = self.data[brace + 1 : end]
        block = _BLOCK.match(inside)
        if block is not None:
            self._special(block.group(1).split()[0], brace + 1 + block.end(), end, owner)
        elif not _OTHER_BLOCK.match(inside):
            dots = re.match(rb"\s*\.\.\.", inside)
            self._expression(brace + 1 + (dots.end() if dots else 0), end, owner)
        return end + 1

    def _special(self, word: bytes, start: int, end: int, owner: int) -> None:
        if word in (b":then", b":catch") or word == b"#snippet":
            self._binds(start, end)
        elif word == b"#each":
            split = self._last_word(b" as ", start, end)
            self._expression(start, split, owner)
            self._binds(split, end)
        elif word == b"#await":
            split = min(self._last_word(b" then ", start, end), self._last_word(b" catch ", start, end))
            self._expression(start, split, owner)
            self._binds(split, end)
        elif word == b"@const":
            split = self.data.find(b"=", start, end)
            if split > 0:
                self._binds(start, split)
                self._expression(split + 1, end, owner)
        elif word != b"@debug":
            self._expression(start, end, owner)

    def _last_word(self, word: bytes, start: int, end: int) -> int:
        found = self.data.rfind(word, start, end)
        return end if found < 0 else found

    def _binds(self, start: int, end: int) -> None:
        self.found.bound |= {one.decode() for one in _NAME.findall(self.data[start:end])} - {
            "as",
            "then",
            "catch",
        }

    def _expression(self, start: int, end: int, owner: int) -> None:
        if self.data[start:end].strip():
            self.found.expressions.append(Expression(start, end, owner))
