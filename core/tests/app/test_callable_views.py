"""Views that Flask could not call, or would never call, are found at the start."""

import functools
from collections.abc import Callable
from typing import Any

import flask
import pytest
from flask.views import MethodView
from marshmallow import Schema, fields

import pegboard

Views = Callable[[pegboard.Blueprint], object]


class NoteSchema(Schema):
    """What clients send and see of a note."""

    text = fields.String()


def only_problem(start_views: Any, views: Views) -> Any:
    """The one problem of a start with these views."""
    with pytest.raises(pegboard.StartupError) as caught:
        start_views(views)
    (problem,) = caught.value.problems
    assert "notes" == problem.plugin
    return problem


def without_the_variable(blueprint: pegboard.Blueprint) -> None:
    """The URL has a variable that the view lacks."""

    @blueprint.get("/<int:note_id>")
    @pegboard.transactional
    def view() -> str:
        return ""


def with_another_variable(blueprint: pegboard.Blueprint) -> None:
    """The view wants what the URL does not have."""

    @blueprint.get("/<int:note_id>")
    def view(note: int) -> str:
        return str(note)


def without_the_argument(blueprint: pegboard.Blueprint) -> None:
    """What `arguments` parses is passed, too."""

    @blueprint.post("/")
    @blueprint.response(201, NoteSchema)
    @blueprint.arguments(NoteSchema)
    def view() -> str:
        return ""


def without_the_page(blueprint: pegboard.Blueprint) -> None:
    """And what `paginate` parses."""

    @blueprint.get("/")
    @blueprint.response(200, NoteSchema(many=True))
    @blueprint.paginate()
    def view() -> list[str]:
        return []


def without_arguments(blueprint: pegboard.Blueprint) -> None:
    """The view wants an argument that nothing parses."""

    @blueprint.post("/")
    def view(sent: Any) -> str:
        return str(sent)


def in_a_class(blueprint: pegboard.Blueprint) -> None:
    """A method of a view class."""

    @blueprint.route("/<int:note_id>")
    class View(MethodView):
        def get(self, note_id: int) -> str:
            return str(note_id)

        def delete(self) -> str:
            return ""


def asynchronous(blueprint: pegboard.Blueprint) -> None:
    """Flask awaits a view only with an extra that is not installed."""

    @blueprint.get("/")
    @blueprint.response(200, NoteSchema)
    async def view() -> str:
        return ""


@pytest.mark.parametrize(
    "views, summary, hint",
    [
        (without_the_variable, "unexpected keyword argument 'note_id'", "It is given note_id."),
        (with_another_variable, "missing a required argument: 'note'", "It is given note_id."),
        (without_the_argument, "too many positional", "It is given what `arguments` parses."),
        (without_the_page, "argument 'pagination_parameters'", "given pagination_parameters."),
        (without_arguments, "missing a required argument: 'sent'", "It is given no arguments."),
        (in_a_class, "unexpected keyword argument 'note_id'", "It is given self, note_id."),
        (asynchronous, "is async, which nothing awaits", "Make it a plain function."),
    ],
)
def test_a_view_that_cannot_be_called_is_refused(
    start_views: Any, monkeypatch: pytest.MonkeyPatch, views: Views, summary: str, hint: str
) -> None:
    """With what it is given; every request would be answered 500."""
    monkeypatch.setattr("pegboard.app.callable_views.find_spec", lambda _: None)
    problem = only_problem(start_views, views)
    assert "PB_VIEW_INVALID" == problem.code
    assert problem.summary.startswith(f"the view {__name__}.{views.__name__}.<locals>.")
    assert summary in problem.summary
    assert hint in problem.hint


def measured(view: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator of somebody else that passes an argument of its own."""

    @functools.wraps(view)
    def run(*args: Any, **kwargs: Any) -> Any:
        return view("extra", *args, **kwargs)

    return run


def with_everything(blueprint: pegboard.Blueprint) -> None:
    """All that the platform passes, in one view."""

    @blueprint.post("/<name>")
    @pegboard.transactional
    @blueprint.response(200, NoteSchema)
    @blueprint.arguments(NoteSchema)
    @blueprint.arguments(NoteSchema, location="query")
    @blueprint.paginate()
    def view(sent: Any, query: Any, name: str, pagination_parameters: Any) -> Any:
        pagination_parameters.item_count = 0
        return {"text": name}


def with_another_decorator(blueprint: pegboard.Blueprint) -> None:
    """What another decorator passes is not known."""

    @blueprint.post("/<name>")
    @measured
    def view(extra: str, name: str) -> dict[str, str]:
        return {"text": name}


def with_a_preprocessor(blueprint: pegboard.Blueprint) -> None:
    """It may take a variable of the URL away."""

    @blueprint.url_value_preprocessor
    def keep(endpoint: object, values: dict[str, Any] | None) -> None:
        flask.g.name = (values or {}).pop("name")

    @blueprint.post("/<name>")
    def view() -> dict[str, str]:
        return {"text": flask.g.name}


def with_keywords(blueprint: pegboard.Blueprint) -> None:
    """The fields of a schema as arguments of their own."""

    @blueprint.post("/<name>")
    @blueprint.arguments(NoteSchema, as_kwargs=True)
    def view(name: str, text: str = "") -> dict[str, str]:
        return {"text": name + text}


def with_methods(blueprint: pegboard.Blueprint) -> None:
    """A view class, with a method that needs no object."""

    @blueprint.route("/<name>")
    class View(MethodView):
        @blueprint.arguments(NoteSchema)
        def post(self, sent: Any, name: str) -> dict[str, str]:
            return {"text": name}

        @staticmethod
        def get(name: str) -> dict[str, str]:
            return {"text": name}


@pytest.mark.parametrize(
    "views",
    [with_everything, with_another_decorator, with_a_preprocessor, with_keywords, with_methods],
)
def test_a_view_that_can_be_called_is_served(start_views: Any, views: Views) -> None:
    """Whatever passes its arguments."""
    response = start_views(views).test_client().post("/notes/me", json={})
    assert (200, {"text": "me"}) == (response.status_code, response.json)


@pytest.mark.parametrize(
    "decorate, message",
    [
        (lambda one: one.get, "the route above {} is not called: write it as in @blueprint.get("),
        (lambda one: one.route, "the route above {} is not called"),
        (lambda one: one.arguments, "arguments above {} is not called"),
        (lambda one: one.response, "response above {} is not called"),
        (lambda one: one.alt_response, "alt_response above {} is not called"),
        (lambda one: one.paginate, "paginate above {} is not called"),
        (lambda one: one.arguments(NoteSchema, location="qery"), "did you mean 'query'?"),
        (lambda one: one.arguments(int), "arguments wants a marshmallow.Schema"),
        (lambda one: one.response(200, int), "response wants a marshmallow.Schema"),
        (lambda one: one.alt_response(404, schema=int), "alt_response wants a marshmallow.Schema"),
    ],
)
def test_a_decorator_with_wrong_arguments_is_refused_where_it_stands(
    start_views: Any, decorate: Callable[[pegboard.Blueprint], Any], message: str
) -> None:
    """The message has the line of the plugin."""

    def views(blueprint: pegboard.Blueprint) -> None:
        def view() -> str:
            return ""

        decorate(blueprint)(view)

    problem = only_problem(start_views, views)
    assert message.format(f"{__name__}.{views.__qualname__}.<locals>.view") in problem.summary
