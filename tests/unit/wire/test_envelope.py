from __future__ import annotations

from collections.abc import Iterator

import pytest

from runtime.wire import envelope
from runtime.wire.limits import MAX_ENVELOPE_PREFIXES


@pytest.mark.spec("WIRE-24", "WIRE-25")
def test_an_envelope_has_its_keys_in_order_and_no_seq_without_a_number() -> None:
    data = b'{"id":1,"text":"\xc3\xa9"}'
    stamped = envelope.encode_envelope("todos", "created", data, 42)
    assert stamped == '{"topic":"todos","event":"created","data":{"id":1,"text":"é"},"seq":42}'.encode()
    direct = envelope.encode_envelope("todos", "created", data, None)
    assert direct == '{"topic":"todos","event":"created","data":{"id":1,"text":"é"}}'.encode()


def test_a_number_may_be_large() -> None:
    assert envelope.encode_envelope("t", "e", b"null", 1764077520000001).endswith(b',"seq":1764077520000001}')


def test_the_same_names_give_the_same_bytes_when_the_prefix_is_cached() -> None:
    first = envelope.encode_envelope("é:1", "made", b"1", 1)
    assert (
        envelope.encode_envelope("é:1", "made", b"1", 1)
        == first
        == '{"topic":"é:1","event":"made","data":1,"seq":1}'.encode()
    )
    # Topic and event cannot be confused with each other.
    assert envelope.encode_envelope("a", "bc", b"1", None) != envelope.encode_envelope("ab", "c", b"1", None)


def test_the_prefix_cache_is_bounded() -> None:
    for number in range(MAX_ENVELOPE_PREFIXES * 3):
        topic = f"bounded:{number}"
        assert (
            envelope.encode_envelope(topic, "e", b"1", None)
            == f'{{"topic":"{topic}","event":"e","data":1}}'.encode()
        )
        assert len(envelope._prefixes) <= MAX_ENVELOPE_PREFIXES


def test_two_threads_may_find_the_cache_full_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """`platform.threadsafe` encodes in the thread of its caller."""

    class Raced(dict[tuple[str, str], bytes]):
        def __iter__(self) -> Iterator[tuple[str, str]]:
            names = list(super().keys())
            self.clear()  # as another thread may, between the look and the deletion
            return iter(names)

    full = Raced({(str(n), "e"): b"" for n in range(MAX_ENVELOPE_PREFIXES)})
    monkeypatch.setattr(envelope, "_prefixes", full)
    frame = envelope.encode_envelope("new", "e", b"1", None)
    assert frame == b'{"topic":"new","event":"e","data":1}'


def test_names_that_were_not_checked_cannot_break_out_of_the_frame() -> None:
    frame = envelope.encode_envelope('a","event":"x', "\n", b"1", None)
    assert frame == b'{"topic":"a\\",\\"event\\":\\"x","event":"\\n","data":1}'


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
