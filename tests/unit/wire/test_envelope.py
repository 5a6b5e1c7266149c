from __future__ import annotations

import pytest

from runtime.wire import envelope


@pytest.mark.spec("WIRE-24", "WIRE-25")
def test_an_envelope_has_its_keys_in_order_and_no_seq_without_a_number() -> None:
    data = b'{"id":1,"text":"\xc3\xa9"}'
    stamped = envelope.encode_envelope("todos", "created", data, 42)
    assert stamped == '{"topic":"todos","event":"created","data":{"id":1,"text":"é"},"seq":42}'.encode()
    direct = envelope.encode_envelope("todos", "created", data, None)
    assert direct == '{"topic":"todos","event":"created","data":{"id":1,"text":"é"}}'.encode()


def test_a_number_may_be_large() -> None:
    assert envelope.encode_envelope("t", "e", b"null", 1764077520000001).endswith(b',"seq":1764077520000001}')


def test_topic_and_event_cannot_be_confused_with_each_other() -> None:
    assert envelope.encode_envelope("a", "bc", b"1", None) != envelope.encode_envelope("ab", "c", b"1", None)


def test_names_beyond_ascii_travel_as_they_are() -> None:
    frame = envelope.encode_envelope("é:1", "gemäß", b"1", 1)
    assert frame == '{"topic":"é:1","event":"gemäß","data":1,"seq":1}'.encode()


@pytest.mark.spec("WIRE-31")
def test_a_batch_frame_holds_complete_envelopes_in_order() -> None:
    parts = [envelope.encode_envelope("a", "e", b"1", 3), envelope.encode_envelope("b", "f", b"null", None)]
    frame = envelope.encode_batch(parts)
    assert frame == (
        b'{"type":"batch","events":[{"topic":"a","event":"e","data":1,"seq":3},'
        b'{"topic":"b","event":"f","data":null}]}'
    )
    assert envelope.encode_batch([]) == b'{"type":"batch","events":[]}'


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("abc", 3, False),
        ("abcd", 3, True),
        ("ééé", 3, False),
        ("😀😀", 4, False),
        ("😀😀a", 4, True),
        ("abcd", 0, False),
    ],
)
def test_the_size_of_a_frame_counts_as_in_a_browser(text: str, limit: int, expected: bool) -> None:
    assert envelope.exceeds_outbound(text.encode(), limit) is expected
