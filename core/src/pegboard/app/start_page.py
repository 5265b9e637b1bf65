"""The page `/`: what this service is, for people as HTML and for programs as JSON."""

import base64
import functools
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from flask import Flask, Response, json, request, send_from_directory, url_for
from flask_smorest.spec.plugins import FlaskPlugin
from werkzeug.routing import Rule

from pegboard.api import ASSETS, LIVENESS_PATH
from pegboard.plugins import Plugin, Registry
from pegboard.settings import CoreSettings

PAGE = "start_page.page"
FAVICON = "start_page.favicon"

_TEMPLATES = files("pegboard.app") / "templates" / "pegboard"
_STYLE = (_TEMPLATES / "start.css").read_text(encoding="utf-8")
_HTML = (_TEMPLATES / "start.html").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_ICON_AGE = 24 * 3600


class FallbackRule(Rule):
    """A rule that gives way to any other of its path, also to one that is added later."""

    @property
    def methods(self) -> set[str] | None:
        """The methods that no other rule of the path has."""
        taken: set[str] = set()
        for other in self.map.iter_rules():
            if other is not self and other.rule == self.rule:
                taken |= self._own if other.methods is None else other.methods
        return self._own - taken

    @methods.setter
    def methods(self, methods: set[str] | None) -> None:
        self._own = methods or set()


def add_start_page(app: Flask, core: CoreSettings, assembled: Registry) -> None:
    """Serve `/` and `/favicon.ico`, unless a plugin or the site does.

    Versions, plugins and routes are told where the documentation is served.
    """
    if not core.start_page:
        return

    template = functools.cache(lambda: app.jinja_env.from_string(_HTML))

    def page() -> Response:
        content = _content(app, core, assembled)
        # What accepts both alike, as `*/*`, is a program.
        accepted = request.accept_mimetypes.best_match(("application/json", "text/html"))
        if accepted == "text/html":
            html = template().render(style=_STYLE, **content)
            response = Response(html, mimetype="text/html")
            response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        else:
            response = Response(json.dumps(content), mimetype="application/json")
        response.vary.add("Accept")
        response.headers["Cache-Control"] = "no-cache"
        return response

    def favicon() -> Response:
        return send_from_directory(ASSETS, "icon.svg", max_age=_ICON_AGE)

    for path, endpoint, view in (("/", PAGE, page), ("/favicon.ico", FAVICON, favicon)):
        rule = FallbackRule(path, endpoint=endpoint, methods=["GET", "OPTIONS"])
        rule.provide_automatic_options = True  # type: ignore[attr-defined]  # as Flask does
        app.url_map.add(rule)
        app.view_functions[endpoint] = view


def _content(app: Flask, core: CoreSettings, assembled: Registry) -> dict[str, Any]:
    """Return what the page tells."""
    content: dict[str, Any] = {
        "name": core.api_title,
        "version": core.api_version,
        "links": {"health": request.script_root + LIVENESS_PATH},
    }
    if core.api_docs:
        content["links"] |= {
            "docs": url_for("docs.page"),
            "openapi": url_for("openapi.openapi"),
        }
        routes = _routes(app, assembled)
        content["plugins"] = [
            {
                "name": plugin.name,
                "version": plugin.distribution.version if plugin.distribution else None,
                "routes": routes.get(plugin.name, []),
            }
            for plugin in assembled.plugins
        ]
    return content


def _routes(app: Flask, assembled: Registry) -> Mapping[str, list[dict[str, Any]]]:
    """Return the paths of each plugin with their methods, by its name."""
    found: dict[str, dict[str, set[str]]] = {}
    for rule in app.url_map.iter_rules():
        owner = _owner(app, assembled, rule)
        if owner is not None:
            path = request.script_root + FlaskPlugin.flaskpath2openapi(rule.rule)
            methods = (rule.methods or set()) - {"HEAD", "OPTIONS"}
            found.setdefault(owner.name, {}).setdefault(path, set()).update(methods)
    return {
        name: [{"path": path, "methods": sorted(paths[path])} for path in sorted(paths)]
        for name, paths in found.items()
    }


def _owner(app: Flask, assembled: Registry, rule: Rule) -> Plugin | None:
    view = app.view_functions.get(rule.endpoint)
    return None if view is None else assembled.owner_of(rule.endpoint, view.__module__)
