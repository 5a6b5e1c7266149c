"""The kinds of settings that name files of the machine, and the permissions of one. Spec: platform 4."""

from __future__ import annotations

import json
import re

from runtime.core.settingkinds import Kind

__all__ = ["file_mode", "file_path"]

MAX_PATH = 4096  # characters; the longest path that Linux takes
_OCTAL = re.compile(r"(?:0o)?[0-7]{3,4}", re.ASCII)


class _Unfit(ValueError):
    """The value is not of this kind."""


def file_path() -> Kind:
    """Return the kind of a file anywhere on the machine, relative to the project folder if not absolute, or none."""

    def parse(value: object) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= MAX_PATH:
            raise _Unfit
        return value

    def to_toml(value: object) -> str:
        return "none" if value is None else json.dumps(value)

    return Kind("file", "the path of a file, absolute or from the project folder", parse, parse, to_toml)


def file_mode() -> Kind:
    """Return the kind of the permissions of a file: an octal number of three digits, such as `0o660`."""

    def parse(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 0o777:
            raise _Unfit
        return value

    def parse_text(text: str) -> int:
        if not _OCTAL.fullmatch(text):
            raise _Unfit
        return parse(int(text.removeprefix("0o"), 8))

    expected = "the permissions of a file as an octal number, such as 0o660"
    return Kind("octal", expected, parse, parse_text, lambda value: f"0o{value:o}", "0o000 to 0o777")
