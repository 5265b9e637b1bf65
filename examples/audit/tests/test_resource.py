"""Who reads the log, and how."""

import pytest

import pegboard


def test_the_log_is_for_its_readers(app, client, bob):
    """In a list, a file and one by one; who is not named, gets a 403."""
    bob.post("/api/items/", json={"name": "Hammer"})
    for path in ("/api/audit/", "/api/audit/1"):
        assert (403, 200) == (bob.get(path).status_code, client.get(path).status_code)
    csv = {"Accept": "text/csv"}
    assert 403 == bob.get("/api/audit/", headers=csv).status_code
    assert b"user:bob" in client.get("/api/audit/", headers=csv).data


def test_nobody_reads_it_unless_the_setting_says_so(make_app, plugins):
    """It has the data of all plugins."""
    client = make_app(plugins=plugins).test_client()
    assert 403 == client.get("/api/audit/").status_code


def test_a_reader_that_is_no_client_stops_the_start(make_app, plugins):
    """The setting and what it may be are named."""
    with pytest.raises(pegboard.StartupError, match=r"(?s)AUDIT_READERS.*'ada' is no client"):
        make_app(plugins=plugins, AUDIT_READERS=("ada",))


def test_the_log_of_one_row_is_found(client, logged):
    """By its table and key."""
    client.post("/api/items/bulk", json=[{"name": "Hammer"}, {"name": "Anvil"}])
    client.patch("/api/items/1", json={"name": "Saw"})
    assert ["created", "updated"] == [one["kind"] for one in logged(table="items", key="1")]
