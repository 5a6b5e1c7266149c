"""The settings of files: paths, permissions, and halves of a certificate."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.core import filekinds
from runtime.core.settings import ServerSettings, Settings, SettingsError


@pytest.mark.parametrize(
    ("text", "mode"), [("660", 0o660), ("0o600", 0o600), ("0777", 0o777), ("0o0640", 0o640), ("000", 0)]
)
def test_permissions_from_the_environment_are_octal(text: str, mode: int) -> None:
    assert filekinds.file_mode().parse_text(text) == mode


@pytest.mark.parametrize("text", ["", "66", "0o66", "888", "1777", "0x1b0", "rw-rw----", "-660", "66000"])
def test_what_are_no_permissions_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        filekinds.file_mode().parse_text(text)


@pytest.mark.parametrize("value", [-1, 0o1000, True, 6.0, "660", None])
def test_permissions_of_a_file_are_a_number(value: Any) -> None:
    with pytest.raises(
        SettingsError, match="uds_mode: expected the permissions of a file as an octal number"
    ):
        ServerSettings(uds_mode=value)


def test_permissions_are_written_as_octal() -> None:
    assert filekinds.file_mode().to_toml(0o660) == "0o660"


@pytest.mark.parametrize("value", ["", "a\nb", "x" * 4097, 5, ["a"]])
def test_what_is_no_path_is_refused(value: Any) -> None:
    with pytest.raises(SettingsError, match="uds: expected the path of a file"):
        ServerSettings(uds=value)


def test_a_path_may_be_anywhere_or_missing() -> None:
    assert ServerSettings(uds="/run/app.sock").uds == "/run/app.sock"
    assert ServerSettings(uds=None).uds is None
    kind = filekinds.file_path()
    assert (kind.to_toml(None), kind.to_toml("a b")) == ("none", '"a b"')


@pytest.mark.spec("PLAT-94")
@pytest.mark.parametrize(("given", "missing"), [("tls_cert", "tls_key"), ("tls_key", "tls_cert")])
def test_half_a_certificate_is_refused(given: str, missing: str) -> None:
    message = f"server.{given} is set and server.{missing} is not; TLS needs both, or neither"
    with pytest.raises(SettingsError, match=message):
        Settings(server=ServerSettings(**{given: "x.pem"}))
    Settings(server=ServerSettings(**{given: "x.pem", missing: "y.pem"}))
