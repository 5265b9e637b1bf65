"""The life of a session: begun, read, changed, moved, ended, expired."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from flask import flash, get_flashed_messages, session
from markupsafe import Markup
from redis.crc import key_slot

from pegboard_cache_redis import end_session, rotate_session

KEYS = "pb:session:*"
EVERYTHING = {
    "text": "grüße \U0001f511",
    "number": 7,
    "float": 0.5,
    "none": None,
    "list": [1, {"a": [2]}],
    "tuple": (1, 2),
    "bytes": b"\x00\xff",
    "markup": Markup("<b>"),
    "time": datetime(2024, 1, 1, tzinfo=UTC),
    "uuid": UUID(int=1),
    " di": {" t": [1]},
    "": "no name",
}


def put(**values):
    """Return an action that puts values into the session."""

    def action():
        session.update(values)

    return action


def read():
    """Return what is in the session."""
    return dict(session)


def clear():
    """Clear the session, as plugins that know only Flask do."""
    session.clear()


def take(name):
    """Return an action that takes a value out of the session."""
    return lambda: session.pop(name)


def take_and_rotate():
    """Take out the one value that there is, and change the id."""
    session.popitem()
    rotate_session()


def log_in():
    """Log in as a plugin should."""
    rotate_session()
    session["user"] = 1


def test_what_is_put_into_a_session_is_in_it_at_the_next_request(app, desk, redis):
    """Whatever Flask's own sessions can hold, they hold."""
    client = app.test_client()
    found = []
    assert 200 == desk.run(client, lambda: session.update(EVERYTHING)).status_code
    assert 200 == desk.run(client, lambda: found.append(dict(session))).status_code
    assert [EVERYTHING] == found
    assert [Markup, tuple] == [type(found[0][name]) for name in ("markup", "tuple")]
    (key,) = redis.keys(KEYS)
    assert len(EVERYTHING) == redis.hlen(key)


def test_another_client_sees_nothing_of_it(app, desk):
    """Sessions are apart."""
    desk.run(app.test_client(), put(user=1))
    assert {} == desk.run(app.test_client(), read).json


def test_a_request_that_does_not_touch_its_session_costs_nothing(app, desk, round_trips):
    """No round trip, no cookie, and nothing that keeps a cache from sharing the answer."""
    client = app.test_client()
    desk.run(client, put(user=1))
    round_trips.clear()
    answer = desk.run(client, lambda: "plain")
    assert [] == round_trips
    assert "Set-Cookie" not in answer.headers
    assert "Cookie" not in answer.headers.get("Vary", "")


def test_reading_costs_one_round_trip_and_writing_a_second(app, desk, round_trips):
    """Whatever is read and written in one request."""
    client = app.test_client()
    desk.run(client, lambda: session.get("user"))
    assert [] == round_trips
    desk.run(client, put(a=1, b=2))
    assert [1] == round_trips
    round_trips.clear()
    answer = desk.run(client, lambda: [session["a"], session["b"], "c" in session])
    assert [1, 2, False] == answer.json
    assert [1] == round_trips
    assert "Set-Cookie" not in answer.headers
    assert "Cookie" in answer.headers["Vary"]
    round_trips.clear()
    answer = desk.run(client, put(a=3, c=4))
    assert [1, 1] == round_trips
    assert "Set-Cookie" not in answer.headers
    assert "Cookie" in answer.headers["Vary"]


def test_writing_what_is_there_already_is_no_change(app, desk, round_trips):
    """It is the content that is compared."""
    client = app.test_client()
    desk.run(client, put(user={"id": 1}))
    round_trips.clear()
    desk.run(client, put(user={"id": 1}))
    assert [1] == round_trips


def test_a_change_inside_a_value_is_noticed(app, desk):
    """Nobody has to set `session.modified`."""
    client = app.test_client()
    desk.run(client, put(cart={"items": [1]}))
    desk.run(client, lambda: session["cart"]["items"].append(2))
    assert {"cart": {"items": [1, 2]}} == desk.run(client, read).json


def test_what_is_removed_is_gone(app, desk):
    """And the rest is not."""
    client = app.test_client()
    desk.run(client, put(a=1, b=2))
    desk.run(client, lambda: session.pop("a"))
    assert {"b": 2} == desk.run(client, read).json


def test_flashed_messages_arrive_once(app, desk):
    """What Flask itself keeps in the session works."""
    client = app.test_client()
    desk.run(client, lambda: flash("saved"))
    assert ["saved"] == desk.run(client, get_flashed_messages).json
    assert [] == desk.run(client, get_flashed_messages).json


def test_flasks_session_transaction_of_test_clients_works(app, desk):
    """Tests of plugins use it."""
    client = app.test_client()
    with client.session_transaction() as opened:
        opened["user"] = 5
    assert {"user": 5} == desk.run(client, read).json
    with client.session_transaction() as opened:
        assert 5 == opened["user"]


def test_requests_at_the_same_time_keep_each_others_keys(app, desk, twin):
    """Each writes what it has changed, and removes what it has removed."""
    client = app.test_client()
    desk.run(client, put(old=1, same=1, other=1))

    def then():
        session["slow"] = 1
        del session["old"]

    with desk.under_way(twin(client), read, then) as slow:
        desk.run(client, put(quick=1, same=2))
        desk.run(client, lambda: session.pop("other"))
    assert 200 == slow.result().status_code
    assert {"quick": 1, "slow": 1, "same": 2} == desk.run(client, read).json


def test_an_id_that_this_service_did_not_give_out_is_never_adopted(app, desk, redis):
    """An attacker who plants an id, signed or not, does not know that of the new session."""
    client = app.test_client()
    desk.run(client, put(user=1))
    known = client.get_cookie("session").value
    redis.flushdb()
    for planted in (known, known.partition(".")[0], known[:-1] + "_", "x" * 54, "", "ü;", "a.b"):
        victim = app.test_client()
        victim.set_cookie("session", planted)
        desk.run(victim, put(user=2))
        given = victim.get_cookie("session").value
        assert known.partition(".")[0] != given.partition(".")[0]
        assert "x" * 54 != given.partition(".")[0]
    assert {} == desk.run(client, read).json


def test_a_forged_id_costs_no_round_trip(app, desk, round_trips):
    """The signature is looked at first."""
    client = app.test_client()
    client.set_cookie("session", "x" * 54 + ".forged")
    assert {} == desk.run(client, read).json
    assert [] == round_trips


def test_an_id_is_only_good_where_it_was_signed(app, desk, make_app, redis_url):
    """A service with another secret, on the same server, takes it for a forgery."""
    client = app.test_client()
    desk.run(client, put(user=1))
    other_desk = type(desk)()
    config = {"REDIS_URL": redis_url, "SECRET_KEY": "another-secret-of-more-than-32-bytes"}
    other = make_app(plugins=["cache_redis", other_desk], **config).test_client()
    other.set_cookie("session", client.get_cookie("session").value)
    assert {} == other_desk.run(other, read).json


def test_a_session_outlives_a_change_of_the_secret(app, desk, make_app, redis_url):
    """The old secret is one of `SECRET_KEY_FALLBACKS`; what is written is sealed anew."""
    client = app.test_client()
    desk.run(client, put(user=1))
    config = {
        "SECRET_KEY": "a-new-secret-of-more-than-32-bytes!!",
        "SECRET_KEY_FALLBACKS": [app.secret_key],
        "REDIS_URL": redis_url,
    }
    new_desk = type(desk)()
    new = make_app(plugins=["cache_redis", new_desk], **config).test_client()
    new.set_cookie("session", client.get_cookie("session").value)
    new_desk.run(new, log_in)
    assert {"user": 1} == new_desk.run(new, read).json
    old = app.test_client()
    old.set_cookie("session", new.get_cookie("session").value)
    assert {} == desk.run(old, read).json


def test_rotation_gives_another_id_and_ends_the_old_one(app, desk, twin, redis):
    """The values of the session stay, and the old id is worth nothing."""
    client = app.test_client()
    desk.run(client, put(cart=[1]))
    thief = twin(client)
    answer = desk.run(client, log_in)
    assert "Set-Cookie" in answer.headers
    assert thief.get_cookie("session").value != client.get_cookie("session").value
    assert {"cart": [1], "user": 1} == desk.run(client, read).json
    assert {} == desk.run(thief, read).json
    (key,) = redis.keys(KEYS)
    assert 24 * 3600 * 1000 - 60_000 < redis.pttl(key)


def test_rotation_alone_moves_the_session(app, desk, twin):
    """Nothing else has to be read or written in the request."""
    client = app.test_client()
    desk.run(client, put(cart=[1]))
    thief = twin(client)
    desk.run(client, rotate_session)
    assert {"cart": [1]} == desk.run(client, read).json
    assert {} == desk.run(thief, read).json


def test_rotation_stays_in_its_slot_of_a_cluster(app, desk, redis):
    """So the old id ends and the new one begins in one step there, too; others are spread."""
    client = app.test_client()
    slots = set()
    for _ in range(3):
        desk.run(client, log_in)
        (key,) = redis.keys(KEYS)
        slots.add(key_slot(key))
    assert 1 == len(slots)
    for _ in range(20):
        desk.run(app.test_client(), log_in)
    assert 10 < len({key_slot(key) for key in redis.keys(KEYS)})


def test_rotation_of_nothing_begins_nothing(app, desk, redis):
    """There is no session to give an id to."""
    answer = desk.run(app.test_client(), rotate_session)
    assert "Set-Cookie" not in answer.headers
    assert [] == redis.keys(KEYS)


def test_rotation_takes_along_what_others_change_meanwhile(app, desk, twin, round_trips):
    """A login loses nothing of a request that ends before it."""
    client = app.test_client()
    desk.run(client, put(cart=[1], gone=1))
    slow_client = twin(client)
    with desk.under_way(slow_client, read, log_in) as login:
        desk.run(client, put(cart=[1, 2], more=1))
        desk.run(client, lambda: session.pop("gone"))
    assert 200 == login.result().status_code
    expected = {"cart": [1, 2], "more": 1, "user": 1}
    assert expected == desk.run(slow_client, read).json
    assert {} == desk.run(client, read).json


def test_of_two_rotations_of_one_session_one_wins(app, desk, twin, redis):
    """The other is told, and gets no session."""
    client = app.test_client()
    desk.run(client, put(cart=[1]))
    with desk.under_way(twin(client), read, log_in) as other:
        assert 200 == desk.run(client, log_in).status_code
    assert 409 == other.result().status_code
    assert "Set-Cookie" not in other.result().headers
    assert 1 == len(redis.keys(KEYS))


def test_clearing_a_session_before_a_login_changes_the_id_as_well(app, desk, twin, redis):
    """So does the login that Flask's own tutorial shows."""
    client = app.test_client()
    desk.run(client, put(cart=[1]))
    thief = twin(client)

    def tutorial():
        session.clear()
        session["user"] = 1

    desk.run(client, tutorial)
    assert {"user": 1} == desk.run(client, read).json
    assert {} == desk.run(thief, read).json
    assert 1 == len(redis.keys(KEYS))


@pytest.mark.parametrize(
    "log_out",
    [end_session, clear, take("user"), take_and_rotate],
    ids=["end_session", "clear", "everything removed", "everything removed, and rotated"],
)
def test_logout_ends_the_session_for_good(app, desk, twin, redis, log_out):
    """Its id is worth nothing afterwards, and the cookie is taken back."""
    client = app.test_client()
    desk.run(client, put(user=1))
    thief = twin(client)
    answer = desk.run(client, log_out)
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    assert [] == redis.keys(KEYS)
    assert {} == desk.run(client, read).json
    assert {} == desk.run(thief, read).json
    desk.run(thief, put(user=2))
    assert thief.get_cookie("session").value not in {None, client.get_cookie("session")}


@pytest.mark.parametrize("act", [take("flash"), take_and_rotate], ids=["plain", "rotating"])
def test_removing_the_last_value_leaves_what_others_put_there_meanwhile(app, desk, twin, act):
    """Only who ends a session ends it for others."""
    client = app.test_client()
    desk.run(client, put(flash="welcome"))
    slow_client = twin(client)
    with desk.under_way(slow_client, read, act) as slow:
        assert 200 == desk.run(client, put(cart=[1])).status_code
    assert 200 == slow.result().status_code
    assert {"cart": [1]} == desk.run(slow_client, read).json
    assert ({"cart": [1]} if act is not take_and_rotate else {}) == desk.run(client, read).json


def test_a_slow_request_does_not_bring_back_what_lost_its_last_value(app, desk, twin, redis):
    """That has ended the session."""
    client = app.test_client()
    desk.run(client, put(user=1))
    with desk.under_way(twin(client), read, put(seen=1)) as slow:
        desk.run(client, take("user"))
    assert 409 == slow.result().status_code
    assert [] == redis.keys(KEYS)


def test_two_requests_that_remove_the_last_value_are_answered(app, desk, twin, redis):
    """The second finds that nothing is left to do."""
    client = app.test_client()
    desk.run(client, put(user=1))
    with desk.under_way(twin(client), read, take("user")) as slow:
        desk.run(client, take("user"))
    assert 200 == slow.result().status_code
    assert "Set-Cookie" not in slow.result().headers
    assert [] == redis.keys(KEYS)


def test_ending_a_session_that_was_not_looked_into_costs_one_round_trip(app, desk, round_trips):
    """There is nothing to read first."""
    client = app.test_client()
    desk.run(client, put(user=1))
    round_trips.clear()
    desk.run(client, end_session)
    assert [1] == round_trips


def test_a_slow_request_does_not_bring_a_session_back_after_logout(app, desk, twin, redis):
    """It is told that the session has ended, and gets no cookie."""
    client = app.test_client()
    desk.run(client, put(user=1))
    with desk.under_way(twin(client), read, put(seen=1)) as slow:
        desk.run(client, end_session)
    answer = slow.result()
    assert 409 == answer.status_code
    assert {"message", "status"} == answer.json.keys()
    assert "Set-Cookie" not in answer.headers
    assert [] == redis.keys(KEYS)


def test_a_slow_request_that_changes_nothing_is_answered_after_logout(app, desk, twin, redis):
    """It was allowed when it began; not even a renewal that was due brings anything back."""
    client = app.test_client()
    desk.run(client, put(user=1))
    redis.pexpire(*redis.keys(KEYS), 60_000)
    with desk.under_way(twin(client), read, read) as slow:
        desk.run(client, end_session)
    assert 200 == slow.result().status_code
    assert "Set-Cookie" not in slow.result().headers
    assert [] == redis.keys(KEYS)


def test_a_slow_request_does_not_touch_the_session_after_a_rotation(app, desk, twin):
    """What it knew is the old id."""
    client = app.test_client()
    desk.run(client, put(cart=[1]))
    with desk.under_way(twin(client), read, put(cart=["planted"])) as slow:
        desk.run(client, log_in)
    assert 409 == slow.result().status_code
    assert {"cart": [1], "user": 1} == desk.run(client, read).json


def test_a_slow_login_does_not_bring_the_ended_session_back(app, desk, twin, redis):
    """Rotation is refused like any change."""
    client = app.test_client()
    desk.run(client, put(user=1))
    with desk.under_way(twin(client), read, log_in) as slow:
        desk.run(client, end_session)
    assert 409 == slow.result().status_code
    assert [] == redis.keys(KEYS)


def test_what_is_put_into_an_ended_session_begins_a_new_one(app, desk):
    """As a message that says goodbye."""
    client = app.test_client()
    desk.run(client, put(user=1))
    before = client.get_cookie("session").value

    def log_out():
        end_session()
        flash("Goodbye.")

    desk.run(client, log_out)
    assert before != client.get_cookie("session").value
    assert ["_flashes"] == list(desk.run(client, read).json)


def test_a_session_lives_for_a_time_after_its_last_use(app, desk, redis, round_trips):
    """It is renewed when less than half is left, not at each request."""
    client = app.test_client()
    desk.run(client, put(user=1))
    (key,) = redis.keys(KEYS)
    day = 24 * 3600 * 1000
    assert day - 60_000 < redis.pttl(key) <= day
    redis.pexpire(key, day // 2 + 60_000)
    round_trips.clear()
    desk.run(client, read)
    assert [1] == round_trips
    redis.pexpire(key, day // 2 - 1)
    round_trips.clear()
    answer = desk.run(client, read)
    assert [1, 1] == round_trips
    assert "Set-Cookie" not in answer.headers
    assert day - 60_000 < redis.pttl(key) <= day
    redis.pexpire(key, 1)
    while redis.exists(key):
        pass
    assert {} == desk.run(client, read).json


def test_a_permanent_session_lives_longer_and_its_cookie_stays(app, desk, redis):
    """The cookie of another one goes with the browser."""
    client = app.test_client()
    assert "Expires" not in desk.run(client, put(user=1)).headers["Set-Cookie"]

    def make_permanent():
        session.permanent = True

    answer = desk.run(client, make_permanent)
    assert "Expires" in answer.headers["Set-Cookie"]
    (key,) = redis.keys(KEYS)
    fortnight = 14 * 24 * 3600 * 1000
    assert fortnight - 60_000 < redis.pttl(key) <= fortnight
    assert "Set-Cookie" not in desk.run(client, put(more=1)).headers
    redis.pexpire(key, fortnight // 2 - 1)
    assert "Expires" in desk.run(client, read).headers["Set-Cookie"]
    assert fortnight - 60_000 < redis.pttl(key) <= fortnight
    answer = desk.run(client, lambda: session.pop("_permanent"))
    assert "Expires" not in answer.headers["Set-Cookie"]
    assert redis.pttl(key) <= 24 * 3600 * 1000


def test_the_lifetimes_are_settings(make_app, desk, redis_url, redis):
    """In seconds, and Flask knows of them."""
    lifetimes = {
        "CACHE_REDIS_SESSION_LIFETIME": 100,
        "CACHE_REDIS_SESSION_PERMANENT_LIFETIME": 200,
    }
    app = make_app(plugins=["cache_redis", desk], REDIS_URL=redis_url, **lifetimes)
    assert timedelta(seconds=200) == app.permanent_session_lifetime
    client = app.test_client()
    desk.run(client, put(user=1))
    assert 90_000 < redis.pttl(*redis.keys(KEYS)) <= 100_000
    desk.run(client, put(_permanent=True))
    assert 190_000 < redis.pttl(*redis.keys(KEYS)) <= 200_000


def test_the_cookie_in_production(make_app, desk, redis_url, sqlite_url):
    """Bound to this host and to TLS, and hidden from scripts, whatever else is configured."""
    app = make_app(
        plugins=["cache_redis", desk],
        ENV="production",
        SECRET_KEY="only-these-tests-know-this-secret-key",
        DATABASE_URL=sqlite_url,
        REDIS_URL=redis_url,
        SESSION_COOKIE_DOMAIN="example.com",
        SESSION_COOKIE_PATH="/api",
        SESSION_COOKIE_HTTPONLY=False,
    )
    client = app.test_client()
    client.environ_base["wsgi.url_scheme"] = "https"
    cookie = desk.run(client, put(user=1)).headers["Set-Cookie"]
    name, *attributes = cookie.split("; ")
    assert name.startswith("__Host-session=")
    assert ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"] == sorted(attributes)
    assert {"user": 1} == desk.run(client, read).json
    cookie = desk.run(client, end_session).headers["Set-Cookie"]
    assert {"HttpOnly", "Max-Age=0", "Path=/", "SameSite=Lax", "Secure"} < set(cookie.split("; "))
    assert "Domain" not in cookie


def test_the_cookie_under_a_path_prefix(make_app, desk, redis_url, sqlite_url):
    """Another service under the same host name has another; `__Host-` would allow the root only."""
    app = make_app(
        plugins=["cache_redis", desk],
        ENV="production",
        SECRET_KEY="only-these-tests-know-this-secret-key",
        DATABASE_URL=sqlite_url,
        REDIS_URL=redis_url,
        PATH_PREFIX="/shop",
    )
    client = app.test_client()
    client.environ_base["wsgi.url_scheme"] = "https"
    name, *attributes = desk.run(client, put(user=1)).headers["Set-Cookie"].split("; ")
    assert name.startswith("__Secure-session=")
    assert ["HttpOnly", "Path=/shop", "SameSite=Lax", "Secure"] == sorted(attributes)
    client.set_cookie(*name.split("=", 1))
    assert {"user": 1} == desk.run(client, read).json


def test_the_cookie_without_tls(app, desk):
    """On a developer's machine a browser would refuse the other."""
    cookie = desk.run(app.test_client(), put(user=1)).headers["Set-Cookie"]
    name, *attributes = cookie.split("; ")
    assert name.startswith("session=")
    assert ["HttpOnly", "Path=/", "SameSite=Lax"] == sorted(attributes)


def test_the_cookie_says_nothing(app, desk):
    """It is 256 random bits and more, and a signature."""
    ids = set()
    for _ in range(3):
        client = app.test_client()
        desk.run(client, put(user="alice"))
        value = client.get_cookie("session").value
        assert "alice" not in value
        ids.add(value.partition(".")[0])
    assert 3 == len(ids)
    assert {54} == {len(one) for one in ids}


def test_a_session_has_a_size(app, desk, redis):
    """The developer is told; nothing is stored, and no cookie is sent."""
    client = app.test_client()
    with pytest.raises(Exception, match="SESSION_MAX_BYTES"):
        desk.run(client, put(huge="x" * 65536))
    assert [] == redis.keys(KEYS)
    desk.run(client, put(half="x" * 40_000))
    with pytest.raises(Exception, match="SESSION_MAX_BYTES"):
        desk.run(client, put(other="x" * 40_000))
    assert ["half"] == list(desk.run(client, read).json)
    desk.run(client, put(half="y" * 60_000))
    assert ["half"] == list(desk.run(client, read).json)


def test_requests_at_the_same_time_do_not_exceed_the_size_together(app, desk, twin):
    """What each adds is small enough, but both are not."""
    client = app.test_client()
    desk.run(client, put(user=1))
    with desk.under_way(twin(client), read, put(slow="x" * 40_000)) as slow:
        desk.run(client, put(quick="x" * 40_000))
    assert "SESSION_MAX_BYTES" in str(slow.exception())
    assert {"user", "quick"} == desk.run(client, read).json.keys()


@pytest.mark.parametrize("value", [{1, 2}, object(), "\ud800"], ids=["set", "object", "surrogate"])
def test_what_cannot_be_stored_is_named(app, desk, redis, value):
    """By the name under which it was put there."""
    client = app.test_client()
    if value == "\ud800":
        with pytest.raises(TypeError, match=r"session\['\\ud800'\]"):
            desk.run(client, put(**{value: 1}))
    else:
        with pytest.raises(TypeError, match=r"session\['bag'\] cannot be stored"):
            desk.run(client, put(bag=value))
    assert [] == redis.keys(KEYS)


def test_a_name_that_is_no_string_is_refused_where_it_is_used(app, desk):
    """It would come back as another."""
    with pytest.raises(TypeError, match=r"session\[1\]"):
        desk.run(app.test_client(), lambda: session.update(json.loads("[[1, 2]]")))


def test_too_large_a_session_is_answered_with_500(make_app, desk, redis_url, sqlite_url):
    """In the error format, and without a cookie."""
    app = make_app(
        plugins=["cache_redis", desk],
        ENV="development",
        DATABASE_URL=sqlite_url,
        REDIS_URL=redis_url,
    )
    app.config["PROPAGATE_EXCEPTIONS"] = False
    answer = desk.run(app.test_client(), put(huge="x" * 65536))
    assert 500 == answer.status_code
    assert "request id" in answer.json["message"]
    assert "Set-Cookie" not in answer.headers


def test_public_functions_work_on_sessions_in_cookies(make_app, desk, redis_url):
    """A plugin need not know what keeps the sessions."""
    config = {"REDIS_URL": redis_url, "SESSIONS": "cookie"}
    client = make_app(plugins=["cache_redis", desk], **config).test_client()
    desk.run(client, log_in)
    assert {"user": 1} == desk.run(client, read).json
    desk.run(client, end_session)
    assert {} == desk.run(client, read).json
