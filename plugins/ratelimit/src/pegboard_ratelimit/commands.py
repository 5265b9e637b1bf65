"""The command group `ratelimit`."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import click
from flask import current_app
from flask.cli import with_appcontext
from sqlalchemy import delete, inspect
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException

import pegboard
from pegboard.clients import client_key
from pegboard.stages import EXEMPT_BLUEPRINTS, Route, route_of
from pegboard_ratelimit.enforcement import (
    Limiter,
    Standing,
    ask_standing,
    get_limiter,
    is_of_use,
    routes_of,
)
from pegboard_ratelimit.models import TEXT_LENGTH, RatelimitRule, table
from pegboard_ratelimit.rules import (
    METHODS,
    UNLIMITED,
    OnFailure,
    Rule,
    Source,
    Stored,
    Who,
    WrittenRule,
    choose,
    parse_time,
    read_rows,
)
from pegboard_ratelimit.settings import RatelimitSettings, rules_of

_DURATION = re.compile(r"(\d{1,6})([smhd])")
_NUMBER = click.IntRange(-(2**63), 2**63 - 1)
_NOWHERE = "no such route here"
_SHOWN = 5
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@click.group()
def ratelimit() -> None:
    """Say how often clients may call."""


@ratelimit.group()
def rules() -> None:
    """Look at and change the rules; every process heeds them within 5 seconds."""


@rules.command("list")
@with_appcontext
def list_() -> None:
    """List the rules of the settings and of the table, and what is wrong with any."""
    with _plain_errors():
        stored = _read()
    for rule in rules_of(pegboard.get_settings(RatelimitSettings)):
        useless = "" if is_of_use(current_app, rule) else f", {_NOWHERE}"
        click.echo(_printable(f"{rule.name}: {_describe(rule)}{useless}"))
    now = pegboard.utcnow()
    for row in stored:
        click.echo(_printable(f"{row.number}: {_describe_row(row, now)}"))
    if any(row.rule is None for row in stored):
        message = "Broken rules are left out; remove them, and add them as they should be."
        raise click.ClickException(message)


@rules.command()
@click.option("--client", default="*", help="An address, a network, user:NAME or user:PREFIX*.")
@click.option("--route", default="*", help="A path or endpoint; * in it stands for anything.")
@click.option("--method", "methods", multiple=True, help="GET (HEAD with it), POST, ...")
@click.option("--limit", "limits", help="As in 100/minute;10/second.")
@click.option("--exempt", is_flag=True, help="No limit at all.")
@click.option("--until", help="When it ends: a time in UTC, or 30m, 12h, 7d from now.")
@click.option(
    "--on-failure",
    type=click.Choice([one.value for one in OnFailure]),
    help="While Redis is unavailable.",
)
@click.option("--note", help="What it is for.")
@with_appcontext
def add(  # noqa: PLR0913 - one for each option
    *,
    client: str,
    route: str,
    methods: Sequence[str],
    limits: str | None,
    exempt: bool,
    until: str | None,
    on_failure: str | None,
    note: str | None,
) -> None:
    """Add a rule for clients at routes; by default for all clients at all routes."""
    if exempt == bool(limits):
        message = "Say either --limit LIMIT or --exempt."
        raise click.UsageError(message)
    text = WrittenRule(
        limits or UNLIMITED, client, route, ",".join(methods) or "*", on_failure or ""
    )
    try:
        rule = text.read("new", Source.ROW)
        ending = _ending(until) if until else None
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    row = RatelimitRule(
        client=text.client,
        route=text.route,
        methods=text.methods,
        limits=text.limit,
        on_failure=on_failure,
        until=ending,
        note=note,
    )
    if any(isinstance(value, str) and len(value) > TEXT_LENGTH for value in row.to_dict().values()):
        message = f"A client, a route, a limit or a note has more than {TEXT_LENGTH} characters."
        raise click.UsageError(message)
    with _plain_errors():
        number = _insert(row)
    if not is_of_use(current_app, rule):
        click.echo(f"Warning: no route of this service is {route}.", err=True)
    if ending is not None and ending <= pegboard.utcnow():
        click.echo("Warning: it is over already.", err=True)
    click.echo(_printable(f"Rule {number} is added: {_describe(rule)}."))
    if stronger := _stronger(replace(rule, number=number)):
        others = f" and {len(stronger) - _SHOWN} more" if len(stronger) > _SHOWN else ""
        listed = ", ".join(stronger[:_SHOWN])
        click.echo(f"It does not hold where a more special one does: {listed}{others}.")


@rules.command()
@click.argument("numbers", nargs=-1, type=_NUMBER, required=True)
@with_appcontext
def remove(numbers: Sequence[int]) -> None:
    """Remove rules by their numbers: all of them or, if one does not exist, none."""
    with _plain_errors():
        missing = _delete(set(numbers))
    if missing:
        named = ", ".join(map(str, sorted(missing)))
        message = f"There is no rule {named}; nothing was removed."
        raise click.ClickException(message)
    click.echo(f"Removed: {', '.join(map(str, sorted(set(numbers))))}.")


@rules.command()
@click.argument("client")
@click.argument("method")
@click.argument("path")
@with_appcontext
def test(client: str, method: str, path: str) -> None:
    """Tell which rule CLIENT meets at METHOD PATH, and what is left of it."""
    try:
        key = client_key(client)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    limiter = get_limiter()
    if limiter is None:
        click.echo("Nothing is limited: PEGBOARD_RATELIMIT_ENABLED is false.")
        return
    route = _find(method.upper(), path)
    if route is not None and route.blueprint in EXEMPT_BLUEPRINTS:
        click.echo(f"{route.endpoint} is never limited.")
        return
    with _plain_errors():
        limiter.keeper.load()
    rule = choose(limiter.rules_at(route), key)
    where = route.endpoint if route else "no route"
    told = f"{rule.name}: {_describe(rule)}" if rule else "no rule"
    click.echo(_printable(f"{Who(key)} at {where}: {told}"))
    if rule is not None:
        _tell_standing(limiter, rule, key)


def _tell_standing(limiter: Limiter, rule: Rule, client: str) -> None:
    plan = limiter.plan(rule)
    if plan is None:
        return
    standing: Standing | str = ask_standing(limiter, plan, client)
    if isinstance(standing, str):
        click.echo(standing)
        return
    for policy, remaining, reset in standing.lines:
        click.echo(f"  {policy}: {remaining} left, more in {reset} s")
    if standing.wait:
        click.echo(f"  refused for {standing.wait:.1f} s")


def _find(method: str, path: str) -> Route | None:
    adapter = current_app.url_map.bind("")
    try:
        rule, _ = adapter.match(path.partition("?")[0], method, return_rule=True)
    except HTTPException:
        return None
    return route_of(current_app, rule, method)


def _describe(rule: Rule) -> str:
    parts = [str(rule.limit) if rule.limit else "no limit"]
    if not rule.who.is_anyone:
        parts.append(f"for {rule.who}")
    if rule.methods:
        parts.append(" ".join(name for name in METHODS if name in rule.methods))
    if not rule.where.is_anywhere:
        parts.append(f"at {rule.where.text}")
    if rule.on_failure:
        parts.append(f"on failure {rule.on_failure}")
    return ", ".join(parts)


def _describe_row(row: Stored, now: datetime) -> str:
    if row.rule is None:
        text = row.text
        shown = f"{text.limit!r} for {text.client!r} at {text.methods!r} {text.route!r}"
        return f"BROKEN, left out: {row.problem} ({shown})"
    parts = [_describe(row.rule)]
    if row.until is not None:
        ending = f"{row.until:%Y-%m-%dT%H:%M:%S} UTC"
        parts.append(f"over since {ending}" if row.is_over(now) else f"until {ending}")
    if not is_of_use(current_app, row.rule):
        parts.append(_NOWHERE)
    described = ", ".join(parts)
    return f"{described} ({row.note})" if row.note else described


def _printable(text: str) -> str:
    """Return a text as it can be shown: whoever wrote it must not steer the terminal."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def _stronger(rule: Rule) -> list[str]:
    """Return where a rule does not hold though it is about it, and what holds there."""
    limiter = get_limiter()
    if limiter is None:
        return []
    limiter.keeper.read()
    found: dict[str, str] = {}
    for route in routes_of(current_app):
        if route.blueprint not in EXEMPT_BLUEPRINTS and rule.covers(route):
            first = limiter.rules_at(route)[-1]
            if first.who.is_anyone and first.rank > rule.rank:
                found.setdefault(f"{route.method} {route.rule.rule}", first.name)
    return [f"{where} ({name})" for where, name in found.items()]


def _ending(text: str) -> datetime | None:
    if found := _DURATION.fullmatch(text.strip()):
        seconds = int(found[1]) * _SECONDS[found[2]]
        return pegboard.utcnow().replace(microsecond=0) + timedelta(seconds=seconds)
    return parse_time(text)


def _read() -> list[Stored]:
    with pegboard.db.engine.connect() as connection:
        return read_rows(connection)


@pegboard.transactional
def _insert(row: RatelimitRule) -> int:
    pegboard.db.session.add(row)
    pegboard.db.session.flush()
    return row.id


@pegboard.transactional
def _delete(numbers: set[int]) -> set[int]:
    session = pegboard.db.session
    known = table.columns.id.in_(numbers)
    found = set(session.scalars(table.select().with_only_columns(table.columns.id).where(known)))
    if missing := numbers - found:
        return missing
    session.execute(delete(table).where(known))
    return set()


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Say in a line what an operator can do something about."""
    try:
        yield
    except DBAPIError as error:
        if _is_missing():
            message = f"There is no table {table.name} yet: run pegboard db upgrade."
            raise click.ClickException(message) from error
        message = f"The database refuses: {' '.join(str(error.orig).split())}"
        raise click.ClickException(message) from error


def _is_missing() -> bool:
    try:
        return not inspect(pegboard.db.engine).has_table(table.name)
    except DBAPIError:
        return False
