"""The stage that lets no request pass without a tenant, and hides the plugins it does not have."""

from urllib.parse import urlsplit

from flask import Flask
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import RequestRedirect

import pegboard
from pegboard.stages import Answer, Call, Route, StageOrder
from pegboard_tenants.directory import Directory

_UNKNOWN = Answer.error(401, "A key is needed.", [("WWW-Authenticate", "Bearer")])
NOWHERE = "/-"
"""A path that no plugin has."""


class TenantStage:
    """Stands behind the limits, so that guesses of keys are counted, and before the cache."""

    name = "tenants"
    order = (StageOrder.LIMIT + StageOrder.ANSWER) // 2

    def __init__(self, app: Flask, directory: Directory) -> None:
        self._app = app
        self._directory = directory

    def bind(self, route: Route | None) -> "TenantHandler | None":
        """Return the handler of a route; the core's own are for everybody."""
        if route is None:
            return UnmatchedHandler(self._app, self._directory)
        plugin = plugin_of(self._app, route.endpoint)
        return None if plugin is None else TenantHandler(self._app, self._directory, plugin)


class TenantHandler:
    """Answers 401 to who is no tenant, and 404 to one that does not have the route's plugin."""

    def __init__(self, app: Flask, directory: Directory, plugin: str) -> None:
        self._app = app
        self._directory = directory
        self._plugin = plugin

    def is_non_blocking(self) -> bool:
        """Return whether the tenants need not be read now, which a thread has to do."""
        return self._directory.is_fresh()

    def prepare(self, call: Call) -> Answer | None:
        """Find the tenant."""
        plugin = self.plugin_at(call)
        if plugin is None:
            return None
        tenant = self._directory.find(call.environ)
        if tenant is None:
            return _UNKNOWN
        return self._absent(call) if plugin in tenant.disabled else None

    def complete(self, call: Call, replies: object) -> None:
        """Never called, as there are no commands."""

    def plugin_at(self, call: Call) -> str | None:
        """Return the plugin that the request is for; None for the core and for nothing."""
        return self._plugin

    def _absent(self, call: Call) -> Answer:
        """Return what this app answers where no route is, as its handler of errors has it."""
        prefix = {"SCRIPT_NAME": call.environ.get("SCRIPT_NAME", "")}
        with self._app.test_request_context(NOWHERE, environ_overrides=prefix):
            response = self._app.make_response(self._app.handle_user_exception(NotFound()))
        return Answer(404, [("Content-Type", "application/json")], response.get_data())


class UnmatchedHandler(TenantHandler):
    """Hides a plugin also where Flask would answer 405 or a redirect for it."""

    def __init__(self, app: Flask, directory: Directory) -> None:
        super().__init__(app, directory, "")

    def plugin_at(self, call: Call) -> str | None:
        """Return the plugin that has the path, for whatever method, or that it leads to."""
        adapter = self._app.url_map.bind("")
        path = call.environ.get("PATH_INFO", "").encode("latin1").decode(errors="replace")
        method = call.method
        for _ in range(3):
            try:
                endpoint, _arguments = adapter.match(path, method)
                return plugin_of(self._app, endpoint)
            except RequestRedirect as redirect:
                path = urlsplit(redirect.new_url).path
            except MethodNotAllowed as error:
                method = next(iter(error.valid_methods or ()), method)
            except HTTPException:
                return None
        return None


def plugin_of(app: Flask, endpoint: str) -> str | None:
    """Return the name of the plugin that a view belongs to; None for one of the core.

    What neither has added, as the code that made the app, belongs to no plugin, and needs a key.
    """
    registry = pegboard.get_registry(app)
    if registry.is_core(endpoint):
        return None
    module = getattr(app.view_functions[endpoint], "__module__", "")  # a partial has none
    plugin = registry.owner_of(endpoint, module)
    return plugin.name if plugin else ""
