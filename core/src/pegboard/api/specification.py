"""Making the OpenAPI document of an app: its version, and the names of its schemas."""

from collections.abc import Mapping

import flask_smorest
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask

from pegboard.api.component_names import component_name
from pegboard.api.document import ROOT_SERVERS
from pegboard.api.errors import ERROR_SCHEMA, ErrorSchema
from pegboard.api.field_types import enum_type
from pegboard.api.status_names import accept_all_names
from pegboard.start_times import timed

OPENAPI_VERSION = "3.0.3"


class Api(flask_smorest.Api):  # type: ignore[misc]  # it has no types
    """The OpenAPI document of one app."""

    ERROR_SCHEMA = ERROR_SCHEMA  # no class, which would be made anew for each status
    DEFAULT_ERROR_RESPONSE_NAME = None
    """No default error of flask-smorest: `add_answers` documents those of the platform."""


@timed("API")
def init_api(app: Flask, plugin_packages: Mapping[str, str]) -> Api:
    """Create the app's API; `plugin_packages` maps an import package to its plugin's name.

    The names of schemas in the document begin with the plugin's name, so that they cannot collide
    and do not depend on which other plugins are active.
    """
    app.config["OPENAPI_VERSION"] = OPENAPI_VERSION
    plugin = MarshmallowPlugin(
        schema_name_resolver=lambda schema: component_name(schema, plugin_packages)
    )
    api = Api(app, spec_kwargs={"marshmallow_plugin": plugin, "servers": ROOT_SERVERS})
    api.ma_plugin.converter.add_attribute_function(enum_type)
    api.spec.components.schema("Error", schema=ErrorSchema)
    accept_all_names(api, ERROR_SCHEMA)
    return api
