"""The ready-made checks of signatures. Spec: live-api 13."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import live
from runtime.live.webhooksignature import MAX_SIGNATURES, SignatureCheck, SignatureRefused

NOW = 1_800_000_000.0
BODY = b'{"id": "evt_1", "type": "paid"}'
EVENT = {"id": "evt_1", "type": "paid"}


def sign(secret: str, signed: bytes, algo: str = "sha256") -> str:
    return hmac.new(secret.encode(), signed, getattr(hashlib, algo)).hexdigest()


def refused(
    check: SignatureCheck, body: bytes, headers: dict[str, str], match: str, now: float = NOW
) -> None:
    with pytest.raises(SignatureRefused, match=match):
        check.check(body, headers, now)


@pytest.mark.spec("LIVE-136")
@pytest.mark.parametrize("algo", ["sha256", "sha384", "sha512", "sha1"])
def test_a_body_signed_with_the_secret_is_its_event(algo: str) -> None:
    check = live.webhook.hmac("s3cret", algo=algo)
    signature = sign("s3cret", BODY, algo)
    assert check.check(BODY, {"x-signature": signature}, NOW) == EVENT
    assert check(BODY, {"x-signature": signature.upper()}) == EVENT
    raw = base64.b64encode(bytes.fromhex(signature)).decode()
    assert check.check(BODY, {"x-signature": f" {raw} "}, NOW) == EVENT
    refused(check, BODY + b" ", {"x-signature": signature}, "no signature fits")
    refused(check, BODY, {"x-signature": sign("other", BODY, algo)}, "no signature fits")
    refused(check, BODY, {"x-signature": signature[:-1]}, "no signature fits")
    refused(check, BODY, {}, "has no signature")
    refused(check, BODY, {"x-signature": ""}, "has no signature")


@given(st.text(max_size=80))
def test_no_text_is_taken_for_a_signature(text: str) -> None:
    refused(live.webhook.hmac("s3cret", prefix="v1="), BODY, {"x-signature": "v1=" + text}, "no signature")


def test_header_prefix_and_several_secrets() -> None:
    check = live.webhook.hmac(["new", b"old"], header="X-Sig", prefix="sha256=")
    for secret in ("new", "old"):
        assert check.check(BODY, {"x-sig": f"sha256={sign(secret, BODY)}"}, NOW) == EVENT
    refused(check, BODY, {"x-sig": f"sha256={sign('older', BODY)}"}, "no signature fits")
    refused(check, BODY, {"x-sig": sign("new", BODY)}, "has no signature")
    assert repr(check) == "<live.webhook.hmac with 2 secrets>"
    assert "s3cret" not in repr(live.webhook.hmac("s3cret"))


@pytest.mark.spec("LIVE-136")
def test_a_time_is_signed_too_and_must_be_of_now() -> None:
    check = live.webhook.hmac("s", timestamp_header="X-Time", tolerance=timedelta(minutes=1))

    def headers(time: str) -> dict[str, str]:
        return {"x-time": time, "x-signature": sign("s", time.encode() + b"." + BODY)}

    for time in (NOW, NOW - 60, NOW + 60):
        assert check.check(BODY, headers(str(time)), NOW) == EVENT
    for time in (NOW - 61, NOW + 61, 0.0):
        refused(check, BODY, headers(str(time)), "was sent")
    for time in ("nan", "inf", "soon", ""):
        refused(check, BODY, headers(time), "does not say when")
    refused(check, BODY, {"x-signature": sign("s", BODY)}, "does not say when")
    moved = {**headers(str(NOW - 1000)), "x-time": str(NOW)}
    refused(check, BODY, moved, "no signature fits")
    refused(check, BODY, {"x-time": str(NOW), "x-signature": sign("s", BODY)}, "no signature fits")


def test_another_form_of_what_was_signed() -> None:
    check = live.webhook.hmac(
        "s",
        header="X-Slack-Signature",
        prefix="v0=",
        timestamp_header="X-Slack-Request-Timestamp",
        signed=lambda time, body: b"v0:" + time.encode() + b":" + body,
    )
    body = b"token=a&text=hello+there&empty="
    headers = {
        "x-slack-request-timestamp": str(int(NOW)),
        "x-slack-signature": "v0=" + sign("s", b"v0:%d:%b" % (NOW, body)),
        "content-type": "application/x-www-form-urlencoded; charset=utf-8",
    }
    assert check.check(body, headers, NOW) == {"token": "a", "text": "hello there", "empty": ""}
    many = b"&".join(b"a%d=1" % n for n in range(1001))
    headers["x-slack-signature"] = "v0=" + sign("s", b"v0:%d:%b" % (NOW, many))
    with pytest.raises(ValueError, match="fields"):
        check.check(many, headers, NOW)


def test_a_signed_body_that_is_no_json_is_refused() -> None:
    check = live.webhook.hmac("s")
    for body in (b"", b"{", b"\xff", b"[1"):
        with pytest.raises(ValueError):
            check.check(body, {"x-signature": sign("s", body)}, NOW)


@pytest.mark.spec("LIVE-136")
def test_stripe() -> None:
    check = live.webhook.stripe(["whsec_a", "whsec_b"])
    time = str(int(NOW))
    good = sign("whsec_b", f"{time}.".encode() + BODY)
    assert check.check(BODY, {"stripe-signature": f"t={time},v1={good},v0=old"}, NOW) == EVENT
    assert check.check(BODY, {"stripe-signature": f"t={time}, v1={'0' * 64}, v1={good}"}, NOW) == EVENT
    refused(check, BODY, {"stripe-signature": f"t={time},v0={good}"}, "has no signature")
    refused(check, BODY, {"stripe-signature": f"v1={good}"}, "does not say when")
    refused(check, BODY, {"stripe-signature": f"t={int(NOW) - 301},v1={good}"}, "was sent 301 s ago")
    refused(check, BODY, {"stripe-signature": f"t={int(NOW) + 1},v1={good}"}, "no signature fits")
    refused(check, BODY, {}, "has no signature")
    many = ",".join([f"t={time}", *["v1=" + "0" * 64] * MAX_SIGNATURES, f"v1={good}"])
    refused(check, BODY, {"stripe-signature": many}, "no signature fits")


@pytest.mark.spec("LIVE-136")
def test_github() -> None:
    check = live.webhook.github("s")
    headers = {
        "x-hub-signature-256": "sha256=" + sign("s", BODY),
        "x-github-event": "push",
        "x-github-delivery": "d-1",
    }
    assert check.check(BODY, headers, NOW) == {"id": "d-1", "event": "push", "payload": EVENT}
    form = b"payload=%7B%22a%22%3A1%7D"
    headers |= {
        "x-hub-signature-256": "sha256=" + sign("s", form),
        "content-type": "application/x-www-form-urlencoded",
    }
    assert check.check(form, headers, NOW)["payload"] == {"a": 1}
    refused(check, form, {"x-hub-signature-256": sign("s", form)}, "has no signature")
    refused(check, form, {"x-hub-signature": "sha1=" + sign("s", form, "sha1")}, "has no signature")
    assert json.loads(BODY) == EVENT


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: live.webhook.hmac(None), TypeError, "environment variable"),  # type: ignore[arg-type]
        (lambda: live.webhook.stripe(7), TypeError, "not int"),  # type: ignore[arg-type]
        (lambda: live.webhook.hmac(""), ValueError, "empty"),
        (lambda: live.webhook.github([]), ValueError, "empty"),
        (lambda: live.webhook.hmac(["a", ""]), ValueError, "empty"),
        (lambda: live.webhook.hmac(["a", None]), TypeError, "NoneType"),  # type: ignore[list-item]
        (lambda: live.webhook.hmac("s", algo="md5"), ValueError, "algo"),
        (lambda: live.webhook.hmac("s", signed="x"), TypeError, "signed"),  # type: ignore[arg-type]
        (lambda: live.webhook.hmac("s", timestamp_header="t", tolerance=0), ValueError, "tolerance"),
        (lambda: live.webhook.stripe("s", tolerance=-1), ValueError, "tolerance"),
    ],
)
def test_what_cannot_be_says_so_without_the_secret(make: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()
