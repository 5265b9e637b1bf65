"""`pegboard explain`: what happens to a request, or why a plugin is active or not."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from http import HTTPMethod

import click
from flask.cli import ScriptInfo, pass_script_info

from pegboard.cli.diagnosis import diagnose
from pegboard.cli.plugins_list import unknown_plugin
from pegboard.cli.tables import as_table, wrapped
from pegboard.inspection import (
    Activity,
    Diagnosis,
    RequestReport,
    explain_plugin,
    explain_request,
)
from pegboard.logs import no_warnings, not_logged
from pegboard.plugins import Skipped
from pegboard.problems import StartupError

_NO_APP = "nothing of the service can be built: pegboard plugins check says why"


@click.command()
@click.argument("what")
@click.argument("path", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@pass_script_info
def explain(info: ScriptInfo, what: str, path: str | None, *, as_json: bool) -> None:
    r"""Explain a request, by METHOD PATH, or why the plugin WHAT is active or not.

    Of a request: which route it matches and whose, the stages in order, its limit, whether it is
    cached and why not, the totals of a list, what may refuse it, its transaction, its fast path,
    and what its client may get. Of a plugin: its metadata, the lists and the policy of the
    settings, its requirements and services, its problems. Nothing is sent, and no plugin that the
    settings keep out is imported.

    \b
    pegboard explain GET /api/items/3
    pegboard explain items
    """
    with not_logged(Skipped), no_warnings():
        found = diagnose(info)
        if path is None and not what.startswith("/"):
            explained = _explain_plugin(found, what, as_json=as_json)
            problems = found.error.problems if found.error else ()
            # Those of the plugin itself were told as reasons.
            if others := [one for one in problems if one.plugin not in explained]:
                StartupError(others).show()
        else:
            method, path = ("GET", what) if path is None else (what, path)
            _explain_request(found, method.upper(), path, as_json=as_json)
            found.show_error()


def _explain_plugin(found: Diagnosis, name: str, *, as_json: bool) -> set[str]:
    """Print why plugins are active or not; return their names."""
    candidates = found.find(name)
    if not candidates and name.upper() in HTTPMethod.__members__:
        message = f"A path is missing: pegboard explain {name} /health"
        raise click.UsageError(message)
    if not candidates:
        raise unknown_plugin(name, [one.name for one in found.installed])
    activities = [explain_plugin(found, one) for one in candidates]
    if as_json:
        documents = [asdict(one) for one in activities]
        click.echo(json.dumps(documents[0] if len(documents) == 1 else documents, indent=2))
    else:
        for activity in activities:
            for line in _activity(activity):
                click.echo(line)
    return {one.name for one in candidates}


def _explain_request(found: Diagnosis, method: str, path: str, *, as_json: bool) -> None:
    if not path.startswith("/"):
        message = f"A path begins with a slash, and {path!r} does not."
        raise click.UsageError(message)
    partial = found.partial
    if partial is None:
        found.show_error()
        raise click.ClickException(_NO_APP)
    report = explain_request(partial.app, method, path)
    if as_json:
        click.echo(json.dumps({**report.as_json(), "note": partial.note or None}, indent=2))
        return
    if partial.note:
        click.echo(partial.note, err=True)
    for line in _request(report):
        click.echo(line)


def _activity(activity: Activity) -> Iterator[str]:
    label = f" ({activity.label})" if activity.label else ""
    yield f"{activity.name}{label}: {activity.state}"
    for reason in activity.reasons:
        first, *rest = wrapped(reason.text, " " * 19)
        yield f"  {'yes' if reason.is_met else 'NO ':<3}  {reason.about:<12}{first.strip()}"
        yield from rest
    for hint in activity.hints:
        yield from wrapped(hint)


def _request(report: RequestReport) -> Iterator[str]:
    yield f"{report.method} {report.path}: {report.outcome}"
    arguments = ", ".join(f"{name}={value}" for name, value in report.arguments.items())
    of_route = {
        "view": report.view,
        "endpoint": f"{report.endpoint}, of {report.owner}",
        "arguments": arguments or "none",
    }
    of_all = {
        "limit": report.limit,
        "cache": report.cache if report.is_cached else f"no: {report.cache}",
        "totals": report.totals,
        "transaction": report.transaction,
        "fast path": report.path_taken if report.has_fast_path else f"no: {report.path_taken}",
    }
    for label, text in {**(of_route if report.endpoint else {}), **of_all}.items():
        if text is not None:
            first, *rest = wrapped(text, " " * 15)
            yield f"  {label:<13}{first.strip()}"
            yield from rest
    yield "  stages, in order"
    for stage in report.stages:
        acts = "" if stage.is_bound else ": does nothing here"
        yield f"    {stage.order}  {stage.name} ({stage.owner}){acts}"
        for line in stage.explanation:
            yield from wrapped(line, " " * 9)
    yield "  guards and decorators, in order" if report.guards else "  guards       none"
    for guard in report.guards:
        yield f"    {guard.kind}  {guard.what} ({guard.owner})"
    source = "the OpenAPI document" if report.is_documented else "no document: the platform's own"
    yield f"  a client may expect ({source})"
    rows = [(one.status, one.description, ", ".join(one.headers)) for one in report.answers]
    for line in as_table(rows) if rows else ("nothing is known",):
        yield f"    {line}"
