"""The bytes of a source file as text and back, with the marks and the encoding it came with. Spec: upgrade 3.1."""

from __future__ import annotations

import codecs
import io
import tokenize
from dataclasses import dataclass

__all__ = ["Encoded", "UnreadableSource"]


class UnreadableSource(Exception):
    """The bytes do not follow the encoding that the file declares; the message says what stands in the way."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A file's content in UTF-8 without byte order mark, and what is needed to write it as it was.

    All offsets of the upgrade count bytes of `data`.
    """

    data: bytes
    encoding: str = "utf-8"
    bom: bool = False

    @classmethod
    def python(cls, raw: bytes) -> Encoded:
        """Read a Python file by its byte order mark or its cookie.

        Raises:
            UnreadableSource: an unknown encoding, NUL bytes, or bytes that do not follow it.
        """
        if b"\0" in raw:
            raise UnreadableSource("holds NUL bytes")
        try:
            encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
        except SyntaxError as problem:
            raise UnreadableSource(str(problem)) from None
        return cls._read(raw, encoding)

    @classmethod
    def utf8(cls, raw: bytes) -> Encoded:
        """Read a file of any other language, which is UTF-8.

        Raises:
            UnreadableSource: it is not.
        """
        return cls._read(raw, "utf-8-sig" if raw.startswith(codecs.BOM_UTF8) else "utf-8")

    @classmethod
    def _read(cls, raw: bytes, encoding: str) -> Encoded:
        bom = encoding == "utf-8-sig"
        if bom:
            raw, encoding = raw.removeprefix(codecs.BOM_UTF8), "utf-8"
        try:
            text = raw.decode(encoding)
            if text.encode(encoding) != raw:
                raise UnreadableSource(f"cannot be written back as {encoding}")
        except (UnicodeError, LookupError) as problem:
            raise UnreadableSource(f"is not {encoding}: {problem}") from None
        return cls(text.encode(), encoding, bom)

    def raw(self, data: bytes) -> bytes:
        """Give back the bytes of the file for new content.

        Raises:
            UnreadableSource: a new character has no form in the file's encoding.
        """
        if self.encoding != "utf-8":
            try:
                data = data.decode().encode(self.encoding)
            except UnicodeEncodeError as problem:
                raise UnreadableSource(f"the new text has no form in {self.encoding}: {problem}") from None
        return codecs.BOM_UTF8 + data if self.bom else data
