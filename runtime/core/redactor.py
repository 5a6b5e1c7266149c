"""The secrets of an app's settings, kept out of its log and of what it shows. Spec: platform 5.15.

What is a secret by its looks is for `runtime.core.sensitive`; here are the values that the settings themselves hold.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from runtime.core.sensitive import MASK, is_query_secret, redact_text, redact_url, redact_urls
from runtime.core.settings import SECTIONS
from runtime.core.settingsection import keys_of

if TYPE_CHECKING:
    from runtime.core.settings import Settings

__all__ = ["MIN_SECRET", "LogRedaction", "Redactor"]

#: A shorter secret is not looked for inside of other text: it would be found everywhere.
MIN_SECRET: Final = 4

_MAX_DEPTH: Final = 5  # levels of an argument or an extra field that are looked into
_TRACEBACKS = logging.Formatter()
# What a record has by itself: everything else is `extra`.
_OWN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Redactor:
    """Writes `***` for the secrets of one app's settings, and for passwords in addresses.

    `[security] redact_urls = false` leaves addresses and their passwords, `redact_logs = false` all other secrets.
    """

    def __init__(self, settings: Settings) -> None:
        security = settings.security
        #: Whether passwords in addresses are hidden.
        self.urls = security.redact_urls
        found: dict[str, str] = {}
        for secret in _secrets(settings):
            if self.urls if "://" in secret else security.redact_logs:
                found.update(_forms(secret))
        self._shown = {form: shown for form, shown in found.items() if len(form) >= MIN_SECRET}
        longest_first = sorted(self._shown, key=len, reverse=True)
        self._search = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
        self._whole = found

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing that it would hide."""
        return not self.urls and not self._whole

    def text(self, text: str) -> str:
        """Return `text` without secrets; an exact one is hidden however short it is."""
        if text in self._whole:
            return self._whole[text]
        if self.urls and "://" in text:
            text = redact_urls(text)
        if self._search is None:
            return text
        return self._search.sub(lambda match: self._shown[match[0]], text)

    def trace(self, text: str) -> str:
        """Return running text for a developer, without secrets and without what looks like one."""
        return redact_text(self.text(text), urls=self.urls)

    def value(self, value: Any, depth: int = _MAX_DEPTH) -> Any:
        """Return `value`, or a copy without secrets where there is one in it; other objects become their text."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return self.text(value)
        if depth and isinstance(value, Mapping):
            pairs = [(self.value(key, 0), self.value(item, depth - 1)) for key, item in value.items()]
            is_clean = all(map(_is_same, (one for pair in value.items() for one in pair), chain(*pairs)))
            return value if is_clean else dict(pairs)
        if depth and isinstance(value, list | tuple):
            items = [self.value(item, depth - 1) for item in value]
            if all(map(_is_same, value, items)):
                return value
            return tuple(items) if isinstance(value, tuple) else items
        text = str(value)
        is_clean = self.text(text) == text and self.text(repr(value)) == repr(value)
        return value if is_clean else self.text(text)


class LogRedaction(logging.Filter):
    """Hides the secrets of an app in every record that a handler gets: message, arguments, `extra`, traceback."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor
        self._handlers: list[logging.Handler] = []

    def install(self) -> None:
        """Put this before every handler that there is now, once."""
        if self._redactor.is_idle:
            return
        for handler in _handlers():
            if self not in handler.filters:
                handler.addFilter(self)
                self._handlers.append(handler)

    def remove(self) -> None:
        """End what `install` began."""
        for handler in self._handlers:
            handler.removeFilter(self)
        self._handlers.clear()

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through, without its secrets."""
        try:
            self._hide(record)
        except (
            Exception
        ):  # what the arguments of a record raise when they are shown: for the handler to report
            record.args = None
        return True

    def _hide(self, record: logging.LogRecord) -> None:
        redactor = self._redactor
        for name in vars(record).keys() - _OWN_FIELDS:
            setattr(record, name, redactor.value(getattr(record, name)))
        trace = _TRACEBACKS.formatException(record.exc_info) if record.exc_info else record.exc_text
        if trace and (hidden := redactor.text(trace)) != trace:
            record.exc_text, record.exc_info = hidden, None
        if record.stack_info:
            record.stack_info = redactor.text(record.stack_info)
        message = record.getMessage()
        hidden = redactor.text(message)
        if hidden != message:
            record.msg, record.args = hidden, None
        elif record.args:
            record.args = redactor.value(record.args)


def _is_same(one: object, other: object) -> bool:
    return one is other or (isinstance(one, str) and one == other)


def _handlers() -> Iterator[logging.Handler]:
    loggers = [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
    for logger in loggers:
        if isinstance(logger, logging.Logger):
            yield from logger.handlers
    if logging.lastResort is not None:
        yield logging.lastResort


def _secrets(settings: Settings) -> Iterator[str]:
    for path, section in SECTIONS.items():
        for name, key in keys_of(section).items():
            value = attrgetter(f"{path}.{name}")(settings) if key.secret else None
            if isinstance(value, str) and value:
                yield value


def _forms(secret: str) -> Iterator[tuple[str, str]]:
    """Yield a secret in every form in which it may be written, with what is shown instead."""
    if "://" not in secret:
        for form in _written(secret):
            yield form, MASK
        return
    shown = redact_url(secret)
    if shown != secret:
        yield secret, shown
    for password in _passwords(secret):
        yield password, MASK


def _passwords(secret: str) -> Iterator[str]:
    """Yield the passwords in an address, as they are written and as they are meant."""
    _, separator, rest = secret.partition("://")
    if not separator:
        return
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    password = rest[:end].rpartition("@")[0].partition(":")[2]
    if password:
        yield from _written(password)
        yield from _written(unquote(password))
    for name, value in parse_qsl(urlsplit(f"x://h/?{rest.partition('?')[2]}").query):
        if is_query_secret(name) and value:
            yield from _written(value)


def _written(secret: str) -> Iterator[str]:
    yield secret
    yield repr(secret)[1:-1]
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield quote(secret, safe="")
