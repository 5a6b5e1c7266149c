"""The rules for topics, events, paths and ids. Spec: wire 2.1, 3.1, 4.1; platform 2.2."""

from __future__ import annotations

import re
import unicodedata

from runtime.wire.limits import MAX_TOPIC_LENGTH, MAX_USER_ID_LENGTH

__all__ = [
    "SIGNAL_PREFIX",
    "SYSTEM_PREFIX",
    "are_plain",
    "check_name",
    "is_reply_id",
    "is_rpc_path",
    "is_system_topic",
    "is_user_id",
    "is_wire_topic",
    "name_problem",
    "utf16_length",
]

SYSTEM_PREFIX = "__"
# The topic of signals to a user is this and the user's id, which may be as long as a topic. Spec: live-api 2.6.
SIGNAL_PREFIX = "__signal:"

# What cannot stand in an envelope, where nothing is escaped. A lone surrogate has no UTF-8 form.
_UNSAFE = re.compile('["\\\\\x00-\x1f\ud800-\udfff]')
_UNSAFE_USER_ID = re.compile('["\\\\\x00-\x1f\x7f\ud800-\udfff]')
_WIRE_TOPIC = re.compile(rf"[ !#-\[\]-~]{{1,{MAX_TOPIC_LENGTH}}}")
# What people do not see, or see in another order: zero-width characters, marks and overrides of the direction of
# writing, separators of lines, the byte order mark.
_UNSEEN = re.compile("[\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
# The ASCII part of what an envelope can carry.
_PLAIN = re.compile(rf"[ !#-\[\]-\x7f]{{1,{MAX_TOPIC_LENGTH}}}").fullmatch
_PATH_CHARACTERS = re.compile(r"[a-zA-Z0-9_/-]+")


def utf16_length(text: str) -> int:
    """Return the length of `text` as a browser counts it, in UTF-16 code units."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def name_problem(name: object) -> str | None:
    r"""Return why `name` cannot be a topic or an event of an envelope, or `None` when it can.

    This is the lenient rule of the server's own sends: 1 to 256 characters (the topic of a signal: of the user's id),
    none below U+0020, no `"`, no `\`, no lone surrogate. The text names the index of the character that is wrong.
    Spec: wire 2.1, platform 2.2.
    """
    if not isinstance(name, str):
        return f"must be a string, not {type(name).__name__}"
    if not name:
        return "must not be empty"
    longest = MAX_TOPIC_LENGTH + (len(SIGNAL_PREFIX) if name.startswith(SIGNAL_PREFIX) else 0)
    if len(name) > longest or (not name.isascii() and utf16_length(name) > longest):
        return f"has {utf16_length(name)} characters, and at most {longest} are allowed"
    found = _UNSAFE.search(name)
    if found is None:
        return None
    return f"has the character {found.group()!a} at index {found.start()}, which an envelope cannot carry"


def are_plain(topic: object, event: object) -> bool:
    """Return whether both are as `name_problem` wants them, sooner: `False` also for what it has to look at closely."""
    return (
        topic.__class__ is str
        and event.__class__ is str
        and _PLAIN(topic) is not None
        and _PLAIN(event) is not None
    )


def check_name(name: object, what: str) -> None:
    """Raise unless `name` may be a topic or an event.

    Args:
        name: the topic or event.
        what: `"topic"` or `"event"`; begins the message.

    Raises:
        ValueError: saying what is wrong and where. Spec: wire 2.1.
    """
    problem = name_problem(name)
    if problem is not None:
        raise ValueError(f"{what}: {_shortened(name)} {problem}; use another name")


def is_wire_topic(topic: object, allow_non_ascii: bool = False) -> bool:
    r"""Return whether a client may name `topic`: 1 to 256 characters of printable ASCII, no `"`, no `\`.

    With `allow_non_ascii` every character from U+0020 on is allowed except those two and what nobody sees: U+200B to
    U+200F, U+2028 to U+202E, U+2066 to U+2069, U+FEFF. The text must be composed (NFC), so that one name has one form.
    System topics are not refused here: see `is_system_topic`. Spec: wire 3.1, platform 5.5.
    """
    if not isinstance(topic, str):
        return False
    if _WIRE_TOPIC.fullmatch(topic) is not None:
        return True
    return (
        allow_non_ascii
        and name_problem(topic) is None
        and _UNSEEN.search(topic) is None
        and unicodedata.is_normalized("NFC", topic)
    )


def is_system_topic(topic: str) -> bool:
    """Return whether `topic` belongs to the server, which puts connections on it itself. Spec: wire 3.1."""
    return topic.startswith(SYSTEM_PREFIX)


def is_rpc_path(path: str) -> bool:
    """Return whether `path` is two or more segments of `[a-zA-Z0-9_-]+` joined by single slashes.

    Takes time linear in the length, whatever the text. Spec: wire 4.1.
    """
    return (
        "/" in path
        and _PATH_CHARACTERS.fullmatch(path) is not None
        and "//" not in path
        and path[0] != "/"
        and path[-1] != "/"
    )


def is_reply_id(value: object) -> bool:
    """Return whether `value` can be the id of a call that is answered: a string that can be an event's name.

    There is no bound on the length: ids are the client's. Spec: wire 4.1.
    """
    return isinstance(value, str) and value != "" and _UNSAFE.search(value) is None


def is_user_id(value: object, longest: int = MAX_USER_ID_LENGTH) -> bool:
    """Return whether `value` may stand for a user inside a topic. Spec: wire 3.1."""
    return (
        isinstance(value, str)
        and 0 < utf16_length(value) <= longest
        and _UNSAFE_USER_ID.search(value) is None
    )


def _shortened(name: object) -> str:
    text = ascii(name)
    return text if len(text) <= 60 else f"{text[:57]}..."
