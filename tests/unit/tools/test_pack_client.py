"""The small form of the browser client is that of the present source, and small."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from runtime.server.clientfile import CLIENT_FILE, PACKED_CLIENT_FILE
from tools import pack_client


def test_the_small_form_is_current_and_small() -> None:
    assert (pack_client.SOURCE, pack_client.PACKED) == (CLIENT_FILE, PACKED_CLIENT_FILE)
    assert pack_client.is_current()
    assert pack_client.main(["--check"]) == 0
    assert len(gzip.compress(PACKED_CLIENT_FILE.read_bytes(), 9)) < pack_client.MAX_PACKED_BYTES


def test_a_changed_source_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = tmp_path / "realtime.js"
    changed.write_bytes(CLIENT_FILE.read_bytes() + b"\n")
    monkeypatch.setattr(pack_client, "SOURCE", changed)
    assert pack_client.main(["--check"]) == 1
    assert "run `make client`" in capsys.readouterr().err
