"""Ready-made `verify` functions of webhooks: a keyed hash over the body, and with it the time. Spec: live-api 13.

All of them compare in constant time, take several secrets (so that one can be replaced without a gap), and give out no
secret: neither in what they raise nor in their `repr`.
"""

from __future__ import annotations

import base64
import binascii
import hmac as keyed
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qsl

from runtime.core.clock import SystemClock
from runtime.plugins.options import seconds
from runtime.wire import jsoncodec

__all__ = ["SignatureCheck", "SignatureRefused", "github", "hmac", "stripe"]

Secret = str | bytes
Signed = Callable[[str, bytes], bytes]

ALGORITHMS: Final = ("sha256", "sha384", "sha512", "sha1")
#: Seconds by which a delivery may be older or newer than now.
TOLERANCE: Final = 300.0
#: Signatures of one delivery that are looked at; senders put one per secret of theirs into it.
MAX_SIGNATURES: Final = 16
#: Fields of a form.
MAX_FIELDS: Final = 1000
FORM: Final = "application/x-www-form-urlencoded"
_CLOCK: Final = SystemClock()


class SignatureRefused(ValueError):
    """The body is not from who knows the secret, or it is not of now."""


class SignatureCheck:
    """Checks one way of signing. Call it as `verify(body, headers)`, or use it as the `verify` of a webhook."""

    __slots__ = ("_algorithm", "_read", "_secrets", "_signed", "_tolerance", "_what", "name")

    def __init__(
        self,
        name: str,
        secret: Secret | Iterable[Secret],
        *,
        algorithm: str,
        what: Callable[[Mapping[str, str]], tuple[list[str], str | None]],
        tolerance: float | timedelta | None,
        signed: Signed,
        read: Callable[[bytes, Mapping[str, str]], Any],
    ) -> None:
        """Check signatures of `what(headers)`: the signatures of a delivery and its time, `None` for none.

        `signed(time, body)` is what was signed, and `read(body, headers)` makes the event of it.
        """
        self.name = name
        self._secrets = _secrets(name, secret)
        self._algorithm = algorithm
        self._what = what
        if isinstance(tolerance, timedelta):
            tolerance = tolerance.total_seconds()
        self._tolerance = None if tolerance is None else seconds(name, "tolerance", tolerance)
        self._signed = signed
        self._read = read

    def __repr__(self) -> str:
        return f"<{self.name} with {len(self._secrets)} secret{'s' if len(self._secrets) > 1 else ''}>"

    def __call__(self, body: bytes, headers: Mapping[str, str]) -> Any:
        """Return the event, now.

        Raises:
            SignatureRefused: see `check`.
        """
        return self.check(body, headers, _CLOCK.now())

    def check(self, body: bytes, headers: Mapping[str, str], now: float) -> Any:
        """Return the event of a delivery that came at `now`, in seconds since 1970.

        Raises:
            SignatureRefused: there is no signature, none that fits, or the time is another one.
            ValueError: the body is signed, but not what was expected.
        """
        signatures, time = self._what(headers)
        if not signatures:
            raise SignatureRefused(f"{self.name}: the request has no signature")
        if self._tolerance is not None:
            self._check_time(time, now)
        signed = self._signed(time or "", body)
        digests = [keyed.new(secret, signed, self._algorithm).digest() for secret in self._secrets]
        found = False
        for signature in signatures[:MAX_SIGNATURES]:
            given = _bytes_of(signature, len(digests[0]))
            for digest in digests:
                found |= keyed.compare_digest(given, digest)
        if not found:
            raise SignatureRefused(f"{self.name}: no signature fits the body")
        return self._read(body, headers)

    def _check_time(self, time: str | None, now: float) -> None:
        try:
            sent = float(time or "")
        except ValueError:
            sent = math.nan
        if not math.isfinite(sent):
            raise SignatureRefused(f"{self.name}: the request does not say when it was sent")
        if self._tolerance is not None and abs(now - sent) > self._tolerance:
            raise SignatureRefused(f"{self.name}: the request was sent {now - sent:.0f} s ago")


def hmac(
    secret: Secret | Iterable[Secret],
    header: str = "x-signature",
    algo: str = "sha256",
    timestamp_header: str | None = None,
    tolerance: float | timedelta = TOLERANCE,
    prefix: str = "",
    *,
    signed: Signed | None = None,
) -> SignatureCheck:
    """Return a `verify` for a keyed hash of the body, in hexadecimal or base64; the event is the body's JSON, or the
    fields of a form.

    Args:
        secret: what both sides know, or several of it, each of which is accepted.
        header: which has the signature.
        algo: `sha256`, `sha384`, `sha512` or `sha1`.
        timestamp_header: which has the time of sending, in seconds since 1970. It is signed too, as
            `<time>.<body>` unless `signed` says otherwise: a time that is not signed would prove nothing.
        tolerance: seconds by which that may differ from now.
        prefix: what stands in front of the signature, as `sha256=`.
        signed: `(time, body)`, the bytes that were signed, for another form.

    Raises:
        ValueError, TypeError: an argument that cannot be.
    """
    if algo not in ALGORITHMS:
        raise ValueError(f"live.webhook.hmac: algo must be one of {', '.join(ALGORITHMS)}, not {algo!r}")
    if signed is not None and not callable(signed):
        raise TypeError(f"live.webhook.hmac: signed must be a function (time, body), not {signed!r}")
    name, time_name = header.lower(), None if timestamp_header is None else timestamp_header.lower()

    def what(headers: Mapping[str, str]) -> tuple[list[str], str | None]:
        value = headers.get(name, "").strip()
        signatures = [value.removeprefix(prefix)] if value and value.startswith(prefix) else []
        return signatures, None if time_name is None else headers.get(time_name)

    return SignatureCheck(
        "live.webhook.hmac",
        secret,
        algorithm=algo,
        what=what,
        tolerance=None if time_name is None else tolerance,
        signed=signed or (_body_only if time_name is None else _time_and_body),
        read=_json_or_form,
    )


def stripe(secret: Secret | Iterable[Secret], *, tolerance: float | timedelta = TOLERANCE) -> SignatureCheck:
    """Return a `verify` for what Stripe sends: the event has `id`, `type` and `data`.

    Args:
        secret: of the endpoint, `whsec_...`; several while you replace it.
        tolerance: seconds by which its time may differ from now.

    Raises:
        ValueError, TypeError: an argument that cannot be.
    """

    def what(headers: Mapping[str, str]) -> tuple[list[str], str | None]:
        signatures, time = [], None
        for part in headers.get("stripe-signature", "").split(","):
            key, _, value = part.strip().partition("=")
            if key == "v1":
                signatures.append(value)
            elif key == "t":
                time = value
        return signatures, time

    return SignatureCheck(
        "live.webhook.stripe",
        secret,
        algorithm="sha256",
        what=what,
        tolerance=tolerance,
        signed=_time_and_body,
        read=_json,
    )


def github(secret: Secret | Iterable[Secret]) -> SignatureCheck:
    """Return a `verify` for what GitHub sends: the event is `{"id", "event", "payload"}`.

    `id` is that of the delivery, which GitHub repeats when it sends one again: `dedupe_key=lambda ev: ev["id"]`.

    Args:
        secret: of the webhook; several while you replace it.

    Raises:
        ValueError, TypeError: an argument that cannot be.
    """

    def what(headers: Mapping[str, str]) -> tuple[list[str], str | None]:
        value = headers.get("x-hub-signature-256", "")
        return ([value.removeprefix("sha256=")] if value.startswith("sha256=") else []), None

    def read(body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
        content = _json_or_form(body, headers)
        if _is_form(headers):
            content = jsoncodec.decode(content["payload"].encode("utf-8"))
        return {
            "id": headers.get("x-github-delivery"),
            "event": headers.get("x-github-event"),
            "payload": content,
        }

    return SignatureCheck(
        "live.webhook.github",
        secret,
        algorithm="sha256",
        what=what,
        tolerance=None,
        signed=_body_only,
        read=read,
    )


def _secrets(name: str, secret: Any) -> tuple[bytes, ...]:
    """Return the secrets as bytes. What is wrong with one is told without showing it."""
    given = [secret] if isinstance(secret, str | bytes) else secret
    if given is None or not isinstance(given, Iterable):
        raise TypeError(
            f"{name}: secret must be text or bytes, or a list of them, not {type(secret).__name__}; "
            "is the environment variable set?"
        )
    found = []
    for one in given:
        if not isinstance(one, str | bytes):
            raise TypeError(f"{name}: a secret must be text or bytes, not {type(one).__name__}")
        found.append(one.encode("utf-8") if isinstance(one, str) else one)
    if not found or not all(found):
        raise ValueError(f"{name}: a secret is empty; anybody could sign with that")
    return tuple(found)


def _bytes_of(signature: str, size: int) -> bytes:
    """Return a signature in hexadecimal or base64 as bytes; nothing for what is neither."""
    try:
        if len(signature) == 2 * size:
            return bytes.fromhex(signature)
        return base64.b64decode(signature, validate=True)
    except (ValueError, binascii.Error):
        return b""


def _body_only(time: str, body: bytes) -> bytes:
    return body


def _time_and_body(time: str, body: bytes) -> bytes:
    return time.encode("utf-8", "surrogateescape") + b"." + body


def _is_form(headers: Mapping[str, str]) -> bool:
    return headers.get("content-type", "").partition(";")[0].strip().lower() == FORM


def _json(body: bytes, headers: Mapping[str, str]) -> Any:
    return jsoncodec.decode(body)


def _json_or_form(body: bytes, headers: Mapping[str, str]) -> Any:
    if not _is_form(headers):
        return jsoncodec.decode(body)
    text = body.decode("utf-8")
    return dict(parse_qsl(text, keep_blank_values=True, strict_parsing=True, max_num_fields=MAX_FIELDS))
