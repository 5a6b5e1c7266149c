"""The topic on which the signals to one user travel. Spec: live-api 14 and 2.6."""

from __future__ import annotations

from runtime.core import capacity
from runtime.wire.names import SIGNAL_PREFIX, is_user_id, utf16_length

__all__ = ["SIGNAL_PREFIX", "check_user_id", "signal_topic"]


def check_user_id(user_id: object, what: str = "user_id") -> str:
    r"""Return `user_id`, which can stand for a user: no controls, no `"` and no `\`, 1 to 256 characters.

    The most is `MAX_USER_ID_LENGTH`.

    Raises:
        ValueError: it cannot; the message begins with `what`.
    """
    longest = capacity.get("MAX_USER_ID_LENGTH")
    if isinstance(user_id, str) and is_user_id(user_id, longest):
        return user_id
    if isinstance(user_id, str) and utf16_length(user_id) > longest:
        capacity.record("MAX_USER_ID_LENGTH", "reject", size=len(user_id))
    shown = ascii(user_id)
    raise ValueError(
        f"{what}: {shown if len(shown) <= 60 else shown[:57] + '...'} cannot name a user; use a string of 1 to "
        f'{longest} characters without control characters, " and \\'
    )


def signal_topic(user_id: object) -> str:
    """Return the topic of the signals to `user_id`.

    Raises:
        ValueError: it cannot name a user.
    """
    return SIGNAL_PREFIX + check_user_id(user_id)
