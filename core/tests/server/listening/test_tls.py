"""Which files TLS takes, and what is said of those that it cannot; `tests/` has it serve."""

import ssl
from pathlib import Path
from subprocess import run

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from pegboard import StartupError
from pegboard.server import TLS
from pegboard.server.listening import ServedTLS


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate, its key, the same key encrypted, and another key."""
    folder = tmp_path_factory.mktemp("tls")
    ca = trustme.CA()
    certificate = ca.issue_cert("localhost")
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(folder / "certificate.pem", append=True)
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    ca.issue_cert("localhost").private_key_pem.write_to_path(folder / "other.pem")
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"a password"),
    )
    (folder / "encrypted.pem").write_bytes(encrypted)
    (folder / "text.pem").write_text("no key and no certificate")
    return folder


def find(files: Path, certificate: str, key: str, password: str = "") -> TLS | None:
    """Find TLS with files of the folder."""
    return TLS.find(
        str(files / certificate) if certificate else "",
        str(files / key) if key else "",
        password,
        "1.2",
    )


def test_without_files_there_is_none(files: Path) -> None:
    """And with those that belong together there is."""
    assert find(files, "", "") is None
    assert find(files, "certificate.pem", "key.pem") is not None


@pytest.mark.parametrize(
    "certificate, key, password, message",
    [
        ("certificate.pem", "", "", "setting TLS_KEY: it is not set"),
        ("", "key.pem", "", "setting TLS_CERTIFICATE: it is not set"),
        ("none.pem", "key.pem", "", "setting TLS_CERTIFICATE: cannot read .*none.pem: No such"),
        ("certificate.pem", "none.pem", "", "setting TLS_KEY: cannot read .*none.pem: No such"),
        ("text.pem", "key.pem", "", "setting TLS_CERTIFICATE: .*text.pem is no certificate"),
        ("certificate.pem", "text.pem", "", "setting TLS_KEY: .*text.pem is no private key"),
        ("certificate.pem", "other.pem", "", "setting TLS_KEY: .*other.pem is the key of another"),
        ("certificate.pem", "encrypted.pem", "", "setting TLS_KEY_PASSWORD: it is not set"),
        ("certificate.pem", "encrypted.pem", "wrong", "setting TLS_KEY_PASSWORD: it is not that"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_setting(
    files: Path, certificate: str, key: str, password: str, message: str
) -> None:
    """At the start; a password is never repeated."""
    with pytest.raises(StartupError, match=message) as caught:
        find(files, certificate, key, password)
    (problem,) = caught.value.problems
    assert "PB_TLS_UNUSABLE" == problem.code
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize("first", ["key.pem", "encrypted.pem"])
def test_a_key_and_its_password_are_read_anew(files: Path, tmp_path: Path, first: str) -> None:
    """As at a reload: the key is encrypted in another way, or not at all, and then as before."""
    encrypted = serialization.load_pem_private_key((files / "key.pem").read_bytes(), None)
    other = tmp_path / "other.pem"
    other.write_bytes(
        encrypted.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"another password"),
        )
    )
    key = tmp_path / "key.pem"
    key.write_bytes((files / first).read_bytes())
    tls = TLS.find(str(files / "certificate.pem"), str(key), "a password", "1.2")
    assert tls is not None
    assert "a password" not in repr(tls)
    served = ServedTLS(tls)
    for path, password in (
        (files / first, "a password"),
        (other, "another password"),
        (files / "key.pem", "another password"),
        (files / "key.pem", ""),
        (files / "encrypted.pem", "a password"),
    ):
        key.write_bytes(path.read_bytes())
        served.refresh(password)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(served.for_granian().certificate, served.for_granian().key)
    with pytest.raises(StartupError, match="TLS_KEY_PASSWORD: it is not that of"):
        served.refresh("another password")


def test_a_key_that_openssl_has_encrypted_is_decrypted(files: Path) -> None:
    """By its usual command, which Granian could not read."""
    made = files / "openssl.pem"
    command = ["openssl", "pkcs8", "-topk8", "-in", str(files / "key.pem"), "-out", str(made)]
    try:
        run([*command, "-passout", "pass:a password"], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl")
    assert find(files, "certificate.pem", "openssl.pem", "a password") is not None
