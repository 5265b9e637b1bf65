"""Fixtures of this test tree."""

import pytest
import trustme

from pegboard.testing.servers import Certificates

pytest_plugins = ["pegboard.testing.fixtures"]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Files of an authority of the tests' own, and of a server on the loopback address."""
    directory = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    found = Certificates(*(directory / name for name in ("ca.pem", "cert.pem", "key.pem")))
    authority.cert_pem.write_to_path(found.authority)
    issued.cert_chain_pems[0].write_to_path(found.certificate)
    issued.private_key_pem.write_to_path(found.key)
    return found
