"""Text of the project or of a client as it may go to a terminal: nothing in it moves the cursor or changes colours."""

from __future__ import annotations

__all__ = ["plain_line", "plain_lines"]


def plain_line(text: str) -> str:
    """Return `text` with a `?` for each character that cannot be printed, line ends among them."""
    return _plain(text, "")


def plain_lines(text: str) -> str:
    """Return `text` likewise, with its line ends and tabs kept."""
    return _plain(text, "\n\t")


def _plain(text: str, kept: str) -> str:
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() or character in kept else "?" for character in text)
