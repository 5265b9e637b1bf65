"""The commands `pegboard ratelimit ...`."""

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
from pegboard_ratelimit.descriptions import NO_ROUTE, describe, describe_row, printable
from pegboard_ratelimit.enforcement import (
    ClientUsage,
    Limiter,
    get_limiter,
    inspect_client,
    matches_any_route,
    routes_of,
)
from pegboard_ratelimit.models import TEXT_LENGTH, RatelimitRule, table
from pegboard_ratelimit.rules import (
    UNLIMITED,
    ClientPattern,
    OnFailure,
    Rule,
    Source,
    StoredRule,
    WrittenRule,
    choose,
    parse_time,
    read_rows,
)
from pegboard_ratelimit.settings import RatelimitSettings, rules_of

_DURATION = re.compile(r"(\d{1,6})([smhd])")
_NUMBER = click.IntRange(-(2**63), 2**63 - 1)
_MAX_SHOWN = 5
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@click.group()
def ratelimit() -> None:
    """Limit how often clients may call."""


@ratelimit.group()
def rules() -> None:
    """Show and change the rules; a change takes effect in every process within 5 seconds."""


@rules.command("list")
@with_appcontext
def list_() -> None:
    """List the rules of the settings and of the table; broken ones say what is wrong."""
    with _plain_errors():
        stored = _read()
    for rule in rules_of(pegboard.get_settings(RatelimitSettings)):
        suffix = "" if matches_any_route(current_app, rule) else f", {NO_ROUTE}"
        click.echo(printable(f"{rule.name}: {describe(rule)}{suffix}"))
    now = pegboard.utcnow()
    for row in stored:
        click.echo(printable(f"{row.number}: {describe_row(row, now)}"))
    if any(row.rule is None for row in stored):
        message = "Broken rules are left out; remove them, then add them correctly."
        raise click.ClickException(message)


@rules.command()
@click.option("--client", default="*", help="An address, a network, user:NAME or user:PREFIX*.")
@click.option("--route", default="*", help="A path or endpoint; * in it stands for any text.")
@click.option("--method", "methods", multiple=True, help="GET (includes HEAD), POST, ...")
@click.option("--limit", "limits", help="Such as 100/minute;10/second.")
@click.option("--exempt", is_flag=True, help="No limit at all.")
@click.option("--until", help="When the rule ends: a time in UTC, or 30m, 12h, 7d from now.")
@click.option(
    "--on-failure",
    type=click.Choice([one.value for one in OnFailure]),
    help="What to do while Redis is unavailable.",
)
@click.option("--note", help="What the rule is for.")
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
    """Add a rule; without options for all clients at all routes."""
    if exempt == bool(limits):
        message = "Give either --limit LIMIT or --exempt."
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
    if not matches_any_route(current_app, rule):
        click.echo(f"Warning: no route of this service matches {route}.", err=True)
    if ending is not None and ending <= pegboard.utcnow():
        click.echo("Warning: the rule has ended already.", err=True)
    click.echo(printable(f"Added rule {number}: {describe(rule)}."))
    if overridden := _overridden(replace(rule, number=number)):
        others = f" and {len(overridden) - _MAX_SHOWN} more" if len(overridden) > _MAX_SHOWN else ""
        listed = ", ".join(overridden[:_MAX_SHOWN])
        click.echo(f"A more specific rule applies instead at {listed}{others}.")


@rules.command()
@click.argument("numbers", nargs=-1, type=_NUMBER, required=True)
@with_appcontext
def remove(numbers: Sequence[int]) -> None:
    """Remove rules by number: all of them or, if one does not exist, none."""
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
    """Show which rule applies to CLIENT at METHOD PATH, and what is left of it."""
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
        limiter.refresher.load()
    rule = choose(limiter.rules_at(route), key)
    where = route.endpoint if route else "no route"
    described = f"{rule.name}: {describe(rule)}" if rule else "no rule"
    click.echo(printable(f"{ClientPattern(key)} at {where}: {described}"))
    if rule is not None:
        _show_usage(limiter, rule, key)


def _show_usage(limiter: Limiter, rule: Rule, client: str) -> None:
    plan = limiter.plan(rule)
    if plan is None:
        return
    usage: ClientUsage | str = inspect_client(limiter, plan, client)
    if isinstance(usage, str):
        click.echo(usage)
        return
    for policy, remaining, reset in usage.policies:
        click.echo(f"  {policy}: {remaining} left, more in {reset} s")
    if usage.wait:
        click.echo(f"  refused for {usage.wait:.1f} s")


def _find(method: str, path: str) -> Route | None:
    adapter = current_app.url_map.bind("")
    try:
        rule, _ = adapter.match(path.partition("?")[0], method, return_rule=True)
    except HTTPException:
        return None
    return route_of(current_app, rule, method)


def _overridden(rule: Rule) -> list[str]:
    """Return the routes of a rule where a more specific rule for all clients applies instead."""
    limiter = get_limiter()
    if limiter is None:
        return []
    limiter.refresher.read()
    found: dict[str, str] = {}
    for route in routes_of(current_app):
        if route.blueprint not in EXEMPT_BLUEPRINTS and rule.covers(route):
            first = limiter.rules_at(route)[-1]
            if first.clients.is_anyone and first.rank > rule.rank:
                found.setdefault(f"{route.method} {route.rule.rule}", first.name)
    return [f"{where} ({name})" for where, name in found.items()]


def _ending(text: str) -> datetime | None:
    if found := _DURATION.fullmatch(text.strip()):
        seconds = int(found[1]) * _SECONDS[found[2]]
        return pegboard.utcnow().replace(microsecond=0) + timedelta(seconds=seconds)
    return parse_time(text)


def _read() -> list[StoredRule]:
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
    """Report a database error in one line instead of a traceback."""
    try:
        yield
    except DBAPIError as error:
        if _is_missing():
            message = f"There is no table {table.name} yet: run pegboard db upgrade."
            raise click.ClickException(message) from error
        message = f"The database reports: {' '.join(str(error.orig).split())}"
        raise click.ClickException(message) from error


def _is_missing() -> bool:
    try:
        return not inspect(pegboard.db.engine).has_table(table.name)
    except DBAPIError:
        return False
