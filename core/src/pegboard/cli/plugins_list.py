"""`pegboard plugins list` and `show`: what is installed, and what each plugin contributes."""

import json
from collections.abc import Iterator, Sequence

import click
from flask.cli import ScriptInfo, pass_script_info

from pegboard.cli.diagnosis import diagnose
from pegboard.cli.tables import WIDTH, as_table, fitting_columns, milliseconds, wrapped
from pegboard.inspection import Diagnosis, KnownPlugin, PluginReport, report_plugins
from pegboard.logs import no_warnings, not_logged
from pegboard.plugins import Skipped
from pegboard.settings import nearest_name

_BEFORE_REASON = ("NAME", "DISTRIBUTION", "STATE")
_HEADER = (*_BEFORE_REASON, "CLAIMS", "SCHEMA", "START", "ROUTES", "TABLES")
_WIDE = ("HOOKS", "SETTINGS", "COMMANDS")


@click.command(name="list")
@click.option("--wide", is_flag=True, help="All columns, and each plugin in one line.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@pass_script_info
def list_plugins(info: ScriptInfo, *, wide: bool, as_json: bool) -> None:
    """List the installed plugins: active, disabled, or skipped and why.

    SCHEMA is where the database is: head, behind, or ahead of the revision files. START is what the
    plugin's code took while the app was built. CLAIMS is the grade that the plugin claims, which
    pegboard plugins grade checks.

    If the service cannot start, a plugin is enabled or broken instead of active, and the problems
    with the codes that are named follow on standard error; the exit status is 0.
    """
    found = _diagnose(info)
    with no_warnings():
        plugins = report_plugins(found)
    if as_json:
        click.echo(json.dumps(plugins.as_json(_claimed_grades()), indent=2))
    elif plugins.reports:
        for line in _lines(plugins.reports, wide=wide):
            click.echo(line)
    else:
        click.echo(
            "No plugin is installed: install one, as pegboard-items, or write one by pegboard new."
        )
    _tell_what_is_unknown(plugins.reports, plugins.migrations_error)
    found.show_error()


@click.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@pass_script_info
def show(info: ScriptInfo, name: str, *, as_json: bool) -> None:
    """Show everything that is known of the plugin NAME."""
    found = _diagnose(info)
    with no_warnings():
        plugins = report_plugins(found)
    wanted = {(one.name, one.label) for one in found.find(name)}
    reports = [one for one in plugins.reports if (one.name, one.label) in wanted]
    if not reports:
        raise unknown_plugin(name, [one.name for one in plugins.reports])
    if as_json:
        grades = _claimed_grades()
        documents = [{**one.as_json(), "claimed_grade": grades.get(one.name)} for one in reports]
        click.echo(json.dumps(documents[0] if len(documents) == 1 else documents, indent=2))
    else:
        for report in reports:
            for line in _details(report):
                click.echo(line)
    _tell_what_is_unknown(reports, plugins.migrations_error)
    found.show_error()


def unknown_plugin(name: str, names: Sequence[str]) -> click.ClickException:
    """Return the error of a command that is given a name which no installed plugin has."""
    near = nearest_name(name, names)
    hint = f" Did you mean {near}?" if near else f" There are: {', '.join(names) or 'none'}."
    return click.ClickException(f"{name} is not installed.{hint}")


def _tell_what_is_unknown(reports: Sequence[PluginReport], migrations_error: str | None) -> None:
    if migrations_error and any(one.known and one.known.has_migrations for one in reports):
        click.echo(f"How far the database is migrated is not known: {migrations_error}", err=True)


def _diagnose(info: ScriptInfo) -> Diagnosis:
    with not_logged(Skipped), no_warnings():
        return diagnose(info)


def _lines(reports: Sequence[PluginReport], *, wide: bool) -> Iterator[str]:
    """Yield the lines of the table; a reason that is too long for its line follows it."""
    grades = _claimed_grades()
    rows: list[Sequence[str]] = [(*_HEADER, *_WIDE)] + [
        _row(one, grades.get(one.name, "-")) for one in reports
    ]
    count = len(rows[0]) if wide else fitting_columns(rows, 4)
    lines = as_table([row[:count] for row in rows])
    starts = as_table([row[: len(_BEFORE_REASON)] for row in rows])
    yield next(lines)
    next(starts)
    for report, line, start in zip(reports, lines, starts, strict=True):
        reason = report.state.reason
        whole = f"{start}: {reason}"
        if not reason:
            yield line
        elif wide or len(whole) <= WIDTH:
            yield whole
        else:
            yield start
            yield from wrapped(reason)


def _claimed_grades() -> dict[str, str]:
    """Return the grades that plugins claim; `pegboard plugins grade` checks one."""
    from pegboard.grading import claimed_grades  # noqa: PLC0415 - needed for this alone

    return claimed_grades()


def _row(report: PluginReport, claim: str) -> tuple[str, ...]:
    head = (report.name, report.label or "-", report.state.word, claim)
    known = report.known
    if known is None:
        return (*head, *["-"] * (len(_HEADER) + len(_WIDE) - len(head)))
    return (
        *head,
        known.migration_state,
        "-" if known.start is None else f"{known.start.seconds * 1000:.0f} ms",
        "-" if known.routes is None else str(len(known.routes)),
        str(len(known.tables)),
        str(len(known.hooks)),
        str(len(known.settings)),
        str(len(known.commands)),
    )


def _details(report: PluginReport) -> Iterator[str]:
    kind = "Pegboard's own" if report.is_first_party else "third-party"
    yield f"{report.name}: {report.state.word}"
    if report.state.reason:
        yield from wrapped(report.state.reason)
    yield f"  distribution  {report.label or '-'} ({kind})"
    yield f"  requires      {', '.join(report.requires) or 'nothing'}"
    yield f"  claims        {_claimed_grades().get(report.name, 'no grade')}"
    if report.known is None:
        yield "  It is not imported, so nothing is known of what it would contribute."
    else:
        yield from _contributions(report.known)


def _contributions(known: KnownPlugin) -> Iterator[str]:
    if known.start is not None:
        parts = known.start.steps.values()
        told = ", ".join(f"{one.name} {milliseconds(one.seconds)}" for one in parts)
        yield f"  start         {milliseconds(known.start.seconds)}"
        yield from wrapped(told, " " * 16)
    if known.migrations:
        at = ", ".join(known.migrations.current) or "no revision"
        newest = ", ".join(known.migrations.heads) or "none"
        yield f"  migrations    {known.migrations.state}: at {at}, newest {newest}"
    else:
        yield f"  migrations    {'unknown' if known.has_migrations else 'none'}"
    not_built = ("not known: the service can only be built without the plugin",)
    stages = None if known.stages is None else [f"{order}  {name}" for order, name in known.stages]
    services = [f"provides {one}" for one in known.provides]
    services += [f"requires {one}" for one in known.requires]
    sections = {
        "hooks": known.hooks,
        "routes": not_built if known.routes is None else known.routes,
        "stages": not_built if stages is None else stages,
        "services": services,
        "tables": known.tables,
        "settings": known.settings,
        "commands": known.commands,
        "health checks": known.health_checks,
    }
    for title, entries in sections.items():
        yield f"  {title:<13} {entries[0] if entries else 'none'}"
        yield from (f"                {entry}" for entry in entries[1:])
