"""A fast path never lets its view write again what may have been written already."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from marshmallow import Schema, fields
from sqlalchemy import String, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import pegboard
from pegboard.resources import CRUD, Line, Moment
from pegboard.testing.fixtures import MakeApp


class Base(pegboard.Model, DeclarativeBase):
    """The models of the plugin."""


class Parcel(Base):
    """A row."""

    __tablename__ = "parcels"

    name: Mapped[str] = mapped_column(String(20))


class Promise(Base):
    """A row of which the database makes what the driver cannot read."""

    __tablename__ = "promises"

    name: Mapped[str] = mapped_column(String(20))
    due_at: Mapped[datetime] = mapped_column(server_default=text("'20000-01-01'"))


class PromiseSchema(Schema):
    """A promise."""

    id = fields.Integer(dump_only=True)
    name = Line(required=True, max_length=20)
    due_at = Moment(dump_only=True)


class ParcelSchema(Schema):
    """A parcel."""

    id = fields.Integer(dump_only=True)
    name = Line(required=True, max_length=20)


class Parcels:
    """A plugin with two resources."""

    name = "parcels"

    @pegboard.hookimpl
    def pegboard_blueprints(self) -> list[pegboard.Blueprint]:
        """Serve them."""
        resources: list[pegboard.Resource[Any]] = [
            pegboard.Resource(
                "parcels", __name__, Parcel, ParcelSchema, noun="parcel", operations=CRUD
            ),
            pegboard.Resource(
                "promises", __name__, Promise, PromiseSchema, noun="promise", operations=CRUD
            ),
        ]
        return [one.blueprint for one in resources]


class Pooler:
    """Stands between clients and PostgreSQL, and says of some statement what a pooler says."""

    def __init__(self, url: str) -> None:
        """Listen; `url` is that of the server."""
        target = urlsplit(url)
        self._server = (target.hostname, target.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.url = url.replace(f"{target.hostname}:{target.port}", f"127.0.0.1:{port}")
        self.loses_after: bytes | None = None
        """The SQLSTATE that is answered once, instead of the answer to the next INSERT."""
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Accept nobody any more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            lost: list[bytes] = []
            for run in (self._forward, self._backward):
                threading.Thread(target=run, args=(client, server, lost), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket, lost: list[bytes]) -> None:
        try:
            while data := client.recv(65536):
                if b"INSERT" in data and self.loses_after is not None:
                    lost.append(self.loses_after)
                    self.loses_after = None
                server.sendall(data)
        except OSError:
            pass
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)

    def _backward(self, client: socket.socket, server: socket.socket, lost: list[bytes]) -> None:
        try:
            while data := server.recv(65536):
                if lost:
                    body = b"SERROR\0VERROR\0C%s\0Mthe server is gone\0\0" % lost[0]
                    data = b"E" + struct.pack("!i", len(body) + 4) + body + b"Z\0\0\0\5I"
                    lost.clear()
                client.sendall(data)
        except OSError:
            pass
        server.close()
        client.close()


@pytest.fixture
def pooler(postgres_url: str) -> Iterator[Pooler]:
    """A pooler in front of a database."""
    pooler = Pooler(postgres_url)
    yield pooler
    pooler.close()


_CODES = [b"08P01", b"08006", b"57P01", b"58000"]


@pytest.mark.parametrize("code", _CODES)
def test_what_may_be_written_is_not_written_again(make_app: MakeApp, pooler: Pooler, code: bytes):
    """An error that a pooler answers does not say that the statement was not executed."""
    app = make_app(plugins=[Parcels()], DATABASE_URL=pooler.url)
    with app.app_context():
        Base.metadata.create_all(pegboard.db.engine)
    client = app.test_client()
    assert 201 == client.post("/api/parcels/", json={"name": "a"}).status_code
    pooler.loses_after = code
    assert 503 == client.post("/api/parcels/", json={"name": "b"}).status_code
    with app.app_context():
        names = pegboard.db.session.scalars(text("SELECT name FROM parcels ORDER BY id")).all()
    assert ["a", "b"] == names


def test_what_cannot_be_read_was_written_once(make_app: MakeApp, postgres_url: str):
    """The row is there, and no view tries to write another one."""
    app = make_app(plugins=[Parcels()], DATABASE_URL=postgres_url)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    with app.app_context():
        Base.metadata.create_all(pegboard.db.engine)
    assert 500 == app.test_client().post("/api/promises/", json={"name": "a"}).status_code
    with app.app_context():
        used = pegboard.db.session.execute(text("SELECT last_value FROM promises_id_seq")).scalar()
    assert 1 == used


@pytest.mark.parametrize("code", _CODES)
async def test_nor_on_an_event_loop(make_app: MakeApp, serve: Any, pooler: Pooler, code: bytes):
    """The next statement has another connection, which answers it."""
    app = make_app(plugins=[Parcels()], DATABASE_URL=pooler.url)
    with app.app_context():
        Base.metadata.create_all(pegboard.db.engine)
    headers = {"Content-Type": "application/json", "Content-Length": "12"}
    async with serve(app) as client:
        statuses = []
        for name in (b"a", b"b", b"c"):
            pooler.loses_after = code if name == b"b" else None
            body = b'{"name":"%s"}' % name
            answer = await client.ask("/api/parcels/", "POST", headers, body=body)
            statuses.append(answer.status)
        assert [201, 503, 201] == statuses
    with app.app_context():
        names = pegboard.db.session.scalars(text("SELECT name FROM parcels ORDER BY id")).all()
    assert ["a", "b", "c"] == names
