"""How a schema's refusal of a value becomes `VALIDATION`: of a type, and of an object with `validate(value)`.

Spec: live-api 5.1, 8.3 step 1.
"""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any, NoReturn

from runtime.core.errors import Issue, LiveError
from runtime.core.schema import faults

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["checked_by", "refusal", "refuse"]

logger = logging.getLogger("realtime.rpc")

REFUSED = "The schema cannot check this value"


def checked_by(validate: Callable[[Any], Any], schema: Any) -> Callable[[Any], Any]:
    """Return `validate` of the object `schema` as a function whose every refusal is `VALIDATION`.

    So is an awaitable that it returns: arguments are checked before anything may wait.
    """

    def parse(value: Any) -> Any:
        try:
            parsed = validate(value)
        except LiveError:
            raise
        except (ValueError, TypeError) as error:
            raise refusal(error) from error
        except Exception as error:
            logger.warning("the schema %r failed", schema, exc_info=True)
            raise LiveError.validation([Issue(path=[], message=REFUSED)]) from error
        if inspect.isawaitable(parsed):
            if inspect.iscoroutine(parsed):
                parsed.close()
            refuse(value)
        return parsed

    return parse


def refuse(value: Any) -> NoReturn:
    """Refuse a value that nothing can check: it does not pass unchecked.

    Raises:
        LiveError: `VALIDATION`.
    """
    raise LiveError.validation([Issue(path=[], message=REFUSED)])


def refusal(error: Exception) -> LiveError:
    """Return the `VALIDATION` error that lists the faults a converter or a schema has found."""
    return LiveError.validation([Issue(path=place, message=text) for place, text in faults(error)])
