"""Decorators of views that have no effect where they stand are found at the start."""

import functools
from collections.abc import Callable
from typing import Any

import flask
import pytest
from flask.views import MethodView
from marshmallow import Schema, fields
from sqlalchemy.orm import DeclarativeBase

import pegboard
from pegboard.annotations import cache_control

Views = Callable[[pegboard.Blueprint], object]


class Base(pegboard.Model, DeclarativeBase):
    """The models of the plugin."""


class Note(Base):
    """A note."""

    __tablename__ = "notes"


class NoteSchema(Schema):
    """What clients may see of a note."""

    id = fields.Integer()


def responds(blueprint: pegboard.Blueprint) -> Callable[..., Any]:
    """The decorator that leaves out the fields that clients may not see."""
    return blueprint.response(200, NoteSchema)


def measured(view: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator of somebody else."""

    @functools.wraps(view)
    def run(*args: Any) -> Any:
        return view(*args)

    return run


def above_a_function(blueprint: pegboard.Blueprint) -> None:
    """The usual mistake."""

    @responds(blueprint)
    @blueprint.get("/")
    def view() -> dict[str, int]:
        return {"id": 1, "secret": 2}


def above_another_decorator(blueprint: pegboard.Blueprint) -> None:
    """One that is above the route as well."""

    @responds(blueprint)
    @measured
    @blueprint.get("/")
    def view() -> dict[str, int]:
        return {"id": 1}


def above_a_class(blueprint: pegboard.Blueprint) -> None:
    """On a view class."""

    @responds(blueprint)
    @blueprint.route("/")
    class View(MethodView):
        def get(self) -> dict[str, int]:
            return {"id": 1}


def between_two_routes(blueprint: pegboard.Blueprint) -> None:
    """The upper route has the schema, the lower one has not."""

    @blueprint.get("/")
    @responds(blueprint)
    @blueprint.get("/lower")
    def view() -> dict[str, int]:
        return {"id": 1, "secret": 2}


def with_an_argument(blueprint: pegboard.Blueprint) -> None:
    """`arguments` above the route."""

    @blueprint.arguments(NoteSchema, location="query")
    @blueprint.get("/")
    def view() -> dict[str, int]:
        return {"id": 1}


def with_a_transaction(blueprint: pegboard.Blueprint) -> None:
    """`transactional` above the routes: nothing would be committed."""

    @pegboard.transactional
    @blueprint.post("/")
    @blueprint.put("/")
    @responds(blueprint)
    def view() -> dict[str, int]:
        return {"id": 1}


def with_a_transaction_of_a_class(blueprint: pegboard.Blueprint) -> None:
    """`transactional` above the route of a view class."""

    @pegboard.transactional
    @blueprint.route("/")
    class View(MethodView):
        def post(self) -> dict[str, int]:
            return {"id": 1}


def on_another_blueprint(blueprint: pegboard.Blueprint) -> None:
    """A function at routes of two blueprints, of which one has the schema."""

    def view() -> dict[str, int]:
        return {"id": 1}

    nested = pegboard.Blueprint("nested", __name__, url_prefix="/nested")
    blueprint.add_url_rule("/", view_func=responds(blueprint)(view))
    responds(nested)(nested.get("/")(view))
    blueprint.register_blueprint(nested)


@pytest.mark.parametrize(
    "views, name",
    [
        (above_a_function, "response"),
        (above_another_decorator, "response"),
        (above_a_class, "response"),
        (between_two_routes, "response"),
        (with_an_argument, "arguments"),
        (with_a_transaction, "transactional"),
        (with_a_transaction_of_a_class, "transactional"),
        (on_another_blueprint, "response"),
    ],
)
def test_a_decorator_above_the_route_is_refused(start_views: Any, views: Views, name: str) -> None:
    """It would have no effect, and a secret field would reach clients."""
    with pytest.raises(pegboard.StartupError) as caught:
        start_views(views)
    (problem,) = caught.value.problems
    assert "PB_DECORATED_ABOVE_ROUTE" == problem.code
    assert problem.summary.startswith(f"{name} decorates {__name__}.")
    assert f"Put `{name}` below the route." == problem.hint


def test_all_decorators_of_all_views_above_routes_are_named(start_views: Any) -> None:
    """One start tells all of them."""

    def views(blueprint: pegboard.Blueprint) -> None:
        @blueprint.doc(summary="One.")
        @responds(blueprint)
        @blueprint.get("/one")
        def one() -> dict[str, int]:
            return {"id": 1}

        @blueprint.alt_response(404, schema=NoteSchema)
        @blueprint.get("/two")
        def two() -> dict[str, int]:
            return {"id": 1}

    with pytest.raises(pegboard.StartupError) as caught:
        start_views(views)
    found = [problem.summary.partition(" decorates")[0] for problem in caught.value.problems]
    assert ["response", "doc", "alt_response"] == found


def with_two_routes(blueprint: pegboard.Blueprint) -> None:
    """Both routes above."""

    @blueprint.get("/")
    @blueprint.get("/other")
    @responds(blueprint)
    def view() -> dict[str, int]:
        return {"id": 1, "secret": 2}


def with_a_variant(blueprint: pegboard.Blueprint) -> None:
    """One function at two routes, decorated for one of them."""

    def view() -> dict[str, int]:
        return {"id": 1, "secret": 2}

    blueprint.add_url_rule("/plain", view_func=view)
    blueprint.add_url_rule("/", endpoint="other", view_func=responds(blueprint)(view))


def on_two_blueprints(blueprint: pegboard.Blueprint) -> None:
    """One decorated function at routes of two blueprints."""

    def view() -> dict[str, int]:
        return {"id": 1, "secret": 2}

    nested = pegboard.Blueprint("nested", __name__, url_prefix="/nested")
    decorated = pegboard.transactional(responds(blueprint)(view))
    blueprint.add_url_rule("/", view_func=decorated)
    nested.add_url_rule("/", view_func=decorated)
    blueprint.register_blueprint(nested)


def with_any_query(blueprint: pegboard.Blueprint) -> None:
    """`any_query` has its effect above the route, too, as it wraps nothing."""

    @blueprint.any_query
    @blueprint.get("/")
    @responds(blueprint)
    def view() -> dict[str, int]:
        assert "1" == flask.request.args["any"]
        return {"id": 1, "secret": 2}


def in_a_class(blueprint: pegboard.Blueprint) -> None:
    """A method of a view class."""

    @blueprint.route("/")
    class View(MethodView):
        @responds(blueprint)
        def get(self) -> dict[str, int]:
            return {"id": 1, "secret": 2}


@pytest.mark.parametrize(
    "views",
    [with_two_routes, with_a_variant, on_two_blueprints, with_any_query, in_a_class],
)
def test_a_decorator_below_the_route_has_an_effect(start_views: Any, views: Views) -> None:
    """However often the function is registered."""
    app = start_views(views)
    query = {"any": "1"} if views is with_any_query else {}
    assert {"id": 1} == app.test_client().get("/notes/", query_string=query).json


def test_what_is_not_registered_is_not_looked_at(start_views: Any) -> None:
    """A view may be decorated and left out, as by a setting."""

    def views(blueprint: pegboard.Blueprint) -> None:
        responds(blueprint)(lambda: {"id": 1})

    start_views(views)


@pytest.mark.parametrize("in_class", [False, True])
def test_cached_below_response_is_refused(start_views: Any, *, in_class: bool) -> None:
    """What the view returns is no answer yet, so every request would fail."""

    def views(blueprint: pegboard.Blueprint) -> None:
        cached = pegboard.cached(Note, ttl=300)
        if in_class:

            @blueprint.route("/<int:note_id>")
            class View(MethodView):
                @responds(blueprint)
                @cached
                def get(self, note_id: int) -> dict[str, int]:
                    return {"id": note_id}

        else:

            @blueprint.get("/<int:note_id>")
            @responds(blueprint)
            @cached
            def view(note_id: int) -> dict[str, int]:
                return {"id": note_id}

    with pytest.raises(pegboard.StartupError) as caught:
        start_views(views)
    (problem,) = caught.value.problems
    assert "PB_CACHED_BELOW_RESPONSE" == problem.code


def test_all_mistakes_of_cached_views_are_told_at_once(start_views: Any) -> None:
    """Of two views of one name, of a URL without the key, of a method that is never cached."""

    def views(blueprint: pegboard.Blueprint) -> None:
        def view(note_id: int = 0) -> str:
            return str(note_id)

        for name, rule, method in [
            ("one", "/one/<int:note_id>", "GET"),
            ("one", "/same/<int:note_id>", "GET"),
            ("two", "/two", "GET"),
            ("three", "/three/<int:note_id>", "POST"),
        ]:
            cached = pegboard.cached(Note, ttl=300, name=name)(view)
            blueprint.add_url_rule(rule, rule[1:4], view_func=cached, methods=[method])

    with pytest.raises(pegboard.StartupError) as caught:
        start_views(views)
    assert {
        "PB_CACHED_DUPLICATE_NAME",
        "PB_CACHED_KEY_MISMATCH",
        "PB_CACHED_WITHOUT_GET",
    } == {problem.code for problem in caught.value.problems}


def bare(view: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that forgets `functools.wraps`."""

    def run(*args: Any) -> Any:
        return view(*args)

    return run


class Checked:
    """A decorator that is a class."""

    def __init__(self, view: Callable[..., Any]) -> None:
        self.view = view

    def __call__(self, *args: Any) -> Any:
        """Run the view."""
        return self.view(*args)


def plain() -> Callable[..., Any]:
    """A new view, as a note stays at a function."""
    return lambda: {"id": 1}


class LimitedView(MethodView):
    """A view class, one of whose methods is limited."""

    @pegboard.rate_limit("1/minute")
    def get(self) -> dict[str, int]:
        """Answer."""
        return {"id": 1}


limit = pegboard.rate_limit("1/minute")
HIDDEN = {
    "a closure": lambda: bare(limit(plain())),
    "two of them": lambda: bare(bare(limit(plain()))),
    "below one with wraps": lambda: measured(bare(measured(limit(plain())))),
    "a class": lambda: Checked(limit(plain())),
    "a partial": lambda: functools.partial(lambda view: view(), limit(plain())),
    "a method of a class": lambda: bare(LimitedView.as_view("limited")),
    "cache_control": lambda: bare(cache_control("no-store")(plain())),
}


@pytest.mark.parametrize("kind", HIDDEN)
def test_a_note_that_a_decorator_hides_is_refused(start_views: Any, kind: str) -> None:
    """A limit would not be enforced, and nothing would tell."""
    name = kind if kind == "cache_control" else "rate_limit"
    with pytest.raises(pegboard.StartupError) as caught:
        start_views(lambda blueprint: blueprint.add_url_rule("/", "limited", HIDDEN[kind]()))
    (problem,) = caught.value.problems
    assert "PB_ANNOTATION_HIDDEN" == problem.code
    assert f"hides the {name} of " in problem.summary
    assert problem.hint.endswith(f"put `{name}` above it.")


def test_what_a_view_calls_may_be_limited_where_it_is_served(start_views: Any) -> None:
    """Nor is a note hidden that the decorator hands on, or that is above it."""

    def views(blueprint: pegboard.Blueprint) -> None:
        one = limit(functools.partial(plain()))
        blueprint.add_url_rule("/one", "one", one)
        blueprint.add_url_rule("/other", "other", bare(one))
        blueprint.add_url_rule("/above", "above", limit(bare(plain())))
        blueprint.add_url_rule("/wrapped", "wrapped", measured(limit(measured(plain()))))
        blueprint.add_url_rule("/proxy", "proxy", Checked(flask.current_app))

    start_views(views)
