"""What the plugin cannot do without."""

import pytest

import pegboard
from pegboard.redis import get_channel
from pegboard_cache_redis.requirements import require_channel


def test_without_a_url_the_problem_says_what_is_missing_and_how_to_choose(make_app):
    """Every way out is named."""
    app = make_app()
    with pytest.raises(pegboard.StartupError) as caught:
        require_channel(app)
    (problem,) = caught.value.problems
    assert "REDIS_URL is not set" in problem.summary
    for way in ("REDIS_URL", "PEGBOARD_CACHE=none", "PEGBOARD_SESSIONS=cookie"):
        assert way in problem.hint
    assert "PEGBOARD_PLUGINS_DISABLED=cache_redis" in problem.hint


def test_with_a_url_it_is_the_apps_channel(make_app, redis_url):
    """There is one channel for all."""
    app = make_app(REDIS_URL=redis_url)
    assert get_channel(app) is require_channel(app)
