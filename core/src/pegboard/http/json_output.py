"""The one form of JSON in answers: no white space, text as it is, names in the order given."""

import json
from typing import Any

from flask import Response
from flask.json.provider import DefaultJSONProvider


def encode_json(value: Any) -> bytes:
    """Return a value as JSON; of dates, decimals, UUIDs and data classes as Flask writes them."""
    return dump_json(value, default=DefaultJSONProvider.default).encode()


def dump_json(value: Any, **options: Any) -> str:
    """Return a value as a JSON text that can be encoded in UTF-8."""
    options = {"separators": (",", ":"), **options}
    text = json.dumps(value, ensure_ascii=False, **options)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which a client may have sent escaped
        text = json.dumps(value, **options)
    return text


class JSONProvider(DefaultJSONProvider):
    """What an app writes its JSON by; the form does not depend on the debug mode."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        """Return an object as JSON; takes the options of `json.dumps`."""
        options = {"default": self.default, **kwargs}
        if "ensure_ascii" in options:
            return json.dumps(obj, **options)
        if options.get("indent") is not None:
            options.setdefault("separators", None)
        return dump_json(obj, **options)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """Return an answer with an object as JSON."""
        content = self.dumps(self._prepare_response_obj(args, kwargs))
        response: Any = self._app.response_class(content, mimetype=self.mimetype)
        return response  # type: ignore[no-any-return]
