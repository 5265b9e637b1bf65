"""What the database refuses because of the data is a 409, a 422 or a 404, with the fields."""

import enum
from decimal import Decimal

import pytest
from flask import request
from marshmallow import EXCLUDE, Schema, fields
from sqlalchemy import (
    ARRAY,
    JSON,
    CheckConstraint,
    Enum,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    SmallInteger,
    String,
    delete,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

import pegboard
from pegboard import Blueprint, db, hookimpl
from pegboard.api import complaints_about
from pegboard.database import Kind, Violation


class Base(pegboard.Model, DeclarativeBase):
    """The declarative base of the plugin."""


class Shelf(Base):
    """What books refer to."""

    __tablename__ = "shelves"
    code: Mapped[str | None] = mapped_column(String(10), unique=True)


class Book(Base):
    """A row with one constraint of each kind."""

    __tablename__ = "books"
    __table_args__ = (
        Index("uq_books_lower_title", func.lower(text("title")), unique=True),
        CheckConstraint("pages > 0", name="pages"),
    )
    title: Mapped[str] = mapped_column(String(10))
    shelf_id: Mapped[int | None] = mapped_column(ForeignKey(Shelf.id))
    later_id: Mapped[int | None] = mapped_column(
        ForeignKey(Shelf.id, deferrable=True, initially="DEFERRED")
    )
    pages: Mapped[int | None] = mapped_column(Integer)
    rating: Mapped[int | None] = mapped_column(SmallInteger)
    stars: Mapped[int | None] = mapped_column(CheckConstraint("stars < 6"))
    price: Mapped[Decimal | None] = mapped_column(Numeric(4, 2))


class State(enum.Enum):
    """What the models know, and of which the database lacks one."""

    KEPT = "kept"
    LENT = "lent"
    LOST = "lost"


class Copy(Base):
    """A row of a table that the database has in an older form."""

    __tablename__ = "copies"
    __table_args__ = (CheckConstraint("stated <> 'lent'", name="unlent"),)
    state: Mapped[State] = mapped_column(Enum(State, name="copy_state"))
    states: Mapped[list[str]] = mapped_column(
        ARRAY(Enum("kept", "lost", name="copy_state")).with_variant(JSON(), "sqlite")
    )
    checked: Mapped[str | None] = mapped_column(
        Enum("kept", "lost", native_enum=False, create_constraint=True, name="checked")
    )
    stated: Mapped[str | None] = mapped_column(Enum("kept", "lent", native_enum=False))
    loose: Mapped[str | None] = mapped_column(
        Enum("kept", name="copy_state", validate_strings=False)
    )
    remark: Mapped[str | None]


OLD_COPIES = """
CREATE TABLE copies (
    id INTEGER PRIMARY KEY, state {state}, states {state}{array}, stated TEXT, loose {state},
    created_at TIMESTAMP, updated_at TIMESTAMP, remark TEXT NOT NULL,
    checked TEXT CONSTRAINT ck_copies_checked CHECK (checked IN ('kept')),
    CONSTRAINT ck_copies_unlent CHECK (stated <> 'lent')
)
"""


class Label(Base):
    """What a shelf must keep, and which its shelf knows, as authors of the ORM write it."""

    __tablename__ = "labels"
    shelf_id: Mapped[int] = mapped_column(ForeignKey(Shelf.id))
    shelf: Mapped[Shelf] = relationship(backref="labels")


class Pin(Base):
    """What holds a shelf by `RESTRICT`."""

    __tablename__ = "pins"
    shelf_id: Mapped[int] = mapped_column(
        ForeignKey(Shelf.id, ondelete="RESTRICT", onupdate="RESTRICT")
    )


class BookSchema(Schema):
    """A body that lets the database decide; clients have names of their own."""

    class Meta:
        """Let values through."""

        unknown = EXCLUDE

    title = fields.String(data_key="bookTitle", allow_none=True)
    shelf_id = fields.Integer(data_key="shelfId", allow_none=True)


books = Blueprint("books", __name__, url_prefix="/books")


@books.post("/")
@pegboard.transactional
def add_book():
    """Add a book by the session, without a schema."""
    db.session.add(Book(**request.get_json()))
    db.session.flush()
    return {}, 201


@books.post("/typed")
@books.arguments(BookSchema)
@books.response(201)
def add_typed_book(sent):
    """Add a book that a schema has read, without `transactional`."""
    db.session.add(Book(**sent))
    db.session.commit()
    return {}


@books.post("/many")
@pegboard.transactional
def add_books():
    """Add books by one statement."""
    db.session.execute(insert(Book), request.get_json())
    return {}, 201


@books.post("/copies")
@pegboard.transactional
def add_copy():
    """Add a copy whose state is one that the models know."""
    sent = {"id": 1, "state": "KEPT", "states": [], "remark": "", **request.get_json()}
    db.session.add(Copy(**sent | {"state": State[sent["state"]]}))
    return {}, 201


@books.get("/copies/<state>")
def count_copies(state):
    """Count the copies in a state that the models know."""
    wanted = select(func.count()).where(Copy.state == State[state])
    return {"count": db.session.scalar(wanted)}


@books.put("/<int:number>")
def change_book(number):
    """Change a book by a statement, and commit by hand."""
    db.session.execute(update(Book).where(Book.id == number).values(**request.get_json()))
    db.session.commit()
    return {}


@books.post("/on/<int:shelf_id>/<title>")
@pegboard.transactional
def add_book_on(shelf_id, title):
    """Add a book by what the URL says."""
    db.session.add(Book(title=title, shelf_id=shelf_id))
    return {}, 201


@books.post("/bug")
@pegboard.transactional
def add_broken_book():
    """Forget what the table demands, which no client can help."""
    db.session.add(Book(title=None, pages=1))
    return {}, 201


@books.post("/text")
@pegboard.transactional
def add_by_text():
    """Add a book by a statement in SQL."""
    statement = "INSERT INTO books (title, shelf_id) VALUES (:title, :shelf_id)"
    db.session.execute(text(statement), {"shelf_id": None, **request.get_json()})
    return {}, 201


@books.get("/<int:number>")
def get_book(number):
    """Get a book, as the author of a first plugin does."""
    book = db.session.get(Book, number)
    if book is None:
        pegboard.abort(404, f"There is no book {number}.")
    return {"title": book.title}


@books.get("/by-title/<path:title>")
@books.any_query
def get_by_title(title):
    """Find a book by a text from the URL, and one from the query."""
    wanted = {title, request.args.get("or", title)}
    found = db.session.scalars(select(Book).where(Book.title.in_(wanted))).all()
    return {"found": len(found)}


@books.delete("/shelves/<int:number>")
@pegboard.transactional
def delete_shelf(number):
    """Delete what books may refer to."""
    db.session.execute(delete(Shelf).where(Shelf.id == number))
    return "", 204


@books.delete("/shelves/<int:number>/object")
@pegboard.transactional
def delete_shelf_object(number):
    """Delete it by the session."""
    db.session.delete(db.session.get_one(Shelf, number))
    return "", 204


@books.put("/labels/<int:number>")
@pegboard.transactional
def change_label(number):
    """Change a reference that must not be null."""
    db.session.get_one(Label, number).shelf_id = request.get_json()["shelf_id"]
    return {}


@books.put("/shelves/<int:number>")
@pegboard.transactional
def renumber_shelf(number):
    """Change a key that books may refer to."""
    db.session.execute(update(Shelf).where(Shelf.id == number).values(**request.get_json()))
    return {}


class Plugin:
    """A plugin with these views; the tests make its tables."""

    name = "books"

    @hookimpl
    def pegboard_blueprints(self):
        """Bring the views."""
        return [books]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def app(request, tmp_path_factory, make_shared_app):
    """An app for all tests of this module, with a shelf and a book on it."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('books') / 'books.db'}"
    else:
        url = request.getfixturevalue("postgres_database")
    app = make_shared_app(plugins=[Plugin()], DATABASE_URL=url, TESTING=False)
    with app.app_context():
        Base.metadata.tables[Copy.__tablename__].drop(db.engine, checkfirst=True)
        is_sqlite = db.engine.dialect.name == "sqlite"
        with db.engine.begin() as connection:
            if not is_sqlite:
                connection.execute(text("CREATE TYPE copy_state AS ENUM ('KEPT', 'LENT', 'kept')"))
            names = ("TEXT", "") if is_sqlite else ("copy_state", "[]")
            connection.execute(text(OLD_COPIES.format(state=names[0], array=names[1])))
        Base.metadata.create_all(db.engine)
        for row in (
            Shelf(code="a"),
            Shelf(code="b"),
            Book(title="First", shelf_id=1),
            Book(title="Second"),
        ):
            db.session.add(row)
            db.session.flush()  # in this order, so that their ids are 1 and 2
        db.session.commit()
    yield app
    with app.app_context():
        db.session.remove()
        Base.metadata.drop_all(db.engine)


@pytest.fixture
def client(app):
    """A client of it."""
    return app.test_client()


@pytest.fixture(autouse=True)
def unchanged(app):
    """Check that no test has written anything, and that the next request finds no lock."""

    def count():
        with app.app_context():
            return db.session.scalar(select(func.count()).select_from(Book))

    before = count()
    yield
    assert before == count()


@pytest.fixture
def dialect(app):
    """The name of the database."""
    with app.app_context():
        return db.engine.dialect.name


def refused(response, status):
    """Check the form of an error, and return its errors by field."""
    body = response.get_json()
    assert (status, status) == (response.status_code, body["status"]), body
    assert not {"books", "shelves", "INSERT"} & set(body["message"].split())
    return body.get("errors")


@pytest.mark.parametrize("url", ["/books/", "/books/text"])
def test_a_taken_unique_key_is_a_409(client, url):
    """Whether the session or a text in SQL has written it."""
    response = client.post(url, json={"title": "FIRST"})
    expected = None if url.endswith("text") else {"title": ["Is in use already."]}
    assert expected == refused(response, 409)


def test_each_field_of_a_taken_combination_names_the_others():
    """As in an import of rows; of one column there is none to name."""
    key = Violation(Kind.DUPLICATE, ("a", "b", "c"))
    assert {
        "A": ["Is in use already together with B and C."],
        "B": ["Is in use already together with A and C."],
        "C": ["Is in use already together with A and B."],
    } == complaints_about(key, str.upper)
    assert {"a": ["Is in use already."]} == complaints_about(Violation(key.kind, ("a",)), str)


def test_a_taken_unique_key_is_named_as_the_client_knows_it(client):
    """By the name that the schema gives the attribute; a primary key is one, too."""
    response = client.post("/books/typed", json={"bookTitle": "First"})
    assert {"bookTitle": ["Is in use already."]} == refused(response, 409)
    assert ["id"] == list(refused(client.post("/books/", json={"id": 1, "title": "x"}), 409))
    assert ["title"] == list(refused(client.put("/books/2", json={"title": "first"}), 409))
    assert ["code"] == list(refused(client.put("/books/shelves/2", json={"code": "a"}), 409))


def test_a_reference_to_nothing_is_a_422_with_its_field(client):
    """For an insert, an update, a schema's own names; the other reference is not blamed."""
    complaint = ["There is nothing that this refers to."]
    response = client.post("/books/", json={"title": "x", "shelf_id": 99})
    assert {"shelf_id": complaint} == refused(response, 422)
    response = client.post("/books/typed", json={"bookTitle": "x", "shelfId": 99})
    assert {"shelfId": complaint} == refused(response, 422)
    assert {"shelf_id": complaint} == refused(client.put("/books/1", json={"shelf_id": 99}), 422)


def test_a_reference_to_nothing_in_one_of_many_rows_names_the_row(client):
    """Rows are counted from 0."""
    rows = [{"title": "x", "shelf_id": 1}, {"title": "y", "shelf_id": 99}]
    errors = refused(client.post("/books/many", json=rows), 422)
    assert {"1.shelf_id": ["There is nothing that this refers to."]} == errors


def test_a_reference_to_nothing_by_a_text_in_sql_is_a_422(client, dialect):
    """SQLite does not say which it is."""
    response = client.post("/books/text", json={"title": "x", "shelf_id": 99})
    errors = refused(response, 422)
    assert (None if dialect == "sqlite" else ["shelf_id"]) == (errors and list(errors))


def test_a_reference_to_nothing_by_the_url_is_a_404(client):
    """What the address is about does not exist."""
    assert None is refused(client.post("/books/on/99/x"), 404)


@pytest.mark.parametrize("method", ["post", "put"])
def test_a_deferred_reference_to_nothing_is_refused_when_it_is_committed(client, dialect, method):
    """SQLite does not even say then that it is not one that is still used."""
    if method == "post":
        response = client.post("/books/", json={"title": "x", "later_id": 99})
    else:
        response = client.put("/books/1", json={"later_id": 99})
    if dialect == "sqlite":
        refused(response, 409)
    else:
        assert ["later_id"] == list(refused(response, 422))


@pytest.mark.parametrize("url", ["/books/shelves/1", "/books/shelves/1/object"])
def test_deleting_what_rows_refer_to_is_a_409(client, url):
    """The message tells no names of tables."""
    assert None is refused(client.delete(url), 409)


def test_deleting_what_a_relationship_refers_to_is_a_409(app, client):
    """The ORM tries to empty the reference first, which must not be null."""
    with app.app_context():
        label = Label(shelf_id=2)
        db.session.add(label)
        db.session.commit()
        number = label.id
    try:
        assert None is refused(client.delete("/books/shelves/2/object"), 409)
        assert ["shelf_id"] == list(
            refused(client.put(f"/books/labels/{number}", json={"shelf_id": None}), 422)
        )
    finally:
        with app.app_context():
            db.session.execute(delete(Label))
            db.session.commit()


def test_what_restrict_holds_is_refused_in_the_same_words_on_both_databases(app, client):
    """SQLite reports it as what a trigger refuses."""
    with app.app_context():
        db.session.add(pin := Pin(shelf_id=2))
        db.session.commit()
        number = pin.id
    try:
        answers = [
            client.delete("/books/shelves/2"),
            client.delete("/books/shelves/2/object"),
            client.put("/books/shelves/2", json={"id": 7}),
        ]
        for answer in answers:
            assert None is refused(answer, 409)
            assert answer.get_json()["message"].startswith("Something else still refers to it")
    finally:
        with app.app_context():
            db.session.execute(delete(Pin).where(Pin.id == number))
            db.session.commit()


def test_changing_a_key_that_rows_refer_to_is_a_409(client):
    """A key is a value as any other to an update."""
    assert None is refused(client.put("/books/shelves/1", json={"id": 7}), 409)


def test_a_missing_value_is_a_422_where_the_client_could_have_sent_it(client):
    """As null, or not at all where the schema has it."""
    assert ["title"] == list(refused(client.post("/books/", json={"title": None}), 422))
    assert ["bookTitle"] == list(refused(client.post("/books/typed", json={}), 422))
    assert ["bookTitle"] == list(
        refused(client.post("/books/typed", json={"bookTitle": None}), 422)
    )


def test_a_value_that_the_view_forgets_is_its_bug(client):
    """The client cannot help it."""
    assert "title" not in client.post("/books/bug").get_json()["message"]
    assert 500 == client.post("/books/bug").status_code


def test_a_check_that_does_not_hold_is_a_422(client):
    """With the columns that the check is about."""
    errors = refused(client.post("/books/", json={"title": "x", "pages": -1}), 422)
    assert {"pages": ["This value is not allowed."]} == errors


def test_a_check_in_a_column_is_as_one_of_the_table(client):
    """Though SQLAlchemy keeps it with the column alone."""
    errors = refused(client.post("/books/", json={"title": "x", "stars": 6}), 422)
    assert {"stars": ["This value is not allowed."]} == errors


@pytest.mark.parametrize(
    "sent",
    [{"state": "LOST"}, {"states": ["kept", "lost"]}, {"checked": "lost"}, {"remark": None}],
)
def test_a_value_that_only_the_database_does_not_know_is_not_the_clients_fault(
    client, dialect, caplog, sent
):
    """The models allow it, as the document says: the database is behind them."""
    if dialect == "sqlite" and sent.keys() & {"state", "states"}:
        pytest.skip("SQLite has no types to be behind")
    assert None is refused(client.post("/books/copies", json=sent), 500)
    [logged] = [one for one in caplog.records if one.getMessage() == "database error"]
    assert isinstance(logged.exc_info[1], DataError | IntegrityError)


def test_a_search_for_a_value_that_the_database_does_not_know_is_its_fault(client, dialect):
    """The path is not wrong, either."""
    if dialect == "sqlite":
        pytest.skip("SQLite has no types to be behind")
    assert 500 == client.get("/books/copies/LOST").status_code
    assert {"count": 0} == client.get("/books/copies/LENT").get_json()


def test_a_value_that_the_models_refuse_too_is_a_422(client, dialect):
    """A check of their own, and a text that is none of an Enum's values."""
    errors = refused(client.post("/books/copies", json={"stated": "lent"}), 422)
    assert {"stated": ["This value is not allowed."]} == errors
    if dialect == "postgresql":
        errors = refused(client.post("/books/copies", json={"loose": "gone"}), 422)
        assert {"loose": ["Not of the right form."]} == errors


@pytest.mark.parametrize(
    "wrong", [{"title": "x" * 11}, {"price": 100}, {"pages": 2**31}, {"rating": 2**15}]
)
def test_a_value_beyond_its_column_is_a_422(client, dialect, wrong):
    """With the field, in a list with its row; SQLite would store all of these."""
    if dialect == "sqlite":
        pytest.skip("SQLite has no limits to break")
    row = {"title": "x", **wrong}
    assert list(wrong) == list(refused(client.post("/books/", json=row), 422))
    rows = [{**dict.fromkeys(wrong), "title": "y"}, row]
    errors = refused(client.post("/books/many", json=rows), 422)
    assert [f"1.{name}" for name in wrong] == list(errors)


@pytest.mark.parametrize("digits", [str(2**31), str(2**63), str(10**30), "9" * 5000])
def test_a_number_that_no_row_can_have_is_a_404_in_the_url(client, digits):
    """Whatever the view does with it."""
    if len(digits) < 4300:  # Python converts no more digits; then the route does not match
        assert 404 == client.get(f"/books/{digits}").status_code
    assert 404 == client.post(f"/books/on/{digits}/x").status_code


def test_a_number_of_more_than_64_bits_is_a_422_in_the_body(client):
    """On either database."""
    errors = refused(client.post("/books/", json={"title": "x", "pages": 2**64}), 422)
    assert {"pages": ["The number is out of range."]} == errors
    assert ["pages"] == list(refused(client.put("/books/1", json={"pages": -(2**70)}), 422))


def test_a_text_that_cannot_be_stored_is_a_422(client, dialect):
    """U+0000 on PostgreSQL, half of a surrogate pair on both."""
    for letter in ["\ud800"] if dialect == "sqlite" else ["\0", "\ud800"]:
        response = client.post("/books/", json={"title": f"a{letter}"})
        assert ["title"] == list(refused(response, 422))
        rows = [{"title": "x"}, {"title": letter}]
        assert {"1.title"} == set(refused(client.post("/books/many", json=rows), 422))


def test_a_text_that_cannot_be_stored_is_a_404_in_the_url_and_a_422_in_the_query(client, dialect):
    """No row has it."""
    if dialect == "sqlite":
        pytest.skip("SQLite stores it")
    assert 404 == client.get("/books/by-title/a%00b").status_code
    assert ["or"] == list(refused(client.get("/books/by-title/a?or=%00"), 422))
