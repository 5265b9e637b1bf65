"""Blueprints with documented views and strictly parsed arguments."""

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import flask
import flask.sansio.blueprints
import flask_smorest
from flask import Flask
from marshmallow import RAISE, Schema, validate

from pegboard.api.decorator_arguments import (
    require_location,
    require_pager,
    require_path,
    require_schema,
    require_status,
)
from pegboard.api.dumping import quick_schema
from pegboard.api.parser import StrictParser
from pegboard.api.query import LOCATIONS, open_query
from pegboard.api.specification import Api
from pegboard.http import encode_json

MAX_PAGE = 1_000_000
"""The last page that `Blueprint.paginate` takes: its offset fits into any database."""


if TYPE_CHECKING:
    F = TypeVar("F", bound=Callable[..., Any])
    AnySchema = Schema | type[Schema]

    class _DocumentedBlueprint(flask.Blueprint):
        """The part of flask-smorest's blueprint that plugins use, with types."""

        def __init__(self, *args: Any, description: str = "", **kwargs: Any) -> None: ...
        def arguments(
            self, schema: AnySchema, *, location: str = "json", **kwargs: Any
        ) -> Callable[[F], F]: ...
        def response(
            self, status_code: int, schema: AnySchema | None = None, **kwargs: Any
        ) -> Callable[[F], F]: ...
        def alt_response(
            self,
            status_code: int,
            response: str | None = None,
            *,
            schema: AnySchema | dict[str, Any] | None = None,
            **kwargs: Any,
        ) -> Callable[[F], F]: ...
        # A view class, too, and what `response` makes an answer of.
        def route(self, rule: str, **options: Any) -> Callable[[F], F]: ...
        def get(self, rule: str, **options: Any) -> Callable[[F], F]: ...
        def post(self, rule: str, **options: Any) -> Callable[[F], F]: ...
        def put(self, rule: str, **options: Any) -> Callable[[F], F]: ...
        def patch(self, rule: str, **options: Any) -> Callable[[F], F]: ...
        def delete(self, rule: str, **options: Any) -> Callable[[F], F]: ...
        def doc(self, **kwargs: Any) -> Callable[[F], F]: ...
        def paginate(self, *args: Any, **kwargs: Any) -> Callable[[F], F]: ...
        def register_views_in_doc(self, *args: Any, **kwargs: Any) -> None: ...
else:
    _DocumentedBlueprint = flask_smorest.Blueprint


class Decoration(NamedTuple):
    """A function, or a view class, and what a decorator of a blueprint has made of it."""

    name: str
    """The decorator's."""
    given: Callable[..., Any]
    """What was decorated."""
    made: Callable[..., Any]
    """What the decorator returned; of a view class that is the class."""
    is_late: bool
    """Whether a route of the blueprint already decorated what was given, or what that wraps."""
    positional: int = 0
    """How many positional arguments it passes to what was given."""
    keywords: tuple[str, ...] | None = ()
    """The names of other arguments that it passes; None if they are not known."""


def functions_inside(view: Any) -> Iterator[Callable[..., Any]]:
    """Yield a view and the functions that its decorators have wrapped, the outermost first."""
    while view is not None:
        yield view
        view = getattr(view, "__wrapped__", None)


class Blueprint(_DocumentedBlueprint):
    """A blueprint of flask-smorest: its views are in the OpenAPI document, its arguments strict.

    `arguments`, `paginate`, `response`, `alt_response` and `doc` decorate its views. Parameters of
    the query that the view does not declare are answered with 422, as are those given more than
    once. A view declares them by `arguments(..., location="query")`, of which it may have several,
    by `paginate`, or by `doc(parameters=[...])`; one that reads `flask.request.args` freely says so
    by `any_query`. Invalid JSON is answered 400.

    The document gets from the platform what holds for every view of its kind: errors, headers, what
    a cached view answers, names that are missing. A view that calls `require_preconditions` says so
    by `alt_response(412, "PRECONDITION_FAILED")`, and gets the parameters `If-Match` and
    `If-None-Match`.
    """

    ARGUMENTS_PARSER = StrictParser()
    PAGINATION_ARGUMENTS_PARSER = StrictParser()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take the arguments of `flask.Blueprint`, and a `description` for the document."""
        super().__init__(*args, **kwargs)
        self.decorations: list[Decoration] = []
        """How functions were decorated, so that what has no effect can be found."""
        self._routed: list[object] = []

    def route(self, rule: str, **options: Any) -> "Callable[[F], F]":
        """Add a route of a view function or class, as flask-smorest does."""
        require_path(rule)
        decorate = super().route(rule, **options)

        def decorate_and_note(view: "F") -> "F":
            self._routed.append(view)
            return decorate(view)

        return decorate_and_note

    def arguments(
        self, schema: "AnySchema", *, location: str = "json", **kwargs: Any
    ) -> "Callable[[F], F]":
        """Parse the request's arguments by a schema, and document them.

        A schema class is made an instance of for each request, but one that has no functions, and
        no fields with code of their author, only once.

        With `unknown=marshmallow.INCLUDE` or `EXCLUDE` for the query, it may have any parameter;
        with `unknown=None`, the `Meta` of the schema decides. Raises `TypeError` for what is no
        schema, and `ValueError` for an unknown location.
        """
        require_schema("arguments", schema)
        require_location(self.ARGUMENTS_PARSER, location)
        decorate = super().arguments(schema, location=location, **kwargs)
        unknown = kwargs.get("unknown", RAISE)
        if unknown is None:
            unknown = (schema() if isinstance(schema, type) else schema).unknown
        is_open = location in LOCATIONS and unknown != RAISE
        names = kwargs.get("arg_name"), kwargs.get("as_kwargs")
        return self._noting(
            "arguments",
            (lambda view: open_query(decorate(view))) if is_open else decorate,
            positional=0 if any(names) else 1,
            keywords=None if any(names) else (),
        )

    def response(
        self, status_code: int, schema: "AnySchema | None" = None, **kwargs: Any
    ) -> "Callable[[F], F]":
        """Make the answer of what the view returns, by a schema, and document it.

        Raises `TypeError` for what is no schema, and no document of one.
        """
        require_status("response", status_code)
        require_schema("response", schema, or_else=(str, dict, type(None)))
        return self._noting(
            "response", super().response(status_code, quick_schema(schema), **kwargs)
        )

    def alt_response(
        self, status_code: int, response: str | None = None, **kwargs: Any
    ) -> "Callable[[F], F]":
        """Document another answer of the view: by a schema, or by the name of a component."""
        require_status("alt_response", status_code)
        require_schema("alt_response", kwargs.get("schema"), or_else=(str, dict, type(None)))
        return self._noting("alt_response", super().alt_response(status_code, response, **kwargs))

    def doc(self, **kwargs: Any) -> "Callable[[F], F]":
        """Put these members into the view's part of the document."""
        return self._noting("doc", super().doc(**kwargs))

    def paginate(self, *args: Any, **kwargs: Any) -> "Callable[[F], F]":
        """Add `page`, at most 1,000,000, and `page_size` to the query; see flask-smorest."""
        pager = args[0] if args else kwargs.get("pager")
        require_pager(pager)
        decorate = super().paginate(*args, **kwargs)

        def decorate_bounded(view: "F") -> "F":
            decorated: Any = decorate(view)
            schema = decorated._apidoc["pagination"]["parameters"]["schema"]  # noqa: SLF001
            # A class of this call's own; its document has the bound, too.
            schema._declared_fields["page"].validators[:] = [  # noqa: SLF001 - nothing public
                validate.Range(1, MAX_PAGE)
            ]
            return decorated  # type: ignore[no-any-return]

        keywords = ("pagination_parameters",) if pager is None else ()
        return self._noting("paginate", decorate_bounded, keywords=keywords)

    def _noting(
        self,
        name: str,
        decorate: "Callable[[F], F]",
        *,
        positional: int = 0,
        keywords: tuple[str, ...] | None = (),
    ) -> "Callable[[F], F]":
        """Return a decorator that notes what it has decorated."""

        def decorate_and_note(view: "F") -> "F":
            routed = {id(one) for one in self._routed}
            is_late = any(id(one) in routed for one in functions_inside(view))
            decorated = decorate(view)
            self.decorations.append(
                Decoration(name, view, decorated, is_late, positional, keywords)
            )
            return decorated

        return decorate_and_note

    def _set_pagination_metadata(self, *args: Any) -> tuple[Any, Any]:
        """Write `X-Pagination` in the form of all JSON of the platform."""
        result, headers = super()._set_pagination_metadata(*args)  # type: ignore[misc]
        name = self.PAGINATION_HEADER_NAME  # type: ignore[attr-defined]
        headers[name] = encode_json(json.loads(headers[name])).decode()
        return result, headers

    @staticmethod
    def any_query(view: "F") -> "F":
        """Let a view, or a view class, that reads `flask.request.args` take any parameter."""
        return open_query(view)

    def register_blueprint(
        self, blueprint: "flask.sansio.blueprints.Blueprint", **options: Any
    ) -> None:
        """Nest a blueprint in this one; the views of a plain one are in no document."""
        if isinstance(blueprint, flask_smorest.Blueprint):
            super().register_blueprint(blueprint, **options)
        else:
            flask.Blueprint.register_blueprint(self, blueprint, **options)

    def register_views_in_doc(self, api: Api, app: Flask, *args: Any, **kwargs: Any) -> None:
        """Document the views in the app's context, as schemas may read its settings."""
        with app.app_context():
            super().register_views_in_doc(api, app, *args, **kwargs)
