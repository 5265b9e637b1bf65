"""The settings of the plugin."""

import pytest

import pegboard
from pegboard_ratelimit.settings import RatelimitSettings


@pytest.mark.parametrize(
    "setting, value",
    [
        ("DEFAULT", "many"),
        ("DEFAULT", ""),
        ("DEFAULT", "0/minute"),
        ("ROUTES", "/api/things/"),
        ("ROUTES", "/api/things/=often"),
        ("ROUTES", "GET|FETCH /api/things/=1/second"),
        ("ROUTES", "=1/second"),
        ("ON_FAILURE", "panic"),
        ("LEGACY_HEADERS", "perhaps"),
        ("MEMORY_CLIENTS", 1),
        ("ENABLED", "perhaps"),
        ("DEFOULT", "1/second"),
    ],
)
def test_a_setting_that_is_not_allowed_stops_the_start(setting, value):
    """With its name."""
    with pytest.raises(pegboard.StartupError, match=f"RATELIMIT_{setting}"):
        pegboard.create_app(
            {"ENV": "testing", f"RATELIMIT_{setting}": value}, plugins=["ratelimit"]
        )


def test_a_client_may_do_a_thousand_requests_a_minute(make_app):
    """By default; and no old header is sent."""
    settings = pegboard.get_settings(RatelimitSettings, make_app(plugins=["ratelimit"]))

    assert ("1000/minute", "local", False) == (
        settings.default,
        settings.on_failure,
        settings.legacy_headers,
    )


def test_a_mark_that_cannot_be_read_stops_the_start(make_app):
    """With the name of the view."""
    blueprint = pegboard.Blueprint("search", __name__)
    blueprint.get("/search")(pegboard.rate_limit("often")(lambda: "found"))

    class Search:
        name = "search"

        @pegboard.hookimpl
        def pegboard_blueprints(self):
            return [blueprint]

    with pytest.raises(
        pegboard.StartupError, match=rf"search\.<lambda>, of {__name__}, is.*'often' is no limit"
    ):
        make_app(plugins=["ratelimit", Search()])


@pytest.mark.parametrize("workers, quota, is_warned", [(4, 3, True), (4, 4, False), (1, 1, False)])
def test_a_limit_that_the_workers_together_exceed_is_told_at_the_start(
    make_app, caplog, workers, quota, is_warned
):
    """Each worker admits one request at least; the rule is named."""
    make_app(plugins=["ratelimit"], WORKERS=workers, RATELIMIT_ROUTES=f"POST /login={quota}/minute")
    said = [one.message for one in caplog.records if "together exceed" in one.message]

    assert is_warned == (len(said) == 1)
    assert all("the limit 3/minute of POST /login" in one for one in said)


def test_workers_that_share_a_count_exceed_nothing(make_app, caplog, redis_url):
    """Nothing is said where Redis counts."""
    make_app(plugins=["ratelimit"], WORKERS=4, RATELIMIT_DEFAULT="1/minute", REDIS_URL=redis_url)

    assert not any("together exceed" in one.message for one in caplog.records)
