"""Whatever is written, cached answers are as the database, and the others are still cached.

Answers about items hold the reviews that refer to them by a foreign key. Random transactions write
items and reviews in all ways; after each, every answer is compared with the database.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, cast

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    ForeignKey,
    String,
    Table,
    bindparam,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import pegboard
from pegboard.cache import CacheStrategy, MemoryStrategy
from pegboard.testing.fixtures import MakeApp
from pegboard.testing.processes import wait_until

ITEMS = (1, 2, 3, 4)
REVIEWS = (1, 2, 3, 4, 5, 6)


class Base(DeclarativeBase):
    """The tables of the shop."""


class Thing(Base):
    """What is sold."""

    __tablename__ = "shop_things"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))


class Opinion(Base):
    """What is said about one thing, if any, in comparison with another, if any."""

    __tablename__ = "shop_opinions"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    thing_id: Mapped[int | None] = mapped_column(ForeignKey(Thing.id, ondelete="CASCADE"))
    other_id: Mapped[int | None] = mapped_column(ForeignKey(Thing.id, ondelete="SET NULL"))
    text: Mapped[str] = mapped_column(String(40))


opinion = cast("Table", Opinion.__table__)


def name_of(thing: int) -> str | None:
    """Return what the answer about the thing itself holds."""
    return pegboard.db.session.scalar(select(Thing.name).where(Thing.id == thing))


def said_of(column: Any, thing: int) -> list[list[Any]] | None:
    """Return what the answers about opinions hold."""
    if name_of(thing) is None:
        return None
    rows = select(Opinion.id, Opinion.text).where(column == thing).order_by(Opinion.id)
    return [list(row) for row in pegboard.db.session.execute(rows)]


class Shop:
    """A plugin with three cached views of things."""

    name = "shop"
    views: Sequence[tuple[str, Any, Callable[[int], Any]]] = (
        ("name", (), name_of),
        ("said", [Opinion.thing_id], partial(said_of, Opinion.thing_id)),
        ("compared", Opinion.other_id, partial(said_of, Opinion.other_id)),
    )

    def __init__(self, migrations: Path) -> None:
        self._migrations = migrations

    @pegboard.hookimpl
    def pegboard_models(self) -> type[DeclarativeBase]:
        """Own the tables, which the test creates."""
        return Base

    @pegboard.hookimpl
    def pegboard_migrations(self) -> Path:
        """Have none."""
        return self._migrations

    @pegboard.hookimpl
    def pegboard_blueprints(self) -> list[pegboard.Blueprint]:
        """Serve the views."""
        blueprint = pegboard.Blueprint("shop", __name__, url_prefix="/shop")
        for name, depends, read in self.views:

            def view(thing: int, read: Callable[[int], Any] = read) -> dict[str, Any]:
                if (found := read(thing)) is None:
                    pegboard.abort(404, "It is not there.")
                return {"found": found}

            declared = pegboard.cached(Thing, ttl=300, depends=depends, name=name)(view)
            blueprint.add_url_rule(f"/{name}/<int:thing>", name, declared)
        return [blueprint]


class ShopInMemory(Shop):
    """The plugin, with a cache of its own."""

    @pegboard.hookimpl
    def pegboard_cache_strategy(self) -> CacheStrategy:
        """Store answers in memory."""
        return MemoryStrategy(size=1000)


class Answers(NamedTuple):
    """What the views answer, by view and thing; None for a thing that is not there."""

    found: dict[tuple[str, int], Any]
    hits: frozenset[tuple[str, int]]


class Fleet:
    """Apps on one database: the first writes, the last reads."""

    def __init__(self, apps: Sequence[Flask]) -> None:
        self.writer, self.reader = apps[0], apps[-1]
        self._numbers = count(1)
        with self.writer.app_context():
            self.engine = pegboard.db.engine
        self.kept = 0
        """How many answers stayed cached over a write to the tables that they depend on."""

    def word(self) -> str:
        """Return a text that was not written before."""
        return f"word {next(self._numbers)}"

    def answers(self) -> Answers:
        """Ask for everything; threads may do so at once."""
        found, hits = {}, set()
        client = self.reader.test_client()
        for name, _, _ in Shop.views:
            for thing in ITEMS:
                response = client.get(f"/shop/{name}/{thing}")
                place = (name, thing)
                found[place] = (response.get_json() or {}).get("found")
                if response.headers.get("Cache-Status", "").startswith("pegboard; hit"):
                    hits.add(place)
        return Answers(found, frozenset(hits))

    def saved(self) -> dict[tuple[str, int], Any]:
        """Return what the answers have to be by the database."""
        with self.reader.app_context():
            return {(name, thing): read(thing) for name, _, read in Shop.views for thing in ITEMS}

    def begin(self) -> None:
        """Write things of which each has an opinion, and let everything be cached."""
        with self.engine.begin() as connection:
            connection.execute(delete(Opinion))
            connection.execute(delete(Thing))
            connection.execute(insert(Thing), [{"id": one, "name": self.word()} for one in ITEMS])
            connection.execute(
                insert(Opinion),
                [{"id": one, "thing_id": one, "text": self.word()} for one in ITEMS],
            )
        self.answers()


@pytest.fixture(params=["memory", "redis"])
def fleet(
    request: pytest.FixtureRequest, make_app: MakeApp, database_url: str, tmp_path: Path
) -> Fleet:
    """One app that caches in its memory, or two that cache in one Redis."""
    (tmp_path / "none").mkdir()
    config: dict[str, Any] = {
        "DATABASE_URL": database_url,
        "CACHE_STATUS_HEADER": True,
        "SESSIONS": "cookie",
    }
    if request.param == "memory":
        fleet = Fleet([make_app(plugins=[ShopInMemory(tmp_path / "none")], **config)])
    else:
        pytest.importorskip("pegboard_cache_redis")
        config["REDIS_URL"] = request.getfixturevalue("redis_url")
        plugins = [Shop(tmp_path / "none"), "cache_redis"]
        fleet = Fleet([make_app(plugins=plugins, **config) for _ in range(2)])
    Base.metadata.create_all(fleet.engine)
    fleet.begin()
    wait_until(lambda: len(fleet.answers().hits) == len(ITEMS) * len(Shop.views), "caching")
    return fleet


# What is written: each function gets a session, and writes one statement or several.

things = st.sampled_from(ITEMS)
references = st.none() | things
opinions = st.sampled_from(REVIEWS)


class Write(NamedTuple):
    """A way to write."""

    apply: Callable[..., Any]
    arguments: tuple[st.SearchStrategy[Any], ...]
    is_narrow: bool = True
    """Whether it says which rows it writes, so that other answers stay cached."""


def add(session: Session, word: str, number: int, thing: int | None, other: int | None) -> None:
    """Add an object, if it is not there."""
    if session.get(Opinion, number) is None:
        session.add(Opinion(id=number, thing_id=thing, other_id=other, text=word))


def change(session: Session, word: str, number: int) -> None:
    """Change an object, not what it refers to."""
    if (found := session.get(Opinion, number)) is not None:
        found.text = word


def move(session: Session, word: str, number: int, thing: int | None) -> None:
    """Let an object refer to another."""
    if (found := session.get(Opinion, number)) is not None:
        found.thing_id, found.text = thing, word


def remove(session: Session, _: str, number: int) -> None:
    """Delete an object."""
    if (found := session.get(Opinion, number)) is not None:
        session.delete(found)


def insert_many(session: Session, word: str, numbers: set[int], thing: int | None) -> None:
    """Insert rows by one statement."""
    known = set(session.scalars(select(Opinion.id)))
    rows = [{"id": one, "thing_id": thing, "text": word} for one in numbers - known]
    if rows:
        session.execute(insert(opinion), rows)


def update_many(session: Session, word: str, numbers: set[int], thing: int | None) -> None:
    """Update existing rows by their keys, once for each and once for all."""
    known = sorted(numbers & set(session.scalars(select(Opinion.id))))
    if known:
        by_key = (
            update(opinion)
            .where(Opinion.id == bindparam("which"))
            .values(thing_id=bindparam("thing"), text=word)
        )
        rows = [{"which": one, "thing": thing} for one in known]
        session.connection().execute(by_key, rows)
        statement = update(Opinion).where(Opinion.id.in_(known))
        session.execute(statement.values(other_id=Opinion.thing_id))


def rename(session: Session, word: str, thing: int) -> None:
    """Update a thing itself."""
    session.execute(update(Thing).where(Thing.id == thing).values(name=word))


def delete_of(session: Session, _: str, thing: int) -> None:
    """Delete by what is referred to."""
    session.execute(delete(Opinion).where(Opinion.thing_id == thing))


def replace(session: Session, word: str, thing: int) -> None:
    """Delete a thing, by which the database changes what refers to it; insert it again."""
    session.execute(delete(Thing).where(Thing.id == thing))
    session.execute(insert(Thing).values(id=thing, name=word))


def update_all(session: Session, word: str, thing: int) -> None:
    """Update rows by a condition."""
    session.execute(update(Opinion).where(Opinion.thing_id == thing).values(text=word))


def send_text(session: Session, word: str, thing: int, number: int) -> None:
    """Update rows by a text."""
    statement = text("UPDATE shop_opinions SET thing_id = :thing, text = :word WHERE id = :id")
    session.execute(statement, {"thing": thing, "word": word, "id": number})


def select_into(session: Session, word: str, thing: int, number: int) -> None:
    """Insert what the database selects."""
    rows = select(literal(number), literal(thing), literal(word)).where(
        ~select(Opinion.id).where(Opinion.id == number).exists()
    )
    session.execute(insert(Opinion).from_select(["id", "thing_id", "text"], rows))


def rekey(session: Session, word: str, number: int, to: int, thing: int) -> None:
    """Change the key of a row, and what it refers to."""
    if session.get(Opinion, to) is None and (found := session.get(Opinion, number)) is not None:
        found.id, found.thing_id, found.text = to, thing, word


def compute(session: Session, word: str, number: int) -> None:
    """Let the database compute what a row refers to."""
    next_one = select(func.min(Thing.id)).scalar_subquery()
    statement = update(Opinion).where(Opinion.id == number)
    session.execute(statement.values(thing_id=next_one, text=word))


numbers = st.sets(opinions, min_size=1, max_size=3)
WRITES = (
    Write(add, (opinions, references, references)),
    Write(change, (opinions,)),
    Write(move, (opinions, references)),
    Write(remove, (opinions,)),
    Write(insert_many, (numbers, references)),
    Write(update_many, (numbers, references)),
    Write(rename, (things,)),
    Write(delete_of, (things,), is_narrow=False),
    Write(replace, (things,), is_narrow=False),
    Write(update_all, (things,), is_narrow=False),
    Write(send_text, (things, opinions), is_narrow=False),
    Write(select_into, (things, opinions), is_narrow=False),
    Write(rekey, (opinions, opinions, things), is_narrow=False),
    Write(compute, (opinions,), is_narrow=False),
)


def one_of(writes: Sequence[Write]) -> st.SearchStrategy[tuple[Write, tuple[Any, ...]]]:
    """Choose a way to write, and its arguments."""
    return st.one_of(*(st.tuples(st.just(one), st.tuples(*one.arguments)) for one in writes))


class Step(NamedTuple):
    """A transaction; `ends` says how each of its parts ends."""

    writes: list[tuple[Write, tuple[Any, ...]]]
    is_nested: bool
    is_undone: bool


steps = st.lists(
    st.builds(Step, st.lists(one_of(WRITES), min_size=1, max_size=3), st.booleans(), st.booleans()),
    min_size=1,
    max_size=8,
)


class UndoneError(Exception):
    """Raised to undo a part of a transaction."""


def run(fleet: Fleet, step: Step) -> None:
    """Commit a transaction whose first write may be undone before the others."""
    with fleet.writer.app_context():
        session = pegboard.db.session()
        for position, (write, arguments) in enumerate(step.writes):
            if step.is_nested and position == 0:
                with suppress(UndoneError), session.begin_nested():
                    write.apply(session, fleet.word(), *arguments)
                    session.flush()
                    if step.is_undone:
                        raise UndoneError
            else:
                write.apply(session, fleet.word(), *arguments)
        session.commit()


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=steps)
def check(fleet: Fleet, steps: list[Step]) -> None:
    """Compare all answers after each write; those that it does not change are hits."""
    fleet.begin()
    before = fleet.answers().found
    for step in steps:
        run(fleet, step)
        saved = fleet.saved()
        found, hits = fleet.answers()
        assert saved == found, step
        changed = {place for place in saved if saved[place] != before[place]}
        assert not hits & changed, step
        kept = {place for place in saved if saved[place] is not None} - changed
        if all(write.is_narrow for write, _ in step.writes) and not step.is_undone:
            assert kept - hits <= touched_otherwise(step), step
            fleet.kept += len(kept & hits)
        elif not any(write.apply in {rename, replace} for write, _ in step.writes):
            assert {place for place in kept if place[0] == "name"} <= hits, step
        before = found


@pytest.mark.slow
def test_answers_are_never_old_and_seldom_forgotten(fleet: Fleet) -> None:
    """Whatever is written."""
    check(fleet)
    assert 100 < fleet.kept


def touched_otherwise(step: Step) -> set[tuple[str, int]]:
    """Return what may be forgotten although it is as before.

    The row of the answer was written, or a later write of the transaction has undone the first.
    """
    names = {name for name, _, _ in Shop.views}
    if len(step.writes) > 1:
        return {(name, thing) for name in names - {"name"} for thing in ITEMS}
    ((write, arguments),) = step.writes
    return {(name, arguments[0]) for name in names} if write.apply is rename else set()


def race(fleet: Fleet, thing: int) -> None:
    """Let an opinion that others move, too, refer to a thing; ask for answers before the commit."""
    moved = update(opinion).where(opinion.c.id == 1).values(thing_id=thing, text=fleet.word())
    with fleet.engine.begin() as connection:
        connection.execute(moved)
        fleet.answers()


@pytest.mark.slow
def test_answers_are_not_old_when_transactions_race(fleet: Fleet) -> None:
    """Each waits for the row that another moves, and touches what that other has left."""
    if fleet.engine.dialect.name == "sqlite":
        pytest.skip("only one transaction writes at a time")
    chance = Random(1)
    with ThreadPoolExecutor(len(ITEMS)) as pool:
        for number in range(12):
            list(pool.map(partial(race, fleet), chance.sample(ITEMS, len(ITEMS))))
            assert fleet.saved() == fleet.answers().found, number
