"""Flask's sessions in Redis: the cookie holds a signed id and nothing else."""

import logging
import math
import re
import time
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from hashlib import sha256
from http import HTTPStatus
from typing import Any, NoReturn

from flask import Flask, Request, Response, has_request_context, request, session
from flask.sessions import SessionInterface, SessionMixin
from itsdangerous import BadSignature, Signer

import pegboard
from pegboard.redis import get_channel
from pegboard_cache_redis.sessions.codec import FieldCodec
from pegboard_cache_redis.sessions.lazy_session import LazySession
from pegboard_cache_redis.sessions.store import (
    Changes,
    SessionGoneError,
    SessionStore,
    SessionStoreError,
)
from pegboard_cache_redis.settings import CacheRedisSettings

logger = logging.getLogger(__name__)

_ID = re.compile(r"[A-Za-z0-9_-]{54}")
_RETRY_AFTER = 1
_LOG_INTERVAL = 60.0
"""Seconds between two log lines about sessions that cannot be read or stored."""
_MOVES = 5
"""How often a session may be changed by others while it is given another id."""


def rotate_session() -> None:
    """Give the session another id and end the old one, when the request ends.

    Call it when a session gains rights, above all at a login: the old id, which an attacker may
    know, is then worthless. A session in a signed cookie has no id and stays as it is.
    """
    if isinstance(session, LazySession):
        session.rotate()


def end_session() -> None:
    """End the session, as at a logout; no request that is still under way can bring it back.

    What is put into `flask.session` afterwards begins a new one.
    """
    session.clear()


class RedisSessionInterface(SessionInterface):
    """Opens a session for each request; it is read from Redis only when the request accesses it."""

    opens_any = True
    """That no request is refused a session, so cached answers may be given before one is opened."""

    def __init__(self, store: SessionStore, secrets: Sequence[str], lifetime: int) -> None:
        """Sign with the first secret; accept what was signed with any of them.

        `lifetime` is that of sessions which are not permanent, in seconds.
        """
        self._store = store
        self._lifetime = lifetime
        self._refused, self._told_at = 0, -math.inf
        self._signer = Signer(
            list(reversed(secrets)),  # the last one signs
            salt=b"pegboard-session-1",
            key_derivation="hmac",
            digest_method=sha256,
        )

    def get_cookie_name(self, app: Flask) -> str:
        """Return the name; by its beginning a browser accepts it only from this host, over TLS.

        `__Host-` demands the path `/`; a service under a path prefix has a cookie of its own.
        """
        name: str = app.config["SESSION_COOKIE_NAME"]
        if not self.get_cookie_secure(app):
            return name
        return f"__Host-{name}" if self.get_cookie_path(app) == "/" else f"__Secure-{name}"

    def get_cookie_domain(self, app: Flask) -> str | None:  # noqa: ARG002 - Flask's signature
        """Return none: the cookie is sent to this host alone."""
        return None

    def get_cookie_path(self, app: Flask) -> str:  # noqa: ARG002 - Flask's signature
        """Return the path prefix of the request, else the root."""
        return (request.script_root if has_request_context() else "") or "/"

    def get_cookie_httponly(self, app: Flask) -> bool:  # noqa: ARG002 - Flask's signature
        """Return that scripts in a browser cannot read the cookie."""
        return True

    def open_session(self, app: Flask, request: Request) -> LazySession:
        """Return a session that is read when it is first accessed."""
        return LazySession(
            partial(self._identify, app, request), self._store.read, self._answer_503
        )

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Store what the request has changed. Raises 503 or 409 if it cannot be stored."""
        assert isinstance(session, LazySession)
        if session.accessed:
            response.vary.add("Cookie")
        if session.is_saved:
            return
        session.is_saved = True  # Flask calls this again for an error response
        if session.has_failed:
            if response.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
                self._answer_503(None)  # the view has caught the error
            return
        if session.values_in_use is None:
            return
        try:
            if session.stored is None:
                self._save_anew(app, session, response)
            else:
                self._save_changes(app, session, response)
        except SessionStoreError as error:
            self._answer_503(error)
        except SessionGoneError:
            message = "The session has ended while the request was under way."
            pegboard.abort(HTTPStatus.CONFLICT, message)

    def _save_anew(self, app: Flask, session: LazySession, response: Response) -> None:
        """Begin a new session, end the one that the view has ended, or both."""
        values = session.values_in_use
        ended = session.id if session.is_ended else None
        if values:
            new = self._store.begin(values, self._lifetime_of(app, session), ended=ended)
            self._send_cookie(app, session, new, response)
        elif ended is not None:
            self._store.end(ended)
            self._delete_cookie(app, response)

    def _save_changes(self, app: Flask, session: LazySession, response: Response) -> None:
        """Store the changes to a session; it ends if nothing is left in it."""
        stored, values = session.stored, session.values_in_use
        assert stored is not None
        assert values is not None
        changes = self._store.compare(stored, values)
        lifetime = self._lifetime_of(app, session)
        if session.is_rotating:
            if moved := self._move(session, changes, lifetime):
                self._send_cookie(app, session, moved, response)
            else:
                self._delete_cookie(app, response)
            return
        switched = "_permanent" in changes.written or "_permanent" in changes.removed
        # An unused session lives for at least half of its lifetime, so that most requests that only
        # read it need not renew it.
        is_due = switched or not lifetime * 500 <= stored.remaining <= lifetime * 1000
        if not changes and not is_due:
            return
        try:
            is_left = self._store.update(stored.id, changes, lifetime if is_due else None)
        except SessionGoneError:
            if changes and values:
                raise
            return
        if not is_left:
            self._delete_cookie(app, response)
            return
        # Only if needed: the cookie could arrive after that of a later login.
        if switched or (is_due and session.permanent):
            self._send_cookie(app, session, stored.id, response)

    def _move(self, session: LazySession, changes: Changes, lifetime: int) -> str:
        """Give the session another id; returns it, "" if nothing is left in the session."""
        stored = session.stored
        for _ in range(_MOVES):
            if stored is None:
                raise SessionGoneError
            if (moved := self._store.move(stored, changes, lifetime)) is not None:
                return moved
            stored = session.read_again()
        message = f"a session was changed by others {_MOVES} times while it was given another id"
        raise SessionStoreError(message)

    def _identify(self, app: Flask, request: Request) -> str | None:
        cookie = request.cookies.get(self.get_cookie_name(app), "")
        try:
            identifier = self._signer.unsign(cookie).decode()
        except BadSignature:
            return None
        return identifier if _ID.fullmatch(identifier) else None

    def _lifetime_of(self, app: Flask, session: LazySession) -> int:
        if session.permanent:
            return int(app.permanent_session_lifetime.total_seconds())
        return self._lifetime

    def _answer_503(self, error: SessionStoreError | None) -> NoReturn:
        """End the request; the log has one line a minute, however many requests end so."""
        if error is not None:
            self._refused += 1
            now = time.monotonic()
            if now - self._told_at >= _LOG_INTERVAL:
                message = "the session could not be read or stored (%d times): %s"
                logger.warning(message, self._refused, error)
                self._told_at, self._refused = now, 0
        pegboard.abort(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "The session is out of reach at the moment. Try again.",
            headers={"Retry-After": str(_RETRY_AFTER)},
        )

    def _send_cookie(
        self, app: Flask, session: LazySession, identifier: str, response: Response
    ) -> None:
        response.set_cookie(
            value=self._signer.sign(identifier).decode(),
            expires=self.get_expiration_time(app, session),
            **self._cookie(app),
        )

    def _delete_cookie(self, app: Flask, response: Response) -> None:
        response.delete_cookie(**self._cookie(app))

    def _cookie(self, app: Flask) -> dict[str, Any]:
        return {
            "key": self.get_cookie_name(app),
            "path": self.get_cookie_path(app),
            "secure": self.get_cookie_secure(app),
            "httponly": self.get_cookie_httponly(app),
            "samesite": self.get_cookie_samesite(app),
            "partitioned": self.get_cookie_partitioned(app),
        }


def make_session_interface(app: Flask) -> RedisSessionInterface | None:
    """Return the app's session interface; None without a `REDIS_URL`."""
    channel = get_channel(app)
    if channel is None:
        return None
    settings = pegboard.get_settings(CacheRedisSettings, app)
    core = pegboard.get_settings(pegboard.CoreSettings, app)
    secrets = [core.secret_key, *core.secret_key_fallbacks]
    store = SessionStore(
        channel, FieldCodec(secrets), prefix=settings.prefix, max_bytes=settings.session_max_bytes
    )
    app.permanent_session_lifetime = timedelta(seconds=settings.session_permanent_lifetime)
    return RedisSessionInterface(store, secrets, settings.session_lifetime)
