"""Sessions behind sentinels and in a cluster, on real servers."""

import pytest
from flask import session

from pegboard.redis import get_channel
from pegboard.testing.processes import wait_until
from pegboard_cache_redis import end_session, rotate_session

pytestmark = pytest.mark.faults


def read():
    """Return what is in the session."""
    return dict(session)


def log_in():
    """Log in."""
    rotate_session()
    session["user"] = 1


def change_user():
    """Log in as another user, and take nothing along."""
    session.clear()
    session["user"] = 2


def live(desk, client, twin):
    """Take one session through everything that can happen to it."""
    desk.run(client, lambda: session.update(cart=[1]))
    thief = twin(client)
    assert 200 == desk.run(client, log_in).status_code
    assert {"cart": [1], "user": 1} == desk.run(client, read).json
    assert {} == desk.run(thief, read).json
    assert 200 == desk.run(client, change_user).status_code
    assert {"user": 2} == desk.run(client, read).json
    late = twin(client)
    with desk.under_way(late, read, lambda: session.update(late=1)) as slow:
        assert 200 == desk.run(client, end_session).status_code
    assert 409 == slow.result().status_code
    assert {} == desk.run(late, read).json


@pytest.fixture
def app(make_app, desk, servers):
    """An app whose sessions are on these servers."""
    return make_app(plugins=["cache_redis", desk], REDIS_URL=servers.url, REDIS_TIMEOUT=1)


@pytest.mark.parametrize("topology", ["own_cluster", "own_sentinels"])
class TestTopologies:
    """What holds for one server holds for several."""

    @pytest.fixture
    def servers(self, request, topology):
        """The servers."""
        return request.getfixturevalue(topology)

    def test_sessions_live_and_survive_an_ordered_failover(self, app, desk, servers, twin):
        """In a cluster they are on all its servers, each in one slot."""
        for _ in range(8):
            live(desk, app.test_client(), twin)
        client = app.test_client()
        desk.run(client, log_in)
        servers.failover()
        channel = get_channel(app)
        assert channel
        wait_until(lambda: not channel.is_unavailable, "the breaker closes")
        wait_until(lambda: 200 == desk.run(client, read).status_code, "sessions are back")
        assert {"user": 1} == desk.run(client, read).json
        live(desk, client, twin)
