"""Limits count the requests of a tenant, however many clients it has."""

import pytest


@pytest.fixture
def app(make_app):
    """The app, which admits three requests a minute."""
    return make_app(
        plugins=["items", "tenants", "ratelimit"], TENANTS_REFRESH=0, RATELIMIT_DEFAULT="3/minute"
    )


def test_a_tenant_is_one_client(client, globex):
    """From whatever address; another tenant at the same address is another."""
    addresses = [{"REMOTE_ADDR": f"192.0.2.{number}"} for number in range(1, 5)]
    assert [200, 200, 200, 429] == [
        client.get("/api/items/", environ_base=address).status_code for address in addresses
    ]
    assert 200 == globex.get("/api/items/", environ_base=addresses[0]).status_code


def test_guesses_of_keys_are_counted(guest):
    """By address, as they are nobody's."""
    guesses = [{"Authorization": f"Bearer {number}"} for number in range(4)]
    assert [401, 401, 401, 429] == [
        guest.get("/api/items/", headers=guess).status_code for guess in guesses
    ]
