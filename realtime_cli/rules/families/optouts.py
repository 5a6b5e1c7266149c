"""Defaults that protect the app and are switched off. Spec: platform 5.0, 8.2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from realtime_cli.rules.finding import Finding, Severity
from realtime_cli.rules.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from realtime_cli.rules.project import Project

__all__ = ["AuthWithoutOrigin", "CompressedSecrets", "SystemTopics"]


class _OptOut(Rule):
    """A setting that has the value it should not have."""

    key = ""
    value: Any = True
    message = ""

    def check(self, project: Project) -> Iterator[Finding]:
        """Compare the effective value."""
        if project.settings.get(self.key) == self.value:
            yield self.in_settings(project, self.key, self.message)


class SystemTopics(_OptOut):
    """SEC006."""

    id = "SEC006"
    severity = Severity.WARNING
    title = "clients may subscribe to topics of the framework"
    why = "Topics that begin with two underscores carry signals, replies and presence of other people."
    how = "remove it, and rename topics of the app that begin with two underscores"
    key = "security.allow_system_topic_subscribe"
    message = "allow_system_topic_subscribe lets clients read the framework's own channels"


class AnyCharacter(_OptOut):
    """SEC007."""

    id = "SEC007"
    severity = Severity.WARNING
    title = "topics of clients may have any character"
    why = "Look-alike letters and invisible characters make two topics of what a person reads as one."
    how = "remove it: keep ids ASCII, and put labels into the data"
    key = "security.allow_non_ascii_topics"
    message = "allow_non_ascii_topics lets clients name topics with look-alike and invisible characters"


class UnawaitedPredicates(_OptOut):
    """SEC008."""

    id = "SEC008"
    severity = Severity.ERROR
    title = "async predicates let everybody in"
    why = "What an async function returns before it is awaited counts as true, so that a check never says no."
    how = "remove it"
    key = "security.async_predicates"
    value = "legacy_allow"
    message = 'async_predicates = "legacy_allow": an async access check lets everybody in'


class SharedIdempotency(_OptOut):
    """SEC009."""

    id = "SEC009"
    severity = Severity.ERROR
    title = "idempotency keys of all functions are in one space"
    why = "A key that was used for one function answers a call of another with the first one's result."
    how = "remove it"
    key = "security.idempotency_namespace"
    value = False
    message = "idempotency_namespace = false: a key of one function answers calls of another"


class AuthWithoutOrigin(_OptOut):
    """SEC010."""

    id = "SEC010"
    severity = Severity.WARNING
    title = "the auth endpoint takes requests of foreign pages"
    why = "Any page can then make a visitor's browser refresh their session, with their cookies."
    how = "remove it; native clients send the header x-requested-with"
    key = "security.auth_require_origin"
    value = False
    message = "auth_require_origin = false: any page can post to the auth endpoint with the visitor's cookies"


class CompressedSecrets(_OptOut):
    """SEC011."""

    id = "SEC011"
    severity = Severity.WARNING
    title = "answers to requests with credentials are compressed"
    why = "The length of a compressed answer tells whether a guess stands beside a secret in it (BREACH)."
    how = "remove it, unless no answer holds a secret beside what a client sent"
    key = "security.compress_credentialed_responses"
    message = "compress_credentialed_responses: the length of an answer can tell a secret in it"


class CompressedFrames(_OptOut):
    """SEC012."""

    id = "SEC012"
    severity = Severity.WARNING
    title = "frames are compressed"
    why = (
        "As with answers, the length of a frame can tell a secret that stands beside what a client sent; and each "
        "connection needs 300 KiB more."
    )
    how = "set [websocket] compression = false"
    key = "websocket.compression"
    message = "compression of frames can tell a secret by the length of a frame"


class UncheckedHostPin(_OptOut):
    """SEC013."""

    id = "SEC013"
    severity = Severity.ERROR
    title = "the app starts without a host pin"
    why = "The same-origin policy then proves nothing: both hosts that are compared come from the request."
    how = "set [server] origin or allowed_hosts, and remove it"
    key = "security.unsafe_same_origin_without_host_pin"
    message = "unsafe_same_origin_without_host_pin: any page may connect that names its own host"


class UncheckedCookies(_OptOut):
    """SEC014."""

    id = "SEC014"
    severity = Severity.ERROR
    title = "attributes of cookies are not checked"
    why = "A path or domain with a semicolon in it adds attributes, or takes HttpOnly away."
    how = "remove it"
    key = "security.cookie_attribute_check"
    value = False
    message = "cookie_attribute_check = false: input in a path or domain can change a cookie's attributes"


class SharedRenders(_OptOut):
    """SEC015."""

    id = "SEC015"
    severity = Severity.ERROR
    title = "tenants share rendered pages"
    why = "Two hosts that ask for the same path at once get one render, of whichever came first."
    how = "remove it"
    key = "security.dedup_include_origin"
    value = False
    message = "dedup_include_origin = false: a page of one host can be answered to another one"


class OpenReplay(_OptOut):
    """SEC016."""

    id = "SEC016"
    severity = Severity.ERROR
    title = "replays are not authorized"
    why = "A client reads the history of a topic that it may not subscribe to."
    how = "remove it"
    key = "security.replay_authorize"
    value = False
    message = (
        "replay_authorize = false: clients can read the history of topics that they may not subscribe to"
    )

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at the setting, and at `Replay(authorize=False)`."""
        yield from super().check(project)
        for source in project.code:
            for call in source.calls_of("runtime.Replay"):
                for given in call.keywords:
                    if given.arg == "authorize" and getattr(given.value, "value", None) is False:
                        message = (
                            "Replay(authorize=False) gives its history to clients that may not subscribe"
                        )
                        yield self.at(source, given, message, "remove authorize=False")


class OpenBus(_OptOut):
    """SEC017."""

    id = "SEC017"
    severity = Severity.WARNING
    title = "the bus takes topics of the framework"
    why = "Whoever can write to the bus then forges signals and replies for every client."
    how = "list the exact names in [security] bus_allowed_system_topics"
    key = "security.bus_allow_system_topics"
    message = "bus_allow_system_topics: whoever writes to the bus can forge frames of the framework"


class NoRedaction(_OptOut):
    """SEC018."""

    id = "SEC018"
    severity = Severity.ERROR
    title = "redaction is off"
    why = "Passwords in addresses and tokens in records reach the logs, and whoever reads them."
    how = "remove it"
    value = False

    def check(self, project: Project) -> Iterator[Finding]:
        """Look at both switches."""
        for name in ("redact_urls", "redact_logs"):
            key = f"security.{name}"
            if project.settings.get(key) is False:
                yield self.in_settings(project, key, f"{name} = false: passwords and tokens reach the logs")
