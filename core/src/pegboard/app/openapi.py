"""The documentation of a service: its OpenAPI document, and the page that shows it."""

import copy
import functools
from collections.abc import Sequence
from functools import partial
from typing import Any

from apispec import APISpec
from flask import Flask

from pegboard.api import (
    Api,
    OpenAPIDocument,
    Operation,
    OperationIdError,
    add_answers,
    add_headers_and_examples,
    add_names,
    add_tags,
    describe_service,
    docs_blueprint,
    drop_defaults,
    drop_unused_schemas,
    openapi_blueprint,
    operations_of,
    use_current_names,
)
from pegboard.app.hook_calls import call_with_app
from pegboard.cache import find_cached_lists, find_lookups
from pegboard.plugins import Collision, Plugin, Registry, locate_part, locate_route, settle
from pegboard.problems import Code, PluginError, Problem, StartupError
from pegboard.resources import (
    LIST,
    TOTAL_ON_REQUEST,
    describe_totals_on_request,
    resource_of,
)
from pegboard.settings import CoreSettings
from pegboard.start_times import timed


def add_documentation(app: Flask) -> OpenAPIDocument:
    """Serve `/openapi.json` and `/docs`; the document is empty until it is rendered."""
    document = OpenAPIDocument()
    app.register_blueprint(openapi_blueprint(document))
    app.register_blueprint(docs_blueprint())
    return document


@timed("OpenAPI document")
def render_document(
    document: OpenAPIDocument | None,
    app: Flask,
    core: CoreSettings,
    api: Api,
    assembled: Registry,
) -> None:
    """Render the document of all blueprints, after each plugin's `pegboard_openapi` changed it.

    The command `pegboard openapi` prints the same one, also where none is served. Raises
    `PluginError`, or `StartupError` for a call of no plugin.
    """
    whole = functools.cache(partial(_whole_document, app, core, api, assembled))
    api.spec.to_dict = whole
    if document is not None:
        document.render(whole())


def _whole_document(
    app: Flask, core: CoreSettings, api: Api, assembled: Registry
) -> dict[str, Any]:
    content: dict[str, Any] = copy.deepcopy(APISpec.to_dict(api.spec))
    describe_service(
        content,
        description=core.api_description,
        license_text=core.api_license,
        contact=core.api_contact,
    )
    use_current_names(content)
    drop_unused_schemas(content)
    _add_answers(content, app)
    if core.resources_total == TOTAL_ON_REQUEST:
        for operation in operations_of(content, app):
            if operation.rule and hasattr(app.view_functions.get(operation.rule.endpoint), LIST):
                describe_totals_on_request(operation.content)
    for plugin in assembled.implementing("pegboard_openapi"):
        call_with_app(app, assembled, plugin, "pegboard_openapi", document=content)
        _check_document(content, app, plugin, assembled)
        for operation in operations_of(content, app):
            # The views of blueprints have tags: this one was added by the plugin.
            operation.content.setdefault("tags", [plugin.name])
    _add_answers(content, app)  # of what the plugins added
    operations = list(operations_of(content, app))
    _add_names(operations, app, assembled)
    add_headers_and_examples(content, operations)
    add_tags(content, operations)
    drop_defaults(content["components"]["schemas"])
    return content


def _check_document(
    content: dict[str, Any], app: Flask, plugin: Plugin, assembled: Registry
) -> None:
    """Raise `PluginError` for a document that a plugin has left without what the rest builds on."""
    try:
        app.json.dumps(content)
        content["paths"].items(), content["components"]["schemas"].items()
    except Exception as error:
        place = locate_part(assembled.manager, plugin, "pegboard_openapi")
        summary = f"pegboard_openapi spoiled the document: {type(error).__name__}: {error}{place}"
        hint = "Add to the document what JSON can hold, and keep its paths and components.schemas."
        raise PluginError(plugin.problem(Code.HOOK_RESULT_INVALID, summary, hint)) from error


def _add_answers(content: dict[str, Any], app: Flask) -> None:
    # Rules are compared by identity: two of the same text are equal.
    cached = {id(rule) for rule, _ in (*find_lookups(app), *find_cached_lists(app))}
    for operation in operations_of(content, app):
        add_answers(content, operation, is_cached=id(operation.rule) in cached)


def _add_names(operations: Sequence[Operation], app: Flask, assembled: Registry) -> None:
    try:
        add_names(operations)
    except OperationIdError as error:
        code, hint = Code.COLLISION_OPERATION, _change_of_id(app, error)
        both = (error.operation, error.other)
        owner, other = (_owner(operation, app, assembled) for operation in both)
        if owner is None:
            raise StartupError([Problem(code, str(error), f"{hint}.")]) from error
        places = [_place(operation, app, assembled) for operation in both]
        collision = Collision(
            code,
            owner,
            other,
            str(error),
            change=hint,
            later_place=places[0],
            earlier_place=places[1],
        )
        raise PluginError(*settle([collision], assembled.skippable)) from error


def _change_of_id(app: Flask, error: OperationIdError) -> str:
    """Return what ends a collision: of two resources it is their noun, of which ids are made."""
    rules = [one.rule for one in (error.operation, error.other)]
    views = [app.view_functions.get(rule.endpoint) if rule else None for rule in rules]
    found = [resource_of(view) if view else None for view in views]
    nouns = {one.noun for one in found if one is not None}
    if None not in found and found[0] is not found[1] and len(nouns) == 1:
        names = " and ".join(sorted(one.name for one in found if one is not None))
        return f"The resources {names} both have the noun {nouns.pop()!r}: give one of them another"
    return "Give each call an operationId of its own, or none"


def _place(operation: Operation, app: Flask, assembled: Registry) -> str:
    """Return where the view of a plugin's call is; empty for one of the core."""
    rule, owner = operation.rule, _owner(operation, app, assembled)
    if rule is None or owner is None:
        return ""
    return locate_route(assembled.manager, owner, "pegboard_blueprints", app, rule)


def _owner(operation: Operation, app: Flask, assembled: Registry) -> Plugin | None:
    rule = operation.rule
    view = app.view_functions.get(rule.endpoint) if rule else None
    if rule and view:
        return assembled.owner_of(rule.endpoint, view.__module__)
    # Without a view, as at a rule with `redirect_to`, the tag names the plugin that added the call.
    tags = operation.content.get("tags")
    return next((plugin for plugin in assembled.plugins if tags == [plugin.name]), None)
