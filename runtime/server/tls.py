"""The certificate that the server shows, from `[server] tls_cert` and `tls_key`. Spec: platform 3.9."""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING, Final

from runtime.server.startup import StartupRefused

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.core.settings import ServerSettings

__all__ = ["Certificate"]

logger = logging.getLogger("realtime.tls")

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class Certificate:
    """A certificate chain with its key, and the context of the connections that are made with it.

    Raises:
        StartupRefused: the files cannot be read, or do not belong together.
    """

    def __init__(self, cert: Path, key: Path, *, min_version: str) -> None:
        self._cert = cert
        self._key = key
        self._min_version = _VERSIONS[min_version]
        self.context = self._load()

    @classmethod
    def of(cls, settings: ServerSettings, folder: Path) -> Certificate | None:
        """Return the certificate of the settings, `None` without one; relative paths begin at `folder`."""
        if settings.tls_cert is None or settings.tls_key is None:
            return None
        return cls(
            folder / settings.tls_cert, folder / settings.tls_key, min_version=settings.tls_min_version
        )

    def reload(self) -> bool:
        """Read the files again for connections from now on; return whether that worked, else the old ones stay."""
        try:
            self._load()  # what does not fit together must not reach the context in use
            self.context.load_cert_chain(self._cert, self._key, _no_password)
        except (StartupRefused, OSError, _NeedsPasswordError) as problem:
            logger.error("the TLS certificate was not read again, the one from before stays: %s", problem)
            return False
        logger.info("the TLS certificate was read again from %s", self._cert)
        return True

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = self._min_version
        context.set_alpn_protocols(["http/1.1"])
        for name, file in (("tls_cert", self._cert), ("tls_key", self._key)):
            try:
                file.open("rb").close()
            except OSError as error:
                raise StartupRefused(
                    f"[server] {name}: {file} cannot be read: {error.strerror}",
                    "name a PEM file that the user of the server may read",
                ) from None
        try:
            context.load_cert_chain(self._cert, self._key, _no_password)
        except _NeedsPasswordError:
            raise StartupRefused(
                f"[server] tls_key: {self._key} is protected by a password",
                "store the key without one: openssl pkey -in key.pem -out plain.pem",
            ) from None
        except (ssl.SSLError, OSError) as error:
            if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
                reason = f"[server] tls_key: {self._key} is not the key of the certificate in {self._cert}"
            else:
                reason = f"[server] tls_cert and tls_key: {self._cert} and {self._key} are no PEM certificate and key"
            raise StartupRefused(reason, "take both files from the same issue of the certificate") from None
        return context


class _NeedsPasswordError(Exception):
    """The key is encrypted; without this, OpenSSL would ask on the terminal."""


def _no_password() -> str:
    raise _NeedsPasswordError
