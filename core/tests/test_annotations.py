"""The limit that a plugin notes on its views for the plugin that enforces limits."""

import pytest
from flask.views import MethodView

import pegboard
from pegboard import rate_limit
from pegboard.annotations import RateLimit, rate_limit_of


def test_a_mark_is_left_on_whatever_serves():
    """Functions, view classes, their methods and blueprints; they stay what they are."""

    @rate_limit("10/minute", on_failure="closed")
    def view() -> str:
        return "called"

    @rate_limit(None)
    class View(MethodView):
        @rate_limit("1/second")
        def get(self) -> str:
            return ""

    blueprint = rate_limit("5/hour")(pegboard.Blueprint("search", __name__))

    assert RateLimit("10/minute", "closed") == rate_limit_of(view)
    assert "called" == view()
    assert RateLimit(None) == rate_limit_of(View)
    assert RateLimit("1/second") == rate_limit_of(View.get)
    assert RateLimit("5/hour") == rate_limit_of(blueprint)
    assert "search" == blueprint.name


def test_what_has_no_mark_says_so():
    """None, which is not the same as an exemption."""
    assert rate_limit_of(len) is None
    assert rate_limit_of(lambda: None) is None


@pytest.mark.parametrize("limit", [10, b"10/minute", ("10/minute",)])
def test_a_mark_that_is_no_text_is_refused_where_it_is_written(limit):
    """With a traceback that leads there."""
    with pytest.raises(TypeError, match="10/minute"):
        rate_limit(limit)
