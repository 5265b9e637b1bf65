"""TLS of the server: which files it takes, and what is wrong with them.

Granian 2.8 takes an encrypted key for a broken one, and ends the worker without saying which file
it was. So files are read here first, and an encrypted key is decrypted, in memory. `ServedTLS` can
go when Granian reads keys that OpenSSL 3 has encrypted, and a password that is another one later.
"""

import os
import ssl
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from pegboard.problems import Code, Problem, StartupError

if TYPE_CHECKING:
    from pegboard.settings import CoreSettings

_CERTIFICATE, _KEY, _PASSWORD = "TLS_CERTIFICATE", "TLS_KEY", "TLS_KEY_PASSWORD"
"""The settings that a problem names."""


@dataclass(frozen=True)
class TLS:
    """The certificate that the server shows, with its key."""

    certificate: str
    """The path of a PEM file: the certificate, then those that lead to a root."""
    key: str
    password: str = field(default="", repr=False)
    """The one that the key is encrypted with, if any."""
    minimum: str = "1.2"
    """The oldest version of TLS that is spoken."""

    @classmethod
    def find(cls, certificate: str, key: str, password: str, minimum: str) -> Self | None:
        """Return what the settings say; None if TLS is off. Raises `StartupError`."""
        if not certificate and not key:
            return None
        for name, value in ((_CERTIFICATE, certificate), (_KEY, key)):
            if not value:
                raise _problem(name, "it is not set", "TLS needs a certificate and its key.")
        tls = cls(str(Path(certificate).absolute()), str(Path(key).absolute()), password, minimum)
        tls.check()
        return tls

    def check(self) -> None:
        """Raise `StartupError` if a file cannot be used."""
        for name, path in ((_CERTIFICATE, self.certificate), (_KEY, self.key)):
            try:
                Path(path).read_bytes()
            except OSError as error:
                reason = f"cannot read {path}: {error.strerror}"
                raise _problem(name, reason, "Name a file that the service may read.") from None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_verify_locations(self.certificate)
        except ssl.SSLError:
            raise _problem(
                _CERTIFICATE, f"{self.certificate} is no certificate", "Name a file in PEM."
            ) from None
        try:
            # Without a password OpenSSL would ask for it on the terminal.
            context.load_cert_chain(self.certificate, self.key, lambda: self.password)
        except ssl.SSLError as error:
            raise self._explain(error) from None
        _plain_key(self)

    def _explain(self, error: ssl.SSLError) -> StartupError:
        if error.reason and "MISMATCH" in error.reason:
            reason = f"{self.key} is the key of another certificate than {self.certificate}"
            return _problem(_KEY, reason, "Name the two files that belong together.")
        if error.reason and "EE_KEY" in error.reason:
            reason = f"the key of {self.certificate} is too weak"
            return _problem(_CERTIFICATE, reason, "Make one of RSA 2048 or P-256.")
        if _is_encrypted(Path(self.key).read_bytes()):
            wrong = "it is not that of" if self.password else "it is not set, and needed for"
            hint = "Set PEGBOARD_TLS_KEY_PASSWORD or PEGBOARD_TLS_KEY_PASSWORD_FILE."
            return _problem(_PASSWORD, f"{wrong} {self.key}", hint)
        return _problem(_KEY, f"{self.key} is no private key", "Name a file in PEM.")


@dataclass(frozen=True)
class Transport:
    """How the server speaks with its clients."""

    tls: TLS | None = None
    http2: bool = False

    @classmethod
    def of(cls, core: "CoreSettings") -> Self:
        """Read the settings and the files they name. Raises `StartupError` for wrong ones."""
        tls = TLS.find(
            core.tls_certificate, core.tls_key, core.tls_key_password, core.tls_min_version
        )
        return cls(tls, http2=core.http2)


class ServedTLS:
    """TLS as Granian's workers serve it: each puts the key into memory, without its password.

    The two files and the password may be others after each reload. A key in memory needs Linux;
    elsewhere Granian reads the file, which must have no password.
    """

    def __init__(self, tls: TLS) -> None:
        """Make it before workers fork."""
        self._tls = tls
        self._number: int | None = None
        if sys.platform.startswith("linux"):
            self._number = os.memfd_create("key")
            os.set_inheritable(self._number, True)  # noqa: FBT003

    def for_granian(self) -> "GranianTLS":
        """Return what Granian's workers are started with."""
        tls, number = self._tls, self._number
        key = tls.key if number is None else f"/proc/self/fd/{number}"
        return GranianTLS(certificate=tls.certificate, key=key, minimum=f"tls{tls.minimum}")

    def refresh(self, password: str) -> None:
        """Read the files anew, in the worker that is about to serve with them.

        `password` is that of the key now. Raises `StartupError` if a file cannot be used.
        """
        tls = replace(self._tls, password=password)
        tls.check()
        if self._number is not None:
            number = os.memfd_create("key")
            with open(number, "wb", closefd=False) as file:
                file.write(_plain_key(tls))
            os.dup2(number, self._number)
            os.close(number)


class GranianTLS(NamedTuple):
    """What Granian calls the context of TLS; it takes the fields by their places."""

    is_on: bool = True
    certificate: str = ""
    key: str = ""
    password: None = None
    minimum: str = ""
    client_ca: None = None
    client_crls: tuple[str, ...] = ()
    verifies_clients: bool = False


def _plain_key(tls: TLS) -> bytes:
    """Return the key in PEM, without a password. Raises `StartupError`."""
    content = Path(tls.key).read_bytes()
    return _decrypt(content, tls.password) if _is_encrypted(content) else content


def _is_encrypted(key: bytes) -> bool:
    return b"ENCRYPTED" in key


def _decrypt(key: bytes, password: str) -> bytes:
    if not sys.platform.startswith("linux"):
        raise _problem(_PASSWORD, "a key is decrypted on Linux only", "Give one without password.")
    try:
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - optional
    except ImportError:
        raise _problem(
            _PASSWORD,
            "the package cryptography is missing",
            "Install it: pip install 'pegboard[tls]'.",
        ) from None
    return serialization.load_pem_private_key(key, password.encode()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _problem(setting: str, reason: str, hint: str) -> StartupError:
    return StartupError([Problem(Code.TLS_UNUSABLE, f"setting {setting}: {reason}", hint)])
